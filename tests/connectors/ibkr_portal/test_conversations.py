"""A gateway whose selection of an account did not take: the list of another account is asked for again, and covers nothing."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from connectors.connector import Reply
from connectors.ibkr_portal.conversations import trades
from connectors.ibkr_portal.endpoints import Credentials
from connectors.registry import connector
from connectors.wire import Request, Window
from tests.connectors.answering import exchanges

NOON = datetime(2026, 3, 5, 17, tzinfo=UTC)
WINDOW = Window(datetime(2026, 2, 27), datetime(2026, 3, 5, 17))
OURS, OTHERS = "U1111111", "U2222222"
ACCOUNTS = {"accounts": [OURS, OTHERS], "selectedAccount": OURS}
ROW = {
    "execution_id": "0000e0d5.6576fd38.01.01",
    "symbol": "AAPL",
    "side": "B",
    "trade_time_r": 1_772_722_800_000,
    "size": 5.0,
    "price": "192.26",
    "commission": "1.01",
    "sec_type": "STK",
    "conid": 265598,
}


def listed(*lists: Sequence[str]) -> tuple[list[str], list[Reply]]:
    """Answer the question for our executions with lists of rows of these accounts; gives what was asked, and the lists."""
    coming = iter(lists)

    def said(request: Request) -> Any:
        if request.endpoint == "trades":
            return [ROW | {"accountCode": account} for account in next(coming)]
        return ACCOUNTS if request.endpoint == "accounts" else {"set": True, "acctId": OURS}

    held = exchanges(trades(Credentials(accounts=(OURS,)), WINDOW, []), said, NOON)
    return [request.endpoint for request, _ in held], [
        Reply(f"x{place}", "trades", response.body, NOON, params=request.params, is_live=True)
        for place, (request, response) in enumerate(held)
        if request.endpoint == "trades"
    ]


def covered(replies: Sequence[Reply]) -> list[str]:
    return connector("ibkr_portal").normalize(replies).statements.get_column("account").to_list()


def test_the_list_of_another_account_is_asked_for_again() -> None:
    asked, replies = listed([OTHERS], [OURS])
    assert asked == ["accounts", "trades", "switch_account", "trades"]
    assert covered(replies) == [OURS]


def test_the_list_of_another_account_covers_nothing() -> None:
    _, replies = listed([OTHERS], [OTHERS])
    assert covered(replies) == []
    assert set(connector("ibkr_portal").normalize(replies).reports.get_column("account")) == {OTHERS}


def test_a_list_of_several_accounts_covers_ours() -> None:
    _, replies = listed([OTHERS, OURS], [OTHERS, OURS])
    assert covered(replies) == [OURS]
