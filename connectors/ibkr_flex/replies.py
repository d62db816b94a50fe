"""Read what the Flex Web Service answers: the root element is the judge, never HTTP 200, never "it parsed".

Error table: https://www.ibkrguides.com/clientportal/performanceandstatements/flex3error.htm; 1025 is in no vendor
table and was observed in the field.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from xml.etree import ElementTree
from xml.parsers import expat

from connectors.errors import AuthRequired, ConnectorError, ContractViolation, RateLimited, Rejected, Transient
from connectors.wire import Response

STATEMENT = "FlexQueryResponse"
ENVELOPE = "FlexStatementResponse"

STILL_GENERATING = "1019"
TOO_MANY_REQUESTS = "1018"
REFERENCE_INVALID = "1017"
NOT_AVAILABLE = "1003"
QUERY_LOCKED = "1025"

HOW_TO_RENEW = (
    "Log in to the IBKR Client Portal, open Performance & Reports > Flex Queries > Flex Web Service Configuration, "
    "generate a token and store it with this connection."
)
CHECK_QUERY = "Check the query id in the Client Portal under Performance & Reports > Flex Queries."

ERRORS: Mapping[str, tuple[type[ConnectorError], str, str]] = MappingProxyType(
    {
        "1001": (Transient, "IBKR could not generate the statement at this time", ""),
        "1003": (Rejected, "IBKR has no such statement: the window is empty, not final yet or before the account", ""),
        "1004": (Transient, "The statement is incomplete at this time", ""),
        "1005": (Transient, "Settlement data is not ready", ""),
        "1006": (Transient, "FIFO profit and loss data is not ready", ""),
        "1007": (Transient, "Mark-to-market data is not ready", ""),
        "1008": (Transient, "Mark-to-market and FIFO data are not ready", ""),
        "1009": (Transient, "IBKR's server is under heavy load", ""),
        "1010": (Rejected, "Legacy Flex queries are not supported", "Create the query anew as an Activity Flex query."),
        "1011": (Rejected, "The service account is inactive", "Enable the Flex Web Service in the Client Portal."),
        "1012": (AuthRequired, "The Flex token has expired", HOW_TO_RENEW),
        "1013": (AuthRequired, "The Flex token is bound to another IP address", HOW_TO_RENEW),
        "1014": (Rejected, "The Flex query is invalid", CHECK_QUERY),
        "1015": (AuthRequired, "The Flex token is invalid", HOW_TO_RENEW),
        "1016": (Rejected, "The account is invalid for this query", CHECK_QUERY),
        "1017": (Transient, "The statement's reference code is not known any more", ""),
        "1018": (RateLimited, "Too many Flex requests with this token", ""),
        "1019": (Transient, "The statement is still being generated", ""),
        "1020": (Rejected, "IBKR could not validate the request", CHECK_QUERY),
        "1021": (Transient, "The statement could not be retrieved at this time", ""),
        "1025": (RateLimited, "The Flex query is locked after too many failed attempts", "It unlocks by itself."),
    }
)
RETRY_AFTER: Mapping[str, float] = MappingProxyType({TOO_MANY_REQUESTS: 65.0, QUERY_LOCKED: 3600.0})

HTTP_FORBIDDEN = frozenset({401, 403})
HTTP_TOO_MANY = 429
HTTP_SERVER_ERROR = 500
HTTP_OK = 200

_PROLOG = re.compile(rb"\s*(?:<\?.*?\?>|<!--.*?-->|\s)*", re.DOTALL)
_ROOT = re.compile(rb"<([A-Za-z_][\w.-]*)")
_COUNT = re.compile(rb"<FlexStatements\s[^>]*count=[\"'](\d+)[\"']")
_STATEMENTS = re.compile(rb"<FlexStatement[\s/>]")
_ENCODING = re.compile(rb"<\?xml[^>]*encoding=[\"']([\w.-]+)[\"']")
_BOMS = ((b"\xef\xbb\xbf", "utf-8"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"))


@dataclass(frozen=True, slots=True)
class Ticket:
    """What SendRequest gives: the reference of a statement being made, and where IBKR says to fetch it."""

    reference: str
    url: str


def root_of(body: bytes) -> str:
    """Name the root element of a Flex reply, or raise `ContractViolation` saying what the bytes are instead."""
    if not body[:4096].strip() and not body.strip():
        raise ContractViolation("The reply is empty.")
    if body.startswith(b"\x1f\x8b"):
        raise ContractViolation("This is a gzip file, not a statement.", remedy="Unpack it first (gunzip).")
    if body.startswith(b"PK\x03\x04"):
        raise ContractViolation("This is a zip file, not a statement.", remedy="Unpack it first.")
    body = as_utf8(body)
    prolog = _PROLOG.match(body)
    start = prolog.end() if prolog else 0
    opening = body[start : start + 200].lower()
    if opening.startswith((b"<!doctype html", b"<html")):
        raise ContractViolation("This is an HTML page, not a statement: a login, maintenance or error page perhaps.")
    if opening.startswith(b"<!"):
        raise ContractViolation(
            "The XML declares a document type or entities; no Flex statement does, so it is refused."
        )
    root = _ROOT.match(body, start)
    if root is None:
        raise ContractViolation(f"This is not XML: it begins with {body[:4096].strip()[:20]!r}.")
    name = root.group(1).decode()
    if name not in (STATEMENT, ENVELOPE):
        raise ContractViolation(f"The XML is not a Flex statement: its root element is <{name}>, not <{STATEMENT}>.")
    return name


def as_utf8(body: bytes) -> bytes:
    """Give the same document in UTF-8 without a byte order mark."""
    for mark, encoding in _BOMS:
        if body.startswith(mark):
            return body[3:] if encoding == "utf-8" else _redeclared(body, encoding)
    declared = _ENCODING.match(body)
    if declared and declared.group(1).lower() not in (b"utf-8", b"us-ascii", b"ascii"):
        return _redeclared(body, declared.group(1).decode())
    return body


def _redeclared(body: bytes, encoding: str) -> bytes:
    """Encode a document in UTF-8, taking its own word for another encoding out of it."""
    try:
        text = body.decode(encoding)
    except (LookupError, UnicodeDecodeError) as exc:
        raise ContractViolation(f"The XML says it is {encoding} and cannot be read as such.") from exc
    return re.sub(r"^<\?xml[^>]*\?>", "", text, count=1).encode()


def require_whole(body: bytes, held: int | None = None) -> None:
    """Raise `ContractViolation` unless the document is closed to its last tag and holds the statements it counts.

    `held` says how many statements it holds, where they have been counted.
    """
    counted = _COUNT.search(body[:65536])
    announced = int(counted.group(1)) if counted else None
    if announced is not None and announced != (body.count(b"<FlexStatement ") if held is None else held):
        found = len(_STATEMENTS.findall(body))
        if announced != found:
            message = f"The reply announces {announced} statements and holds {found}."
            raise ContractViolation(message, remedy="Download it again.")
    if body[-4096:].rstrip().endswith(b"</" + STATEMENT.encode() + b">"):
        return
    parser = expat.ParserCreate()
    try:
        parser.Parse(body, True)  # noqa: FBT003  (expat takes it by position only)
    except expat.ExpatError as exc:
        message = f"The statement is cut off or broken at line {exc.lineno}: {expat.ErrorString(exc.code)}."
        raise ContractViolation(message, remedy="Download it again.") from exc


def error_of(code: str, message: str = "") -> ConnectorError:
    """Sort one of IBKR's error codes into the five errors; a code of no table is a `ContractViolation`."""
    known = ERRORS.get(code)
    if known is None:
        return ContractViolation(
            f"IBKR answered with the unknown error {code or '(none)'}: {message or 'no text'}.", code=code
        )
    kind, meaning, remedy = known
    text = f"{meaning} (IBKR {code}" + (f": {message})." if message else ").")
    if kind is RateLimited:
        return RateLimited(text, retry_after=RETRY_AFTER[code], code=code, remedy=remedy)
    return kind(text, code=code, remedy=remedy)


def _require_http_ok(response: Response) -> None:
    if response.status == HTTP_TOO_MANY:
        raise error_of(TOO_MANY_REQUESTS)
    if response.status >= HTTP_SERVER_ERROR:
        raise Transient(f"IBKR's Flex service answered HTTP {response.status}.", code=str(response.status))
    if response.status in HTTP_FORBIDDEN:
        raise Rejected(
            f"IBKR's Flex service refused the request with HTTP {response.status}.", code=str(response.status)
        )
    if response.status != HTTP_OK:
        raise ContractViolation(f"IBKR's Flex service answered HTTP {response.status}.", code=str(response.status))


def _envelope(body: bytes) -> dict[str, str]:
    try:
        root = ElementTree.fromstring(body)  # noqa: S314  (root_of has refused document types)
    except ElementTree.ParseError as exc:
        raise ContractViolation(f"The Flex service's answer is broken XML: {exc}.") from exc
    return {child.tag.lower(): (child.text or "").strip() for child in root}


def _answered_root(response: Response) -> str:
    """Name the root of an answer. A page or nothing where XML belongs is the service in trouble, not a new protocol."""
    _require_http_ok(response)
    opening = response.body.lstrip()[:100].lower()
    if not opening or opening.startswith((b"<!doctype html", b"<html")):
        page = "an HTML page" if opening else "nothing"
        raise Transient(
            f"IBKR's Flex service answered with {page} where XML belongs: maintenance perhaps.", code="page"
        )
    return root_of(response.body)


def read_ticket(response: Response) -> Ticket:
    """Read the answer to SendRequest: a ticket, or the error IBKR names."""
    if _answered_root(response) != ENVELOPE:
        raise ContractViolation("SendRequest was answered with a statement instead of a reference code.")
    fields = _envelope(response.body)
    if fields.get("status") == "Success" and fields.get("referencecode"):
        return Ticket(reference=fields["referencecode"], url=fields.get("url", ""))
    raise error_of(fields.get("errorcode", ""), fields.get("errormessage", ""))


def still_generating(response: Response) -> bool:
    """Tell whether GetStatement says "later" (True) or has given the statement (False); raise for anything else."""
    if _answered_root(response) == STATEMENT:
        require_whole(as_utf8(response.body))
        return False
    fields = _envelope(response.body)
    code = fields.get("errorcode", "")
    if code == STILL_GENERATING or (not code and fields.get("status") == "WhenAvailable"):
        return True
    raise error_of(code, fields.get("errormessage", ""))


def as_statement(body: bytes) -> bytes:
    """Give what calls itself a statement, in UTF-8, or raise: an envelope saved as a statement raises the error it holds."""
    text = as_utf8(body)
    if root_of(text) == ENVELOPE:
        fields = _envelope(text)
        if fields.get("status") == "Success":
            raise ContractViolation("This is the answer to SendRequest (a reference code), not a statement.")
        cause = error_of(fields.get("errorcode", ""), fields.get("errormessage", ""))
        raise ContractViolation(
            f"This is an error message of the Flex service, not a statement: {cause.message}"
        ) from cause
    return text


def holds_rows(body: bytes) -> bool:
    """Tell whether a reply is a statement rather than an envelope or a page."""
    try:
        return root_of(body) == STATEMENT
    except ContractViolation:
        return False


def endpoint_of(body: bytes, named: str | None = None) -> str:
    """Name the endpoint whose reply a saved file is; raises `ContractViolation` saying what it is instead."""
    if named not in (None, "GetStatement"):
        raise ContractViolation(
            f"This connector has no endpoint {named!r}.", remedy="Leave it out: statements tell themselves."
        )
    require_whole(as_statement(body))
    return "GetStatement"
