"""What can go wrong at the gateway, each thing by a name: a sick server, servers of another age, sessions that limp.

A fault may be limited to one path, to the next so many calls, and may begin only after some calls. It strikes at most once a call.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

ABORTED_AFTER = 10.0  # seconds after which the server gives a call up
LOGIN_PAGE = "/sso/Login?forwardTo=22&RL=1"

EDGE = {
    "http_503": "answers 503 with a JSON error",
    "http_503_empty": "answers 503 with nothing, after the ten seconds in which the server gave up",
    "http_500": "answers 500 with a JSON error",
    "http_401": "answers 401 although the login is good, in whatever shape a 401 has",
    "http_429": "answers 429 and puts the caller into the penalty box, though it kept to the limits",
    "error_in_200": "answers 200 with a JSON error",
    "login_page": "answers 200 with the HTML page of the login",
    "redirect_to_login": "answers 302, to the page of the login",
    "empty_body": "answers 200 with nothing",
    "hang": "answers only after `hang_seconds`",
    "truncated_json": "the call is served, and its JSON is cut in the middle",
}

FAULTS = {
    **EDGE,
    "unauthorized_empty": "a 401 has no body, instead of a JSON error",
    "unauthorized_text": "a 401 says `Access Denied`, instead of a JSON error",
    "init_session_first": "without a brokerage session the error is `Init session first`, instead of `no bridge`",
    "no_bridge_after_init": "for `settling_seconds` after a good init calls are still answered with `no bridge`",
    "slow_to_establish": "for `settling_seconds` after a good init `established` is false",
    "compete_false_refused": "an init that does not compete is refused even where nobody else is logged in",
    "tickle_fails": "tickle answers 200 with `failed to process request`",
    "bare_tickle": "tickle leaves out `ssoExpires`, `collission` and `userId`",
    "bare_status": "a status has no `message`, `fail`, `established` and `serverInfo`",
    "confirmed_logout": "logout answers `confirmed`, as older servers do",
    "accounts_first_500": "`Please query /accounts first` comes as a 500, instead of a 400",
    "all_accounts": "/iserver/accounts lists the pseudo account `All` too",
    "priming_per_account": "the first list of trades is empty after each switch of the account, not only of a session",
    "stale_trades": "the list of trades of a session is made anew only every `refresh_seconds`",
    "trades_in_object": "the list of trades comes inside an object, as `trades`",
    "items_in_object": "the list of trades comes inside an object, as `items`",
    "older_server": "trades have a `price` that is a number, a `conid` that is text, sides BOT and SLD, and fewer fields",
    "no_commissions": "no trade tells its commission",
}


@dataclass(slots=True)
class Fault:
    path: str | None
    calls_left: int | None
    calls_before: int


@dataclass(slots=True)
class Faults:
    """The faults that are switched on."""

    _on: dict[str, Fault] = field(default_factory=dict)

    @classmethod
    def of(cls, *names: str) -> Faults:
        faults = cls()
        for name in names:
            faults.on(name)
        return faults

    def on(self, name: str, *, path: str | None = None, calls: int | None = None, after: int = 0) -> None:
        """Switch a fault on: for one path (`/tickle`) or all, for so many calls or until switched off, `after` calls from now."""
        if name not in FAULTS:
            raise LookupError(f"no fault is called {name!r}")
        self._on[name] = Fault(path, calls, after)

    def off(self, name: str) -> None:
        self._on.pop(name, None)

    def clear(self) -> None:
        self._on.clear()

    def strikes(self, name: str, path: str) -> bool:
        """Tell whether this call suffers; to ask uses up one of the calls that the fault is limited to."""
        fault = self._on.get(name)
        if fault is None or fault.path not in {None, path}:
            return False
        if fault.calls_before > 0:
            fault.calls_before -= 1
            return False
        if fault.calls_left is not None:
            fault.calls_left -= 1
            if fault.calls_left <= 0:
                del self._on[name]
        return True

    def any_of(self, names: Iterable[str], path: str) -> str | None:
        """Name the first of these faults that strikes."""
        return next((name for name in names if self.strikes(name, path)), None)

    def __contains__(self, name: str) -> bool:
        return name in self._on

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._on))
