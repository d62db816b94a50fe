"""A gateway whose selection of an account did not take: the list of another account is asked for again, and covers nothing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from connectors.connector import Reply
from connectors.ibkr_portal.conversations import trades
from connectors.ibkr_portal.endpoints import Credentials
from connectors.registry import connector
from connectors.wire import Request, Response, Window

NOON = datetime(2026, 3, 5, 17, tzinfo=UTC)
WINDOW = Window(datetime(2026, 2, 27), datetime(2026, 3, 5, 17))
OURS, OTHERS = "U1111111", "U2222222"
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
    answers = iter(lists)
    conversation = trades(Credentials(accounts=(OURS,)), WINDOW, [])
    asked: list[str] = []
    replies: list[Reply] = []
    step, answer = next(conversation), None
    while True:
        if isinstance(step, Request):
            asked.append(step.endpoint)
            said: Any = {"accounts": [OURS, OTHERS], "selectedAccount": OURS}
            if step.endpoint == "trades":
                said = [ROW | {"accountCode": account} for account in next(answers)]
            elif step.endpoint == "switch_account":
                said = {"set": True, "acctId": OURS}
            body = json.dumps(said).encode()
            answer = Response(200, {}, body, NOON)
            replies.append(Reply(f"x{len(asked)}", step.endpoint, body, NOON, params=step.params, is_live=True))
        try:
            step, answer = conversation.send(answer), None
        except StopIteration:
            return asked, [reply for reply in replies if reply.endpoint == "trades"]


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
