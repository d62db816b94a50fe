"""What IBKR's channels make of one another where a query prints little: each fill once, no cash that did not move."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import duckdb
import pytest

from connectors.connector import Reply
from tests.warehouse.loading import EPOCH, empty_warehouse, load_reply, load_statement
from tests.warehouse.test_channels import AF_IDS, CANCEL, IDS, confirm, fills, loaded, statement, trade

FUTURE = {"assetCategory": "FUT", "symbol": "ESH6", "conid": "551601561", "price": "5000", "proceeds": "-500000"}
PAIR = {"assetCategory": "CASH", "symbol": "EUR.USD", "conid": "12087792", "price": "1.08", "proceeds": "-10.8"}
DESCRIBED = {
    "conid": 12087792, "ticker": "EUR", "assetClass": "CASH", "name": "European Monetary Union Euro", "fullName": "EUR.USD",
    "currency": "USD", "multiplier": 0.0, "strike": "0", "undConid": 0,
}  # fmt: skip
LEGS = "select symbol, kind, currency, amount::double from cash_legs where kind = 'trade' order by all"
FINDINGS = "select kind from data_health where severity <> 'note' order by all"


def listed(**said: Any) -> Reply:
    """Give the portal's list of one execution, at 10:00 in New York."""
    told = {
        "execution_id": IDS["execID"], "symbol": "AAA", "side": "B", "trade_time_r": 1767625200000, "size": 10.0, "price": "5",
        "commission": "1", "net_amount": 50.0, "accountCode": "U1234", "sec_type": "STK", "conid": 1, **said,
    }  # fmt: skip
    return Reply("listed", "trades", json.dumps([told]).encode(), EPOCH, "U1234")


def ask(con: duckdb.DuckDBPyConnection, query: str) -> list[tuple[Any, ...]]:
    return con.execute(query).fetchall()


def test_an_execution_that_three_channels_tell_is_one_fill() -> None:
    printed = {"tradeID": "T1", "transactionID": "1", "orderID": "77", "accountId": "U1234"}
    con = loaded()
    load_reply(con, "ibkr_portal", listed())
    load_statement(con, statement(confirm(**IDS, orderID="77", accountId="U1234"), generated="20260105;170000"), hour=1)
    load_statement(con, statement(trade(**printed)), hour=2)
    assert ask(con, "select row_key, status, last_qty::double, commission::double from fills") == [
        ("t:1", "final", 10, 1)
    ]


def test_an_evening_fill_is_not_taken_for_another_of_equal_terms() -> None:
    con = loaded()
    evening = listed(execution_id="0000aaaa.0000cccc.01.01", trade_time_r=1767654300000)
    load_reply(con, "ibkr_portal", evening)
    load_statement(
        con, statement(trade(**AF_IDS, accountId="U1234", dateTime="20260105;155000"), until="20260105"), hour=1
    )
    assert ask(con, "select exec_id from fills order by all") == [("0000aaaa.0000bbbb.01",), ("0000aaaa.0000cccc.01",)]


def test_two_bookings_of_two_trades_are_two() -> None:
    booked = {"transactionType": "BookTrade", "price": "0", "commission": "0"}
    con = loaded(
        statement(trade(**booked, tradeID="T1", transactionID="1")),
        statement(
            confirm(**booked, tradeID="T2", dateTime="20260106;100000", tradeDate="20260106", reportDate="20260106")
        ),
    )
    assert ask(con, "select trade_id from fills order by all") == [("T1",), ("T2",)]


@pytest.mark.parametrize("ids", [("tradeID", "execID"), ("tradeID", "execID", "transactionID"), ("execID",)])
def test_a_correction_replaces_the_execution_it_is_of(ids: tuple[str, ...]) -> None:
    def told(number: str, execution: str, **said: str) -> str:
        every = {"tradeID": "T1", "execID": f"0000aaaa.{execution}", "transactionID": number, **said}
        return trade(
            **{{"execID": "ibExecID"}.get(name, name): said for name, said in every.items() if name in (*ids, *TERMS)}
        )

    corrects = {
        "transactionType": "TradeCorrect",
        "origTradeID": "T1",
        "origTransactionID": "0",
        "reportDate": "20260106",
    }
    con = loaded(
        statement(
            told("1", "0000bbbb.01.01", quantity="100", price="10"),
            told("2", "0000cccc.01.01", quantity="50", price="10"),
        ),
        statement(told("3", "0000bbbb.01.02", quantity="100", price="10.1", **corrects), since="20260106"),
    )
    assert ask(con, "select last_qty::double, last_px::double from fills order by all") == [(50, 10), (100, 10.1)]


TERMS = ("quantity", "price", "transactionType", "origTradeID", "origTransactionID", "reportDate")


def test_a_cancel_that_names_nothing_ends_no_other_instrument_of_that_symbol() -> None:
    con = loaded(
        statement(trade(symbol="SAN", conid="100", currency="EUR", **AF_IDS)),
        statement(trade(**{**CANCEL, "transactionID": "5"}, symbol="SAN", conid="200"), since="20260106"),
    )
    assert fills(con) == [("t:1", 5.0, 1.0)]
    assert ask(con, FINDINGS) == [("orphan_cancel",)]


@pytest.mark.parametrize("known", [False, True])
def test_what_was_traded_decides_whether_cash_moved(known: bool) -> None:  # noqa: FBT001
    untyped = [
        trade(**{**each, "assetCategory": "", "transactionID": place}) for place, each in (("1", FUTURE), ("2", PAIR))
    ]
    con = loaded(statement(*untyped))
    assert (ask(con, LEGS), ask(con, FINDINGS)) == ([], [("security_type_unknown",)])
    if known:
        typed = [
            trade(**each, transactionID=place, reportDate="20260106") for place, each in (("3", FUTURE), ("4", PAIR))
        ]
        load_statement(con, statement(*typed, since="20260106"), hour=1)
        pair = [("EUR.USD", "trade", "EUR", 10.0), ("EUR.USD", "trade", "USD", -10.8)]
        assert (ask(con, LEGS), ask(con, FINDINGS)) == (sorted(2 * pair), [])


@pytest.mark.parametrize("category", ["FUT", "FSFOP", "FSOPT", "CFD"])
def test_what_is_settled_day_by_day_moves_no_notional(category: str) -> None:
    con = loaded(statement(trade(**{**FUTURE, "assetCategory": category}, **AF_IDS)))
    assert ask(con, LEGS) == []


def test_a_currency_pair_that_the_portal_alone_tells_moves_both_currencies() -> None:
    con = loaded()
    said = json.dumps({"secdef": [DESCRIBED]}).encode()
    load_reply(con, "ibkr_portal", Reply("secdef", "secdef", said, EPOCH, "U1234"))
    load_reply(con, "ibkr_portal", listed(symbol="EUR", sec_type="CASH", conid=12087792, price="1.08", net_amount=10.8))
    assert ask(con, LEGS) == [("EUR", "trade", "EUR", 10.0), ("EUR", "trade", "USD", -10.8)]


def test_orders_without_their_executions_are_a_gap() -> None:
    order = trade(levelOfDetail="ORDER").replace("<Trade ", "<Order ")
    con = loaded(statement(order))
    assert ask(con, "select status from coverage") == [("partial",)]
    assert ask(con, FINDINGS) == [("gap",)]


def test_what_other_terms_came_to_does_not_fill_a_row() -> None:
    con = loaded(
        statement(confirm(**IDS, proceeds="-50", netCash="-51"), generated="20260105;120000"),
        statement(trade(**AF_IDS, price="5.5", quantity="8")),
    )
    assert ask(con, "select last_qty::double, gross_trade_amt, net_money from fills") == [(8, None, None)]


@pytest.mark.parametrize(("again", "finding"), [
    ({"price": "6", "transactionID": "2"}, "exec_twice"),
    ({"transactionID": "1", "accountId": "Growth"}, "account_twice"),
])  # fmt: skip
def test_an_execution_that_stands_twice_is_a_finding(again: dict[str, str], finding: str) -> None:
    con = loaded(statement(trade(**AF_IDS)), statement(trade(**{**AF_IDS, **again}), generated="20260108;083000"))
    assert ask(con, FINDINGS) == [(finding,)]


@pytest.mark.parametrize("ids", [{}, {"tradeID": "T1"}], ids=["no id", "trade id"])
def test_a_row_without_execution_id_that_moves_to_another_day_is_a_finding(ids: dict[str, str]) -> None:
    moved = {**ids, "reportDate": "20260106"}
    equal = {**ids, "dateTime": "20260105;100001", "tradeID": "T2" if ids else ""}
    con = loaded(
        statement(trade(**ids), trade(**equal), until="20260105", generated="20260106;043000"),
        statement(trade(**moved), since="20260106"),
    )
    assert ask(con, FINDINGS) == [("exec_twice",)]
    cancel = statement(trade(**CANCEL, origTradeID="T1" if ids else ""), trade(**moved), since="20260106")
    assert ask(loaded(statement(trade(**ids), trade(**equal)), cancel), FINDINGS) == []


@pytest.mark.parametrize("said", [{"price": "5.01", "commission": "-3"}, {"fxRateToBase": "1.0912"}, {"orderID": "77"}])
def test_readers_are_told_of_whatever_is_told_otherwise(said: dict[str, str]) -> None:
    con = loaded(
        statement(confirm(**IDS), generated="20260105;120000"), statement(trade(**AF_IDS, fxRateToBase="1.08"))
    )
    [before] = ask(con, "select mark from news")
    load_statement(
        con, statement(trade(**{**AF_IDS, "fxRateToBase": "1.08", **said}), generated="20260108;083000"), hour=3
    )
    assert ask(con, "select mark from news") != [before]
    [now] = ask(con, "select mark from news")
    load_statement(
        con, statement(trade(**{**AF_IDS, "fxRateToBase": "1.08", **said}), generated="20260108;083000"), hour=4
    )
    assert ask(con, "select mark from news") == [now]


def test_a_late_rebooking_counts_from_the_day_it_is_reported() -> None:
    late = {"reportDate": "20260113"}
    con = loaded(
        statement(trade(**AF_IDS)),
        statement(since="20260106", until="20260112", generated="20260113;043000"),
        statement(
            confirm(**{**CANCEL, **late}, origTradeID="T1"), confirm(**{**IDS, **late, "quantity": "4"}),
            since="20260113", until="20260113", generated="20260113;150000",
        ),
    )  # fmt: skip
    assert ask(con, "select last_qty::double, status from fills") == [(4, "provisional")]
    assert ask(con, FINDINGS) == []


@pytest.mark.parametrize("printed_before", [
    {"tradeDate": "20260106"},
    {"dateTime": "20260105;180500"},
    {"dateTime": "20260105;180501", "tradeDate": "20260106"},
])  # fmt: skip
def test_boxes_that_are_ticked_later_make_no_new_fills(printed_before: dict[str, str]) -> None:
    """An evening's trades: by the broker's count they are of the day after."""
    evening = {"reportDate": "20260106", "price": "5000", "tradeDate": "20260106"}
    first, second = ({**evening, "dateTime": f"20260105;18050{place}"} for place in (0, 1))
    ids = {**AF_IDS, "transactionID": "2", "ibExecID": "0000aaaa.0000cccc.01.01"}
    con = loaded(
        statement(trade(**{**first, "dateTime": "", "tradeDate": "", **printed_before})),
        statement(trade(**AF_IDS, **first), trade(**ids, **second), generated="20260108;083000"),
    )
    assert ask(con, "select row_key from fills order by all") == [("t:1",), ("t:2",)]


@pytest.mark.parametrize("said", [{"commission": "-2"}, {"price": "6"}, {"transactionID": "2", "price": "6"}])
def test_a_clock_that_is_put_back_makes_nothing_stand_twice(said: dict[str, str]) -> None:
    """At noon a confirmation, at two by a clock that is an hour ahead a statement, and at a quarter past one the next."""
    con = loaded(statement(confirm(**IDS)))
    load_statement(con, statement(trade(**AF_IDS)), hour=2)
    cancel = (
        [trade(**AF_IDS | CANCEL | {"transactionID": "9", "origTransactionID": "1"})] if "transactionID" in said else []
    )
    load_statement(con, statement(*cancel, trade(**AF_IDS | said), generated="20260108;083000"), hour=1)
    for half_hours in range(6):
        moment = EPOCH.replace(tzinfo=None) + timedelta(minutes=30 * half_hours)
        stood = con.execute("select count(*) from fills_as_of(?)", [moment]).fetchall()
        assert stood == [(1,)], moment
    now = "select last_px, commission from "
    assert ask(con, now + "fills") == ask(con, f"{now} fills_as_of(timestamp '2026-06-01 14:00:00')")


TWO_ACCOUNTS = "select account, told_until::date::varchar from lost_accounts"


def test_an_account_that_a_statement_tells_no_longer_is_a_finding() -> None:
    con = empty_warehouse()

    def told(exchange: str, accounts: tuple[str, ...], since: str, until: str) -> None:
        for account in accounts:
            con.execute(
                """
                insert into coverage (connection, source, account, exchange_id, returned_since, returned_until, recorded_at)
                values ('desk', 'ibkr_flex_af', ?, ?, ?::date, ?::date, ?::date)
                """,
                [account, exchange, since, until, until],
            )

    told("e1", ("U1", "U2"), "2026-01-05", "2026-01-10")
    told("e2", ("U3",), "2026-01-05", "2026-01-09")
    assert ask(con, TWO_ACCOUNTS) == []
    told("e3", ("U1",), "2026-01-10", "2026-01-12")
    assert ask(con, TWO_ACCOUNTS) == [], "there was only a weekend"
    told("e4", ("U1",), "2026-01-12", "2026-01-14")
    assert ask(con, TWO_ACCOUNTS) == [("U2", "2026-01-10")]
    [(severity, what)] = ask(con, "select severity, what from data_health where kind = 'account_missing'")
    assert (severity, what) == ("warning", "desk tells other accounts, and nothing of U2 from 2026-01-10 on")
    told("e5", ("U1", "U2"), "2026-01-10", "2026-01-14")
    assert ask(con, TWO_ACCOUNTS) == []
