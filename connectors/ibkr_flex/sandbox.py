"""Interactive Brokers' Flex Web Service, version 3, from the other side of the wire, over loopback HTTP.

The rooms behind this door: `sandbox_broker` decides what a call is answered with, and holds the rules of tokens, pacing and
references, `sandbox_queries` those of stored queries and their days, `sandbox_faults` all that can go wrong; `sandbox_statement`
prints a statement, of which `sandbox_trades`, `sandbox_confirms` and `sandbox_cash` are the sections, `sandbox_wire` tells how
numbers and moments look; `sandbox_book` invents what truly happened, in `sandbox_rows`, from `sandbox_orders` for
`sandbox_instruments`, with the days of `sandbox_calendar` and the rates of `sandbox_money`.

An activity statement (AF) ends yesterday, New York time; a trade confirmation (TCF) shows what is five minutes old.
It shares no code with the connector: it is a second reading of the same protocol. Sources: brokers.md part B.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from connectors.ibkr_flex.sandbox_broker import EXPIRED_TOKEN, TOKEN, Answer, FlexBroker
from connectors.ibkr_flex.sandbox_faults import FAULTS, FOREIGN_URL
from connectors.ibkr_flex.sandbox_queries import (
    ACCOUNTS,
    CONFIRMS_QUERY_ID,
    ONE_ACCOUNT_QUERY_ID,
    QUERY_ID,
    FlexQuery,
    stored_queries,
)
from connectors.sandbox_server import serving

__all__ = [
    "ACCOUNTS",
    "CONFIRMS_QUERY_ID",
    "EXPIRED_TOKEN",
    "FAULTS",
    "FOREIGN_URL",
    "ONE_ACCOUNT_QUERY_ID",
    "QUERY_ID",
    "SERVICE_PATH",
    "TOKEN",
    "FlexBroker",
    "FlexQuery",
    "create_app",
    "running",
    "stored_queries",
]

SERVICE_PATH = "/AccountManagement/FlexWebService"
LEGACY_PATH = "/Universal/servlet/FlexStatementService"


def create_app(broker: FlexBroker) -> Starlette:
    """Serve a broker under IBKR's own paths, and its controls under /sandbox/."""

    async def respond(answer: Answer) -> Response:
        await asyncio.sleep(answer.after_seconds)
        return Response(answer.body, answer.status, {"content-type": answer.content_type})

    async def send_request(request: Request) -> Response:
        url = str(request.base_url).rstrip("/") + f"{SERVICE_PATH}/GetStatement"
        return await respond(broker.send_request(request.query_params, request.headers.get("user-agent"), url))

    async def get_statement(request: Request) -> Response:
        return await respond(broker.get_statement(request.query_params, request.headers.get("user-agent")))

    async def legacy(_: Request) -> Response:
        return await respond(broker.legacy())

    async def book(_: Request) -> Response:
        return JSONResponse(broker.book())

    async def advance(request: Request) -> Response:
        days = request.query_params.get("days", "1")
        if not days.isdecimal() or not 1 <= int(days) <= 366:
            return JSONResponse({"error": "days must be a number from 1 to 366"}, 400)
        broker.advance(int(days))
        return JSONResponse({"today": broker.today.isoformat(), "visible_rows": len(broker.visible())})

    async def fault(request: Request) -> Response:
        name, switch = request.query_params.get("name", ""), request.query_params.get("on", "1")
        if name not in FAULTS or switch not in {"0", "1"}:
            return JSONResponse({"error": "unknown fault, or `on` is not 0 or 1", "faults": FAULTS}, 400)
        (broker.faults.add if switch == "1" else broker.faults.discard)(name)
        return JSONResponse({"on": sorted(broker.faults)})

    async def requests(_: Request) -> Response:
        endpoints = ("SendRequest", "GetStatement", "legacy", "refused_1018")
        return JSONResponse({name: broker.requests[name] for name in endpoints})

    return Starlette(
        routes=[
            Route(f"{SERVICE_PATH}/SendRequest", send_request),
            Route(f"{SERVICE_PATH}/GetStatement", get_statement),
            Route(f"{LEGACY_PATH}.SendRequest", legacy),
            Route(f"{LEGACY_PATH}.GetStatement", legacy),
            Route("/sandbox/book", book),
            Route("/sandbox/requests", requests),
            Route("/sandbox/advance", advance, methods=["POST"]),
            Route("/sandbox/fault", fault, methods=["POST"]),
        ]
    )


@contextmanager
def running(broker: FlexBroker, host: str = "127.0.0.1", port: int = 0) -> Iterator[str]:
    """Serve in a thread and yield the base URL; port 0 takes a free one."""
    with serving(create_app(broker), host, port) as address:
        yield f"http://{address}"
