"""Which row a cancel ends: the one it names; where ids cannot tell, the one its terms and later bookings tell; else none."""

from __future__ import annotations

from itertools import permutations
from typing import Any

import duckdb
import pytest

from tests.warehouse.loading import empty_warehouse, load_statement, table
from tests.warehouse.test_channels import CANCEL, IDS, confirm, statement, trade
from warehouse.judging import derive_again

FINDINGS = "select kind from data_health where severity <> 'note' order by all"


def ask(con: duckdb.DuckDBPyConnection, query: str) -> list[tuple[Any, ...]]:
    return con.execute(query).fetchall()


def in_any_order(*statements: bytes) -> duckdb.DuckDBPyConnection:
    """Load statements in the first and the last order of all, see that it makes no difference, and give the warehouse."""
    orders = list(permutations(statements))
    warehouses = []
    for order in {orders[0]: None, orders[-1]: None}:
        con = empty_warehouse()
        for hour, body in enumerate(order):
            load_statement(con, body, hour=hour)
        warehouses.append(con)
    outcome = (
        "select row_key, version, source, exec_type, signed_qty, stands, ended_by, finding from executions order by all"
    )
    assert all(ask(con, outcome) == ask(warehouses[0], outcome) for con in warehouses)
    before = {name: table(con, name) for name in ("execution_reports", "merged_rows", "links")}
    derive_again(con)
    assert {name: table(con, name) for name in before} == before
    return con


def executed(number: int, **said: str) -> str:
    ids = {"tradeID": f"T{number}", "ibExecID": f"0000aaaa.0000bbbb.{number:02}.01", "transactionID": f"{number}"}
    return trade(**{**ids, **said})


def cancelled(number: int, **said: str) -> str:
    return trade(**{**CANCEL, "transactionID": f"{number}", **said})


def confirmed(number: int, **said: str) -> str:
    ids = {"tradeID": f"T{number}", "execID": f"0000aaaa.0000bbbb.{number:02}.01"}
    return confirm(**{**ids, **said})


def first_day(*rows: str) -> bytes:
    return statement(*rows, until="20260105", generated="20260106;043000")


def second_day(*rows: str) -> bytes:
    return statement(*rows, since="20260106", generated="20260107;043000")


def standing(con: duckdb.DuckDBPyConnection) -> list[str]:
    return [key for (key,) in ask(con, "select row_key from fills order by all")]


NEXT_DAY = {"reportDate": "20260106"}


@pytest.mark.parametrize("pointer", [{}, {"origTradeID": "T1"}], ids=["no pointer", "trade id"])
def test_of_two_equal_rows_the_one_that_was_booked_again_had_been_cancelled(pointer: dict[str, str]) -> None:
    con = in_any_order(
        first_day(executed(1), executed(2)),
        second_day(cancelled(3, **pointer), executed(1, transactionID="4", **NEXT_DAY)),
    )
    assert standing(con) == ["t:2", "t:4"]
    assert ask(con, FINDINGS) == []


@pytest.mark.parametrize("pointer", [{}, {"origTradeID": "T1"}], ids=["no pointer", "trade id"])
@pytest.mark.parametrize(
    "ids", [{"transactionID": ""}, {"transactionID": "", "ibExecID": ""}], ids=["execution id", "trade id"]
)
def test_a_booking_printed_before_the_cancel_that_made_room_for_it_stands(
    ids: dict[str, str], pointer: dict[str, str]
) -> None:
    con = in_any_order(
        first_day(executed(1, **ids)),
        second_day(executed(1, **ids, **NEXT_DAY), cancelled(0, transactionID="", **pointer)),
    )
    assert ask(con, "select report_date::varchar from fills") == [("2026-01-06",)]


def test_each_booking_is_left_to_the_cancel_before_the_next_whatever_they_name() -> None:
    no_ids, same_day = {"transactionID": ""}, {"reportDate": "20260105", "dateTime": "20260105;110000"}
    con = in_any_order(
        first_day(executed(1, **no_ids), cancelled(0, **no_ids, **same_day), executed(1, **no_ids)),
        second_day(cancelled(0, **no_ids, origTradeID="T1")),
    )
    assert standing(con) == []
    assert ask(con, FINDINGS) == []


def test_two_cancels_of_equal_terms_are_two_though_one_tells_its_order() -> None:
    rows = [trade(tradeID=f"T{place}", ibExecID=f"0000aaaa.0000bbbb.0{place}.01", orderID="7") for place in (1, 2)]
    same_day = {**CANCEL, "reportDate": "20260105"}
    told = (*rows, trade(**same_day), trade(**same_day, orderID="7"))
    con = in_any_order(first_day(*told), statement(*told))
    assert ask(con, "select count(*), sum(signed_qty)::double from executions") == [(4, 0)]
    assert standing(con) == []


@pytest.mark.parametrize("pointer", [
    {"origTradeID": "T1"},
    {"origTransactionID": "1"},
    {"origTradeID": "T1", "origTransactionID": "1"},
])  # fmt: skip
def test_a_pointer_of_a_kind_that_no_row_prints_leaves_it_to_the_terms(pointer: dict[str, str]) -> None:
    con = in_any_order(first_day(trade(orderID="7")), second_day(cancelled(2, **pointer)))
    assert standing(con) == []
    assert ask(con, FINDINGS) == []


@pytest.mark.parametrize("pointer", [
    {"origTradeID": "T1"},
    {"origTransactionID": "1"},
    {"origTradeID": "T1", "origTransactionID": "1"},
])  # fmt: skip
def test_a_cancel_of_what_nobody_loaded_yet_ends_no_row_that_prints_another_id(pointer: dict[str, str]) -> None:
    cancel, other = second_day(cancelled(3, **pointer)), first_day(executed(2))
    con = in_any_order(other, cancel)
    assert standing(con) == ["t:2"]
    assert ask(con, FINDINGS) == [("orphan_cancel",)]
    con = in_any_order(other, cancel, statement(executed(1), executed(2), until="20260105"))
    assert standing(con) == ["t:2"]
    assert ask(con, FINDINGS) == []


def test_a_cancel_that_names_another_transaction_of_the_trade_does_not_end_this_one() -> None:
    con = in_any_order(
        first_day(executed(2, tradeID="T1")), second_day(cancelled(3, origTradeID="T1", origTransactionID="1"))
    )
    assert standing(con) == ["t:2"]
    assert ask(con, FINDINGS) == [("orphan_cancel",)]


@pytest.mark.parametrize("pointer", [{}, {"origTransactionID": "1"}], ids=["no pointer", "transaction id"])
def test_a_cancel_confirmed_by_trade_and_booked_without_it_is_one(pointer: dict[str, str]) -> None:
    con = in_any_order(
        statement(
            confirmed(1), confirm(**CANCEL, origTradeID="T1"), confirmed(1, **NEXT_DAY), generated="20260106;170000"
        ),
        statement(executed(1), cancelled(2, **pointer), executed(1, transactionID="3", **NEXT_DAY)),
    )
    assert standing(con) == ["t:3"]
    assert ask(con, "select count(*), sum(signed_qty)::double from executions") == [(3, 10)]


def test_of_two_cancels_without_pointer_the_confirmed_one_is_that_of_its_day() -> None:
    """The confirmations of the first day were never asked for."""
    third = {"reportDate": "20260107"}
    con = in_any_order(
        first_day(executed(1), executed(2), executed(3), cancelled(4, reportDate="20260105")),
        statement(cancelled(5, **third), since="20260106", until="20260107", generated="20260108;043000"),
        statement(confirm(**{**CANCEL, **third}), since="20260107", until="20260107", generated="20260107;170000"),
    )
    assert standing(con) == ["t:1"]
    assert ask(con, "select count(*) from executions") == [(5,)]


def test_two_cancels_of_two_trades_stay_two_where_each_channel_tells_one() -> None:
    con = in_any_order(
        first_day(executed(1), executed(2)),
        second_day(cancelled(3, origTradeID="T1", origTransactionID="1")),
        statement(confirm(**CANCEL, origTradeID="T2"), since="20260106", generated="20260106;170000"),
    )
    assert standing(con) == []
    assert ask(con, "select count(*) from executions") == [(4,)]


def test_of_confirmations_the_higher_revision_replaces_the_lower() -> None:
    statements = [
        statement(confirm(**IDS), until="20260105", generated="20260105;150000"),
        statement(confirm(**{**IDS, "execID": "0000aaaa.0000bbbb.01.02"}, price="5.1"), generated="20260105;170000"),
    ]
    con = in_any_order(*statements)
    assert ask(con, "select exec_rev, last_px::double from fills") == [(2, 5.1)]
    assert ask(con, "select count(*) from executions") == [(1,)]
    con = in_any_order(*statements, second_day(executed(1)))
    assert ask(con, "select row_key, last_px::double from fills") == [("t:1", 5)]


def test_a_confirmation_that_was_cancelled_and_booked_again_is_three_rows_whatever_its_revision() -> None:
    again = confirm(**{**IDS, **NEXT_DAY, "execID": "0000aaaa.0000bbbb.01.02", "quantity": "4"})
    con = in_any_order(
        statement(confirm(**IDS), until="20260105", generated="20260105;170000"),
        statement(confirm(**CANCEL, origTradeID="T1"), again, since="20260106", generated="20260106;170000"),
    )
    assert ask(con, "select exec_rev, last_qty::double from fills") == [(2, 4)]
    assert ask(con, "select count(*), sum(signed_qty)::double from executions") == [(3, 4)]
