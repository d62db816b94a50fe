"""Cancelled and re-booked trades in queries that print few ids: original, cancel and re-booking are three rows in any order."""

from __future__ import annotations

from itertools import permutations

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.warehouse.loading import empty_warehouse, load_statement, table
from tests.warehouse.test_channels import confirm, statement, trade
from tests.warehouse.test_load import TANGLED, WHEN_KNOWN, days_of, statement_of
from warehouse.judging import derive_again

EXEC = "0000aaaa.0000bbbb.01.01"
IDS = {
    "execution and trade id": {"ibExecID": EXEC, "tradeID": "T1"},
    "execution id": {"ibExecID": EXEC},
    "trade id": {"tradeID": "T1"},
    "no id": {},
}
CANCELLED = {
    "transactionType": "TradeCancel",
    "quantity": "-10",
    "buySell": "BUY (Ca.)",
    "commission": "0",
    "reportDate": "20260106",
}
POINTER = {"origTradeID": "T1"}
POINTED = {
    **{f"{name}, pointer": (ids, POINTER) for name, ids in IDS.items() if "tradeID" in ids},
    **{f"{name}, no pointer": (ids, {}) for name, ids in IDS.items()},
}
TRANSACTIONS = ("transactionID", "origTransactionID")


def days(*spans: tuple[str, str, tuple[str, ...]]) -> list[bytes]:
    return [
        statement(*rows, since=since, until=until, generated=f"202601{place + 10:02};083000")
        for place, (since, until, rows) in enumerate(spans)
    ]


def standing(con: duckdb.DuckDBPyConnection) -> tuple[int, int, float]:
    """Count fills and executions, and add up what the executions bought."""
    query = "select (select count(*) from fills), count(*), sum(signed_qty)::double from executions"
    fills, executions, quantity = con.execute(query).fetchall()[0]
    return fills, executions, quantity


def assert_in_any_order(statements: list[bytes], expected: tuple[int, int, float]) -> None:
    orders = list(permutations(range(len(statements))))
    for order in (orders[0], orders[-1]) if len(orders) == 2 else (orders[-1], orders[3]):
        con = empty_warehouse()
        for hour, place in enumerate(order):
            load_statement(con, statements[place], hour=hour)
        assert standing(con) == expected, order
    names = ("execution_reports", "merged_rows", "links", "fills")
    before = {name: table(con, name) for name in names}
    derive_again(con)
    assert {name: table(con, name) for name in names} == before


@pytest.mark.parametrize(
    ("price", "cancel_first"), [("5", True), ("5.1", False)], ids=["same price", "other price, printed first"]
)
@pytest.mark.parametrize(("ids", "pointer"), POINTED.values(), ids=POINTED.keys())
def test_a_rebooking_of_another_day_is_a_row_of_its_own(
    ids: dict[str, str], pointer: dict[str, str], price: str, *, cancel_first: bool
) -> None:
    original = trade(**ids)
    cancel = trade(**CANCELLED, **pointer)
    rebooked = trade(**ids, reportDate="20260106", price=price)
    rows = (cancel, rebooked) if cancel_first else (rebooked, cancel)
    first, second, both = days(
        ("20260105", "20260105", (original,)),
        ("20260106", "20260106", rows),
        ("20260105", "20260106", (original, *rows)),
    )
    assert_in_any_order([first, second, both], (1, 3, 10.0))


@pytest.mark.parametrize(("ids", "pointer"), POINTED.values(), ids=POINTED.keys())
def test_a_rebooking_without_report_dates_is_known_by_the_cancel_before_it(
    ids: dict[str, str], pointer: dict[str, str]
) -> None:
    original, rebooked = trade(**ids, reportDate=""), trade(**ids, reportDate="")
    cancel = trade(**{**CANCELLED, "reportDate": ""}, **pointer)
    first, second, both = days(
        ("20260105", "20260105", (original,)),
        ("20260106", "20260106", (cancel, rebooked)),
        ("20260105", "20260106", (original, cancel, rebooked)),
    )
    assert_in_any_order([first, second, both], (1, 3, 10.0))


def test_a_rebooking_at_another_price_without_report_dates_may_stand_before_its_cancel() -> None:
    original, rebooked = (trade(ibExecID=EXEC, tradeID="T1", reportDate="", price=price) for price in ("5", "5.1"))
    cancel = trade(**{**CANCELLED, "reportDate": ""}, origTradeID="T1")
    first, second, both = days(
        ("20260105", "20260105", (original,)),
        ("20260106", "20260106", (rebooked, cancel)),
        ("20260105", "20260106", (original, rebooked, cancel)),
    )
    assert_in_any_order([first, second, both], (1, 3, 10.0))


@pytest.mark.parametrize("box", ["", "reportDate", "transactionID"])
def test_cancels_that_tell_neither_transaction_nor_report_date_are_a_finding(box: str) -> None:
    original, cancel = (
        {
            **row,
            "reportDate": day if box == "reportDate" else "",
            "transactionID": place if box == "transactionID" else "",
        }
        for row, day, place in (({"tradeID": "T1"}, "20260105", "1"), ({**CANCELLED, **POINTER}, "20260106", "2"))
    )
    con = empty_warehouse()
    load_statement(con, statement(trade(**original), trade(**cancel)))
    found = con.execute("select kind from data_health where severity <> 'note'").fetchall()
    assert found == ([] if box else [("cancel_undated",)])


def test_rebooked_twice_the_same_day_counts_each_booking() -> None:
    ids = {"ibExecID": EXEC, "tradeID": "T1", "reportDate": ""}
    cancel = trade(**{**CANCELLED, "reportDate": "", "dateTime": "20260106;083000"}, origTradeID="T1")
    again = trade(**{**CANCELLED, "reportDate": "", "dateTime": "20260106;084000"}, origTradeID="T1")
    statements = days(
        ("20260105", "20260105", (trade(**ids),)),
        ("20260106", "20260106", (cancel, trade(**ids), again, trade(**ids))),
    )
    assert_in_any_order(statements, (1, 5, 10.0))


@pytest.mark.parametrize("dates", [{}, {"reportDate": ""}], ids=["report dates", "no report dates"])
@pytest.mark.parametrize("ids", IDS.values(), ids=IDS.keys())
def test_the_box_for_transaction_ids_ticked_around_a_rebooking_pairs_each_row_with_itself(
    ids: dict[str, str], dates: dict[str, str]
) -> None:
    original = trade(**ids, **dates)
    cancel, rebooked = (
        {
            **CANCELLED,
            **POINTER,
            **dates,
            "origTransactionID": "1",
            "transactionID": "2",
            "dateTime": "20260106;083000",
        },
        {**ids, "reportDate": "20260106", **dates, "transactionID": "3"},
    )
    if not ids:
        rebooked["dateTime"] = "20260106;083001"
    first, second, both = days(
        ("20260105", "20260105", (original,)),
        ("20260106", "20260106", (trade(**cancel), trade(**rebooked))),
        ("20260105", "20260106", (trade(**ids, **dates, transactionID="1"), trade(**cancel), trade(**rebooked))),
    )
    if "tradeID" in ids:
        assert_in_any_order([first, second], (1, 3, 10.0))
    assert_in_any_order([first, second, both], (1, 3, 10.0))


@pytest.mark.parametrize("box", ["reportDate", "conid", "ibExecID", "tradeID", "transactionID"])
@pytest.mark.parametrize("ids", IDS.values(), ids=IDS.keys())
def test_a_box_ticked_later_or_taken_out_makes_no_new_rows(ids: dict[str, str], box: str) -> None:
    whole = {**ids, box: {"ibExecID": EXEC, "tradeID": "T1", "transactionID": "1"}.get(box, "")} if "ID" in box else ids
    rich, poor = (trade(**whole), trade(**{**whole, box: ""}))
    statements = days(("20260105", "20260105", (poor,)), ("20260105", "20260105", (rich,)))
    assert_in_any_order(statements, (1, 1, 10.0))


def test_boxes_ticked_one_after_the_other_make_no_new_rows() -> None:
    told = {"ibExecID": EXEC, "tradeID": "T1", "transactionID": "1"}
    boxes = ("tradeID", "conid", "reportDate", "ibExecID", "transactionID")
    statements = days(
        *(
            ("20260105", "20260105", (trade(**{**told, **dict.fromkeys(boxes[place:], "")}),) * 1)
            for place in (0, 1, 2, 3, 4, 5)
        )
    )
    con = empty_warehouse()
    for hour, body in enumerate(statements):
        load_statement(con, body, hour=hour)
    assert standing(con) == (1, 1, 10.0)
    assert con.execute("select row_key from fills").fetchall() == [("t:1",)]


def test_equal_partial_fills_of_one_trade_id_stay_apart_when_a_box_is_ticked() -> None:
    poor = trade(tradeID="T1")
    rich = [trade(tradeID="T1", ibExecID=f"0000aaaa.0000bbbb.{number}.01") for number in ("01", "02")]
    statements = days(
        ("20260105", "20260105", (poor, poor)),
        ("20260105", "20260105", tuple(rich)),
        ("20260105", "20260105", (trade(tradeID="T1", ibExecID=EXEC, transactionID="1"), rich[1])),
    )
    assert_in_any_order(statements, (2, 2, 20.0))


def test_confirmations_of_a_rebooking_leave_the_original_of_the_activity_statement_alone() -> None:
    ids = {"tradeID": "T1", "execID": EXEC}
    activity = statement(
        trade(tradeID="T1", ibExecID=EXEC, transactionID="1"), until="20260105", generated="20260106;040000"
    )
    confirms = statement(
        confirm(**CANCELLED, origTradeID="T1"),
        confirm(**{**ids, "reportDate": "20260106"}),
        since="20260106",
        generated="20260106;120000",
    )
    assert_in_any_order([activity, confirms], (1, 3, 10.0))


@pytest.mark.parametrize("case", [case for case in TANGLED if not case.startswith("09")][::4])
@pytest.mark.parametrize("stripped", [TRANSACTIONS, (*TRANSACTIONS, "origTradeID")], ids=["tradeID", "pointerless"])
@settings(max_examples=2, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_without_transaction_ids_any_split_gives_the_same_fills(
    case: str, stripped: tuple[str, ...], data: st.DataObject
) -> None:
    by_day = days_of(case, leaving_out=stripped)
    groups = data.draw(st.permutations([[day] for day in by_day]))
    extra = data.draw(st.lists(st.lists(st.sampled_from(sorted(by_day)), min_size=1, unique=True), max_size=2))
    con, whole = empty_warehouse(), empty_warehouse()
    load_statement(whole, statement_of(by_day, list(by_day)))
    for hour, chosen in enumerate([*groups, *extra]):
        load_statement(con, statement_of(by_day, chosen), hour=hour)
    assert table(con, "fills", leaving_out=WHEN_KNOWN) == table(whole, "fills", leaving_out=WHEN_KNOWN)


@pytest.mark.parametrize("pointer", [POINTER, {}], ids=["pointer", "no pointer"])
def test_a_cancel_after_a_rename_finds_its_original(pointer: dict[str, str]) -> None:
    original = trade(**IDS["trade id"], transactionID="1")
    cancel = trade(**{**CANCELLED, "symbol": "NEW"}, **pointer, transactionID="2")
    statements = days(("20260105", "20260105", (original,)), ("20260106", "20260106", (cancel,)))
    assert_in_any_order(statements, (0, 2, 0.0))


def test_a_cancel_whose_query_prints_no_contract_finds_its_original_by_the_symbol() -> None:
    original, cancel = trade(), trade(**{**CANCELLED, "conid": ""})
    statements = days(("20260105", "20260105", (original,)), ("20260106", "20260106", (cancel,)))
    assert_in_any_order(statements, (0, 2, 0.0))


def test_a_confirmation_before_a_rename_is_the_activity_row_after_it() -> None:
    statements = [
        statement(confirm(), generated="20260106;120000"),
        statement(trade(symbol="NEW", transactionID="1"), generated="20260108;120000"),
    ]
    assert_in_any_order(statements, (1, 1, 10.0))


def test_a_confirmed_cancel_of_a_row_that_the_activity_statement_tells_the_same_day_ends_it() -> None:
    """A transaction id and a place in a file are both numbers, and say nothing of one another."""
    day = {"reportDate": "20260105"}
    statements = [
        statement(trade(tradeID="T1", ibExecID=EXEC, transactionID="30418043131"), until="20260105"),
        statement(confirm(**{**CANCELLED, **day}, **POINTER), until="20260105", generated="20260105;170000"),
    ]
    assert_in_any_order(statements, (0, 2, 0.0))


def test_an_execution_id_used_again_for_another_contract_overwrites_nothing() -> None:
    rows = [
        trade(ibExecID=EXEC, tradeID="T1"),
        trade(ibExecID=EXEC, tradeID="T2", symbol="BBB", conid="2"),
        trade(ibExecID=EXEC, tradeID="T3", quantity="-10", buySell="SELL"),
    ]
    for kept in (rows, [row.replace(f'ibExecID="{EXEC}"', "").replace("T2", "T1").replace("T3", "T1") for row in rows]):
        statements = days(*(("20260105", "20260105", (row,)) for row in kept))
        assert_in_any_order(statements, (3, 3, 10.0))


def test_rows_without_ids_in_the_repeated_hour_keep_their_key_whatever_stands_beside_them() -> None:
    late = {"tradeDate": "20261101", "reportDate": "20261102"}
    first = trade(**late, dateTime="20261101;013000", quantity="3")
    second = trade(**late, dateTime="20261101;011000")
    statements = days(
        ("20261102", "20261102", (first, second)),
        ("20261102", "20261102", (second,)),
        ("20261102", "20261102", (first,)),
    )
    assert_in_any_order(statements, (2, 2, 13.0))


def test_a_cancel_that_names_an_unknown_row_of_another_statement_still_counts() -> None:
    ids = {**IDS["trade id"], "reportDate": ""}
    cancel = {**CANCELLED, "reportDate": "", "origTransactionID": "1", "transactionID": "2"}
    statements = days(
        ("20260105", "20260105", (trade(**ids),)),
        ("20260106", "20260106", (trade(**cancel),)),
        ("20260106", "20260106", (trade(**ids, transactionID="3"),)),
    )
    assert_in_any_order(statements, (1, 3, 10.0))
