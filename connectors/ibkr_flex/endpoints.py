"""Build the two requests of the Flex Web Service v3, and decide which address may see the token.

https://www.ibkrguides.com/clientportal/performanceandstatements/flex3.htm
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from connectors.wire import Request, Window

BASE_URL = "https://ndcdyn.interactivebrokers.com/AccountManagement/FlexWebService"
HOSTS = frozenset({"ndcdyn.interactivebrokers.com", "gdcdyn.interactivebrokers.com"})
PATHS = ("/AccountManagement/FlexWebService/", "/Universal/servlet/")
USER_AGENT = "Fillhouse/0.1"  # mandatory, "Technology/Version"; without it the service refuses
QUESTION = "q"  # which query, or the reference of its statement
VERSION = "3"


@dataclass(frozen=True, slots=True)
class Credentials:
    """One Flex query of one login: the token is read-only by nature."""

    token: str = field(repr=False)
    query_id: str
    base_url: str = BASE_URL
    asks_dates: bool = True  # False: the query's stored period, for queries that hang with fd and td


def pace_key(credentials: Credentials) -> str:
    """Name what the service counts requests by, without giving the token away."""
    return "ibkr_flex-" + hashlib.sha256(credentials.token.encode()).hexdigest()[:16]


def send_request(credentials: Credentials, window: Window) -> Request:
    """Ask for a statement of the window's days, both ends inclusive on the wire."""
    dates = {"fd": f"{window.since:%Y%m%d}", "td": f"{window.last_day:%Y%m%d}"} if credentials.asks_dates else {}
    return _get("SendRequest", f"{credentials.base_url}/SendRequest", credentials, credentials.query_id, dates)


def get_statement(credentials: Credentials, reference: str, url: str = "") -> Request:
    """Ask for the statement behind a reference code, at `url` or at the documented address."""
    return _get("GetStatement", url or f"{credentials.base_url}/GetStatement", credentials, reference, {})


def query_param(credentials: Credentials) -> tuple[str, str]:
    """Name the query as `send_request` does."""
    return QUESTION, credentials.query_id


def may_be_trusted(url: str, base_url: str) -> bool:
    """Tell whether a returned address may see the token: one of IBKR's two hosts, or the configured service itself."""
    try:
        parts, base = urlsplit(url), urlsplit(base_url)
    except ValueError:
        return False
    if (parts.scheme, parts.netloc) == (base.scheme, base.netloc):
        return parts.path.startswith(base.path) or parts.path.startswith(PATHS)
    return parts.scheme == "https" and parts.netloc in HOSTS and parts.path.startswith(PATHS)


def _get(endpoint: str, url: str, credentials: Credentials, question: str, dates: dict[str, str]) -> Request:
    return Request(
        endpoint=endpoint,
        method="GET",
        url=url,
        params={"t": credentials.token, QUESTION: question, "v": VERSION, **dates},
        headers={"User-Agent": USER_AGENT},
        secret_params=frozenset({"t"}),
    )
