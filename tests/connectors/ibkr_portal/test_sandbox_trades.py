"""Accounts, trades and contracts of the gateway's sandbox: quirks, fields, and the book they are compared with."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest

from connectors.ibkr_portal.sandbox import ACCOUNTS, Book, Execution, Gateway, invented_book
from connectors.ibkr_portal.sandbox_trader import trading_day
from tests.connectors.ibkr_portal.caller import THURSDAY_EVENING, TRADES, Caller

FIRST, SECOND, THIRD = (account.number for account in ACCOUNTS)
WEEK = timedelta(days=6, hours=16, minutes=30)  # since midnight in New York, six days ago


def booked(gateway: Gateway, account: str, since: datetime = THURSDAY_EVENING - WEEK) -> list[dict[str, Any]]:
    rows = gateway.tell_book()["ibkr_portal"][account]
    return [row for row in rows if datetime.fromisoformat(str(row["time"])) >= since]


def everything(caller: Caller) -> list[dict[str, Any]]:
    return [row for account in (FIRST, SECOND, THIRD) for row in caller.trades(account)]


# -- accounts


def test_the_accounts_come_with_aliases_and_the_one_selected(ready: Caller) -> None:
    told = ready.get("/iserver/accounts").json()
    assert told["accounts"] == [FIRST, SECOND, THIRD] and told["selectedAccount"] == FIRST
    assert told["aliases"] == {account.number: account.alias for account in ACCOUNTS}
    assert {"acctProps", "allowFeatures", "chartPeriods", "groups", "profiles", "serverInfo", "sessionId"} < set(told)


def test_the_accounts_may_hold_a_pseudo_account(ready: Caller, gateway: Gateway) -> None:
    gateway.faults.on("all_accounts")
    assert ready.get("/iserver/accounts").json()["accounts"] == ["All", FIRST, SECOND, THIRD]


def test_an_account_is_switched_to_with_one_of_three_answers(ready: Caller) -> None:
    asked = [ready.post("/iserver/account", {"acctId": account}) for account in (SECOND, SECOND, "U1", ["U1"])]
    assert [(reply.status_code, reply.json()) for reply in asked[:3]] == [
        (200, {"set": True, "acctId": SECOND}),
        (200, {"success": "Account already set"}),
        (500, {"error": "Invalid account ID"}),
    ]
    assert asked[3].status_code == 500
    assert ready.get("/iserver/accounts").json()["selectedAccount"] == SECOND


def test_the_portfolio_tells_currency_and_alias_of_each_account(ready: Caller) -> None:
    told = ready.get("/portfolio/accounts").json()
    assert [(row["accountId"], row["currency"], row["accountAlias"]) for row in told] == [
        (account.number, account.currency, account.alias) for account in ACCOUNTS
    ]


# -- which trades are listed


@pytest.mark.parametrize(("fault", "status"), [(None, 400), ("accounts_first_500", 500)])
def test_the_accounts_must_be_asked_for_first(caller: Caller, gateway: Gateway, fault: str | None, status: int) -> None:
    caller.log_in()
    caller.init()
    if fault:
        gateway.faults.on(fault)
    for _ in range(2):
        reply = caller.get(TRADES, days=7, accountId=FIRST)
        assert reply.status_code == status
        assert reply.json() == {"error": "Bad Request: Please query /accounts first", "statusCode": 400}
    assert caller.post("/iserver/account", {"acctId": SECOND}).status_code == status


def test_the_first_list_of_a_brokerage_session_is_empty(ready: Caller) -> None:
    assert ready.trades(FIRST) != []
    ready.clock.advance(600)
    ready.init()
    ready.get("/iserver/accounts")
    lengths = [len(ready.get(TRADES, days=7, accountId=FIRST).json()) for _ in range(3)]
    assert lengths[0] == 0 < lengths[1] == lengths[2]


def test_the_list_may_have_to_be_primed_after_each_switch(ready: Caller, gateway: Gateway) -> None:
    gateway.faults.on("priming_per_account")
    assert [len(ready.trades(SECOND)) > 0 for _ in range(2)] == [False, True]
    assert [len(ready.trades(THIRD)) > 0 for _ in range(2)] == [False, True]


def test_without_the_selected_account_the_list_is_silently_empty(ready: Caller) -> None:
    assert ready.get(TRADES, days=7).json() == []
    assert ready.get(TRADES, days=7, accountId=SECOND).json() == []
    assert ready.get(TRADES, days=7, accountId=FIRST).json() != []


def test_few_days_give_nothing_and_none_or_many_give_seven(ready: Caller) -> None:
    rows = {days: ready.get(TRADES, accountId=FIRST, days=days).json() for days in (1, 2, 3, 7, 30)}
    assert rows[1] == rows[2] == []
    assert 0 < len(rows[3]) < len(rows[7])
    assert rows[7] == rows[30] == ready.get(TRADES, accountId=FIRST).json()
    assert ready.get(TRADES, accountId=FIRST, days="week").status_code == 400


def test_seven_days_are_today_and_six_before_as_new_york_counts(ready: Caller, gateway: Gateway) -> None:
    ids = {row["execution_id"] for row in ready.trades(FIRST)}
    assert ids == {row["exec_id"] for row in booked(gateway, FIRST)}
    assert len(ids) < len(gateway.tell_book()["ibkr_portal"][FIRST])


def test_trades_come_newest_first_and_only_of_the_account_selected(ready: Caller) -> None:
    rows = ready.trades(SECOND)
    times = [row["trade_time_r"] for row in rows]
    assert times == sorted(times, reverse=True)
    assert {row["accountCode"] for row in rows} == {SECOND}


def test_trades_appear_during_the_day(caller: Caller) -> None:
    caller.clock.advance(16 * 3600)  # 8:30 in New York
    caller.get_ready()
    seen = []
    for _ in range(8):
        seen.append({row["execution_id"][:-3] for row in everything(caller)})
        for _ in range(12):
            caller.post("/tickle", wait=294)
    assert all(before <= after for before, after in pairwise(seen))
    assert len(set(map(len, seen))) > 3


def test_a_test_may_order_a_trade(ready: Caller) -> None:
    fresh = ready.control("trade", account=SECOND)
    assert fresh["execution_id"] in {row["execution_id"] for row in ready.trades(SECOND)}


def test_a_list_may_be_refreshed_rarely(ready: Caller, gateway: Gateway) -> None:
    gateway.faults.on("stale_trades")
    before = ready.trades(FIRST)
    ready.clock.advance(1)
    gateway.trade_now(FIRST)
    assert ready.trades(FIRST) == before
    ready.clock.advance(290)
    assert len(ready.trades(FIRST)) == len(before) + 1


def test_a_correction_replaces_the_execution_from_the_moment_it_is_known(ready: Caller, gateway: Gateway) -> None:
    wrong = gateway.trade_now(FIRST)
    known_from = wrong.at + timedelta(seconds=60)
    right = replace(wrong, exec_id=f"{wrong.root}.02", price=wrong.price + 1, known_from=known_from)
    gateway.executions.add(right)
    listed = [
        [
            (row["execution_id"], row["price"])
            for row in ready.trades(FIRST)
            if row["execution_id"].startswith(wrong.root)
        ]
        for _ in range(6)
    ]
    assert listed[0] == [(wrong.exec_id, str(wrong.price))]
    assert listed[-1] == [(right.exec_id, str(right.price))]


def test_each_day_one_execution_is_corrected(ready: Caller) -> None:
    revisions = [row["execution_id"][-3:] for row in everything(ready)]
    assert set(revisions) == {".01", ".02"} and revisions.count(".02") >= 5


# -- what a trade looks like


def test_a_trade_has_the_fields_of_a_recorded_one(ready: Caller, gateway: Gateway) -> None:
    gateway.trade_now(FIRST)
    ready.clock.advance(300)
    row = ready.trades(FIRST)[0]
    at = datetime.fromtimestamp(row["trade_time_r"] / 1000, UTC)
    assert row["trade_time"] == f"{at:%Y%m%d-%H:%M:%S}" and row["trade_time_r"] > 2**31
    assert (row["account"], row["accountCode"], row["account_allocation_name"]) == ("Long term", FIRST, FIRST)
    assert {name: type(row[name]) for name in ("price", "commission", "size", "net_amount", "conid", "order_id")} == {
        "price": str, "commission": str, "size": float, "net_amount": float, "conid": int, "order_id": int,
    }  # fmt: skip
    assert row["order_description"].startswith({"B": "Bot ", "S": "Sold "}[row["side"]])
    assert "order_ref" not in row


def test_amounts_have_no_sign_and_include_the_multiplier(ready: Caller) -> None:
    multipliers = {"OPT": 100, "FUT": 5}
    rows = everything(ready)
    assert {row["sec_type"] for row in rows} == {"STK", "OPT", "FUT", "CASH", "CRYPTO"}
    assert {row["side"] for row in rows} == {"B", "S"}
    for row in rows:
        gross = Decimal(str(row["size"])) * Decimal(row["price"]) * multipliers.get(row["sec_type"], 1)
        assert Decimal(str(row["net_amount"])) == gross > 0


def test_only_derivatives_have_a_second_description_and_currencies_no_listing(ready: Caller) -> None:
    rows = everything(ready)
    assert {row["sec_type"] for row in rows if "contract_description_2" in row} == {"OPT", "FUT"}
    assert {row["sec_type"] for row in rows if "listing_exchange" not in row} == {"CASH"}
    assert {row["conidEx"].partition("@")[2] for row in rows if row["sec_type"] == "FUT"} == {"CME"}


def test_executions_may_differ_in_nothing_but_their_id(ready: Caller) -> None:
    natural = [tuple(row[name] for name in ("trade_time_r", "symbol", "size", "price")) for row in everything(ready)]
    assert len(set(natural)) < len(natural)


def test_a_commission_may_come_minutes_later(ready: Caller, gateway: Gateway) -> None:
    trades = [gateway.trade_now(FIRST) for _ in range(3)]
    ids = {trade.exec_id for trade in trades}
    late = [row for row in ready.trades(FIRST) if row["execution_id"] in ids and "commission" not in row]
    assert len(late) == 1
    ready.clock.advance(180)
    assert all("commission" in row for row in ready.trades(FIRST))
    gateway.faults.on("no_commissions")
    assert not any("commission" in row for row in ready.trades(FIRST))


def test_an_older_server_prints_other_types_and_sides(ready: Caller, gateway: Gateway) -> None:
    gateway.faults.on("older_server")
    rows = everything(ready)
    assert {(type(row["price"]), type(row["conid"])) for row in rows} == {(float, str)}
    assert {row["side"] for row in rows} == {"BOT", "SLD"}
    assert not any("order_id" in row for row in rows)


def test_a_list_may_hold_a_corrected_execution_beside_its_correction(ready: Caller, gateway: Gateway) -> None:
    standing = [row["execution_id"] for row in everything(ready)]
    gateway.faults.on("every_revision")
    told = [row["execution_id"] for row in everything(ready)]
    corrected = {each for each in told if each not in standing}
    assert corrected
    assert {f"{each[:-3]}.02" for each in corrected} <= set(standing)


def test_a_contract_may_be_named_with_its_venue(ready: Caller, gateway: Gateway) -> None:
    gateway.faults.on("conid_with_venue")
    assert all(row["conid"].endswith(f"@{row['exchange']}") for row in everything(ready))


@pytest.mark.parametrize(("fault", "name"), [("trades_in_object", "trades"), ("items_in_object", "items")])
def test_a_list_may_come_inside_an_object(ready: Caller, gateway: Gateway, fault: str, name: str) -> None:
    rows = ready.trades(FIRST)
    gateway.faults.on(fault)
    assert ready.trades(FIRST) == {name: rows}


def test_an_option_that_expired_has_a_side_of_its_own(ready: Caller, gateway: Gateway) -> None:
    trade = gateway.trade_now(FIRST)
    expired = replace(trade, exec_id="0001c0de.60000001.01.01", side="X", price=Decimal(0))
    gateway.executions.add(expired)
    assert {row["side"] for row in ready.trades(FIRST) if row["execution_id"] == expired.exec_id} == {"X"}


# -- contracts


def test_definitions_of_contracts_are_told_by_conid(ready: Caller) -> None:
    traded = {row["sec_type"]: row["conid"] for row in everything(ready)}
    conids = ",".join(str(conid) for conid in traded.values())
    told = {row["assetClass"]: row for row in ready.get("/trsrv/secdef", conids=conids).json()["secdef"]}
    assert {kind: row["conid"] for kind, row in told.items()} == traded
    assert {kind: row["multiplier"] for kind, row in told.items()} == {
        "STK": 0.0, "OPT": 100.0, "FUT": 5.0, "CASH": 0.0, "CRYPTO": 0.0,
    }  # fmt: skip
    assert told["OPT"]["putOrCall"] in {"C", "P"} and Decimal(told["OPT"]["strike"]) > 0
    assert told["STK"]["strike"] == "0" and told["CASH"]["currency"] == "USD"


def test_two_hundred_conids_may_be_asked_for_at_once(ready: Caller) -> None:
    many = [str(conid) for conid in range(930001101, 930001302)]
    found = ready.get("/trsrv/secdef", conids=",".join(many[:200])).json()["secdef"]
    assert [row["conid"] for row in found] == [930001101, 930001102]
    assert ready.get("/trsrv/secdef", conids=",".join(many)).status_code == 400
    assert ready.get("/trsrv/secdef", conids="").status_code == 400


def test_a_contract_is_described_by_the_brokerage_session_too(ready: Caller) -> None:
    conid = next(row["conid"] for row in everything(ready) if row["sec_type"] == "OPT")
    told = ready.get(f"/iserver/contract/{conid}/info").json()
    assert (told["con_id"], told["instrument_type"], told["multiplier"]) == (conid, "OPT", "100")
    assert ready.get("/iserver/contract/1/info").status_code == 500


# -- the book


def test_the_book_holds_what_the_list_tells(ready: Caller, gateway: Gateway) -> None:
    ready.clock.advance(300)
    for account in (FIRST, SECOND, THIRD):
        book = {row["exec_id"]: row for row in booked(gateway, account)}
        rows = {row["execution_id"]: row for row in ready.trades(account)}
        assert rows.keys() == book.keys()
        for exec_id, row in rows.items():
            told = book[exec_id]
            assert (row["price"], row["commission"], row["conid"]) == (told["price"], told["commission"], told["conid"])
            assert Decimal(str(row["size"])) == Decimal(told["quantity"]) and row["side"] == told["side"][0]
            assert datetime.fromisoformat(told["time"]).timestamp() * 1000 == row["trade_time_r"]
    assert ready.look("book") == gateway.tell_book()


def test_currencies_are_charged_in_the_accounts_own(gateway: Gateway) -> None:
    paid = {
        (account, row["commission_currency"])
        for account, rows in gateway.tell_book()["ibkr_portal"].items()
        for row in rows
        if row["sec_type"] == "CASH"
    }
    assert paid <= {(FIRST, "USD"), (SECOND, "USD"), (THIRD, "EUR")}


def test_the_same_seed_gives_the_same_book_whenever_it_is_asked() -> None:
    first_day = (THURSDAY_EVENING - timedelta(days=10)).date()
    early, late = invented_book(7, first_day), invented_book(7, first_day)
    early.standing(THURSDAY_EVENING - timedelta(days=3))
    assert early.tell(THURSDAY_EVENING) == late.tell(THURSDAY_EVENING)
    assert invented_book(8, first_day).tell(THURSDAY_EVENING) != late.tell(THURSDAY_EVENING)


def test_a_book_of_given_executions_tells_just_those() -> None:
    day = trading_day(7, THURSDAY_EVENING.date())
    book = Book(ACCOUNTS, day)
    roots = {trade.root for trade in day if trade.at <= THURSDAY_EVENING}
    assert {trade.root for trade in book.standing(THURSDAY_EVENING)} == roots
    assert book.standing(min(trade.at for trade in day) - timedelta(seconds=1)) == []


def test_a_weekend_has_coins_only() -> None:
    def kinds(trades: list[Execution]) -> set[str]:
        return {trade.contract.sec_type for trade in trades}

    saturday = (THURSDAY_EVENING + timedelta(days=2)).date()
    assert kinds(trading_day(7, saturday)) == {"CRYPTO"}
    assert kinds(trading_day(7, THURSDAY_EVENING.date())) == {"STK", "OPT", "FUT", "CASH", "CRYPTO"}
