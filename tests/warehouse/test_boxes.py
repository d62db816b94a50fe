"""Queries that print different boxes of the same trades tell the same fills, in whatever order their statements come."""

from __future__ import annotations

from itertools import permutations

import pytest

from tests.warehouse.loading import empty_warehouse, load_statement

TRADE = {
    "symbol": "AAA",
    "conid": "101",
    "currency": "USD",
    "assetCategory": "STK",
    "transactionType": "ExchTrade",
    "buySell": "BUY",
    "quantity": "10",
    "dateTime": "20260105;100000",
    "tradeDate": "20260105",
    "reportDate": "20260105",
    "levelOfDetail": "EXECUTION",
}
PAID = {"tradePrice": "5", "ibCommission": "-1", "ibCommissionCurrency": "USD"}
CONFIRMED = {"price": "5", "commission": "-1", "commissionCurrency": "USD"}
EVENING = {"dateTime": "20260105;203000", "tradeDate": "20260106", "reportDate": "20260106"}
EXECUTION = "0000aaaa.0000bbbb.01.01"
CANCEL = {
    **TRADE, **PAID, "transactionType": "TradeCancel", "buySell": "BUY (Ca.)", "quantity": "-10", "reportDate": "20260106",
    "ibCommission": "1", "origTradeID": "9001", "transactionID": "5002", "origTransactionID": "5001",
}  # fmt: skip


def statement(
    *rows: dict[str, str], kind: str = "AF", element: str = "Trade", last: str = "20260131", written: str = "20260201"
) -> bytes:
    texts = (" ".join(f'{name}="{value}"' for name, value in row.items()) for row in rows)
    printed = "".join(f"<{element} {text}/>" for text in texts)
    section = {"Trade": "Trades", "TradeConfirm": "TradeConfirms"}[element]
    return (
        f'<FlexQueryResponse queryName="q" type="{kind}"><FlexStatements count="1"><FlexStatement accountId="U1" '
        f'fromDate="20260105" toDate="{last}" period="" whenGenerated="{written};083000"><{section}>{printed}</{section}>'
        "</FlexStatement></FlexStatements></FlexQueryResponse>"
    ).encode()


def confirmation(row: dict[str, str], kind: str = "TCF") -> bytes:
    return statement(row, kind=kind, element="TradeConfirm", last="20260106", written="20260107")


def without(row: dict[str, str], name: str) -> dict[str, str]:
    return {told: value for told, value in row.items() if told != name}


BY_EXECUTION = {**TRADE, **PAID, "tradeID": "9001", "ibExecID": EXECUTION}
BY_TRANSACTION = {**TRADE, **PAID, "tradeID": "9001", "transactionID": "5001"}
CASES = {
    "execution ids in one query, transaction ids in another": (
        [statement(BY_EXECUTION), statement(BY_TRANSACTION, written="20260202")],
        [("10", "1", "final")],
    ),
    "the same, and a cancel that names the transaction": (
        [
            statement(BY_EXECUTION, last="20260105", written="20260106"),
            statement(BY_TRANSACTION, CANCEL, last="20260106", written="20260107"),
        ],
        [],
    ),
    "two executions of a trade, whose ids one query leaves out": (
        [
            statement(BY_EXECUTION, {**BY_EXECUTION, "ibExecID": "0000aaaa.0000cccc.01.01"}),
            statement(BY_TRANSACTION, {**BY_TRANSACTION, "transactionID": "5003"}, written="20260202"),
        ],
        [("10", "1", "final"), ("10", "1", "final")],
    ),
    "no ids at all, and times ticked later": (
        [statement({**without(TRADE, "dateTime"), **PAID}), statement({**TRADE, **PAID}, written="20260202")],
        [("10", "1", "final")],
    ),
    "no ids at all, and the trade date of an evening ticked later": (
        [
            statement({**without(TRADE, "tradeDate"), **PAID, **without(EVENING, "tradeDate")}),
            statement({**TRADE, **PAID, **EVENING}, written="20260202"),
        ],
        [("10", "1", "final")],
    ),
    "no ids at all, and two of equal terms in each": (
        [
            statement(*[{**without(TRADE, "dateTime"), **PAID}] * 2),
            statement({**TRADE, **PAID}, {**TRADE, **PAID, "dateTime": "20260105;110000"}, written="20260202"),
        ],
        [("10", "1", "final"), ("10", "1", "final")],
    ),
    "an evening's confirmation, and a query without trade dates": (
        [
            confirmation({**TRADE, **CONFIRMED, **EVENING, "tradeID": "9001", "execID": EXECUTION, "orderID": "701"}),
            statement({**without({**BY_TRANSACTION, **EVENING}, "tradeDate"), "ibOrderID": "701"}),
        ],
        [("10", "1", "final")],
    ),
    "a confirmation whose activity row cannot be read": (
        [
            confirmation({**TRADE, **CONFIRMED, "tradeID": "9001", "execID": EXECUTION}),
            statement({**BY_EXECUTION, "transactionID": "5001", "taxes": "1e-30"}),
        ],
        [("10", "1", "provisional")],
    ),
    "confirmations that call themselves activity": (
        [confirmation({**TRADE, **CONFIRMED, "tradeID": "9001", "execID": EXECUTION}, kind="AF")],
        [("10", "1", "provisional")],
    ),
    "a cancel that is noted among other codes": (
        [
            statement(
                BY_TRANSACTION,
                {**CANCEL, "transactionType": "", "buySell": "BUY", "notes": "P; Ca"},
            )
        ],
        [],
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_boxes_make_no_fills(case: str) -> None:
    bodies, wanted = CASES[case]
    for order in permutations(bodies):
        with empty_warehouse() as con:
            for hour, body in enumerate(order):
                load_statement(con, body, hour=hour)
            found = con.execute("select last_qty, commission, status from fills order by all").fetchall()
            assert [(f"{quantity:.0f}", f"{paid:.0f}", status) for quantity, paid, status in found] == wanted
            assert con.execute("select what from data_health where kind = 'unconfirmed'").fetchall() == []


def test_confirmations_cover_nothing_that_activity_tells() -> None:
    with empty_warehouse() as con:
        load_statement(con, confirmation({**TRADE, **CONFIRMED, "tradeID": "9001", "execID": EXECUTION}, kind="AF"))
        assert con.execute("select distinct source from coverage").fetchall() == [("ibkr_flex_tcf",)]
