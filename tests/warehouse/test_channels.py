"""Confirmations and activity statements, cancels and corrections, in mixes that once gave a wrong number of fills."""

from __future__ import annotations

from typing import Any

import duckdb
import pytest

from connectors.contract import MONEY
from tests.warehouse.loading import empty_warehouse, load_statement
from warehouse.judging import CHAINED
from warehouse.scripts import until_stable

TRADE = {
    "accountId": "U1",
    "currency": "USD",
    "assetCategory": "STK",
    "symbol": "AAA",
    "conid": "1",
    "dateTime": "20260105;100000",
    "tradeDate": "20260105",
    "reportDate": "20260105",
    "transactionType": "ExchTrade",
    "quantity": "10",
    "price": "5",
    "buySell": "BUY",
    "commissionCurrency": "USD",
}
ACTIVITY = {
    "price": "tradePrice",
    "commission": "ibCommission",
    "commissionCurrency": "ibCommissionCurrency",
    "orderID": "ibOrderID",
}
IDS = {"tradeID": "T1", "execID": "0000aaaa.0000bbbb.01.01"}
AF_IDS = {"tradeID": "T1", "ibExecID": "0000aaaa.0000bbbb.01.01", "transactionID": "1"}
CANCEL = {
    "transactionType": "TradeCancel",
    "quantity": "-10",
    "buySell": "BUY (Ca.)",
    "commission": "0",
    "reportDate": "20260106",
}


def row(element: str, **attributes: str) -> str:
    told = {**TRADE, "commission": "-1", **attributes}
    names = ACTIVITY if element == "Trade" else {}
    return f"<{element} " + " ".join(f'{names.get(name, name)}="{value}"' for name, value in told.items()) + " />"


def trade(**attributes: str) -> str:
    return row("Trade", **attributes)


def confirm(**attributes: str) -> str:
    return row("TradeConfirm", **attributes)


def statement(
    *rows: str, generated: str = "20260107;083000", since: str = "20260105", until: str = "20260106"
) -> bytes:
    section = "TradeConfirms" if rows and rows[0].startswith("<TradeConfirm") else "Trades"
    kind = "TCF" if section == "TradeConfirms" else "AF"
    return (
        f'<FlexQueryResponse queryName="q" type="{kind}"><FlexStatements count="1"><FlexStatement accountId="U1" '
        f'fromDate="{since}" toDate="{until}" period="" whenGenerated="{generated}"><{section}>{"".join(rows)}</{section}>'
        "</FlexStatement></FlexStatements></FlexQueryResponse>"
    ).encode()


def loaded(*statements: bytes) -> duckdb.DuckDBPyConnection:
    con = empty_warehouse()
    for hour, body in enumerate(statements):
        load_statement(con, body, hour=hour)
    return con


def fills(con: duckdb.DuckDBPyConnection) -> list[tuple[Any, ...]]:
    answer = con.execute("select row_key, last_px::double, commission::double from fills order by row_key").fetchall()
    return [tuple(found) for found in answer]


def test_a_cancel_that_was_never_confirmed_ends_nothing() -> None:
    con = loaded(
        statement(confirm(**IDS), confirm(**CANCEL, origTradeID="T1"), generated="20260106;120000"),
        statement(trade(**AF_IDS), since="20260101", until="20260115", generated="20260202;080000"),
    )
    assert fills(con) == [("t:1", 5.0, 1.0)]


def test_a_cancel_told_by_both_channels_on_other_days_ends_one_row() -> None:
    con = loaded(
        statement(
            trade(**AF_IDS),
            trade(**CANCEL, transactionID="2", origTransactionID="1", origTradeID="T1"),
            trade(**{**AF_IDS, "transactionID": "3", "reportDate": "20260106"}),
            generated="20260107;080000",
        ),
        statement(
            confirm(**{**CANCEL, "reportDate": "20260107"}, origTradeID="T1"),
            until="20260107",
            generated="20260107;090000",
        ),
    )
    assert [key for key, _, _ in fills(con)] == ["t:3"]


def test_a_rebooking_that_only_the_confirmations_know_yet_stands() -> None:
    con = loaded(
        statement(trade(**AF_IDS), generated="20260106;083000", until="20260105"),
        statement(
            confirm(**IDS),
            confirm(**CANCEL, origTradeID="T1"),
            confirm(**{**IDS, "reportDate": "20260106"}),
            generated="20260106;090000",
        ),
    )
    assert len(fills(con)) == 1


def test_executions_with_other_ids_are_never_one() -> None:
    con = loaded(
        statement(confirm(tradeID="T2", execID="0000cccc.0000dddd.01.01", orderID="7", commission="-3")),
        statement(trade(**AF_IDS, orderID="7"), generated="20260107;080000"),
    )
    assert [paid for _, _, paid in fills(con)] == [1.0, 3.0]


def test_equal_confirmations_without_order_ids_pair_one_to_one() -> None:
    con = loaded(
        statement(confirm(), confirm()),
        statement(
            trade(transactionID="1", orderID="11"), trade(transactionID="2", orderID="12"), generated="20260107;080000"
        ),
    )
    assert [key for key, _, _ in fills(con)] == ["t:1", "t:2"]


def test_corrections_of_one_row_replace_one_another() -> None:
    def correction(key: str, price: str) -> str:
        return trade(
            transactionID=key, tradeID="T1", transactionType="TradeCorrect", origTransactionID="1", price=price
        )

    con = loaded(
        statement(trade(**AF_IDS)), statement(correction("2", "6"), correction("3", "7"), generated="20260108;080000")
    )
    assert fills(con) == [("t:3", 7.0, 1.0)]
    assert con.execute("select count(*), count(distinct row_key) from executions").fetchall() == [(3, 3)]


def test_a_pointer_to_a_row_nobody_has_falls_back_to_the_trade_it_names() -> None:
    cancel = trade(**CANCEL, transactionID="2", origTransactionID="1", origTradeID="T1")
    con = loaded(
        statement(trade(tradeID="T1", ibExecID="0000aaaa.0000bbbb.01.01")),
        statement(cancel, generated="20260108;080000"),
    )
    assert fills(con) == []


def test_a_price_restated_on_a_cancelled_row_does_not_revive_it() -> None:
    cancel = trade(**CANCEL, transactionID="2", origTransactionID="1", origTradeID="T1")
    con = loaded(
        statement(trade(**AF_IDS), cancel), statement(trade(**{**AF_IDS, "price": "5.01"}), generated="20260108;080000")
    )
    assert fills(con) == []


def test_a_row_told_twice_in_one_file_keeps_its_newer_word() -> None:
    old = statement(trade(**AF_IDS), generated="20260107;080000").decode()
    new = statement(trade(**AF_IDS, commission="-2"), generated="20260108;080000").decode()
    inner = new[new.index("<FlexStatement ") : new.index("</FlexStatements>")]
    both = old.replace("</FlexStatements>", inner + "</FlexStatements>").replace('count="1"', 'count="2"')
    assert fills(loaded(old.encode(), both.encode())) == [("t:1", 5.0, 2.0)]


def test_what_stayed_charged_never_moves_to_another_instrument() -> None:
    con = loaded(
        statement(
            trade(**AF_IDS),
            trade(**CANCEL, transactionID="2", origTransactionID="1"),
            trade(transactionID="3", tradeID="T1", symbol="BBB", conid="2", commission="-3"),
        )
    )
    assert fills(con) == [("t:3", 5.0, 3.0)]


def test_a_cancel_that_its_notes_alone_mark_is_a_cancel() -> None:
    unmarked = {"transactionType": "", "buySell": ""}
    con = loaded(
        statement(
            trade(**AF_IDS, **unmarked, notes="P"),
            trade(**unmarked, quantity="-10", transactionID="2", origTransactionID="1", origTradeID="T1", notes="Ca;P"),
            trade(**{**AF_IDS, "transactionID": "3"}, **unmarked, quantity="4", notes="Co"),
        )
    )
    assert con.execute("select side, last_qty::double from fills").fetchall() == [("BUY", 4.0)]


def test_a_rebooking_whose_own_fee_is_not_told_yet_stays_pending() -> None:
    con = loaded(
        statement(
            trade(**AF_IDS),
            trade(**CANCEL, transactionID="2", origTransactionID="1", origTradeID="T1"),
            trade(**{**AF_IDS, "transactionID": "3", "reportDate": "20260106"}, commission=""),
        )
    )
    assert con.execute("select row_key, commission::double, fee_status from fills").fetchall() == [
        ("t:3", 1.0, "pending")
    ]


def test_no_statement_covers_a_day_that_had_not_ended_when_it_was_written() -> None:
    con = loaded(statement(until="20261231", generated="20260201;080000"))
    assert con.execute("select verified_until::date::varchar from watermarks").fetchall() == [("2026-02-01",)]


def test_a_consolidated_statement_passes_over_a_confirmation_of_a_member() -> None:
    """Whether the member is known before the confirmation or learnt after it."""
    ours = {"accountId": "U2"}
    confirmed = statement(confirm(**IDS, **ours), generated="20260106;120000", until="20260105")
    silent = statement(since="20260101", until="20260115", generated="20260120;080000")
    member = statement(
        trade(**ours, transactionID="9", symbol="BBB", conid="2", tradeDate="20260120", reportDate="20260120"),
        since="20260120",
        until="20260120",
        generated="20260121;080000",
    )
    for order in ((confirmed, silent, member), (member, confirmed, silent), (silent, member, confirmed)):
        con = loaded(*order)
        assert [key for key, _, _ in fills(con)] == ["t:9"]
        assert con.execute("select count(*) from data_health where kind = 'unconfirmed'").fetchall() == [(1,)]


def test_a_day_missing_in_the_middle_is_named() -> None:
    days = "".join(
        f'<FlexStatement accountId="U1" fromDate="{day}" toDate="{day}" whenGenerated="20260201;080000"><Trades /></FlexStatement>'
        for day in ("20260105", "20260107")
    )
    con = loaded(
        f'<FlexQueryResponse queryName="q" type="AF"><FlexStatements count="2">{days}</FlexStatements></FlexQueryResponse>'.encode()
    )
    assert con.execute("select status, reason from coverage").fetchall() == [
        ("partial", "not returned: 2026-01-06 to 2026-01-07")
    ]


@pytest.mark.parametrize(
    ("text", "outcome"),
    [
        ("1234567890123456.1234567890121", "decimal_loss"),
        ("1.00000000000000000000000000001", "decimal_loss"),
        ("1_000", "not_a_number"),
        ("\u0663", "not_a_number"),
        ("NaN", "not_a_number"),
        ("1e-13", "decimal_loss"),
        ("1E+20", "decimal_loss"),
        ("1,2345", "not_a_number"),
        ("0,125", "not_a_number"),
    ],
)
def test_a_number_that_does_not_fit_or_is_none_is_rejected(text: str, outcome: str) -> None:
    con = loaded(statement(trade(**AF_IDS, price=text)))
    assert con.execute("select rule, detail from quarantine").fetchall() == [(outcome, f"{outcome} in tradePrice")]


@pytest.mark.parametrize("name", ["dateTime", "settleDateTarget"])
def test_a_rejected_row_names_the_cell_that_is_no_time(name: str) -> None:
    con = loaded(statement(trade(**AF_IDS, **{name: "someday"})))
    assert con.execute("select rule, detail from quarantine").fetchall() == [
        ("time_unreadable", f"time_unreadable in {name}")
    ]


@pytest.mark.parametrize(
    ("text", "value"), [(" 1", "1"), ("+1", "1"), (".5", "0.5"), ("5.", "5"), ("1e2", "100"), ("0.0000000000000", "0")]
)
def test_a_number_in_an_unusual_form_is_read_exactly(text: str, value: str) -> None:
    con = loaded(statement(trade(**AF_IDS, price=text)))
    assert MONEY.scale == 12
    assert con.execute("select last_px = ?::decimal(28, 12) from fills", [value]).fetchall() == [(True,)]


def test_of_a_chain_of_better_rows_the_best_answers_for_all() -> None:
    with duckdb.connect() as con:
        con.execute(
            """
            create table twins as
            select place as lesser_hash, 'a' as lesser_source, place + 1 as better_hash, 'a' as better_source
            from range(1, 7) as places(place)
            """
        )
        until_stable(con, CHAINED, "08_best")
        assert con.execute("select distinct better_hash from twins").fetchall() == [(7,)]
