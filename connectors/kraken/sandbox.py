"""Kraken Spot's REST API from the other side of the wire, over loopback HTTP.

The rooms behind this door: `sandbox_broker` decides what a call is answered with, and in which order it is looked at;
`sandbox_admission` holds the rules of keys, nonces and counters, `sandbox_history` those of pages, `sandbox_exports` those of
reports, `sandbox_faults` all that can go wrong; `sandbox_trader` lives the account's life, `sandbox_account` keeps its trades and
ledger, `sandbox_book` tells what truly happened, `sandbox_market` what can be traded, `sandbox_wire` how it is all printed.

It shares no code with the connector: it is a second reading of the same protocol. Sources: brokers.md part C.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from connectors.kraken.sandbox_admission import Key
from connectors.kraken.sandbox_broker import (
    ACCOUNT,
    API_KEY,
    API_SECRET,
    OTP,
    OTP_KEY,
    TOTP_KEY,
    TOTP_SECRET,
    TRADES_ONLY_KEY,
    Answer,
    Asked,
    Call,
    KrakenBroker,
    own_keys,
)
from connectors.kraken.sandbox_faults import FAULTS, Faults
from connectors.kraken.sandbox_wire import plain
from connectors.sandbox_server import serving

__all__ = [
    "ACCOUNT",
    "API_KEY",
    "API_SECRET",
    "FAULTS",
    "OTP",
    "OTP_KEY",
    "TOTP_KEY",
    "TOTP_SECRET",
    "TRADES_ONLY_KEY",
    "Call",
    "Faults",
    "Key",
    "KrakenBroker",
    "create_app",
    "own_keys",
    "running",
]

PRIVATE, PUBLIC = "/0/private/", "/0/public/"
FAULT_QUERY = {"name": "", "on": "1", "calls": "0", "after": "0"}  # `calls` 0 is until it is switched off


def create_app(broker: KrakenBroker) -> Starlette:
    """Serve a broker under Kraken's own paths, and its controls under /sandbox/."""

    def respond(answer: Answer) -> Response:
        return Response(answer.body, answer.status, {"content-type": answer.content_type})

    async def private(request: Request) -> Response:
        asked = Asked(
            request.path_params["method"], request.url.path, request.headers.get("api-key", ""),
            request.headers.get("api-sign", ""), request.headers.get("content-type", ""), await request.body(),
        )  # fmt: skip
        await asyncio.sleep(broker.jitter())
        answer = broker.private(asked)
        await asyncio.sleep(answer.after_seconds)
        return respond(answer)

    async def public(request: Request) -> Response:
        address = request.client.host if request.client else ""
        params = dict(request.query_params)
        if request.method == "POST":
            params |= dict(parse_qsl((await request.body()).decode()))
        answer = broker.public(request.path_params["method"], params, address)
        await asyncio.sleep(answer.after_seconds)
        return respond(answer)

    async def unknown(_: Request) -> Response:
        return JSONResponse({"error": ["EGeneral:Unknown method"]})

    async def book(_: Request) -> Response:
        return JSONResponse(broker.book())

    async def requests(_: Request) -> Response:
        return JSONResponse(
            {
                "requests": dict(broker.requests),
                "rate_limit_refusals": len(broker.rate_limit_refusals),
                "high_water": {key: plain(broker.high_water(key)) for key in broker.keys},
                "errors": Counter(call.error for call in broker.log if call.error),
            }
        )

    async def trade(request: Request) -> Response:
        trades = request.query_params.get("trades", "1")
        if not trades.isdecimal() or not 1 <= int(trades) <= 1000:
            return JSONResponse({"error": "trades must be a number from 1 to 1000"}, 400)
        broker.trade_now(int(trades))
        return JSONResponse({"trades": len(broker.account.trades)})

    async def fault(request: Request) -> Response:
        params = request.query_params
        name, switch, calls, after = (params.get(n, d) for n, d in FAULT_QUERY.items())
        if name not in FAULTS or switch not in {"0", "1"} or not (calls.isdecimal() and after.isdecimal()):
            return JSONResponse(
                {"error": "unknown fault, or `on`, `calls` or `after` is no such number", "faults": FAULTS}, 400
            )
        if switch == "1":
            method = params.get("method") or None
            broker.faults.on(name, at=method, calls=int(calls) or None, after=int(after))
        else:
            broker.faults.off(name)
        return JSONResponse({"on": list(broker.faults)})

    return Starlette(
        routes=[
            Route(PRIVATE + "{method}", private, methods=["POST"]),
            Route(PUBLIC + "{method}", public, methods=["GET", "POST"]),
            Route("/book", book),
            Route("/sandbox/book", book),
            Route("/sandbox/requests", requests),
            Route("/sandbox/trade", trade, methods=["POST"]),
            Route("/sandbox/fault", fault, methods=["POST"]),
            Route("/{path:path}", unknown, methods=["GET", "POST", "PUT", "DELETE"]),
        ]
    )


@contextmanager
def running(broker: KrakenBroker, host: str = "127.0.0.1", port: int = 0) -> Iterator[str]:
    """Serve in a thread and yield the base URL; port 0 takes a free one."""
    with serving(create_app(broker), host, port) as address:
        yield f"http://{address}"
