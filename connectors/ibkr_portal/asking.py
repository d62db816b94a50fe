"""How the gateway, or IBKR itself, is asked: once, or again where it only stumbled."""

from __future__ import annotations

from typing import Any

from connectors.errors import UNREACHABLE, Transient
from connectors.ibkr_portal import replies
from connectors.ibkr_portal.access import GATEWAY, SIGNED
from connectors.wire import CERTIFICATE, Exchanging, Pause, Request, ask

BACKOFFS = (2.0, 8.0)  # one call in fifteen is said to fail by itself


def asked(request: Request) -> Exchanging[Any]:
    """Ask, and again where the gateway stumbled; a question that only priming helps is not repeated."""
    for seconds in BACKOFFS:
        try:
            return (yield from once(request))
        except Transient as trouble:
            if trouble.code in (replies.NOT_PRIMED, UNREACHABLE, CERTIFICATE):
                raise
        yield Pause(seconds, "the gateway stumbled")
    return (yield from once(request))


def once(request: Request) -> Exchanging[Any]:
    """Ask, and give what the answer says."""
    response = yield from ask(request)
    return replies.read(response, request.endpoint, GATEWAY if request.signed is None else SIGNED)
