"""Just enough of a Kraken client to test the sandbox with; it moves the clock that its broker looks at."""

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator
from decimal import Decimal
from itertools import count
from typing import Any
from urllib.parse import urlencode

import httpx

from connectors.kraken.sandbox import API_KEY, API_SECRET
from tests.connectors.standing import FRIDAY_EVENING, Clock

NOW = int(FRIDAY_EVENING.timestamp())


class Caller:
    """It lets seven seconds pass before each call, enough for any tier's counter, unless told to hurry."""

    def __init__(self, base: str, clock: Clock, key: str = API_KEY, secret: str = API_SECRET) -> None:
        self.clock, self.key, self.secret = clock, key, secret
        self.http = httpx.Client(base_url=base, timeout=10)
        self.nonces: Iterator[int] = count(1_700_000_000_000)

    def send(
        self, method: str, *, nonce: object = None, wait: float = 7, as_json: bool = False, **params: Any
    ) -> httpx.Response:
        self.clock.pass_seconds(wait)
        fields = {"nonce": next(self.nonces) if nonce is None else nonce, **params}
        body = json.dumps(fields) if as_json else urlencode(fields)
        path = f"/0/private/{method}"
        digest = hashlib.sha256(f"{fields['nonce']}{body}".encode()).digest()
        signed = hmac.new(base64.b64decode(self.secret), path.encode() + digest, hashlib.sha512).digest()
        headers = {
            "API-Key": self.key,
            "API-Sign": base64.b64encode(signed).decode(),
            "Content-Type": "application/json" if as_json else "application/x-www-form-urlencoded",
        }
        return self.http.post(path, content=body, headers=headers)

    def ask(self, method: str, *, wait: float = 7, **params: Any) -> Any:
        """Give the result, numbers as decimals; fail on any error."""
        reply = json.loads(self.send(method, wait=wait, **params).text, parse_float=Decimal)
        assert reply["error"] == [], reply["error"]
        return reply["result"]

    def error(self, method: str, *, wait: float = 7, **params: Any) -> str:
        """Give the one error that a call is refused with, or nothing."""
        reply = self.send(method, wait=wait, **params)
        assert reply.status_code == 200
        errors: list[str] = reply.json()["error"]
        assert len(errors) <= 1 and ("result" in reply.json()) == (not errors)
        return errors[0] if errors else ""

    def public(self, method: str, **params: str) -> Any:
        reply = self.http.get(f"/0/public/{method}", params=params).json()
        assert reply["error"] == [], reply["error"]
        return reply["result"]

    def walk(self, method: str = "TradesHistory", rows: str = "trades", **params: Any) -> dict[str, dict[str, Any]]:
        """Bring home every page of a window, as a client must."""
        found: dict[str, dict[str, Any]] = {}
        for offset in count(0, 50):
            page = self.ask(method, ofs=offset, **params)[rows]
            found |= page
            if not page:
                return found
        raise AssertionError

    def trades(self, **params: Any) -> dict[str, dict[str, Any]]:
        """Bring home all trades at the finest grain, in base units."""
        fine = {"consolidate_taker": "false", "rebase_multiplier": "base", "ledgers": "true"}
        return self.walk(**(fine | params))

    def ledger(self, **params: Any) -> dict[str, dict[str, Any]]:
        return self.walk("Ledgers", "ledger", **({"rebase_multiplier": "base"} | params))


def ids(result: dict[str, Any], rows: str = "trades") -> list[str]:
    return list(result[rows])
