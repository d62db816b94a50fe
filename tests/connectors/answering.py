"""A conversation held without a wire: every request is answered with what a test says, as JSON; every wait is over at once."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any

from connectors.wire import Conversation, Request, Response


def exchanges(
    conversation: Conversation, said: Callable[[Request], Any], now: datetime, most: int = 100
) -> list[tuple[Request, Response]]:
    """Answer a conversation to its end; gives what it asked and was told. Fails where it asks more often than `most`."""
    found: list[tuple[Request, Response]] = []
    step, answer = next(conversation), None
    while len(found) < most:
        if isinstance(step, Request):
            answer = Response(200, {}, json.dumps(said(step)).encode(), now)
            found.append((step, answer))
        try:
            step, answer = conversation.send(answer), None
        except StopIteration:
            return found
    message = f"still asking after {most} requests"
    raise AssertionError(message)
