"""The Kraken broker of the sandbox, without the wire: what a private or public call is answered with, and why.

A private call is looked at in this order:

- the edge: a delay for jitter, Cloudflare pages (faults `http_5xx`, `html_page`) before Kraken sees anything
- a body that is neither form nor JSON object: `EAPI:Bad request`; no such method, or no POST: `EGeneral:Unknown method`
- admission: lockout, key, nonce, signature, second factor, counter, permissions (`sandbox_admission`)
- an error ordered by name (`sandbox_faults`), then the method itself (`sandbox_history`, `sandbox_exports`)

Answers are `{"error": [...], "result": ...}` inside an HTTP 200, whatever goes wrong. Ledgers, TradesHistory, QueryLedgers and
QueryTrades cost 2, everything else 1; public methods cost nothing and have, if wanted, a limiter of their own.

All time is the injected clock's, so the sandbox runs as fast as its client's clock; only `jitter_seconds` and `hang_seconds` are
really slept. It shares no code with the connector: it is a second reading of the same protocol. Sources: brokers.md part C.
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from email.utils import format_datetime
from random import Random
from urllib.parse import parse_qsl

from connectors.kraken.sandbox_account import Account
from connectors.kraken.sandbox_admission import Admission, Credentials, Key, tell_key
from connectors.kraken.sandbox_book import Row, tell
from connectors.kraken.sandbox_exports import Exports
from connectors.kraken.sandbox_faults import EDGE_STATUS, ERRORS, Faults, Refused
from connectors.kraken.sandbox_history import Archive
from connectors.kraken.sandbox_market import list_assets, list_pairs
from connectors.kraken.sandbox_trader import Trader
from connectors.kraken.sandbox_wire import EPOCH, ticks, to_json

API_KEY = "fillhouse-sandbox/reader-of-everything"
API_SECRET = "c2FuZGJveCBzZWNyZXQsIHdvcnRoIG5vdGhpbmcsIHNpeHR5LWZvdXIgYnl0ZXMgbG9uZyBhcyBLcmFrZW4ncw=="
TRADES_ONLY_KEY = "fillhouse-sandbox/reader-of-trades"
OTP_KEY = "fillhouse-sandbox/reader-with-second-factor"
OTP = "correct-horse"
TOTP_KEY = "fillhouse-sandbox/reader-with-authenticator-app"
TOTP_SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
ACCOUNT = "main"  # Kraken names none; this is what the connection calls it unless told otherwise

TOKEN_EXPIRES = 900
THROTTLED_FOR = timedelta(seconds=30)
CLOUDFLARE = (
    b'<!DOCTYPE html>\n<html lang="en-US"><head><title>api.kraken.com | Web server is returning an unknown error</title></head>'
    b"<body><h1>Web server is returning an unknown error</h1><p>Cloudflare Ray ID: 8f0000000000cafe</p></body></html>"
)
JSON_TYPE = "application/json; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Method:
    """What a private method costs and which of a key's permissions it needs."""

    cost: int
    permissions: frozenset[str]


METHODS = {
    "TradesHistory": Method(2, frozenset({"trades"})),
    "QueryTrades": Method(2, frozenset({"trades"})),
    "Ledgers": Method(2, frozenset({"ledgers"})),
    "QueryLedgers": Method(2, frozenset({"ledgers"})),
    "OpenPositions": Method(1, frozenset({"orders"})),
    "Balance": Method(1, frozenset({"funds"})),
    "BalanceEx": Method(1, frozenset({"funds"})),
    "AddExport": Method(1, frozenset({"export"})),
    "ExportStatus": Method(1, frozenset({"export"})),
    "RetrieveExport": Method(1, frozenset({"export"})),
    "RemoveExport": Method(1, frozenset({"export"})),
    "GetWebSocketsToken": Method(1, frozenset({"websocket"})),
    "GetApiKeyInfo": Method(1, frozenset()),
}


@dataclass(frozen=True, slots=True)
class Asked:
    """A private call as it reached the sandbox."""

    method: str
    path: str
    key: str
    signature: str
    content_type: str
    body: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    body: bytes
    status: int = 200
    content_type: str = JSON_TYPE
    after_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Call:
    """A line of the request log: what it was refused with, the key's counter after it, and the fault that answered instead."""

    method: str
    key: str
    params: Mapping[str, str]
    at: datetime
    error: str | None
    counter: Decimal
    fault: str | None = None


def wall_clock() -> datetime:
    return datetime.now(UTC)


def own_keys(tier: str = "starter") -> dict[str, Key]:
    """Give the keys that the sandbox comes with; taking one out of the broker's dict revokes it."""
    return {
        API_KEY: Key(API_SECRET, tier),
        TRADES_ONLY_KEY: Key(API_SECRET, tier, frozenset({"trades", "orders"})),
        OTP_KEY: Key(API_SECRET, tier, otp=OTP),
        TOTP_KEY: Key(API_SECRET, tier, totp_secret=TOTP_SECRET),
    }


@dataclass
class KrakenBroker:
    """The broker: keys, one account with its past and its arrivals, exports, and the faults that are on.

    The past ends where `past_ends` says, or now; from there on `arrivals_per_second` orders arrive. To start again with the same
    seed and the same `past_ends` is to have the same account again.
    """

    clock: Callable[[], datetime] = wall_clock
    seed: int = 7
    trades: int = 1000
    years: int = 3
    past_ends: datetime | None = None
    arrivals_per_second: float = 0.0
    keys: dict[str, Key] = field(default_factory=own_keys)
    faults: Faults = field(default_factory=Faults)
    multipliers: dict[str, Decimal] = field(default_factory=lambda: {"TSLAx": Decimal(3), "AAPLx": Decimal("1.0042")})
    export_queued_seconds: float = 5.0
    export_processed_seconds: float = 20.0
    export_grain: str = "fine"
    export_layout: str = "new"
    bomb_megabytes: int = 256
    late_seconds: float = 90.0
    jitter_seconds: float = 0.0
    hang_seconds: float = 30.0
    public_calls_per_second: float | None = None

    def __post_init__(self) -> None:
        started = self.past_ends or self.clock()
        self.log: list[Call] = []
        self.requests: Counter[str] = Counter()
        self.tokens: dict[str, datetime] = {}
        self.account = Account(self.seed)
        self.admission = Admission(self.keys)
        self._lock = threading.RLock()
        self._chance = Random(f"{self.seed}/edge")
        self._last_public: dict[str, datetime] = {}
        self._trader = Trader(self.account, self.seed)
        self._trader.live_through(started - timedelta(days=365 * self.years), started, self.trades)
        self._seen_until = started
        self.archive = Archive(self.account, self.faults, self.multipliers, timedelta(seconds=self.late_seconds))
        self.exports = Exports(
            self.account, self.faults, timedelta(seconds=self.export_queued_seconds),
            timedelta(seconds=self.export_processed_seconds), self.export_grain, self.export_layout,
            self.bomb_megabytes, self.seed,
        )  # fmt: skip
        self._answers: dict[str, Callable[[Mapping[str, str], datetime], object]] = {
            "TradesHistory": self.archive.trades_history,
            "QueryTrades": self.archive.query_trades,
            "Ledgers": self.archive.ledgers,
            "QueryLedgers": self.archive.query_ledgers,
            "OpenPositions": self.archive.open_positions,
            "Balance": self.archive.balance,
            "BalanceEx": self.archive.extended_balance,
            "AddExport": self.exports.add,
            "ExportStatus": self.exports.status,
            "RetrieveExport": self.exports.retrieve,
            "RemoveExport": self.exports.remove,
            "GetWebSocketsToken": self._new_token,
        }

    # -- private methods ---------------------------------------------------------------------------------------------

    def private(self, asked: Asked) -> Answer:
        """Answer a private call, and write it into the log."""
        with self._lock:
            self.requests[asked.method] += 1
            now = self.clock()
            self._let_arrive(now)
            if (failing := self._failing_edge(asked.method)) is not None:
                self._write_down(asked, {}, now, None, failing)
                return _edge_page(failing)
            params: dict[str, str] = {}
            error = fault = None
            try:
                params = _read_params(asked)
                result = self._result(asked, params, now)
                warnings = ["WGeneral:Deprecated parameter"] if self.faults.strikes("warning", asked.method) else []
            except Refused as refused:
                error, fault = refused.error, refused.fault
                result, warnings = None, []
            self._write_down(asked, params, now, error, fault)
            if isinstance(result, bytes):
                return self._spoiled(asked.method, Answer(result, content_type="application/octet-stream"))
            reply = {"error": [error]} if error else {"error": warnings, "result": result}
            return self._spoiled(asked.method, Answer(to_json(reply).encode()))

    def _result(self, asked: Asked, params: Mapping[str, str], now: datetime) -> object:
        rule = METHODS.get(asked.method)
        if rule is None:
            raise Refused("EGeneral:Unknown method")
        needed = rule.permissions
        if "export" in needed and params.get("report") in {"trades", "ledgers"}:
            needed |= {params["report"]}  # to export trades a key must be allowed to read trades
        shown = Credentials(
            asked.key, asked.signature, asked.path, asked.body, params.get("nonce", ""), params.get("otp", "")
        )
        self.admission.admit(shown, rule.cost, needed, now)
        if (ordered := self.faults.any_of(ERRORS, asked.method)) is not None:
            until = int((now + THROTTLED_FOR - EPOCH).total_seconds())
            raise Refused(ERRORS[ordered].format(until=until), ordered)
        if asked.method == "GetApiKeyInfo":
            return tell_key(asked.key, self.keys[asked.key], int(params["nonce"]), now)
        return self._answers[asked.method](_bounded(asked.method, params, self.keys[asked.key]), now)

    def _write_down(
        self, asked: Asked, params: Mapping[str, str], now: datetime, error: str | None, fault: str | None
    ) -> None:
        level = self.admission.level(asked.key, now) if asked.key in self.keys else Decimal(0)
        shown = {name: text for name, text in params.items() if name not in {"nonce", "otp"}}
        self.log.append(Call(asked.method, asked.key, shown, now, error, level, fault))

    def _new_token(self, _: Mapping[str, str], now: datetime) -> dict[str, object]:
        token = "".join(self._chance.choices("abcdefghijklmnopqrstuvwxyz0123456789", k=40))
        self.tokens[token] = now + timedelta(seconds=TOKEN_EXPIRES)
        return {"token": token, "expires": TOKEN_EXPIRES}

    # -- public methods ----------------------------------------------------------------------------------------------

    def public(self, method: str, params: Mapping[str, str], address: str) -> Answer:
        with self._lock:
            self.requests[method] += 1
            if (failing := self._failing_edge(method)) is not None:
                return _edge_page(failing)
            now = self.clock()
            try:
                self._pace_public(address, now)
                result = self._public_result(method, params, now)
            except Refused as refused:
                return self._spoiled(method, Answer(to_json({"error": [refused.error]}).encode()))
            return self._spoiled(method, Answer(to_json({"error": [], "result": result}).encode()))

    def _public_result(self, method: str, params: Mapping[str, str], now: datetime) -> object:
        if method == "Time":
            return {"unixtime": int((now - EPOCH).total_seconds()), "rfc1123": format_datetime(now.astimezone(UTC))}
        if method == "SystemStatus":
            return {"status": "online", "timestamp": f"{now.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"}
        if method == "Assets":
            return list_assets(params)
        if method == "AssetPairs":
            return list_pairs(params)
        raise Refused("EGeneral:Unknown method")

    def _pace_public(self, address: str, now: datetime) -> None:
        before = self._last_public.get(address)
        pause = 1 / self.public_calls_per_second if self.public_calls_per_second else 0.0
        if before is not None and now - before < timedelta(seconds=pause):
            raise Refused("EGeneral:Too many requests")
        self._last_public[address] = now

    # -- the edge ----------------------------------------------------------------------------------------------------

    def _failing_edge(self, method: str) -> str | None:
        """Name the fault by which a call never reaches Kraken."""
        return self.faults.any_of((*EDGE_STATUS, "html_page"), method)

    def _spoiled(self, method: str, answer: Answer) -> Answer:
        """Let what was served come out wrong, or late."""
        body = answer.body
        if self.faults.strikes("empty_body", method):
            body = b""
        elif self.faults.strikes("truncated_json", method):
            body = body[: len(body) // 2]
        after = self.hang_seconds if self.faults.strikes("hang", method) else 0.0
        return Answer(body, answer.status, answer.content_type, after)

    def jitter(self) -> float:
        """Draw how long the edge holds the next request, so that calls made at once may overtake one another."""
        return self._chance.uniform(0, self.jitter_seconds) if self.jitter_seconds else 0.0

    # -- what happens to the account ---------------------------------------------------------------------------------

    def trade_now(self, trades: int = 1) -> None:
        """Let the customer trade at this very instant."""
        with self._lock:
            now = self.clock()
            self._let_arrive(now)
            self._trader.trade_now(now, trades)

    def book(self) -> dict[str, dict[str, list[Row]]]:
        """Tell every execution that stands by now, by account (see `sandbox_book`)."""
        with self._lock:
            now = self.clock()
            self._let_arrive(now)
            return {"kraken": {ACCOUNT: tell(self.account, ticks(now))}}

    @property
    def rate_limit_refusals(self) -> list[Call]:
        """Give the calls that the counter refused; those that a fault was ordered for do not count."""
        return [call for call in self.log if call.error == "EAPI:Rate limit exceeded" and call.fault is None]

    def high_water(self, key: str = API_KEY) -> Decimal:
        """Tell the highest level that a key's counter had when a call was served."""
        return self.admission.counters[key].high_water

    def _let_arrive(self, now: datetime) -> None:
        self._trader.go_on(self._seen_until, now, self.arrivals_per_second)
        self._seen_until = max(self._seen_until, now)


def _bounded(method: str, params: Mapping[str, str], key: Key) -> Mapping[str, str]:
    """Let a list begin and end where its key's queries do (undocumented: what is outside could be refused instead)."""
    if method not in {"TradesHistory", "Ledgers"} or not (key.query_from or key.query_to):
        return params
    start, end = params.get("start") or "0", params.get("end") or str(2**33)
    return {
        **params,
        "start": str(max(int(start), key.query_from - 1)) if start.isdecimal() else start,
        "end": str(min(int(end), key.query_to or 2**33)) if end.isdecimal() else end,
    }


def _edge_page(fault: str) -> Answer:
    return Answer(CLOUDFLARE, EDGE_STATUS.get(fault, 200), "text/html; charset=UTF-8")


def _read_params(asked: Asked) -> dict[str, str]:
    """Read a form or a JSON object; a list, or a name given several times, is its items with commas between."""
    if "json" in asked.content_type:
        try:
            told = json.loads(asked.body, parse_float=str)
        except ValueError:
            raise Refused("EAPI:Bad request") from None
        if not isinstance(told, dict):
            raise Refused("EAPI:Bad request")
        return {name: _as_text(value) for name, value in told.items() if value is not None}
    params: dict[str, str] = {}
    for name, text in parse_qsl(asked.body.decode("utf-8", "replace"), keep_blank_values=True):
        params[name] = f"{params[name]},{text}" if name in params else text
    return params


def _as_text(value: object) -> str:
    if isinstance(value, list):
        return ",".join(map(_as_text, value))
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)
