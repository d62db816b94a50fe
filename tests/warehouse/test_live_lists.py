"""A list that is asked for again and again tells an execution in whatever revision, spelling and company: it stays one fill."""

from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal
from itertools import permutations
from typing import Any

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.connector import Reply
from tests.warehouse.loading import EPOCH, empty_warehouse, load_reply, table
from warehouse.judging import derive_again
from warehouse.load import Loaded

ROOT = "0000e0d5.6576fd38.01"
PRICES = {1: "192.26", 2: "192.30", 3: "192.28"}
ROW = {
    "execution_id": f"{ROOT}.01",
    "symbol": "AAPL",
    "side": "S",
    "trade_time_r": 1_772_733_649_000,  # 13:00:49 on 5 March 2026 in New York
    "size": 5.0,
    "price": PRICES[1],
    "exchange": "ISLAND",
    "commission": "1.01",
    "accountCode": "U1234567",
    "sec_type": "STK",
    "conid": 265598,
}
TRADE = {
    "accountId": "U1234567",
    "currency": "USD",
    "assetCategory": "STK",
    "symbol": "AAPL",
    "tradeID": "1111",
    "ibExecID": f"{ROOT}.01",
    "transactionID": "9001",
    "dateTime": "20260305;130049",
    "tradeDate": "20260305",
    "reportDate": "20260305",
    "transactionType": "ExchTrade",
    "quantity": "-5",
    "tradePrice": PRICES[1],
    "ibCommission": "-1.01",
    "ibCommissionCurrency": "USD",
    "buySell": "SELL",
}


def listed(con: duckdb.DuckDBPyConnection, minute: int, *rows: dict[str, Any]) -> Loaded:
    """Load a list as the gateway tells it at some minute."""
    body, params = json.dumps(rows).encode(), {"accountId": "U1234567", "days": "7"}
    reply = Reply(f"list-{minute}", "trades", body, EPOCH + timedelta(minutes=minute), params=params, is_live=True)
    return load_reply(con, "ibkr_portal", reply)


def stated(con: duckdb.DuckDBPyConnection, minute: int, **changes: str) -> Loaded:
    """Load a statement with one trade."""
    row = " ".join(f'{name}="{value}"' for name, value in {**TRADE, **changes}.items())
    body = (
        '<FlexQueryResponse queryName="q" type="AF"><FlexStatements count="1"><FlexStatement accountId="U1234567" '
        'fromDate="20260305" toDate="20260305" period="" whenGenerated="20260306;070000"><Trades>'
        f"<Trade {row} /></Trades></FlexStatement></FlexStatements></FlexQueryResponse>"
    ).encode()
    return load_reply(
        con, "ibkr_flex", Reply(f"statement-{minute}", "GetStatement", body, EPOCH + timedelta(minutes=minute))
    )


def revision(number: int) -> dict[str, Any]:
    return {**ROW, "execution_id": f"{ROOT}.{number:02}", "price": PRICES[number]}


def fills(con: duckdb.DuckDBPyConnection) -> list[tuple[Any, ...]]:
    return con.execute("select exec_rev, last_px, status from fills order by all").fetchall()


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    lists=st.lists(
        st.lists(st.sampled_from(sorted(PRICES)), min_size=1, max_size=3, unique=True), min_size=1, max_size=5
    )
)
def test_the_highest_revision_that_was_ever_listed_stands(lists: list[list[int]]) -> None:
    con, highest = empty_warehouse(), 0
    for minute, numbers in enumerate(lists):
        listed(con, minute, *map(revision, numbers))
        highest = max(highest, *numbers)
        assert fills(con) == [(highest, Decimal(PRICES[highest]), "provisional")]
    before = {name: table(con, name) for name in ("execution_reports", "fills")}
    again = listed(con, len(lists), *map(revision, lists[-1]))
    assert (again.added, again.revised) == (0, 0)
    assert fills(con) == [(highest, Decimal(PRICES[highest]), "provisional")]
    derive_again(con)
    assert table(con, "fills") == before["fills"]


def test_a_list_with_both_revisions_is_news_once() -> None:
    con = empty_warehouse()
    listed(con, 0, revision(1))
    loads = [listed(con, 15 * number, revision(2), revision(1)) for number in range(1, 5)]
    assert [loaded.revised for loaded in loads] == [1, 0, 0, 0]
    assert con.execute("select exec_rev, version from execution_reports order by version").fetchall() == [
        (1, 1),
        (2, 2),
    ]


SPELLINGS = st.fixed_dictionaries(
    {
        "side": st.sampled_from(["S", "SELL", "SLD", "s"]),
        "conid": st.sampled_from([265598, "265598", "265598@SMART", None]),
        "conidEx": st.sampled_from(["265598", "265598@ISLAND", None]),
    }
)


@settings(max_examples=6, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(spellings=st.lists(SPELLINGS, min_size=2, max_size=4))
def test_a_fill_is_one_however_its_side_and_contract_are_spelled(spellings: list[dict[str, Any]]) -> None:
    con = empty_warehouse()
    for minute, spelled in enumerate(spellings):
        listed(con, minute, {**ROW, **spelled})
    assert len(fills(con)) == 1
    stated(con, 60, conid="265598")
    assert fills(con) == [(1, Decimal(PRICES[1]), "final")]


DERIVED = {
    "option": ({"sec_type": "OPT", "conid": 700}, {"assetCategory": "OPT", "symbol": "AAPL  260320C00190000"}),
    "currency": (
        {"sec_type": "CASH", "conid": 12087792, "symbol": "EUR"},
        {"assetCategory": "CASH", "symbol": "EUR.USD"},
    ),
}


@pytest.mark.parametrize("kind", DERIVED)
@pytest.mark.parametrize("order", permutations(range(2)), ids=str)
def test_a_statement_without_conids_confirms_what_the_portal_calls_by_its_underlying(
    kind: str, order: tuple[int, ...]
) -> None:
    told, printed = DERIVED[kind]
    con = empty_warehouse()
    for minute, place in enumerate(order):
        if place == 0:
            listed(con, minute, {**ROW, **told})
        else:
            stated(con, minute, **printed)
    assert fills(con) == [(1, Decimal(PRICES[1]), "final")]
    assert con.execute("select symbol, currency from fills").fetchall() == [(printed["symbol"], "USD")]


@pytest.mark.parametrize(
    "other",
    [{"conid": "701"}, {"tradePrice": "192.27"}, {"quantity": "-4"}, {"ibExecID": "0000e0d5.6576fd39.01.01"}],
    ids=lambda other: next(iter(other)),
)
def test_other_contracts_terms_and_executions_stay_apart(other: dict[str, str]) -> None:
    told, printed = DERIVED["option"]
    con = empty_warehouse()
    listed(con, 0, {**ROW, **told})
    stated(con, 1, **{**printed, **other})
    assert len(con.execute("select 1 from executions").fetchall()) == 2
