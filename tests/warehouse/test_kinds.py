"""What a row is (trade, booking, cancel) is told by a box of the query like anything else: unticked, it erases nothing."""

from __future__ import annotations

from itertools import permutations

import duckdb
import pytest

from tests.warehouse.loading import empty_warehouse, load_statement, table
from tests.warehouse.test_channels import AF_IDS, CANCEL, confirm, statement, trade
from warehouse.judging import derive_again

EXPIRY = {
    "assetCategory": "OPT", "symbol": "AAA  260116C00100000", "transactionType": "BookTrade", "price": "0", "commission": "0",
    "dateTime": "20260105;162000",
}  # fmt: skip
UNTYPED = {"transactionType": ""}
TRADE_ID = {"tradeID": "T1"}


def kinds(con: duckdb.DuckDBPyConnection) -> list[tuple[str, str]]:
    return con.execute("select exec_type, side from executions order by all").fetchall()


def assert_kinds_in_any_order(statements: list[bytes], expected: list[tuple[str, str]]) -> None:
    found = []
    for order in permutations(range(len(statements))):
        con = empty_warehouse()
        for hour, place in enumerate(order):
            load_statement(con, statements[place], hour=hour)
        assert kinds(con) == expected, order
        found.append(con.execute("select row_key, version, exec_type, stands from executions order by all").fetchall())
    assert all(each == found[0] for each in found)
    before = {name: table(con, name) for name in ("execution_reports", "merged_rows", "links")}
    derive_again(con)
    assert {name: table(con, name) for name in before} == before


@pytest.mark.parametrize("ids", [{"transactionID": "1"}, {"transactionID": "1", **TRADE_ID}, TRADE_ID, {}], ids=repr)
@pytest.mark.parametrize("newest_is_typed", [True, False])
def test_a_booking_stays_one_when_its_type_is_not_printed(ids: dict[str, str], *, newest_is_typed: bool) -> None:
    typed, untyped = trade(**EXPIRY, **ids), trade(**{**EXPIRY, **UNTYPED}, **ids)
    statements = [
        statement(row, generated=f"202601{10 + place};083000")
        for place, row in enumerate((untyped, typed) if newest_is_typed else (typed, untyped))
    ]
    assert_kinds_in_any_order(statements, [("BOOK", "BUY")])


@pytest.mark.parametrize("printed", [{}, TRADE_ID], ids=["no id", "trade id"])
def test_the_boxes_for_type_and_transaction_ids_ticked_together_make_no_new_rows(printed: dict[str, str]) -> None:
    statements = [
        statement(trade(**{**EXPIRY, **UNTYPED}, **printed), generated="20260107;083000"),
        statement(trade(**EXPIRY, **TRADE_ID, transactionID="1"), generated="20260108;083000"),
    ]
    assert_kinds_in_any_order(statements, [("BOOK", "BUY")])


def test_a_booking_that_only_an_older_query_names_is_one() -> None:
    statements = [
        statement(trade(**EXPIRY, **TRADE_ID), generated="20260107;083000"),
        statement(trade(**{**EXPIRY, **UNTYPED}, **TRADE_ID, transactionID="1"), generated="20260108;083000"),
    ]
    assert_kinds_in_any_order(statements, [("BOOK", "BUY")])


def test_a_confirmed_booking_is_the_row_of_a_query_without_types() -> None:
    statements = [
        statement(confirm(**EXPIRY), generated="20260105;170000", until="20260105"),
        statement(trade(**{**EXPIRY, **UNTYPED}, transactionID="1"), generated="20260107;083000"),
    ]
    assert_kinds_in_any_order(statements, [("BOOK", "BUY")])


@pytest.mark.parametrize(
    ("code", "kind"), [("Ep", "BOOK"), ("A;C", "BOOK"), ("Ex", "BOOK"), ("C;P", "TRADE"), ("AFx", "TRADE")]
)
def test_notes_tell_a_booking_where_its_type_is_not_printed(code: str, kind: str) -> None:
    row = {**EXPIRY, **UNTYPED, "notes": code, "transactionID": "1"}
    assert_kinds_in_any_order([statement(trade(**row))], [(kind, "BUY")])


def test_notes_do_not_contradict_a_type_or_an_execution() -> None:
    typed = trade(**AF_IDS, notes="A")
    executed = trade(**{**AF_IDS, "transactionID": "2"}, **UNTYPED, notes="Ex")
    assert_kinds_in_any_order([statement(typed, executed)], 2 * [("TRADE", "BUY")])


@pytest.mark.parametrize("newest_is_typed", [True, False])
def test_a_cancel_stays_one_when_nothing_says_so_any_more(*, newest_is_typed: bool) -> None:
    cancel = {**CANCEL, "transactionID": "2", "origTransactionID": "1"}
    bare = {**cancel, **UNTYPED, "buySell": "", "origTransactionID": ""}
    statements = [
        statement(trade(**AF_IDS), trade(**row), generated=f"202601{10 + place};083000")
        for place, row in enumerate((bare, cancel) if newest_is_typed else (cancel, bare))
    ]
    assert_kinds_in_any_order(statements, [("CANCEL", "BUY"), ("TRADE", "BUY")])
