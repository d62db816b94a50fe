"""The gateway of the sandbox, without the wire: what a call is answered with, and why.

A call is looked at in this order:

- pacing, by the caller's address: 429 (`sandbox_pacing`)
- a fault at the edge (`sandbox_faults`)
- a POST without Content-Length: 411
- no login: 401; a path that does not exist: 404; another method than the path has: 405
- /iserver without a brokerage session, or with one without bridge: 400 (`sandbox_session`)
- the path itself: trades are in `sandbox_trades`

All time is the given clock's. It shares no code with the connector: it is a second reading of the same protocol. Sources:
brokers.md part A.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from connectors.ibkr_portal.sandbox_book import Account, Book, Execution
from connectors.ibkr_portal.sandbox_clock import Clock, wall_clock
from connectors.ibkr_portal.sandbox_faults import ABORTED_AFTER, EDGE, LOGIN_PAGE, Faults
from connectors.ibkr_portal.sandbox_pacing import Pacing
from connectors.ibkr_portal.sandbox_rows import (
    print_contract_info,
    print_iserver_accounts,
    print_portfolio_account,
    print_secdef,
)
from connectors.ibkr_portal.sandbox_session import (
    NEW_YORK,
    REFUSED_TO_COMPETE,
    Brokerage,
    Refused,
    Session,
    bad_request,
)
from connectors.ibkr_portal.sandbox_trader import invented_book, trade_at
from connectors.ibkr_portal.sandbox_trades import list_trades

USER_ID, USER_NAME, PASSWORD = 104729550, "sandbox77", "open-sesame"
HISTORY = timedelta(days=10)
MOST_CONIDS = 200
JSON_TYPE = "application/json; charset=utf-8"
LOGIN_HTML = b"""<!DOCTYPE html><html><head><title>Client Portal gateway, sandbox: login</title></head><body>
<form method="post" action="/sso/Login"><input name="username"><input name="password" type="password">
<button>Login</button></form></body></html>"""


@dataclass(frozen=True, slots=True)
class Asked:
    """A call as it reached the gateway; `path` begins after /v1/api."""

    method: str
    path: str
    params: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    address: str = "127.0.0.1"
    has_length: bool = True


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


@dataclass(frozen=True, slots=True)
class Path:
    methods: frozenset[str]
    answer: Callable[[Asked, datetime], object]
    needs_brokerage: bool = False


GET, POST, BOTH = frozenset({"GET"}), frozenset({"POST"}), frozenset({"GET", "POST"})


@dataclass
class Gateway:
    """The gateway: one login with its accounts, their book, the sessions, the limits, and the faults that are on."""

    clock: Callable[[], datetime] = wall_clock
    seed: int = 7
    book: Book | None = None
    faults: Faults = field(default_factory=Faults)
    hang_seconds: float = 30.0
    refresh_seconds: float = 300.0

    def __post_init__(self) -> None:
        self.now = self.clock if isinstance(self.clock, Clock) else Clock(self.clock)
        self.told = self.book or invented_book(self.seed, (self.now() - HISTORY).astimezone(NEW_YORK).date())
        self.accounts: tuple[Account, ...] = self.told.accounts
        self.session = Session(self.accounts[0].number)
        self.pacing = Pacing()
        self.log: list[Call] = []
        self._lock = threading.RLock()
        self._traded = 0
        self._paths = {
            "/iserver/auth/status": Path(BOTH, self._status),
            "/iserver/auth/ssodh/init": Path(POST, self._init),
            "/iserver/reauthenticate": Path(BOTH, self._reauthenticate),
            "/tickle": Path(BOTH, self._tickle),
            "/sso/validate": Path(GET, self._validate),
            "/logout": Path(BOTH, self._log_out),
            "/portfolio/accounts": Path(GET, self._portfolio_accounts),
            "/portfolio/subaccounts": Path(GET, self._portfolio_accounts),
            "/trsrv/secdef": Path(GET, self._secdef),
            "/iserver/accounts": Path(GET, self._accounts, needs_brokerage=True),
            "/iserver/account": Path(POST, self._switch, needs_brokerage=True),
            "/iserver/account/trades": Path(GET, self._trades, needs_brokerage=True),
            "/iserver/contract/{conid}/info": Path(GET, self._contract_info, needs_brokerage=True),
        }

    # -- how a call is judged ----------------------------------------------------------------------------------------

    def answer(self, asked: Asked) -> Answer:
        """Answer a call, and write it into the log."""
        with self._lock:
            now = self.now()
            answer, fault = self._judge(asked, now)
            self.log.append(Call(now, asked.method, asked.path, dict(asked.params), answer.status, fault))
            return answer

    def _judge(self, asked: Asked, now: datetime) -> tuple[Answer, str | None]:
        if not self.pacing.admits(asked.address, asked.path, now):
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
        if not self.session.logged_in(now):
            raise self._unauthorized(asked)
        path = self._paths.get(asked.path)
        if path is None and asked.path.startswith("/iserver/contract/") and asked.path.endswith("/info"):
            path = self._paths["/iserver/contract/{conid}/info"]
        if path is None:
            raise Refused(404, {"error": "Not Found", "statusCode": 404})
        if asked.method not in path.methods:
            raise Refused(405, {"error": "Method Not Allowed", "statusCode": 405})
        if path.needs_brokerage:
            self._require_bridge(asked, now)
            self.session.hear(now)
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

    def _brokerage(self, now: datetime) -> Brokerage:
        session = self.session.brokerage(now)
        assert session is not None
        return session

    def _primed(self, asked: Asked, now: datetime) -> Brokerage:
        session = self._brokerage(now)
        if not session.accounts_asked:
            status = 500 if self.faults.strikes("accounts_first_500", asked.path) else 400
            raise bad_request("Bad Request: Please query /accounts first", status)
        return session

    # -- sessions ----------------------------------------------------------------------------------------------------

    def _told_status(self, asked: Asked, now: datetime) -> dict[str, object]:
        established = "slow_to_establish" not in self.faults or self.session.settled(now)
        status = self.session.status(now, established=established)
        if self.faults.strikes("bare_status", asked.path):
            return {name: status[name] for name in ("authenticated", "competing", "connected", "MAC")}
        return status

    def _status(self, asked: Asked, now: datetime) -> object:
        return self._told_status(asked, now)

    def _init(self, asked: Asked, now: datetime) -> object:
        told = _read_object(asked.body)
        flags = {**asked.params, **(told or {})}
        if flags.get("publish") not in {True, "true"}:
            raise Refused(500, {"error": "publish must be true", "statusCode": 500})
        compete = flags.get("compete") in {True, "true"}
        refused = not compete and self.faults.strikes("compete_false_refused", asked.path)
        passed = not refused and self.session.init(now, compete=compete, has_body=told is not None)
        answer = {"passed": passed, **self._told_status(asked, now)}
        return answer if passed else {**answer, "fail": REFUSED_TO_COMPETE}

    def _reauthenticate(self, _: Asked, now: datetime) -> object:
        self.session.reauthenticate(now)
        return {"message": "triggered"}

    def _tickle(self, asked: Asked, now: datetime) -> object:
        if self.faults.strikes("tickle_fails", asked.path):
            return {"error": "failed to process request"}
        self.session.hear(now)
        more = {
            "ssoExpires": self.session.sso_expires(now),
            "collission": self.session.tws_holds,
            "userId": USER_ID,
        }
        return {
            "session": self.session.token(),
            **({} if self.faults.strikes("bare_tickle", asked.path) else more),
            "hmds": {"error": "no bridge"},
            "iserver": {"authStatus": self._told_status(asked, now)},
        }

    def _validate(self, asked: Asked, now: datetime) -> object:
        since = self.session.logged_in_at
        return {
            "USER_ID": USER_ID,
            "USER_NAME": USER_NAME,
            "RESULT": True,
            "AUTH_TIME": int(since.timestamp() * 1000),
            "SF_ENABLED": False,
            "IS_FREE_TRIAL": False,
            "CREDENTIAL": USER_NAME,
            "IP": asked.address,
            "EXPIRES": self.session.sso_expires(now),
            "QUALIFIED_FOR_MOBILE_AUTH": None,
            "LANDING_APP": "UNIVERSAL",
            "IS_MASTER": False,
            "lastAccessed": int(now.timestamp() * 1000),
            "loginType": 1,
            "PAPER_USER_NAME": "",
            "features": {"env": "PROD", "wlms": True, "realtime": True, "bond": True, "optionChains": True},
            "region": "NJ",
        }

    def _log_out(self, asked: Asked, _: datetime) -> object:
        self.session.log_out()
        return {"confirmed" if self.faults.strikes("confirmed_logout", asked.path) else "status": True}

    # -- accounts, trades, contracts ---------------------------------------------------------------------------------

    def _accounts(self, asked: Asked, now: datetime) -> object:
        session = self._brokerage(now)
        session.accounts_asked = True
        return print_iserver_accounts(
            self.accounts, session, with_all=self.faults.strikes("all_accounts", asked.path)
        )  # fmt: skip

    def _switch(self, asked: Asked, now: datetime) -> object:
        session = self._primed(asked, now)
        wanted = (_read_object(asked.body) or {}).get("acctId")
        if wanted == session.selected:
            return {"success": "Account already set"}
        if wanted not in {account.number for account in self.accounts}:
            raise Refused(500, {"error": "Invalid account ID"})
        session.selected = str(wanted)
        if "priming_per_account" in self.faults:
            session.primed = False
        return {"set": True, "acctId": wanted}

    def _trades(self, asked: Asked, now: datetime) -> object:
        session = self._primed(asked, now)
        rows = list_trades(self.told, session, asked.params, now, self.faults, timedelta(seconds=self.refresh_seconds))
        if self.faults.strikes("trades_in_object", asked.path):
            return {"trades": rows}
        if self.faults.strikes("items_in_object", asked.path):
            return {"items": rows}
        return rows

    def _portfolio_accounts(self, _: Asked, __: datetime) -> object:
        return [print_portfolio_account(account) for account in self.accounts]

    def _secdef(self, asked: Asked, now: datetime) -> object:
        wanted = [text.strip() for text in asked.params.get("conids", "").split(",") if text.strip()]
        if not wanted or not all(text.isdecimal() for text in wanted):
            raise bad_request("Bad Request: conids is missing or invalid")
        if len(wanted) > MOST_CONIDS:
            raise bad_request("Bad Request: too many conids")
        known = self.told.contracts(now)
        return {"secdef": [print_secdef(known[int(text)]) for text in dict.fromkeys(wanted) if int(text) in known]}

    def _contract_info(self, asked: Asked, now: datetime) -> object:
        conid = asked.path.split("/")[3]
        contract = self.told.contracts(now).get(int(conid)) if conid.isdecimal() else None
        if contract is None:
            raise Refused(500, {"error": "Invalid conid", "statusCode": 500})
        return print_contract_info(contract)

    # -- what happens outside the protocol ---------------------------------------------------------------------------

    def log_in(self, name: str = USER_NAME, password: str = PASSWORD) -> bool:
        """Log in as a human does in the browser, and tell whether name and password were right."""
        with self._lock:
            if (name, password) != (USER_NAME, PASSWORD):
                return False
            self.session.log_in(self.now())
            return True

    def trade_now(self, account: str | None = None) -> Execution:
        """Let the customer trade at this very second."""
        with self._lock:
            self._traded += 1
            chosen = next((each for each in self.accounts if each.number == account), self.accounts[0])
            trade = trade_at(self.now(), chosen, self._traded)
            self.told.add(trade)
            return trade

    def tell_book(self) -> dict[str, dict[str, list[dict[str, object]]]]:
        """Tell every execution that stands by now, by account."""
        with self._lock:
            return {"ibkr_portal": self.told.tell(self.now())}

    def calls(self, path: str) -> list[Call]:
        return [call for call in self.log if call.path == path]


def _json(value: object, status: int = 200) -> Answer:
    return Answer(json.dumps(value).encode(), status)


def _refusal(refused: Refused) -> Answer:
    if isinstance(refused.body, str):
        return Answer(refused.body.encode(), refused.status, "text/html; charset=utf-8")
    return _json(refused.body, refused.status)


def _read_object(body: bytes) -> dict[str, object] | None:
    try:
        told = json.loads(body)
    except ValueError:
        return None
    return told if isinstance(told, dict) else None
