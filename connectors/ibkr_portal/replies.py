"""Read what the gateway, or IBKR itself, answers: words in a body decide before its status does, and a login page is no answer.

What each answer means was seen in the field more often than documented: see the table `WORDS`.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any

from connectors.errors import (
    SIGNED_OUT,
    AuthRequired,
    ConnectorError,
    ContractViolation,
    RateLimited,
    Rejected,
    Transient,
)
from connectors.ibkr_portal.access import GATEWAY, SIGNED, Access
from connectors.ibkr_portal.oauth import Agreement
from connectors.printed import row_of_json
from connectors.wire import Response

NO_BRIDGE = "no_bridge"
NOT_PRIMED = "not_primed"
FIRST_ASKED = ("auth_status", "live_session_token")  # a path that does not exist is one of a wrong address
PENALTY_SECONDS = 900.0  # one page says 15 minutes, another 10
HTTP_OK, HTTP_BAD, HTTP_UNAUTHORIZED, HTTP_FORBIDDEN, HTTP_NOT_FOUND = 200, 400, 401, 403, 404
HTTP_GONE, HTTP_TOO_MANY, HTTP_SERVER_ERROR = 410, 429, 500

TAKEN = (
    "Log out of TWS, IBKR Mobile or the other gateway that uses this username, or give Fillhouse a username of its own; "
    "only if it may be taken from them, set FILLHOUSE_IBKR_PORTAL_COMPETE=true."
)
TAKEN_BACK = (
    "Log out of TWS, IBKR Mobile or the other gateway that uses this username, or give Fillhouse a username of its own; "
    "if the session is to be left to them, set FILLHOUSE_IBKR_PORTAL_COMPETE=false."
)


class Tier(StrEnum):
    """How far a session is: the browser's login carries the brokerage session, and that one alone tells trades."""

    READY = "ready"
    NOT_ESTABLISHED = "not_established"  # logged in, its data still being loaded
    BROKERAGE_DOWN = "brokerage_down"  # the login holds: the brokerage session may be opened again
    COMPETING = "competing"  # TWS or another gateway holds the username's one brokerage session
    SSO_VALID = "sso_valid"  # nothing said about the brokerage session
    SSO_MISSING = "sso_missing"


@dataclass(frozen=True, slots=True)
class Session:
    """A session as an answer describes it."""

    tier: Tier
    said: str = ""  # the server's own words, where it has any


@dataclass(frozen=True, slots=True)
class Accounts:
    """The accounts under a login, and the one that is selected."""

    accounts: tuple[str, ...]
    selected: str | None


# Words in an error, and what they mean whatever the status.
WORDS: Mapping[str, tuple[type[ConnectorError], str, str, str]] = MappingProxyType(
    {
        "no bridge": (Transient, NO_BRIDGE, "The brokerage session is not there (yet).", ""),
        "init session first": (Transient, NO_BRIDGE, "The brokerage session is not there (yet).", ""),
        "please query /accounts first": (Transient, NOT_PRIMED, "The session has not been asked for its accounts.", ""),
        "failed to process request": (Transient, "tickle", "The gateway could not pass the tickle on.", ""),
        "not authenticated": (AuthRequired, "sso", GATEWAY.is_not, GATEWAY.let_in),
        "access denied": (
            AuthRequired,
            "sso",
            "The gateway denies access: the login is missing or refused.",
            GATEWAY.let_in,
        ),
        "access token expired": (AuthRequired, "token", "The OAuth token has expired.", "Renew the token."),
        "invalid account id": (
            Rejected,
            "account",
            "The login has no such account.",
            "Correct FILLHOUSE_IBKR_PORTAL_ACCOUNTS.",
        ),
    }
)
ALREADY_SET = "account already set"

# Words in a refusal to agree on a live session token. The first two were seen in the field; the others are what clients look for.
REFUSALS: Mapping[str, tuple[str, str, str]] = MappingProxyType(
    {
        "invalid consumer": (
            "consumer",
            "IBKR does not know this consumer key, or not yet.",
            "Compare it with IBKR's OAuth page; a new one becomes good after some days, when the servers were started anew.",
        ),
        "no access secret key": ("token", "IBKR does not know this access token, or no longer.", SIGNED.let_in),
        "access token expired": ("token", "The access token has expired.", SIGNED.let_in),
        "invalid token": ("token", "IBKR does not know this access token, or no longer.", SIGNED.let_in),
        "invalid signature": (
            "signature",
            "IBKR does not recognise the signature.",
            "Signature and encryption key must be the private halves of those that were uploaded to IBKR's OAuth page.",
        ),
    }
)


def read(response: Response, endpoint: str, access: Access = GATEWAY) -> Any:
    """Read an answer, or raise the error it is: a `Session`, `Accounts`, a list of rows, or None where there is nothing to tell."""
    said = _parsed(response, endpoint, access)
    return READERS[endpoint](said, endpoint)


def endpoint_of(body: bytes, endpoint: str | None) -> str:
    """Check a saved answer against the endpoint it is said to be of; rows give themselves away."""
    said = _json(body, endpoint or "trades")
    if endpoint is None:
        endpoint = "secdef" if isinstance(said, dict) and "secdef" in said else "trades"
    if endpoint not in ("trades", "secdef"):
        raise ContractViolation(f"{endpoint} answers with no rows.", remedy="Import answers of trades or secdef.")
    _require_no_error(said, HTTP_OK, endpoint, GATEWAY)
    READERS[endpoint](said, endpoint)
    return endpoint


def is_anothers(rows: Sequence[Any], account: str) -> bool:
    """Tell whether a list of executions is that of other accounts only: the selection was changed, or did not take."""
    named = {str(row.get("accountCode") or "") for row in rows if isinstance(row, dict)} - {""}
    return bool(named) and account not in named


def rows_of(body: bytes, endpoint: str) -> list[Any]:
    """Give the rows of an answer, numbers as the text they are printed in. Raises `ContractViolation` for any other shape."""
    rows: list[Any] = READERS[endpoint](_json(body, endpoint), endpoint)
    return rows


def row_printed(body: bytes, place: int, _source: str | None) -> list[str]:
    """Give the row at a place of an answer as it was printed."""
    return row_of_json(body, place)


def _parsed(response: Response, endpoint: str, access: Access) -> Any:
    text = response.body.decode("utf-8", "replace").strip()
    if response.status == HTTP_TOO_MANY:
        raise RateLimited(
            "IBKR has put this address into its penalty box.", retry_after=_silence(response), code="429",
            remedy="Wait; see that no other program calls the gateway.",
        )  # fmt: skip
    if _is_login_page(response, text):
        who = access.who[0].upper() + access.who[1:]
        raise AuthRequired(f"{who} shows a login page instead of an answer.", code="sso", remedy=access.let_in)
    said = _as_json(text)
    if response.status == HTTP_OK and said is None:
        raise Transient(f"The answer to {endpoint} is empty or broken off.", code="broken")
    if endpoint == "switch_account" and ALREADY_SET in text.lower():
        return said
    _require_no_error(said if said is not None else {"error": text}, response.status, endpoint, access)
    return said


def _silence(response: Response) -> float:
    """Tell how long the penalty lasts, in seconds: what the answer says, if that is longer than what is known of it."""
    said = response.headers.get("retry-after", "")
    return max(float(said), PENALTY_SECONDS) if said.isdecimal() else PENALTY_SECONDS


def _is_login_page(response: Response, text: str) -> bool:
    """Recognise what a browser would be shown: a redirect, or HTML with a good status."""
    redirects = 300 <= response.status < HTTP_BAD  # noqa: PLR2004  (the statuses that redirect)
    return redirects or (response.status == HTTP_OK and text[:1] == "<")


def _as_json(text: str) -> Any:
    """Read JSON with its numbers as text; None where it is none."""
    try:
        return json.loads(text, parse_float=str, parse_int=str)
    except json.JSONDecodeError:
        return None


def _json(body: bytes, endpoint: str) -> Any:
    said = _as_json(body.decode("utf-8", "replace").strip())
    if said is None:
        raise ContractViolation(f"This is no answer to {endpoint}: it is not JSON.")
    return said


def _require_no_error(said: Any, status: int, endpoint: str, access: Access) -> None:
    words = _words(said)
    if status == HTTP_OK and not (isinstance(said, dict) and "error" in said):
        return
    if access is SIGNED and status in (HTTP_UNAUTHORIZED, HTTP_GONE):  # gone: said to be asked anew, too
        raise _not_let_in(words, endpoint)
    if status == HTTP_FORBIDDEN:
        raise Rejected(access.forbids, code="403", remedy=access.allow)
    if status == HTTP_NOT_FOUND and endpoint in FIRST_ASKED:
        raise Rejected(
            "There is no Client Portal Web API at this address.",
            code="404",
            remedy=f"Correct FILLHOUSE_IBKR_PORTAL_BASE_URL: it ends with /v1/api, like {access.address}.",
        )
    for known, (kind, code, message, remedy) in WORDS.items():
        if known in words.lower():
            if access is SIGNED and kind is AuthRequired:
                raise _not_let_in(words, endpoint)
            raise kind(message, code=code, remedy=remedy)
    if status == HTTP_UNAUTHORIZED:
        raise AuthRequired(GATEWAY.is_not, code="sso", remedy=GATEWAY.let_in)
    if status >= HTTP_SERVER_ERROR:
        raise Transient(f"{endpoint} answered with status {status}.", code=str(status))
    said_so = "" if endpoint == "live_session_token" else f": {words[:200]}"  # these may name the access token
    raise ContractViolation(
        f"{endpoint} answered with status {status} and words no table knows{said_so}", code=str(status)
    )


def _not_let_in(words: str, endpoint: str) -> AuthRequired:
    """Say what IBKR's refusal of a signature means: of the token that signs for a day, or of what it is agreed on with."""
    if endpoint != "live_session_token":
        return AuthRequired(SIGNED.is_not, code=SIGNED_OUT, remedy=SIGNED.let_in)
    for known, (code, message, remedy) in REFUSALS.items():
        if known in words.lower():
            return AuthRequired(message, code=code, remedy=remedy)
    return AuthRequired(
        "IBKR does not agree on a live session token, and gives no reason that is known.",
        code="consumer",
        remedy="Compare consumer key, access token, its secret and both keys with IBKR's OAuth page; see that this machine's clock "
        "is right.",
    )


def _words(said: Any) -> str:
    if not isinstance(said, dict):
        return ""
    return " ".join(str(said[name]) for name in ("error", "detail", "title") if said.get(name))


def _session(said: Any, endpoint: str) -> Session:
    """Read both session tiers out of a status; every field may be missing."""
    if endpoint == "tickle":
        said = _inside(_inside(said, "iserver"), "authStatus")
    if not isinstance(said, dict):
        raise ContractViolation(f"{endpoint} answered with something that is no session.")
    words = str(said.get("fail") or said.get("message") or "")
    if said.get("competing") is True:
        return Session(Tier.COMPETING, words)
    if said.get("authenticated") is not True or said.get("passed") is False:
        return Session(Tier.BROKERAGE_DOWN, words)
    if said.get("connected") is not True or said.get("established") is False:
        return Session(Tier.NOT_ESTABLISHED, words)
    return Session(Tier.READY, words)


def _inside(said: Any, name: str) -> Any:
    """Give what stands under a name, an empty object where nothing does; nothing of what is no object."""
    return (said.get(name) or {}) if isinstance(said, dict) else None


def _login(said: Any, endpoint: str) -> Session:
    if not isinstance(said, dict) or "RESULT" not in said:
        raise ContractViolation(f"{endpoint} does not say whether the login holds.")
    return Session(Tier.SSO_VALID if said["RESULT"] is True else Tier.SSO_MISSING)


def _agreement(said: Any, endpoint: str) -> Agreement:
    try:
        response, proof = int(said["diffie_hellman_response"], 16), str(said["live_session_token_signature"])
        ends_at = datetime.fromtimestamp(int(said["live_session_token_expiration"]) / 1000, UTC)
    except (TypeError, KeyError, ValueError, OverflowError):
        raise ContractViolation(f"{endpoint} answered with no agreement.") from None  # its cause may quote the answer
    return Agreement(response, proof, ends_at)


def _accounts(said: Any, endpoint: str) -> Accounts:
    if not isinstance(said, dict) or not isinstance(said.get("accounts"), list):
        raise ContractViolation(f"{endpoint} answered without a list of accounts.")
    numbers = tuple(str(number) for number in said["accounts"] if number != "All")
    if not numbers:
        raise Transient("The login names no account yet.", code="no_accounts")
    selected = said.get("selectedAccount")
    return Accounts(numbers, str(selected) if selected else None)


def _rows(*names: str) -> Callable[[Any, str], list[Any]]:
    """Make a reader of a list of rows, bare or under one of these names."""

    def read_rows(said: Any, endpoint: str) -> list[Any]:
        held = next((said[name] for name in names if name in said), None) if isinstance(said, dict) else said
        if not isinstance(held, list):
            raise ContractViolation(f"This is no answer to {endpoint}: it holds no list.")
        return held

    return read_rows


def _nothing(_said: Any, _endpoint: str) -> None:
    return None


READERS: Mapping[str, Callable[[Any, str], Any]] = MappingProxyType(
    {
        "live_session_token": _agreement,
        "auth_status": _session,
        "ssodh_init": _session,
        "ssodh_takeover": _session,
        "tickle": _session,
        "sso_validate": _login,
        "accounts": _accounts,
        "switch_account": _nothing,
        "logout": _nothing,
        "trades": _rows("trades", "items"),
        "secdef": _rows("secdef"),
    }
)


def needs_login(session: Session, access: Access) -> AuthRequired:
    """Say what a person must do for a session that does not come up by itself."""
    words = f" ({session.said})" if session.said else ""
    if session.tier is Tier.COMPETING:
        return AuthRequired(
            f"Another program holds the brokerage session of this username{words}.", code="competing", remedy=TAKEN
        )
    if session.tier is Tier.SSO_MISSING:
        return AuthRequired("The login at the gateway no longer holds.", code="sso", remedy=GATEWAY.let_in)
    return AuthRequired(
        f"The brokerage session is down and could not be opened again{words}.",
        code="brokerage",
        remedy=access.brought_down,
    )


def not_opened(trouble: Transient, access: Access) -> AuthRequired:
    """Say that a person must look at an opening that met trouble again and again."""
    return AuthRequired(
        f"The brokerage session is down, and opening it met trouble again and again: {trouble.message}",
        code="brokerage",
        remedy=access.brought_down,
    )


def taken_back() -> AuthRequired:
    """Say that a session which was taken over is in use by somebody after all."""
    return AuthRequired(
        "Another program took the brokerage session back soon after it had been taken over.",
        code="competing",
        remedy=TAKEN_BACK,
    )
