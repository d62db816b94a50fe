"""A Kraken that tells no count and answers every page alike: its walk ends, and says why."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from connectors.errors import ContractViolation
from connectors.kraken.endpoints import Credentials
from connectors.kraken.sandbox import API_KEY, API_SECRET
from connectors.registry import connector
from connectors.wire import Conversation, Request, Response, Window

NOON = datetime(2026, 3, 5, 12, tzinfo=UTC)
TRADE = {"pair": "XXBTZUSD", "time": 1772600000.5, "type": "buy", "price": "1", "cost": "1", "fee": "0", "vol": "1"}
ANSWERS: dict[str, Any] = {
    "Time": {"unixtime": int(NOON.timestamp())},
    "TradesHistory": {"trades": {f"T{number:05}-AAAAA-AAAAAA": TRADE for number in range(50)}},
}


def answered(conversation: Conversation, most: int) -> list[str]:
    """Answer a conversation; gives what it asked, once it ends with an error or has asked this often."""
    asked: list[str] = []
    step, answer = next(conversation), None
    while len(asked) < most:
        if isinstance(step, Request):
            asked.append(step.endpoint)
            body = json.dumps({"error": [], "result": ANSWERS[step.endpoint]}).encode()
            answer = Response(200, {}, body, NOON)
        try:
            step, answer = conversation.send(answer), None
        except ContractViolation as violation:
            return [*asked, str(violation)]
    return asked


def test_the_same_page_again_is_no_further_page() -> None:
    window = Window(datetime(2026, 3, 1), datetime(2026, 3, 5))
    conversation = connector("kraken").backfill(Credentials(API_KEY, API_SECRET), window, [])
    assert answered(conversation, most=20) == [
        "Time",
        "TradesHistory",
        "TradesHistory",
        "Kraken answered TradesHistory with the same page again.",
    ]
