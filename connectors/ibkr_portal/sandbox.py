"""Interactive Brokers' Client Portal gateway from the other side of the wire, over loopback HTTPS.

The rooms behind this door: `sandbox_gateway` decides what is looked at in which order, `sandbox_paths` answers;
`sandbox_session` holds login and brokerage session, `sandbox_oauth` knows who calls with signed requests; `sandbox_pacing` has the
limits and the penalty box, `sandbox_trades` the list of trades with its quirks, `sandbox_faults` all that can go wrong;
`sandbox_book` keeps what truly happened, `sandbox_trader` invents it, `sandbox_rows` prints it; `sandbox_clock` is its time,
`sandbox_tls` its certificate.

It shares no code with the connector: it is a second reading of the same protocol. Sources: brokers.md part A.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from connectors.ibkr_portal.sandbox_asked import Asked
from connectors.ibkr_portal.sandbox_book import Account, Book, Contract, Execution
from connectors.ibkr_portal.sandbox_clock import Clock
from connectors.ibkr_portal.sandbox_faults import FAULTS, LOGIN_PAGE, Faults
from connectors.ibkr_portal.sandbox_gateway import LOGIN_HTML, Answer, Call, Gateway
from connectors.ibkr_portal.sandbox_oauth import write_keys
from connectors.ibkr_portal.sandbox_paths import PASSWORD, USER_NAME
from connectors.ibkr_portal.sandbox_tls import write_certificate
from connectors.ibkr_portal.sandbox_trader import ACCOUNTS, invented_book
from connectors.sandbox_server import serving

__all__ = [
    "ACCOUNTS",
    "FAULTS",
    "PASSWORD",
    "USER_NAME",
    "Account",
    "Book",
    "Call",
    "Clock",
    "Contract",
    "Execution",
    "Faults",
    "Gateway",
    "Running",
    "create_app",
    "invented_book",
    "running",
    "write_keys",
]

API = "/v1/api"
HARDLY_EVER = "mon 00:00-00:01 Etc/GMT+12"  # when this gateway rests: it is asked at any hour, by the wall's clock too
LOGGED_IN = "Client login succeeds"
WRONG_LOGIN = LOGIN_HTML.replace(b"<form", b"<p>Invalid username password combination</p><form")
FAULT_QUERY = {"name": "", "on": "1", "calls": "0", "after": "0"}  # `calls` 0 is until it is switched off
LONGEST_ADVANCE = 366 * 86_400


@dataclass(frozen=True, slots=True)
class Running:
    """Where the gateway is: what a client takes as its base URL, the root of the login and the controls, the certificate."""

    base_url: str
    root_url: str
    ca_file: Path


def addresses_of(request: Request) -> tuple[str, ...]:
    """Tell what the caller may have written: this server as it was reached, or as the header `Host` has it."""
    host, port = request.scope["server"]
    path = request.scope["raw_path"].decode()
    return tuple(f"{request.url.scheme}://{server}{path}" for server in (f"{host}:{port}", request.url.netloc))


def create_app(gateway: Gateway) -> Starlette:
    """Serve a gateway under its own paths, and its controls under /sandbox/."""

    async def respond(answer: Answer) -> Response:
        if answer.after_seconds:
            await run_in_threadpool(gateway.now.sleep, answer.after_seconds)
        headers = {"content-type": answer.content_type} | ({"location": answer.location} if answer.location else {})
        return Response(answer.body, answer.status, headers)

    async def api(request: Request) -> Response:
        asked = Asked(
            request.method, "/" + request.path_params["path"].strip("/"), dict(request.query_params),
            await request.body(), request.client.host if request.client else "", "content-length" in request.headers,
            request.headers.get("authorization", ""), addresses_of(request),
        )  # fmt: skip
        return await respond(gateway.answer(asked))

    async def root(_: Request) -> Response:
        return RedirectResponse(LOGIN_PAGE, 302)

    async def login(request: Request) -> Response:
        if request.method == "GET":
            return HTMLResponse(LOGIN_HTML)
        told = dict(parse_qsl((await request.body()).decode()))
        if not gateway.log_in(told.get("username", ""), told.get("password", "")):
            return HTMLResponse(WRONG_LOGIN)
        return RedirectResponse("/sso/Dispatcher", 302)

    async def dispatcher(_: Request) -> Response:
        return HTMLResponse(LOGGED_IN if gateway.session.logged_in(gateway.now()) else LOGIN_HTML)

    async def log_in(request: Request) -> Response:
        switch = request.query_params.get("on", "1")
        if switch not in {"0", "1"}:
            return JSONResponse({"error": "`on` is not 0 or 1"}, 400)
        gateway.log_in() if switch == "1" else gateway.end_login()
        return JSONResponse({"logged_in": switch == "1"})

    async def tws(request: Request) -> Response:
        switch = request.query_params.get("on", "1")
        if switch not in {"0", "1"}:
            return JSONResponse({"error": "`on` is not 0 or 1"}, 400)
        gateway.session.tws_logs_in() if switch == "1" else gateway.session.tws_logs_out()
        return JSONResponse({"tws": gateway.session.tws_holds})

    async def advance(request: Request) -> Response:
        seconds = request.query_params.get("seconds", "")
        if not seconds.isdecimal() or not 0 < int(seconds) <= LONGEST_ADVANCE:
            return JSONResponse({"error": f"seconds must be a number from 1 to {LONGEST_ADVANCE}"}, 400)
        gateway.now.advance(int(seconds))
        return JSONResponse({"now": gateway.now().isoformat()})

    async def trade(request: Request) -> Response:
        traded = gateway.trade_now(request.query_params.get("account"))
        return JSONResponse({"execution_id": traded.exec_id, "account": traded.account})

    async def book(_: Request) -> Response:
        return JSONResponse(gateway.tell_book())

    async def requests(_: Request) -> Response:
        return JSONResponse(
            {
                "requests": Counter(call.path for call in gateway.log),
                "statuses": Counter(str(call.status) for call in gateway.log),
                "pacing_violations": [violation.limit for violation in gateway.pacing.violations],
                "calls_in_penalty_box": gateway.pacing.calls_in_box,
                "tws_kicked_out": len(gateway.session.kicked_out),
                "log": [
                    {"at": call.at.isoformat(), "method": call.method, "path": call.path, "status": call.status}
                    for call in gateway.log
                ],
            }
        )

    async def fault(request: Request) -> Response:
        params = request.query_params
        name, switch, calls, after = (params.get(n, d) for n, d in FAULT_QUERY.items())
        if name not in FAULTS or switch not in {"0", "1"} or not (calls.isdecimal() and after.isdecimal()):
            return JSONResponse(
                {"error": "unknown fault, or `on`, `calls` or `after` is no such number", "faults": FAULTS}, 400
            )
        if switch == "1":
            gateway.faults.on(name, at=params.get("path") or None, calls=int(calls) or None, after=int(after))
        else:
            gateway.faults.off(name)
        return JSONResponse({"on": list(gateway.faults)})

    return Starlette(
        routes=[
            Route("/", root),
            Route("/sso/Login", login, methods=["GET", "POST"]),
            Route("/sso/Dispatcher", dispatcher),
            Route("/sandbox/login", log_in, methods=["POST"]),
            Route("/sandbox/tws", tws, methods=["POST"]),
            Route("/sandbox/advance", advance, methods=["POST"]),
            Route("/sandbox/trade", trade, methods=["POST"]),
            Route("/sandbox/fault", fault, methods=["POST"]),
            Route("/sandbox/book", book),
            Route("/sandbox/requests", requests),
            Route(API + "/{path:path}", api, methods=["GET", "POST", "PUT", "DELETE"]),
        ]
    )


@contextmanager
def running(gateway: Gateway, host: str = "127.0.0.1", port: int = 0) -> Iterator[Running]:
    """Serve in a thread, with a new certificate, and yield where; port 0 takes a free one."""
    with tempfile.TemporaryDirectory(prefix="fillhouse-gateway-") as folder:
        certificate, key = write_certificate(Path(folder))
        with serving(create_app(gateway), host, port, certificate=certificate, key=key) as address:
            yield Running(f"https://{address}{API}", f"https://{address}", certificate)
