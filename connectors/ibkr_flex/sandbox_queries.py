"""What can be asked of the Flex service: its stored queries, and the days that a statement of one covers.

- without `fd`, `td` or `p` the query's own period; with `p` so many days; both end yesterday, a confirmation's today
- `fd`/`td`/`p` malformed, alone, reversed, or over 365 days counting both ends: 1020
- a window outside the history, for an activity statement also one that begins today: 1003; what reaches beyond is cut off
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from connectors.ibkr_flex.sandbox_faults import Refused

QUERY_ID = "917301"
ONE_ACCOUNT_QUERY_ID = "917302"
CONFIRMS_QUERY_ID = "917303"
ACCOUNTS = ("U7350211", "U7350211F")
LONGEST_SPAN = 365


@dataclass(frozen=True, slots=True)
class FlexQuery:
    """A stored query: what it prints, for whom, and over which days when the caller names none."""

    name: str
    kind: str = "AF"  # or "TCF"
    accounts: tuple[str, ...] = ACCOUNTS
    period: str = "Last365CalendarDays"
    days: int = 365
    orders: bool = True
    lots: bool = True
    cash_report: bool = True
    unticked: frozenset[str] = frozenset()  # attributes of trades that it does not print


@dataclass(frozen=True, slots=True)
class Generating:
    """A statement that was asked for, with the window and the moment that its content is frozen at."""

    token: str
    query: FlexQuery
    first: date
    last: date
    period: str
    asked_at: datetime
    ready_at: datetime


def stored_queries() -> dict[str, FlexQuery]:
    return {
        QUERY_ID: FlexQuery("Fillhouse activity"),
        ONE_ACCOUNT_QUERY_ID: FlexQuery(
            "Master only, executions only", accounts=ACCOUNTS[:1], orders=False, lots=False
        ),
        CONFIRMS_QUERY_ID: FlexQuery("Fillhouse confirms", kind="TCF", period="Last30CalendarDays", days=30),
    }


def window(query: FlexQuery, params: Mapping[str, str], *, today: date, history_begins: date) -> tuple[date, date, str]:
    """Decide the days a statement covers: those asked for, cut to those that exist."""
    last_known = today - timedelta(days=0 if query.kind == "TCF" else 1)
    first, last, period = last_known - timedelta(days=query.days - 1), last_known, query.period
    if "fd" in params or "td" in params:
        first, last, period = _flex_date(params.get("fd", "")), _flex_date(params.get("td", "")), ""
    elif "p" in params:
        if not params["p"].isdecimal() or not 1 <= int(params["p"]) <= LONGEST_SPAN:
            raise Refused("1020")
        first, period = last_known - timedelta(days=int(params["p"]) - 1), ""
    if not 1 <= (last - first).days + 1 <= LONGEST_SPAN:
        raise Refused("1020")
    first, last = max(first, history_begins), min(last, last_known)
    if first > last:
        raise Refused("1003")
    return first, last, period


def _flex_date(text: str) -> date:
    try:
        if len(text) != 8 or not text.isdecimal():
            raise Refused("1020")
        return date(int(text[:4]), int(text[4:6]), int(text[6:]))
    except ValueError:
        raise Refused("1020") from None
