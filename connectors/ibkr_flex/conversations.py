"""The Flex protocol, top to bottom: ask for a statement, poll until it is made, read it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, time, timedelta
from itertools import chain, repeat
from zoneinfo import ZoneInfo

from connectors.checkup import Checkup, Finding, Level
from connectors.errors import RateLimited, Transient
from connectors.ibkr_flex import endpoints, replies
from connectors.ibkr_flex.endpoints import Credentials
from connectors.wire import Call, Conversation, Exchanging, Pause, Window, ask

LONGEST = timedelta(days=365)
POLLS = (3.0, 6.0, 12.0, 20.0)  # then every 30 s, for ten minutes in all
LAST_POLL = 30.0
PATIENCE = 600.0
NEW_YORK = ZoneInfo("America/New_York")
CHECKED = timedelta(days=30)


def windows(since: datetime, until: datetime) -> list[Window]:
    """Cut a span into questions of at most 365 days, oldest first, breaking at the years."""
    pieces, start = [], since
    while start < until:
        end = min(until, datetime(start.year + 1, 1, 1), start + LONGEST)  # noqa: DTZ001  (a broker's day has no zone)
        pieces.append(Window(start, end))
        start = end
    return pieces


def backfill(credentials: Credentials, window: Window, _recent: Sequence[Call] = ()) -> Conversation:
    """Fetch the statement of one window; whether it covers the window is judged from its own dates when it is loaded."""
    ticket = yield from _ticket(credentials, window)
    try:
        yield from _collect(credentials, ticket)
    except Transient as trouble:
        if trouble.code != replies.REFERENCE_INVALID:
            raise
        ticket = yield from _ticket(credentials, window)  # IBKR forgot the reference: ask for the statement once more
        yield from _collect(credentials, ticket)


def check(credentials: Credentials, recent: Sequence[Call], now: datetime) -> Checkup:
    """Fetch the statement of the last days: it shows whether token and query are good, and all that the query prints."""
    today = datetime.combine(now.astimezone(NEW_YORK).date(), time.min)
    yield from backfill(credentials, Window(today - CHECKED, today), recent)
    yield Finding(Level.OK, "token and query are good")


def _collect(credentials: Credentials, ticket: replies.Ticket) -> Conversation:
    """Poll until the statement is made; the last reply is the statement."""
    url = ticket.url if endpoints.may_be_trusted(ticket.url, credentials.base_url) else ""
    waited = 0.0
    for seconds in chain(POLLS, repeat(LAST_POLL)):
        if waited + seconds > PATIENCE:
            break
        yield Pause(seconds, "IBKR is making the statement")
        waited += seconds
        try:
            reply = yield from ask(endpoints.get_statement(credentials, ticket.reference, url))
            if not replies.still_generating(reply):
                return
        except RateLimited as limit:
            _require_short(limit)
            yield Pause(limit.retry_after, "IBKR asks for fewer requests")
            waited += limit.retry_after
        except Transient as trouble:
            if not url or trouble.code in replies.ERRORS:
                raise
            url = ""  # IBKR documents one address and returns another; either may be the one that works
    raise Transient(f"IBKR did not finish the statement within {PATIENCE:.0f} seconds.", code=replies.STILL_GENERATING)


def _ticket(credentials: Credentials, window: Window) -> Exchanging[replies.Ticket]:
    """Send the request. One "too many requests" is waited out; a second one is the runner's to handle."""
    request = endpoints.send_request(credentials, window)
    try:
        return replies.read_ticket((yield from ask(request)))
    except RateLimited as limit:
        _require_short(limit)
        yield Pause(limit.retry_after, "IBKR asks for fewer requests")
    return replies.read_ticket((yield from ask(request)))


def _require_short(limit: RateLimited) -> None:
    if limit.code != replies.TOO_MANY_REQUESTS:
        raise limit
