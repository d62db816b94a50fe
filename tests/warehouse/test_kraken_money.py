"""What Kraken's lists and its ledger make of one another: orders in halves, margin, and where the two do not agree."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from itertools import permutations
from typing import Any

import duckdb
import pytest

from connectors.connector import Reply
from tests.warehouse.loading import EPOCH, empty_warehouse, load_reply

ONE, OTHER = "TAAAAA-AAAAA-AAAAA1", "TBBBBB-BBBBB-BBBBB2"
TRADED = 1767225600 + 36000.5  # 10:00 on 1 January 2026, UTC
TRADE = {
    "ordertxid": "OORDER-AAAAA-AAAAAA",
    "pair": "XXBTZUSD",
    "time": TRADED,
    "type": "buy",
    "ordertype": "limit",
    "price": "90000.0",
    "cost": "45000.0",
    "fee": "45.0",
    "vol": "0.5",
    "margin": "0.0",
    "misc": "",
}
EXPORT = (
    '"txid","ordertxid","pair","time","type","ordertype","price","cost","fee","vol","margin","misc","ledgers"\n'
    '"{txid}","OORDER-AAAAA-AAAAAA","XXBTZUSD","{time}","buy","limit","90000.0","45000.0","45.0","0.5","0.0","",""\n'
)


def page(**trades: Mapping[str, Any]) -> Reply:
    return answer("TradesHistory", {"trades": trades, "count": len(trades)})


def booked(*entries: tuple[str, str, str, str, str], subtype: str = "") -> Reply:
    """Answer with ledger entries: of which trade, of which type, asset, amount and fee."""
    told = {
        f"L{place}AAAA-AAAAA-AAAAAA": {
            "refid": refid, "time": TRADED, "type": kind, "subtype": subtype, "aclass": "currency", "asset": asset,
            "amount": amount, "fee": fee, "balance": "1.0",
        }
        for place, (refid, kind, asset, amount, fee) in enumerate(entries)
    }  # fmt: skip
    return answer("Ledgers", {"ledger": told, "count": len(told)})


def answer(endpoint: str, result: object) -> Reply:
    body = json.dumps({"error": [], "result": result}).encode()
    return Reply(f"{endpoint}-{hash(body)}", endpoint, body, EPOCH, "main")


def exported(txid: str, time: str) -> Reply:
    return Reply(f"export-{txid}", "ExportTrades", EXPORT.format(txid=txid, time=time).encode(), EPOCH, "main")


def loaded(*replies: Reply) -> duckdb.DuckDBPyConnection:
    con = empty_warehouse()
    for hour, reply in enumerate(replies):
        load_reply(con, "kraken", _at(reply, hour))
    return con


def _at(reply: Reply, hour: int) -> Reply:
    return replace(reply, answered_at=EPOCH + timedelta(hours=hour))


def ask(con: duckdb.DuckDBPyConnection, query: str) -> list[tuple[Any, ...]]:
    return con.execute(query).fetchall()


HALVES = (exported(ONE, "2025-12-31 22:00:00.1234"), page(**{OTHER: TRADE}))
GRAINS = (
    exported(ONE, "2026-01-01 10:00:00.5000"),
    page(**{
        "TCCCCC-CCCCC-CCCCC1": {**TRADE, "vol": "0.2", "cost": "18000.0", "fee": "18.0"},
        "TCCCCC-CCCCC-CCCCC2": {**TRADE, "vol": "0.3", "cost": "27000.0", "fee": "27.0", "time": TRADED + 60},
    }),
)  # fmt: skip


@pytest.mark.parametrize("replies", permutations(HALVES))
def test_two_halves_of_an_order_that_two_channels_tell_are_both_fills(replies: tuple[Reply, ...]) -> None:
    con = loaded(*replies)
    assert ask(con, "select exec_id, signed_qty::double from fills order by all") == [(ONE, 0.5), (OTHER, 0.5)]


@pytest.mark.parametrize("replies", permutations(GRAINS))
def test_an_order_that_two_channels_split_differently_is_told_once(replies: tuple[Reply, ...]) -> None:
    con = loaded(*replies)
    assert ask(con, "select source, sum(signed_qty)::double, count(*) from fills group by all") == [
        ("kraken_rest", 0.5, 2)
    ]


FINE = (
    {**TRADE, "vol": "0.2", "cost": "18000.0", "fee": "18.0"},
    {**TRADE, "vol": "0.3", "cost": "27000.0", "fee": "27.0"},
    {**TRADE, "vol": "0.4", "cost": "36000.0", "fee": "36.0", "time": TRADED + 60},
)


@pytest.mark.parametrize("is_turned", [False, True])
@pytest.mark.parametrize(("fine", "standing", "findings"), [
    (FINE, [("kraken_rest", 0.9, 3)], []),
    (FINE[:2], [("kraken_export", 0.4, 1), ("kraken_rest", 0.5, 2)], []),
    (FINE[:1], [("kraken_export", 0.9, 2)], ["split_differently"]),
    ((FINE[1], FINE[2]), [("kraken_export", 0.5, 1), ("kraken_rest", 0.4, 1)], ["split_differently"]),
], ids=["whole", "one second", "part of one", "all of the other"])  # fmt: skip
def test_trades_of_an_order_that_are_told_in_one_by_an_export_are_never_counted_twice(
    fine: tuple[dict[str, Any], ...],
    standing: list[tuple[str, float, int]],
    findings: list[str],
    is_turned: bool,  # noqa: FBT001
) -> None:
    later = EXPORT.splitlines(keepends=True)[1].replace('"0.5"', '"0.4"').replace("45000.0", "36000.0")
    text = EXPORT.format(txid=ONE, time="2026-01-01 10:00:00.5000") + later.format(
        txid=OTHER, time="2026-01-01 10:01:00.5000"
    )
    told = [
        Reply("export", "ExportTrades", text.encode(), EPOCH, "main"),
        page(**{f"TCCCCC-CCCCC-CCCCC{place}": trade for place, trade in enumerate(fine)}),
    ]
    con = loaded(*(reversed(told) if is_turned else told))
    stands = "select source, sum(signed_qty)::double, count(*) from fills group by all order by all"
    assert ask(con, stands) == standing
    assert ask(con, "select kind from data_health") == [(kind,) for kind in findings]


def test_a_comma_is_no_thousand_at_kraken() -> None:
    body = EXPORT.format(txid=ONE, time="2026-01-01 10:00:00").replace('"0.5"', '"1,250"')
    con = loaded(Reply("export", "ExportTrades", body.encode(), EPOCH, "main"))
    assert ask(con, "select rule from quarantine") == [("not_a_number",)]
    assert ask(con, "select * from fills") == []


def test_on_margin_cash_moves_by_fee_and_profit() -> None:
    opens = {**TRADE, "margin": "9000.0", "leverage": "5", "postxid": "TPOSIT-AAAAA-AAAAAA", "posstatus": "open"}
    closes = {**TRADE, "type": "sell", "price": "91000.0", "cost": "45500.0", "fee": "45.5", "misc": "closing"}
    con = loaded(
        page(**{ONE: opens, OTHER: {**closes, "postxid": "TPOSIT-AAAAA-AAAAAA"}}),
        booked((ONE, "margin", "ZUSD", "0.0", "45.0"), (OTHER, "margin", "ZUSD", "500.0", "45.5")),
    )
    assert ask(con, "select row_key, kind, currency, amount::double from cash_legs order by all") == [
        (ONE, "commission", "USD", -45.0),
        (OTHER, "commission", "USD", -45.5),
        (OTHER, "profit", "USD", 500.0),
    ]
    moved = ask(con, "select sum(amount - fee) from ledger_entries where asset = 'USD'")
    assert ask(con, "select sum(amount) from cash_legs") == moved


def test_on_margin_an_old_file_that_names_no_position_moves_no_more() -> None:
    opens = EXPORT.format(txid=ONE, time="2026-01-01 10:00:00").replace('"0.5","0.0",""', '"0.5","9000.0",""')
    closes = EXPORT.format(txid=OTHER, time="2026-01-01 11:00:00").replace('"0.5","0.0",""', '"0.5","0.0","closing"')
    con = loaded(
        Reply("opens", "ExportTrades", opens.encode(), EPOCH, "main"),
        Reply("closes", "ExportTrades", closes.encode(), EPOCH, "main"),
        booked((ONE, "margin", "ZUSD", "0.0", "45.0"), (OTHER, "margin", "ZUSD", "500.0", "45.0")),
    )
    assert ask(con, "select position_effect from fills order by exec_id") == [("OPEN",), ("CLOSE",)]
    moved = ask(con, "select sum(amount - fee) from ledger_entries where asset = 'USD'")
    assert ask(con, "select sum(amount) from cash_legs") == moved


def test_on_margin_a_fee_may_be_paid_in_credits() -> None:
    opens = {**TRADE, "fee": "0.0", "margin": "9000.0", "posstatus": "open"}
    con = loaded(
        page(**{ONE: opens}), booked((ONE, "margin", "ZUSD", "0.0", "0.0"), (ONE, "margin", "KFEE", "-4500.0", "0.0"))
    )
    assert ask(con, "select asset, amount::double, kind from fees order by all") == [
        ("KFEE", 4500.0, "credit"),
        ("USD", 0.0, "trade"),
    ]
    assert ask(con, "select fee_status, comm_currency from fills") == [("known", "USD")]
    assert ask(con, "select kind from data_health") == []


def test_a_fee_is_as_exact_where_a_file_prints_no_zeros_at_its_end() -> None:
    opens = {**TRADE, "fee": "39.2", "margin": "9000.0", "posstatus": "open"}
    con = loaded(page(**{ONE: opens}), booked((ONE, "margin", "ZUSD", "0", "40")))
    assert ask(con, "select kind, amount::double from fees order by all") == [("margin_open", 0.8), ("trade", 39.2)]


@pytest.mark.parametrize(("fee", "of_ledger", "commission", "findings"), [
    ("0.00003", "0.0000", "0.00003", []),
    ("0.00003", "0", "0.00003", []),
    ("0.00003", "0.00000000", "0", ["fee_mismatch"]),
    ("0.5", "0.0000", "0", ["fee_mismatch"]),
])  # fmt: skip
def test_a_fee_too_small_for_the_ledger_to_print_is_still_a_fee(
    fee: str, of_ledger: str, commission: str, findings: list[str]
) -> None:
    legs = (ONE, "trade", "XXBT", "0.5", "0.0000000000"), (ONE, "trade", "ZUSD", "-45000.0", of_ledger)
    con = loaded(page(**{ONE: {**TRADE, "fee": fee}}), booked(*legs))
    [(paid, asset)] = ask(con, "select commission, comm_currency from fills")
    assert (paid, asset) == (Decimal(commission), "USD")
    assert ask(con, "select kind from data_health") == [(kind,) for kind in findings]


@pytest.mark.parametrize(("minutes", "findings"), [(1, ["not_in_ledger"]), (-1, [])], ids=["told", "not told"])
def test_a_trade_that_the_ledger_of_its_time_lacks_is_a_finding(minutes: int, findings: list[str]) -> None:
    ledger = booked((ONE, "trade", "XXBT", "0.5", "0"), (ONE, "trade", "ZUSD", "-45000.0", "45.0"))
    asked = {"start": str(int(TRADED) - 3600), "end": str(int(TRADED) + 60 * minutes)}
    on_margin = {**TRADE, "margin": "9000.0", "posstatus": "open"}
    con = loaded(
        page(**{ONE: TRADE, OTHER: {**TRADE, "ordertxid": "OOTHER-AAAAA-AAAAAA"}, "TCCCCC-CCCCC-CCCCC1": on_margin}),
        replace(ledger, params=asked, is_live=True),
    )
    assert ask(con, "select kind from data_health") == [(kind,) for kind in findings]
    said = ask(con, "select what from data_health")
    assert all(
        f"1 executions of main are not in the ledger, which tells of their days, such as {OTHER}" in what
        for (what,) in said
    )


def test_what_was_converted_at_a_delisting_is_a_finding() -> None:
    con = loaded(booked((ONE, "transfer", "NANO", "-30.0", "0"), subtype="delistingconversion"))
    [(severity, what)] = ask(con, "select severity, what from data_health")
    assert (severity, "NANO of main" in what) == ("warning", True)


@pytest.mark.parametrize(("told", "of_ledger", "finding"), [
    ("0.00009", "-0.0000000001", "differs"),
    ("0.00009", "-0.0000900000", "equal"),
])  # fmt: skip
def test_little_money_in_a_coin_is_compared_as_exactly(told: str, of_ledger: str, finding: str) -> None:
    con = loaded(
        page(**{ONE: {**TRADE, "pair": "XDGXBT", "vol": "10.0", "cost": told}}),
        booked((ONE, "trade", "XXDG", "10.0", "0"), (ONE, "trade", "XXBT", of_ledger, "0")),
    )
    assert ask(con, "select finding from ledger_reconciliation") == [(finding,)]


@pytest.mark.parametrize(("quantity", "of_ledger", "differs"), [
    ("0.5", "0.5000000000", False),
    ("0.5", "0.5000500000", False),
    ("0.5", "0.3", True),
    ("0.00009", "0.00001", True),
    ("0.00009", "0.0000900001", False),
])  # fmt: skip
def test_a_ledger_that_moved_something_else_is_a_finding(quantity: str, of_ledger: str, differs: bool) -> None:  # noqa: FBT001
    con = loaded(
        page(**{ONE: {**TRADE, "vol": quantity}}),
        booked((ONE, "trade", "XXBT", of_ledger, "0"), (ONE, "trade", "ZUSD", "-45000.0", "45.0")),
    )
    assert ask(con, "select finding from ledger_reconciliation") == [("differs" if differs else "equal",)]
    assert ask(con, "select severity from data_health where kind = 'ledger_differs'") == [("warning",)] * differs
    assert ask(con, "select signed_qty from fills") == [(Decimal(quantity),)]


SWEPT = [(ONE, "receive", "ZUSD", "30.0", "0"), (ONE, "spend", "XXRP", "-5.0", "0")]
AND_MORE = [(ONE, "spend", "ADA", "-20.0", "0"), (ONE, "spend", "DOT", "-2.0", "0")]


def test_a_purchase_that_turns_out_to_be_something_else_is_withdrawn() -> None:
    con = loaded(booked(*SWEPT))
    assert ask(con, "select side from fills") == [("SELL",)]
    load_reply(con, "kraken", _at(booked(*SWEPT, *AND_MORE), 1))
    assert ask(con, "select side from fills") == []
    assert ask(con, "select kind from data_health where severity <> 'note'") == [("ledger_unmatched",)]


def test_small_balances_swept_into_one_are_nothing_to_do_about() -> None:
    con = loaded(booked(*SWEPT, *AND_MORE, subtype="dustsweeping"))
    [(severity, remedy)] = ask(con, "select severity, remedy from data_health where kind = 'ledger_unmatched'")
    assert (severity, remedy.startswith("None: small balances")) == ("note", True)
