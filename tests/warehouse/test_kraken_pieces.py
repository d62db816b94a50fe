"""What exports, pages and ledgers of Kraken tell in pieces comes to the same fills, in whatever order the pieces come."""

from __future__ import annotations

import json
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from connectors.registry import connector
from flows import importing
from tests.importing import rows
from tests.warehouse.loading import prepared

TRADES = "txid,ordertxid,pair,time,type,ordertype,price,cost,fee,vol,margin,misc,ledgers"
LEDGERS = "txid,refid,time,type,subtype,aclass,asset,wallet,amount,fee,balance"
NOON = "2025-06-15 15:06:40"
ORDER = "OAAAAA-AAAAA-AAAAAA"
COARSE, FIRST, SECOND = "TAAAAA-AAAAA-AAAAA1", "TAAAAA-AAAAA-AAAAA2", "TAAAAA-AAAAA-AAAAA3"
BOUGHT = "QAAAAA-AAAAA-AAAAAA"


def trade(txid: str, pair: str, price: str, cost: str, fee: str, vol: str) -> str:
    return f"{txid},{ORDER},{pair},{NOON}.1234,buy,limit,{price},{cost},{fee},{vol},0,,"


def entry(entry_id: str, ref_id: str, kind: str, asset: str, amount: str, fee: str = "0", time: str = NOON) -> str:
    return f"{entry_id},{ref_id},{time},{kind},,currency,{asset},spot,{amount},{fee},1"


def page(**trades: dict[str, Any]) -> str:
    said = {
        txid: {
            "ordertxid": ORDER, "pair": "SOLUSD", "time": 1750000000.1234, "type": "buy", "ordertype": "limit",
            "price": "150", "margin": "0", "misc": "", **told,
        }
        for txid, told in trades.items()
    }  # fmt: skip
    return json.dumps({"error": [], "result": {"count": len(said), "trades": said}})


def csv(header: str, *lines: str) -> str:
    return "\n".join([header, *lines, ""])


def fills_after(home: Path, files: list[tuple[str, str]]) -> list[tuple[str, ...]]:
    """Import files one by one; gives what stands then."""
    for number, (name, text) in enumerate(files):
        path = home / f"{number}-{name}"
        prepared(home)
        path.write_text(text)
        (done,) = importing.import_files(home, "kraken", [path])
        assert not done.refused
    query = """
        select fills.exec_id, fills.symbol, fills.signed_qty, fills.gross_trade_amt, fees.asset, fees.amount
        from fills
        left join fees using (broker, account, exec_id)
        order by all
    """
    return [tuple(row.values()) for row in rows(home, query)]


COARSE_EXPORT = csv(TRADES, trade(COARSE, "SOLUSD", "150", "150", "0.39", "1"))
FINER_PAGE = page(
    **{FIRST: {"cost": "90", "fee": "0.234", "vol": "0.6"}, SECOND: {"cost": "60", "fee": "0.156", "vol": "0.4"}}
)
CASES = {
    "finer trades that the ledger has booked replace a coarser one": (
        {
            "trades.csv": COARSE_EXPORT,
            "page.json": FINER_PAGE,
            "ledgers.csv": csv(
                LEDGERS,
                entry("L1", FIRST, "trade", "SOL", "0.6"),
                entry("L2", FIRST, "trade", "ZUSD", "-90", "0.234"),
                entry("L3", SECOND, "trade", "SOL", "0.4"),
                entry("L4", SECOND, "trade", "ZUSD", "-60", "0.156"),
            ),
        },
        [(FIRST, "SOLUSD", "0.6", "-90", "USD", "0.234"), (SECOND, "SOLUSD", "0.4", "-60", "USD", "0.156")],
    ),
    "finer trades of which the ledger has booked one by now": (
        {
            "trades.csv": COARSE_EXPORT,
            "page.json": FINER_PAGE,
            "ledgers.csv": csv(
                LEDGERS, entry("L1", FIRST, "trade", "SOL", "0.6"), entry("L2", FIRST, "trade", "ZUSD", "-90", "0.234")
            ),
        },
        [(FIRST, "SOLUSD", "0.6", "-90", "USD", "0.234"), (SECOND, "SOLUSD", "0.4", "-60", "USD", "0.156")],
    ),
    "a coarser trade that the ledger has booked is told once": (
        {
            "trades.csv": COARSE_EXPORT,
            "page.json": FINER_PAGE,
            "ledgers.csv": csv(
                LEDGERS, entry("L1", COARSE, "trade", "SOL", "1"), entry("L2", COARSE, "trade", "ZUSD", "-150", "0.39")
            ),
        },
        [(COARSE, "SOLUSD", "1", "-150", "USD", "0.39")],
    ),
    "trades of one order and size that the ledger has booked both are two": (
        {
            "trades.csv": csv(TRADES, trade(COARSE, "SOLUSD", "150", "90", "0.234", "0.6")),
            "page.json": page(**{FIRST: {"cost": "90", "fee": "0.234", "vol": "0.6"}}),
            "ledgers.csv": csv(
                LEDGERS,
                entry("L1", FIRST, "trade", "SOL", "0.6"),
                entry("L2", FIRST, "trade", "ZUSD", "-90", "0.234"),
                entry("L3", COARSE, "trade", "SOL", "0.6"),
                entry("L4", COARSE, "trade", "ZUSD", "-90", "0.234"),
            ),
        },
        [(COARSE, "SOLUSD", "0.6", "-90", "USD", "0.234"), (FIRST, "SOLUSD", "0.6", "-90", "USD", "0.234")],
    ),
    "a purchase of four legs in two files": (
        {
            "first.csv": csv(
                LEDGERS,
                entry("L1", BOUGHT, "spend", "ZUSD", "-300", "0.48"),
                entry("L2", BOUGHT, "receive", "XXBT", "0.01"),
            ),
            "second.csv": csv(
                LEDGERS,
                entry("L3", BOUGHT, "spend", "ZUSD", "-150", "0.24"),
                entry("L4", BOUGHT, "receive", "XXBT", "0.02"),
            ),
        },
        [(BOUGHT, "BTC/USD", "0.03", "-450", "USD", "0.72")],
    ),
    "a leg beside an unreadable one, and both again": (
        {
            "trades.csv": csv(TRADES, trade(FIRST, "XXBTZUSD", "30000", "600", "0.96", "0.02")),
            "bad.csv": csv(
                LEDGERS,
                entry("L1", FIRST, "trade", "XXBT", "0.02", "0.000052"),
                entry("L2", FIRST, "trade", "ZUSD", '"-600,0"'),
            ),
            "good.csv": csv(
                LEDGERS,
                entry("L1", FIRST, "trade", "XXBT", "0.02", "0.000052"),
                entry("L2", FIRST, "trade", "ZUSD", "-600.0"),
            ),
        },
        [(FIRST, "XXBTZUSD", "0.02", "-600", "BTC", "0.000052")],
    ),
    "an unlisted market whose legs come in two files": (
        {
            "trades.csv": csv(TRADES, trade(FIRST, "FOOBAR", "2", "200", "0.1", "100")),
            "first.csv": csv(LEDGERS, entry("L1", FIRST, "trade", "FOO", "100")),
            "second.csv": csv(LEDGERS, entry("L2", FIRST, "trade", "BAR", "-200", "0.1")),
        },
        [(FIRST, "FOOBAR", "100", "-200", "BAR", "0.1")],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_pieces_come_to_the_same_in_any_order(case: str, tmp_path: Path) -> None:
    files, wanted = CASES[case]
    for number, order in enumerate(permutations(files.items())):
        home = tmp_path / str(number)
        assert fills_after(home, list(order)) == wanted, [name for name, _ in order]
        odd = rows(home, "select kind, what from data_health where kind not in ('quarantine', 'split_differently')")
        assert [each for each in odd if "ledger" not in each["kind"] and each["kind"] != "not_in_ledger"] == []


def test_entries_without_a_time_are_kept_once(tmp_path: Path) -> None:
    timeless = [
        entry("L1", BOUGHT, "spend", "ZUSD", "-10", time=""),
        entry("L2", BOUGHT, "receive", "XXBT", "1", time=""),
    ]
    fills_after(tmp_path, [("first.csv", csv(LEDGERS, *timeless)), ("second.csv", csv(LEDGERS, *timeless[::-1]))])
    assert rows(tmp_path, "select entry_id from ledger_entries order by all") == [
        {"entry_id": "L1"},
        {"entry_id": "L2"},
    ]


@pytest.mark.parametrize("column", ["vol", "cost"])
def test_a_quantity_with_a_sign_is_no_trade(column: str, tmp_path: Path) -> None:
    told = {"cost": "90", "fee": "0.234", "vol": "0.6"}
    assert fills_after(tmp_path, [("page.json", page(**{FIRST: {**told, column: "-0.6"}}))]) == []
    assert rows(tmp_path, "select rule from quarantine") == [{"rule": "side_contradicts_quantity"}]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_blank_lines_are_no_rows(end: str, tmp_path: Path) -> None:
    first, second = (trade(txid, "SOLUSD", "150", "150", "0.39", "1") for txid in (FIRST, SECOND))
    (tmp_path / "trades.csv").write_bytes(end.join([TRADES, "", first, "", "", second, "", "", ""]).encode())
    home = prepared(tmp_path / "home")
    (done,) = importing.import_files(home, "kraken", [tmp_path / "trades.csv"])
    assert done.loaded is not None
    assert (done.loaded.added, done.loaded.rejected) == (2, 0)
    for told in rows(home, "select exec_id, raw_row, exchange_id from execution_reports order by exec_id"):
        [printed] = connector("kraken").row_printed((tmp_path / "trades.csv").read_bytes(), told["raw_row"], None)
        assert json.loads(printed)["txid"] == told["exec_id"]


REFUSED = {
    "trades.json": '{"error":[],"result":{"trades":[],"count":0}}',
    "null.json": '{"error":[],"result":{"trades":null}}',
    "ledger.json": '{"error":[],"result":{"ledger":[]}}',
    "row.json": '{"error":[],"result":{"trades":{"TAAAAA-AAAAA-AAAAA1":null}}}',
    "list.json": '{"error":[],"result":{"trades":{"TAAAAA-AAAAA-AAAAA1":["XXBTZUSD"]}}}',
    "count.json": '{"error":[],"result":{"trades":{},"count":1.0}}',
    "query.json": json.dumps({"error": [], "result": {FIRST: {"ordertxid": ORDER, "price": "1", "vol": "1"}, SECOND: None}}),
    "old_macintosh.csv": csv(TRADES, trade(FIRST, "SOLUSD", "150", "150", "0.39", "1")).replace("\n", "\r"),
    "balance.csv": "txid,refid,time,type,asset,amount,fee\nL1,Q,2026-03-01 12:00:00,spend,DOT,-10,0\n",
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_read_is_refused_in_a_line(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(REFUSED[name].encode())
    (done,) = importing.import_files(prepared(tmp_path / "home"), "kraken", [tmp_path / name])
    assert done.refused
    assert "\n" not in done.refused
