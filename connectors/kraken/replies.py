"""Read what Kraken answers: HTTP 200 says nothing, the list `error` is the judge, strings are matched by their beginning.

https://docs.kraken.com/api/docs/guides/spot-errors; what is in no vendor table was observed in the field.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any

from connectors.errors import AuthRequired, ConnectorError, ContractViolation, RateLimited, Rejected, Transient
from connectors.kraken.dialect import ABOUT_TRADES, TRADE_ID
from connectors.wire import Response

TOO_MANY = "EAPI:Rate limit exceeded"
THROTTLED = "EService:Throttled"
BAD_NONCE = "EAPI:Invalid nonce"
BAD_SIGNATURE = "EAPI:Invalid signature"
STRANGER = "stranger"  # ours: the key is of another account than the one before it
LOCKED_OUT = "EGeneral:Temporary lockout"

NEW_KEY = (
    "Create a key for Fillhouse alone in Kraken's settings under Connections & API, allow it to query closed orders and "
    "trades and ledger entries and to export data, and store key and secret with this connection."
)
OTHER_PROGRAM = "Another program seems to use this key: create a key for Fillhouse alone."
PERMISSIONS: Mapping[str, str] = MappingProxyType(
    {
        "TradesHistory": "Query closed orders & trades",
        "QueryTrades": "Query closed orders & trades",
        "Ledgers": "Query ledger entries",
        "AddExport": "Export data",
        "ExportStatus": "Export data",
        "RetrieveExport": "Export data",
        "RemoveExport": "Export data",
        "OpenPositions": "Query open orders & trades",
        "GetWebSocketsToken": "WebSocket interface",
    }
)

# What a string begins with; the longer of two that fit counts.
ERRORS: Mapping[str, tuple[type[ConnectorError], str, str]] = MappingProxyType(
    {
        TOO_MANY: (RateLimited, "Too many requests with this key", ""),
        THROTTLED: (RateLimited, "Kraken asks for fewer requests at once", ""),
        "EAuth:Rate limit exceeded": (RateLimited, "Too many requests with this key", ""),
        "EAuth:Too many requests": (RateLimited, "Too many requests with this key", ""),
        "EGeneral:Too many requests": (RateLimited, "Too many requests from this address", ""),
        LOCKED_OUT: (
            RateLimited,
            "Kraken has locked this key out for a while, after invalid ones",
            "It opens by itself.",
        ),
        "EService:": (Transient, "Kraken's service is not available", ""),
        "EGeneral:Internal error": (Transient, "Kraken has an internal error", ""),
        "EDatabase:Internal error": (Transient, "Kraken has an internal error", ""),
        BAD_NONCE: (Transient, "Kraken refuses the nonce of this key", OTHER_PROGRAM),
        "EAPI:Invalid key": (AuthRequired, "Kraken does not know this API key", NEW_KEY),
        BAD_SIGNATURE: (
            AuthRequired,
            "The secret does not belong to this API key, or its second factor is missing or wrong",
            f"Where the key has a second factor, store that too. {NEW_KEY}",
        ),
        "EAPI:Feature disabled": (Rejected, "Kraken has switched this off for the key", ""),
        "EGeneral:Permission denied": (Rejected, "The API key lacks a permission", ""),
        "EAccount:Invalid permissions": (Rejected, "The account lacks a permission", ""),
        "EAuth:Account temporary disabled": (AuthRequired, "The account is disabled for now", "Log in to Kraken."),
        "EAuth:Account unconfirmed": (AuthRequired, "The account is not confirmed", "Log in to Kraken and confirm it."),
        "EAuth:Failed": (AuthRequired, "Kraken refuses the credentials", NEW_KEY),
        "EQuery:": (Rejected, "Kraken cannot answer this question", ""),
        "EGeneral:Invalid arguments": (Rejected, "Kraken does not accept the question", ""),
        "EGeneral:Unknown method": (Rejected, "Kraken does not know this method", "Check the base URL."),
        "ETrade:Invalid request": (Rejected, "Kraken does not accept the question", ""),
        "EAPI:Bad request": (Rejected, "Kraken does not accept the question", ""),
        "EExport:": (Rejected, "Kraken does not accept the export", ""),
    }
)
RETRY_AFTER: Mapping[str, float] = MappingProxyType(
    {
        TOO_MANY: 15.0,
        THROTTLED: 15.0,
        "EAuth:Rate limit exceeded": 60.0,
        "EAuth:Too many requests": 60.0,
        "EGeneral:Too many requests": 60.0,
        LOCKED_OUT: 900.0,
    }
)
# What tells a saved table of rows by their ids from others: orders have a refid, too, and open positions an ordertxid.
MARKS: Mapping[str, frozenset[str]] = MappingProxyType(
    {
        "QueryTrades": frozenset({"ordertxid", "price", "vol"}),
        "QueryLedgers": frozenset({"refid", "asset", "amount"}),
        "AssetPairs": frozenset({"quote"}),
        "Assets": frozenset({"decimals"}),
    }
)
INSIDE: Mapping[str, str] = MappingProxyType(
    {"TradesHistory": "trades", "Ledgers": "ledger"}
)  # where in its result a page holds its rows, by their ids
HTTP_OK = 200
HTTP_TOO_MANY = 429
HTTP_SERVER_ERROR = 500
URGENCY = (AuthRequired, ContractViolation, Rejected, RateLimited, Transient)  # of several errors the first decides
ZIP = b"PK\x03\x04"

_SPACED = re.compile(r"^([EW]\w+):\s+")
_MOMENT = re.compile(r"\d{10,}")


@dataclass(frozen=True, slots=True)
class Page:
    """A page of TradesHistory or Ledgers, and how many rows there are in its whole window (None: not told)."""

    rows: Mapping[str, float]  # each row's id, and its time in seconds since 1970
    count: int | None
    trades: frozenset[str]  # the ids of the trades that the rows are, or are about


@dataclass(frozen=True, slots=True)
class KeyInfo:
    """What a key may do; moments in seconds since 1970, 0 where there is no bound."""

    permissions: frozenset[str]
    valid_until: int = 0
    reads_since: int = 0
    reads_until: int = 0


def result_of(response: Response, endpoint: str) -> Any:
    """Give the result of an answer, numbers with a point still as text; raise what Kraken says otherwise."""
    _require_http_ok(response, endpoint)
    return result_of_body(response.body, endpoint)


def result_of_body(body: bytes, endpoint: str) -> Any:
    """Give the result in a reply's bytes; a page instead of JSON is the service in trouble, not a new protocol."""
    said = _object(body, endpoint)
    errors = said.get("error") or []
    if not isinstance(errors, list):
        raise ContractViolation(f"Kraken's answer to {endpoint} has an error that is no list.")
    raised = [error_of(str(text), endpoint) for text in errors if not str(text).startswith("W")]
    if raised:
        raise min(raised, key=lambda error: URGENCY.index(type(error)))
    if "result" not in said:
        raise ContractViolation(f"Kraken's answer to {endpoint} has neither a result nor an error.")
    return said["result"]


def _require_http_ok(response: Response, endpoint: str) -> None:
    if response.status == HTTP_TOO_MANY:
        raise error_of("EGeneral:Too many requests", endpoint)
    if response.status >= HTTP_SERVER_ERROR:
        raise Transient(f"Kraken's edge answered {endpoint} with HTTP {response.status}.", code=str(response.status))
    if response.status != HTTP_OK:
        raise ContractViolation(f"Kraken answered {endpoint} with HTTP {response.status}.", code=str(response.status))


def _object(body: bytes, endpoint: str) -> dict[str, Any]:
    opening = body.lstrip()[:1]
    if not opening or opening == b"<":
        page = "a page" if opening else "nothing"
        raise Transient(f"Kraken answered {endpoint} with {page} where JSON belongs: maintenance perhaps.", code="page")
    try:
        said = json.loads(body, parse_float=str)
    except ValueError as exc:
        raise Transient(f"Kraken's answer to {endpoint} is cut off or no JSON.", code="broken") from exc
    if not isinstance(said, dict):
        raise ContractViolation(f"Kraken's answer to {endpoint} is JSON, but no envelope.")
    return said


def error_of(text: str, endpoint: str) -> ConnectorError:
    """Sort one of Kraken's strings into the five errors; one of no table is a `ContractViolation`."""
    plain = _SPACED.sub(r"\1:", text)
    code = max((start for start in ERRORS if plain.startswith(start)), key=len, default="")
    if not code:
        return ContractViolation(f"Kraken answered {endpoint} with the unknown error {text!r}.", code=text)
    kind, meaning, remedy = ERRORS[code]
    if code in ("EGeneral:Permission denied", "EAccount:Invalid permissions"):
        permission = PERMISSIONS.get(endpoint, endpoint)
        remedy = f"Give the key the permission {permission!r} in Kraken's settings under Connections & API."
    message = f"{meaning} ({text}, {endpoint})."
    if kind is RateLimited:
        return RateLimited(message, retry_after=RETRY_AFTER[code], code=plain, remedy=remedy)
    return kind(message, code=code, remedy=remedy)


def is_about_the_question(error: ConnectorError) -> bool:
    """Tell whether Kraken does not know what it was asked about, rather than being unwell or refusing who asks."""
    return error.code in ("EQuery:", "EGeneral:Invalid arguments")


def throttled_until(error: RateLimited) -> float | None:
    """Give the moment (seconds since 1970, Kraken's clock) that a throttled key is told to wait for, if it is told one."""
    moment = _MOMENT.search(error.code) if error.code.startswith(THROTTLED) else None
    return float(moment.group()) if moment else None


def read_page(response: Response, endpoint: str) -> Page:
    """Read a page of trades or ledger entries."""
    result = result_of(response, endpoint)
    rows, count = _require_rows(result, endpoint)
    moments = {row_id: _number(row.get("time") or 0, endpoint) for row_id, row in rows.items()}
    trades = frozenset(rows) if endpoint == "TradesHistory" else trades_named(rows.values())
    return Page(moments, count, trades)


def _require_rows(result: Any, endpoint: str) -> tuple[dict[str, dict[str, Any]], int | None]:
    """Give a page's rows by their ids, and their count; raise `ContractViolation` where it is none."""
    rows = result.get(INSIDE[endpoint]) if isinstance(result, dict) else None
    if not isinstance(rows, dict) or not all(isinstance(row, dict) for row in rows.values()):
        raise ContractViolation(f"Kraken's answer to {endpoint} holds no rows.")
    count = result.get("count")
    if count is not None and not str(count).isdecimal():
        raise ContractViolation(f"Kraken's answer to {endpoint} counts {count!r} rows.")
    return rows, None if count is None else int(count)


def _number(told: Any, endpoint: str) -> float:
    try:
        return float(told)
    except (TypeError, ValueError):
        raise ContractViolation(f"Kraken's answer to {endpoint} has {told!r} where a number belongs.") from None


def trades_named(entries: Iterable[Mapping[str, Any]]) -> frozenset[str]:
    """Give the ids of the trades that ledger entries are about."""
    about = (str(entry.get("refid")) for entry in entries if str(entry.get("type")).lower() in ABOUT_TRADES)
    return frozenset(ref_id for ref_id in about if re.fullmatch(TRADE_ID, ref_id))


def read_trades(response: Response, endpoint: str) -> frozenset[str]:
    """Read which of the trades that were asked for Kraken tells."""
    result = result_of(response, endpoint)
    if not isinstance(result, dict):
        raise ContractViolation(f"Kraken's answer to {endpoint} holds no rows.")
    return frozenset(result)


def read_time(response: Response) -> float:
    """Read Kraken's clock, in seconds since 1970."""
    result = result_of(response, "Time")
    return _number(result.get("unixtime") if isinstance(result, dict) else None, "Time")


def read_key_info(response: Response) -> KeyInfo:
    """Read what a key may do, until when, and of which times it may read."""
    result = result_of(response, "GetApiKeyInfo")
    if not isinstance(result, dict) or not isinstance(result.get("permissions"), list):
        raise ContractViolation("Kraken's answer to GetApiKeyInfo does not list the key's permissions.")
    ends, since, until = (
        int(_number(result.get(name) or 0, "GetApiKeyInfo")) for name in ("validUntil", "queryFrom", "queryTo")
    )
    return KeyInfo(frozenset(map(str, result["permissions"])), ends, since, until)


def read_export_id(response: Response) -> str:
    """Read the id of an ordered report."""
    result = result_of(response, "AddExport")
    if not isinstance(result, dict) or not result.get("id"):
        raise ContractViolation("Kraken took the order of a report and gave no id.")
    return str(result["id"])


def export_is_ready(response: Response, export_id: str) -> bool:
    """Tell whether a report can be fetched."""
    result = result_of(response, "ExportStatus")
    listed = [each for each in result if isinstance(each, dict)] if isinstance(result, list) else []
    found = [each for each in listed if each.get("id") == export_id]
    if not found:
        raise ContractViolation(f"Kraken does not list the report {export_id} that it took the order of.")
    status = str(found[0].get("status"))
    if status not in ("Queued", "Processing", "Processed"):
        raise ContractViolation(f"Kraken says of a report that it is {status!r}.", code=status)
    return status == "Processed"


def read_export(response: Response) -> bytes:
    """Give a fetched report's bytes: a zip file; an error comes as JSON."""
    _require_http_ok(response, "RetrieveExport")
    if not response.body.startswith(ZIP):
        result_of_body(response.body, "RetrieveExport")
        raise ContractViolation("Kraken answered RetrieveExport with JSON instead of a report.")
    return response.body


def endpoint_of(body: bytes, named: str | None = None) -> str:
    """Name the endpoint whose reply a saved file is; raises `ContractViolation` saying what it is instead."""
    from connectors.kraken import exports  # noqa: PLC0415

    text = body.lstrip(b"\xef\xbb\xbf \t\r\n")
    if not text:
        raise ContractViolation("The file is empty.")
    if text.startswith(b"<"):
        raise ContractViolation("This is an HTML page, not a reply of Kraken.")
    found = _endpoint_of_json(text) if text.startswith((b"{", b"[")) else exports.kind_of(body)
    if named is not None and named != found:
        raise ContractViolation(f"The file is named {named}, but holds what {found} gives.", remedy=f"Name it {found}.")
    return found


def _endpoint_of_json(body: bytes) -> str:
    try:
        result = result_of_body(body, "a saved reply")
    except ConnectorError as exc:
        raise ContractViolation(f"This is no data: {exc.message}") from exc
    if isinstance(result, dict):
        for endpoint, inside in INSIDE.items():
            if inside in result:
                _require_rows(result, endpoint)
                return endpoint
        first = next(iter(result.values()), None)
        are_rows = all(isinstance(row, dict) for row in result.values())
        for endpoint, marks in MARKS.items():
            if are_rows and first and marks <= first.keys():
                return endpoint
    raise ContractViolation("The reply is none of TradesHistory, QueryTrades, Ledgers, AssetPairs, Assets.")
