"""Sign in where a broker wants that before anything else, and keep what it hands out in the memory of this process, nowhere else.

It is a secret: it goes neither to the landing zone nor beside it. So each process asks for its own, once, and holds it until it
ends or is refused.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable, MutableMapping
from datetime import datetime, timedelta
from typing import Any

from connectors.checkup import Checkup
from connectors.connector import Connector, SignedIn
from connectors.errors import SIGNED_OUT, AuthRequired
from connectors.wire import Conversation, Exchanging

CHANCE_BYTES = 32
EARLY = timedelta(minutes=10)  # before its end a new one is asked for

HELD: dict[Any, SignedIn] = {}  # by the credentials that were signed in with


def signed_in(
    broker: Connector,
    credentials: Any,
    say: Callable[[Any], Conversation | Checkup],
    clock: Callable[[], datetime],
    held: MutableMapping[Any, SignedIn] = HELD,
) -> Checkup:
    """Hold a conversation with credentials that are signed in. Where they turn out not to be any longer, it is held once more."""
    if broker.sign_in is None:
        yield from say(credentials)
        return
    kept = held.get(credentials)
    if kept is None or (kept.ends_at is not None and kept.ends_at - EARLY <= clock()):
        kept = yield from _anew(broker, credentials, clock, held)
    try:
        yield from say(kept.credentials)
    except AuthRequired as refusal:
        if refusal.code != SIGNED_OUT:
            raise
    else:
        return
    kept = yield from _anew(broker, credentials, clock, held)
    yield from say(kept.credentials)


def _anew(
    broker: Connector, credentials: Any, clock: Callable[[], datetime], held: MutableMapping[Any, SignedIn]
) -> Exchanging[SignedIn]:
    assert broker.sign_in is not None  # noqa: S101  (`signed_in` looked)
    held.pop(credentials, None)
    held[credentials] = yield from broker.sign_in(credentials, secrets.token_bytes(CHANCE_BYTES), clock())
    return held[credentials]
