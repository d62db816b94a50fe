"""Just enough of a gateway's client to test the sandbox with: it lets six seconds pass before each call, unless told to hurry."""

from datetime import UTC, datetime
from typing import Any

import httpx

from connectors.ibkr_portal.sandbox import PASSWORD, USER_NAME, Clock, Running

THURSDAY_EVENING = datetime(2026, 3, 5, 21, 30, tzinfo=UTC)  # 16:30 in New York
TRADES = "/iserver/account/trades"


class Caller:
    def __init__(self, where: Running, clock: Clock) -> None:
        self.where, self.clock = where, clock
        self.http = httpx.Client(base_url=where.base_url, verify=str(where.ca_file), timeout=10)

    def get(self, path: str, *, wait: float = 6, **params: Any) -> httpx.Response:
        self.clock.advance(wait)
        return self.http.get(path, params=params)

    def post(self, path: str, told: object = None, *, wait: float = 6) -> httpx.Response:
        self.clock.advance(wait)
        return self.http.post(path, json=told) if told is not None else self.http.post(path)

    def log_in(self, name: str = USER_NAME, password: str = PASSWORD) -> str:
        """Log in through the page, and give the text of the page that follows."""
        form = {"username": name, "password": password}
        return self.http.post(f"{self.where.root_url}/sso/Login", data=form, follow_redirects=True).text

    def init(self, *, compete: bool = False) -> Any:
        return self.post("/iserver/auth/ssodh/init", {"publish": True, "compete": compete}).json()

    def status(self) -> Any:
        return self.post("/iserver/auth/status").json()

    def get_ready(self) -> None:
        """Open all that must be open before trades can be read."""
        self.log_in()
        assert self.init()["passed"]
        assert self.get("/iserver/accounts").status_code == 200
        assert self.get(TRADES, days=7).json() == []

    def trades(self, account: str, **params: Any) -> Any:
        """Select an account and list its trades."""
        assert self.post("/iserver/account", {"acctId": account}).status_code == 200
        asked: dict[str, Any] = {"accountId": account, "days": 7} | params
        return self.get(TRADES, **asked).json()

    def control(self, what: str, **params: Any) -> Any:
        return self.http.post(f"{self.where.root_url}/sandbox/{what}", params=params).json()

    def look(self, what: str) -> Any:
        return self.http.get(f"{self.where.root_url}/sandbox/{what}").json()
