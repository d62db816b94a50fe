"""A trade whose pair nobody explains waits in quarantine, and comes out with the listing or the ledger, whichever comes when."""

from __future__ import annotations

import json
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from flows import importing, steps
from tests.importing import rows
from tests.warehouse.loading import prepared

TRADE = {
    "ordertxid": "OAAAAA-AAAAA-AAAAAA", "pair": "FOOBAR", "time": 1767225600.5, "type": "buy", "ordertype": "limit",
    "price": "2.0", "cost": "6.0", "fee": "0.01", "vol": "3.0", "margin": "0.0", "misc": "",
}  # fmt: skip
ONE, OTHER = "TAAAAA-AAAAA-AAAAA1", "TBBBBB-BBBBB-BBBBB2"
TRADES = {"trades": {ONE: TRADE, OTHER: {**TRADE, "pair": "XXBTZUSD"}}, "count": 2}
LATER = {"trades": {"TCCCCC-CCCCC-CCCCC3": {**TRADE, "type": "sell", "time": 1767312000.5}}, "count": 1}
LISTING = {"FOOBAR": {"altname": "FOOBAR", "wsname": "FOO/BAR", "base": "FOO", "quote": "BAR"}}
LEG = {"refid": ONE, "time": 1767225600.5, "type": "trade", "subtype": "", "aclass": "currency", "balance": "1.0"}
LEDGER = {
    "ledger": {
        "LAAAAA-AAAAA-AAAAA1": {**LEG, "asset": "FOO", "amount": "3.0", "fee": "0.0"},
        "LBBBBB-BBBBB-BBBBB2": {**LEG, "asset": "BAR", "amount": "-6.0", "fee": "0.01"},
    },
    "count": 2,
}
EXPORT = (
    '"txid","ordertxid","pair","time","type","ordertype","price","cost","fee","vol","margin","misc","ledgers"\n'
    f'"{ONE}","OAAAAA-AAAAA-AAAAAA","FOOBAR","2026-01-01 00:00:00.5000","buy","limit","2.0","6.0","0.01","3.0","0.0","",""\n'
)
NOTHING = {"ledger": {}, "count": 0}
FILES = {
    "trades": TRADES, "later": LATER, "listing": LISTING, "ledger": LEDGER, "export": EXPORT, "nothing": NOTHING,
}  # fmt: skip
TOLD = """
select exec_id, symbol, canonical_symbol, side, signed_qty, last_px, gross_trade_amt, fills.currency, commission, comm_currency,
    fills.source, fills.status
from fills
inner join instruments using (instrument_id)
order by exec_id
"""
QUARANTINED = "select rule, raw_row from quarantine order by all"


def imported(home: Path, *names: str) -> None:
    """Save files and import them in this order."""
    for name in names:
        told: Any = FILES[name]
        file = home.with_name(f"{name}.csv" if isinstance(told, str) else f"{name}.json")
        file.write_text(told if isinstance(told, str) else json.dumps({"error": [], "result": told}))
        [done] = importing.import_files(prepared(home), "kraken", [file], account="main")
        assert not done.refused


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.mark.parametrize("explained_by", ["listing", "ledger"])
def test_a_trade_comes_out_of_quarantine_with_what_explains_its_pair(explained_by: str, home: Path) -> None:
    imported(home, "trades")
    assert rows(home, QUARANTINED) == [{"rule": "currency_unknown", "raw_row": 0}]
    imported(home, explained_by)
    assert rows(home, QUARANTINED) == rows(home, "select * from data_health where kind = 'quarantine'") == []
    one, _ = rows(home, TOLD)
    assert (one["exec_id"], one["canonical_symbol"], one["last_px"], one["currency"]) == (ONE, "FOO/BAR", "2", "BAR")
    assert (one["source"], one["status"]) == ("kraken_rest", "final")
    [landed] = rows(
        home,
        "select raw_row, endpoint from executions inner join exchanges using (exchange_id) where symbol = 'FOOBAR'",
    )
    assert landed == {"raw_row": 0, "endpoint": "TradesHistory"}


@pytest.mark.parametrize("names", [
    ("trades", "listing"), ("trades", "ledger"), ("export", "ledger", "listing"),
    ("export", "trades", "later", "ledger", "listing"),
], ids="-".join)  # fmt: skip
def test_the_order_of_arrival_does_not_matter(names: tuple[str, ...], tmp_path: Path) -> None:
    told = []
    for order in list(permutations(names))[:: 1 if len(names) < 4 else 23]:
        home = tmp_path / "-".join(order)
        imported(home, *order)
        told.append(
            (rows(home, TOLD), rows(home, QUARANTINED), rows(home, "select kind from data_health order by all"))
        )
    assert all(each == told[0] for each in told)
    assert told[0][1] == []
    assert steps.renormalize(home).differences == {}


def test_what_did_not_stand_before_it_was_explained_did_not_stand_then(home: Path) -> None:
    imported(home, "trades", "listing")
    [moment] = rows(home, "select max(answered_at) as listed from exchanges where endpoint = 'AssetPairs'")
    [since] = rows(home, "select first_seen_at from executions where symbol = 'FOOBAR'")
    assert since["first_seen_at"] == moment["listed"]


def test_what_nobody_explains_goes_on_waiting(home: Path) -> None:
    imported(home, "later", "export", "nothing", "trades")
    assert len(rows(home, QUARANTINED)) == 3
    assert [row["exec_id"] for row in rows(home, TOLD)] == [OTHER]
