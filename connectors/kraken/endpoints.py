"""Build Kraken's requests. A private one is signed when it is sent: its nonce must be the latest of its key.

https://docs.kraken.com/api/docs/guides/spot-rest-auth
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from urllib.parse import urlencode, urlsplit

from connectors.kraken import totp
from connectors.wire import Request

BASE_URL = "https://api.kraken.com"
USER_AGENT = "Fillhouse/0.1"
TOKENISED = "tokenized_asset"


class Tier(StrEnum):
    """How much a key may ask: Kraken does not tell, the user does."""

    STARTER = "starter"
    INTERMEDIATE = "intermediate"
    PRO = "pro"


@dataclass(frozen=True, slots=True)
class Credentials:
    """One API key. It needs to query closed orders and trades and ledger entries, and to export data; nothing else."""

    api_key: str = field(repr=False)
    api_secret: str = field(repr=False)
    otp: str = field(default="", repr=False)  # the key's own second factor, where that is a password
    tier: Tier = Tier.STARTER
    account: str = "main"  # Kraken names none
    base_url: str = BASE_URL
    totp_secret: str = field(default="", repr=False)  # and where it is an authenticator app

    def __post_init__(self) -> None:
        try:
            base64.b64decode(self.api_secret, validate=True)
        except binascii.Error:
            message = "The API secret is not whole: Kraken's are base64, 88 characters that end in '=='."
            raise ValueError(message) from None
        if self.totp_secret:
            totp.key_of(self.totp_secret)
        if self.otp and self.totp_secret:
            message = "The key has one second factor: a password or an authenticator app, not both."
            raise ValueError(message)

    def second_factor(self, moment: float) -> dict[str, str]:
        """Give what a request shows besides key and signature, by Kraken's clock (seconds since 1970)."""
        otp = totp.code_at(self.totp_secret, moment) if self.totp_secret else self.otp
        return {"otp": otp} if otp else {}


def pace_key(credentials: Credentials) -> str:
    """Name what Kraken counts requests by, without giving the key away."""
    return "kraken-" + hashlib.sha256(credentials.api_key.encode()).hexdigest()[:16]


def server_time(credentials: Credentials) -> Request:
    """Ask what time it is at Kraken."""
    return _public(credentials, "Time", {})


def assets(credentials: Credentials, **options: str) -> Request:
    """Ask how assets are named; `assetVersion="1"` gives the modern names, `aclass` another class."""
    return _public(credentials, "Assets", options)


def asset_pairs(credentials: Credentials, **options: str) -> Request:
    """Ask which pairs there are; `aclass_base="tokenized_asset"` gives those that are not in the plain listing."""
    return _public(credentials, "AssetPairs", options)


def key_info(credentials: Credentials) -> Request:
    """Ask what the key may do; needs no permission. The answer holds the key.

    https://docs.kraken.com/api-reference/account-data/get-api-key-info
    """
    return replace(_private(credentials, "GetApiKeyInfo", {}), secret_reply=True)


def trades_history(credentials: Credentials, start: int, end: int, offset: int) -> Request:
    """Ask for a page of at most 50 trades in `(start, end]` (seconds since 1970), newest first, at the finest grain."""
    return _private(
        credentials,
        "TradesHistory",
        {"start": str(start), "end": str(end), "ofs": str(offset), "consolidate_taker": "false", **_UNREBASED},
    )


def ledgers(credentials: Credentials, start: int, end: int, offset: int) -> Request:
    """Ask for a page of at most 50 ledger entries in `(start, end]`, newest first."""
    return _private(credentials, "Ledgers", {"start": str(start), "end": str(end), "ofs": str(offset), **_UNREBASED})


def query_trades(credentials: Credentials, txids: tuple[str, ...]) -> Request:
    """Ask for at most 20 trades by their ids."""
    return _private(credentials, "QueryTrades", {"txid": ",".join(txids), **_UNREBASED})


def add_export(credentials: Credentials, report: str, start: int, end: int) -> Request:
    """Order a report, `trades` or `ledgers`. Both ends are always named: left out, Kraken begins with this month."""
    options = {"report": report, "description": f"fillhouse {report}", "format": "CSV", "fields": "all"}
    return _private(credentials, "AddExport", {**options, "starttm": str(start), "endtm": str(end)})


def export_status(credentials: Credentials, report: str) -> Request:
    """Ask how far the reports of a kind are."""
    return _private(credentials, "ExportStatus", {"report": report})


def retrieve_export(credentials: Credentials, export_id: str) -> Request:
    """Fetch a finished report: a zip file."""
    return _private(credentials, "RetrieveExport", {"id": export_id})


def remove_export(credentials: Credentials, export_id: str) -> Request:
    """Take a fetched report from Kraken's list again."""
    return _private(credentials, "RemoveExport", {"id": export_id, "type": "delete"})


_UNREBASED = {"rebase_multiplier": "base"}  # quantities as they were traded, whatever splits came later


def signature(path: str, nonce: int, body: bytes, secret: str) -> str:
    """Sign a request: HMAC-SHA512 over its path and the SHA-256 of nonce and body, keyed with the decoded secret."""
    digest = hashlib.sha256(str(nonce).encode() + body).digest()
    return base64.b64encode(hmac.digest(base64.b64decode(secret), path.encode() + digest, "sha512")).decode()


def _public(credentials: Credentials, method: str, options: Mapping[str, str]) -> Request:
    return Request(
        endpoint=method,
        method="GET",
        url=f"{credentials.base_url}/0/public/{method}",
        params=dict(options),
        headers={"User-Agent": USER_AGENT},
    )


def _private(credentials: Credentials, method: str, options: Mapping[str, str]) -> Request:
    """Make a private request as it is landed and shown; `signed` makes of it what goes over the wire, given nonce and moment."""
    request = Request(
        endpoint=method,
        method="POST",
        url=f"{credentials.base_url}/0/private/{method}",
        params=dict(options),
        headers={"User-Agent": USER_AGENT},
    )

    def signed(nonce: int, moment: float) -> Request:
        body = urlencode({"nonce": str(nonce), **options, **credentials.second_factor(moment)}).encode()
        return replace(
            request,
            params={},
            body=body,
            signed=None,
            headers={
                **request.headers,
                "Content-Type": "application/x-www-form-urlencoded; charset=utf-8",
                "API-Key": credentials.api_key,
                "API-Sign": signature(urlsplit(request.url).path, nonce, body, credentials.api_secret),
            },
        )

    return replace(request, signed=signed)
