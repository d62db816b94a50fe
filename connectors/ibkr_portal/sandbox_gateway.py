"""The gateway of the sandbox, without the wire: what a call is answered with, and why.

A call is looked at in this order:

- pacing, by the caller's address: 429 (`sandbox_pacing`)
- a fault at the edge (`sandbox_faults`)
- a POST without Content-Length: 411
- a signed call: its signature (`sandbox_oauth`); any other: no login, 401
- a path that does not exist: 404; another method than the path has: 405
- /iserver without a brokerage session, or with one without bridge: 400 (`sandbox_session`)
- the path itself (`sandbox_paths`, `sandbox_trades`)

All time is the given clock's. It shares no code with the connector: it is a second reading of the same protocol. Sources:
brokers.md part A.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property

from connectors.ibkr_portal.sandbox_asked import Asked
from connectors.ibkr_portal.sandbox_book import Account, Book, Execution
from connectors.ibkr_portal.sandbox_clock import Clock, wall_clock
from connectors.ibkr_portal.sandbox_faults import ABORTED_AFTER, EDGE, LOGIN_PAGE, Faults
from connectors.ibkr_portal.sandbox_oauth import LIVE_SESSION_TOKEN, OAuth, register
from connectors.ibkr_portal.sandbox_pacing import Pacing
from connectors.ibkr_portal.sandbox_paths import PASSWORD, USER_NAME, Paths
from connectors.ibkr_portal.sandbox_session import NEW_YORK, Refused, Session, bad_request
from connectors.ibkr_portal.sandbox_trader import invented_book, trade_at

HISTORY = timedelta(days=10)
JSON_TYPE = "application/json; charset=utf-8"
LOGIN_HTML = b"""<!DOCTYPE html><html><head><title>Client Portal gateway, sandbox: login</title></head><body>
<form method="post" action="/sso/Login"><input name="username"><input name="password" type="password">
<button>Login</button></form></body></html>"""


@dataclass(frozen=True, slots=True)
class Answer:
    body: bytes
    status: int = 200
    content_type: str = JSON_TYPE
    after_seconds: float = 0.0
    location: str = ""


@dataclass(frozen=True, slots=True)
class Call:
    """A line of the request log: what was asked when, how it was answered, and the fault at the edge that answered instead."""

    at: datetime
    method: str
    path: str
    params: Mapping[str, str]
    status: int
    fault: str | None = None


@dataclass
class Gateway:
    """The gateway: one login with its accounts, their book, the sessions, the limits, and the faults that are on.

    Signed calls, which IBKR takes at an address of its own, are taken here as well.
    """

    clock: Callable[[], datetime] = wall_clock
    seed: int = 7
    book: Book | None = None
    faults: Faults = field(default_factory=Faults)
    hang_seconds: float = 30.0
    refresh_seconds: float = 300.0
    trader: Callable[[datetime, Account, int], Execution] = trade_at  # how the customer trades when told to

    def __post_init__(self) -> None:
        self.now = self.clock if isinstance(self.clock, Clock) else Clock(self.clock)
        self.executions = self.book or invented_book(self.seed, (self.now() - HISTORY).astimezone(NEW_YORK).date())
        self.accounts: tuple[Account, ...] = self.executions.accounts
        self.session = Session(self.accounts[0].number)
        self.pacing = Pacing()
        self.log: list[Call] = []
        self._lock = threading.RLock()
        self._traded = 0
        refresh = timedelta(seconds=self.refresh_seconds)
        self._paths = Paths(self.executions, self.session, self.faults, refresh)

    @cached_property
    def oauth(self) -> OAuth:
        """Who may call with signed requests; keys are made once somebody wants them."""
        return OAuth(register(), self.faults)

    # -- how a call is judged ----------------------------------------------------------------------------------------

    def answer(self, asked: Asked) -> Answer:
        """Answer a call, and write it into the log."""
        with self._lock:
            now = self.now()
            answer, fault = self._judge(asked, now)
            self.log.append(Call(now, asked.method, asked.path, dict(asked.params), answer.status, fault))
            return answer

    def _judge(self, asked: Asked, now: datetime) -> tuple[Answer, str | None]:
        if not self.pacing.admits(asked.address, asked.path, now, is_signed=bool(asked.authorization)):
            return _json({"error": "Too many requests", "statusCode": 429}, 429), None
        fault = self.faults.any_of(EDGE, asked.path)
        try:
            if fault is not None and fault not in {"truncated_json", "hang"}:
                return self._fail(fault, asked, now), fault
            answer = _json(self._serve(asked, now))
        except Refused as refused:
            answer = _refusal(refused)
        if fault == "truncated_json":
            return Answer(answer.body[: len(answer.body) // 2], answer.status), fault
        if fault == "hang":
            return Answer(answer.body, answer.status, after_seconds=self.hang_seconds), fault
        return answer, fault

    def _fail(self, fault: str, asked: Asked, now: datetime) -> Answer:
        if fault == "http_401":
            raise self._unauthorized(asked)
        if fault == "http_429":
            self.pacing.box(asked.address, now)
        return {
            "http_429": _json({"error": "Too many requests", "statusCode": 429}, 429),
            "http_503": _json({"error": "Service Unavailable", "statusCode": 503}, 503),
            "http_503_empty": Answer(b"", 503, after_seconds=ABORTED_AFTER),
            "http_500": _json({"error": "Internal Server Error", "statusCode": 500}, 500),
            "error_in_200": _json({"error": "Unable to process the request"}),
            "login_page": Answer(LOGIN_HTML, 200, "text/html; charset=utf-8"),
            "redirect_to_login": Answer(b"", 302, "text/html; charset=utf-8", location=LOGIN_PAGE),
            "empty_body": Answer(b""),
        }[fault]

    def _serve(self, asked: Asked, now: datetime) -> object:
        if asked.method == "POST" and not asked.has_length:
            raise Refused(411, {"error": "Length Required", "statusCode": 411})
        if asked.path == LIVE_SESSION_TOKEN:
            return self.oauth.agree(asked, now)
        if asked.authorization:
            self.oauth.admit(asked, now)
            self.session.let_in(now)
        elif not self.session.logged_in(now):
            raise self._unauthorized(asked)
        path = self._paths.find(asked.path)
        if path is None:
            raise Refused(404, {"error": "Not Found", "statusCode": 404})
        if asked.method not in path.methods:
            raise Refused(405, {"error": "Method Not Allowed", "statusCode": 405})
        if path.needs_brokerage:
            self._require_bridge(asked, now)
            self.session.hear(now)
        if asked.authorization and asked.path == "/logout":
            self.oauth.log_out()
        return path.answer(asked, now)

    def _unauthorized(self, asked: Asked) -> Refused:
        if self.faults.strikes("unauthorized_empty", asked.path):
            return Refused(401, "")
        if self.faults.strikes("unauthorized_text", asked.path):
            return Refused(401, "Access Denied")
        return Refused(401, {"error": "not authenticated", "statusCode": 401})

    def _require_bridge(self, asked: Asked, now: datetime) -> None:
        session = self.session.brokerage(now)
        settling = "no_bridge_after_init" in self.faults and not self.session.settled(now)
        if session is not None and session.bridge and not settling:
            return
        if session is None and self.faults.strikes("init_session_first", asked.path):
            raise bad_request("Init session first")
        raise bad_request("Bad Request: no bridge")

    # -- what happens outside the protocol ---------------------------------------------------------------------------

    def log_in(self, name: str = USER_NAME, password: str = PASSWORD) -> bool:
        """Log in as a human does in the browser, and tell whether name and password were right."""
        with self._lock:
            if (name, password) != (USER_NAME, PASSWORD):
                return False
            self.session.log_in(self.now())
            return True

    def end_login(self) -> None:
        """End the login as IBKR does at midnight, or when it likes."""
        with self._lock:
            self.session.log_out()

    def trade_now(self, account: str | None = None) -> Execution:
        """Let the customer trade at this very second."""
        with self._lock:
            self._traded += 1
            chosen = next((each for each in self.accounts if each.number == account), self.accounts[0])
            trade = self.trader(self.now(), chosen, self._traded)
            self.executions.add(trade)
            return trade

    def tell_book(self) -> dict[str, dict[str, list[dict[str, object]]]]:
        """Tell every execution that stands by now, by account."""
        with self._lock:
            return {"ibkr_portal": self.executions.tell(self.now())}

    def calls(self, path: str) -> list[Call]:
        return [call for call in self.log if call.path == path]


def _json(value: object, status: int = 200) -> Answer:
    return Answer(json.dumps(value).encode(), status)


def _refusal(refused: Refused) -> Answer:
    if isinstance(refused.body, str):
        return Answer(refused.body.encode(), refused.status, "text/html; charset=utf-8")
    return _json(refused.body, refused.status)
