"""Build the requests of the Client Portal Web API. None of them trades.

https://www.interactivebrokers.com/campus/ibkr-api-page/cpapi-v1/
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from connectors.ibkr_portal import dialect, oauth
from connectors.ibkr_portal.access import GATEWAY, SIGNED, Access
from connectors.ibkr_portal.maintenance import NORTH_AMERICA, Maintenance
from connectors.ibkr_portal.oauth import Consumer, LiveSession
from connectors.wire import Request

BASE_URL = "https://localhost:5000/v1/api"
OAUTH_BASE_URL = "https://api.ibkr.com/v1/api"
HEADERS = {"User-Agent": "Fillhouse/0.1", "Accept": "*/*"}
MOST_CONIDS = 200


@dataclass(frozen=True, slots=True)
class Credentials:
    """One gateway that somebody logs in to with a browser: there is no key, the session is the credential.

    Or, with a `consumer`, IBKR itself: each request is signed, and nobody logs in.
    """

    base_url: str = BASE_URL
    accounts: tuple[str, ...] = ()  # those to read; none named: all under the login
    may_compete: bool = False  # whether a session may be taken from TWS or the mobile app
    certificate: Path | None = None  # the gateway's own, which it is known by
    maintenance: tuple[Maintenance, ...] = NORTH_AMERICA
    consumer: Consumer | None = None
    session: LiveSession | None = field(default=None, repr=False)  # what the consumer signs with, once it has signed in
    unusable: str = ""  # why nothing can be asked with what is set

    @property
    def access(self) -> Access:
        """Tell how one gets in, in words."""
        return SIGNED if self.consumer else GATEWAY


def pace_key(credentials: Credentials) -> str:
    """Name what IBKR counts requests by: the address they come from, whatever the login; with OAuth, the username."""
    if credentials.consumer is None:
        return "ibkr_portal"
    known_by = f"{credentials.consumer.consumer_key} {credentials.consumer.access_token}"
    return "ibkr_portal-" + hashlib.sha256(known_by.encode()).hexdigest()[:16]


def live_session_token(credentials: Credentials, consumer: Consumer, exponent: int) -> Request:
    """Ask to agree on a live session token. The answer is half of a secret."""
    url = f"{credentials.base_url}/oauth/live_session_token"
    request = Request("live_session_token", "POST", url, headers=HEADERS, secret_reply=True)
    return oauth.asking(consumer, request, exponent)


def auth_status(credentials: Credentials) -> Request:
    """Ask how the brokerage session is. The answer names the machine (its MAC address)."""
    return _post(credentials, "auth_status", "/iserver/auth/status", secret_reply=True)


def ssodh_init(credentials: Credentials, *, compete: bool) -> Request:
    """Open the brokerage session; `compete` takes it from whatever else may turn out to hold it."""
    return _opening(credentials, "ssodh_init", compete=compete)


def ssodh_takeover(credentials: Credentials) -> Request:
    """Take the brokerage session from who is known to hold it: the same call by another name, which is counted by itself."""
    return _opening(credentials, "ssodh_takeover", compete=True)


def sso_validate(credentials: Credentials) -> Request:
    """Ask whether the browser's login still holds. Once a minute. The answer names its user and address."""
    return _get(credentials, "sso_validate", "/sso/validate", secret_reply=True)


def tickle(credentials: Credentials) -> Request:
    """Keep the brokerage session alive. The answer holds the session's cookie."""
    return _post(credentials, "tickle", "/tickle", secret_reply=True)


def accounts(credentials: Credentials) -> Request:
    """Ask for the accounts under the login, which primes a session for all else. The answer holds the session's id."""
    return _get(credentials, "accounts", "/iserver/accounts", secret_reply=True)


def switch_account(credentials: Credentials, account: str) -> Request:
    """Select an account; the selection is the session's, so nobody else may ask meanwhile."""
    return _post(credentials, "switch_account", "/iserver/account", {"acctId": account})


def trades(credentials: Credentials, account: str) -> Request:
    """Ask for an account's executions of the last days. Once in five seconds."""
    params = {"days": str(dialect.DAYS), "accountId": account}
    return _get(credentials, "trades", "/iserver/account/trades", params)


def secdef(credentials: Credentials, conids: Sequence[str]) -> Request:
    """Ask what at most 200 contracts are."""
    return _get(credentials, "secdef", "/trsrv/secdef", {"conids": ",".join(conids)})


def _opening(credentials: Credentials, endpoint: str, *, compete: bool) -> Request:
    said = {"publish": True, "compete": compete}
    return _post(credentials, endpoint, "/iserver/auth/ssodh/init", said, secret_reply=True)


def _get(
    credentials: Credentials,
    endpoint: str,
    path: str,
    params: dict[str, str] | None = None,
    *,
    secret_reply: bool = False,
) -> Request:
    url = credentials.base_url + path
    request = Request(endpoint, "GET", url, params=params or {}, headers=HEADERS, secret_reply=secret_reply)
    return _let_in(credentials, request)


def _post(
    credentials: Credentials,
    endpoint: str,
    path: str,
    said: Mapping[str, object] | None = None,
    *,
    secret_reply: bool = False,
) -> Request:
    headers = HEADERS if said is None else {**HEADERS, "Content-Type": "application/json"}
    body = b"" if said is None else json.dumps(said).encode()
    url = credentials.base_url + path
    request = Request(endpoint, "POST", url, headers=headers, body=body, secret_reply=secret_reply)
    return _let_in(credentials, request)


def _let_in(credentials: Credentials, request: Request) -> Request:
    """Sign a request where that is how one gets in; before, one must have signed in."""
    if credentials.consumer is None:
        return request
    if credentials.session is None:
        message = f"{request.endpoint} cannot be signed before a live session token was agreed on."
        raise ValueError(message)
    return oauth.signed(credentials.consumer, request, credentials.session)
