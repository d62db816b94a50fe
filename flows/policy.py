"""What a flow makes of an error: what is worth retrying, what state it leaves a connection in, and how the run ends."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from uuid import UUID
from zoneinfo import ZoneInfo

from connectors.errors import (
    BOUNDED,
    GRAIN,
    UNREACHABLE,
    AuthRequired,
    ConnectorError,
    ContractViolation,
    RateLimited,
    Rejected,
    Transient,
)
from connectors.registry import connector
from flows.questions import BadInput
from warehouse.connections import KnownState, Totals
from warehouse.coverage import Asked
from warehouse.news import Told

WORK_POOL = "fillhouse"
TAG = "fillhouse"  # on every deployment, and so on its runs
STALE_AFTER = timedelta(hours=1)  # without a successful sync, of four that were due
OLD = timedelta(days=1)  # a gap that is worth an alarm
DEFAULT_YEARS = 5  # this one and four before it, as far back as IBKR tells
MUCH = timedelta(days=92)
LAST_ZONE = ZoneInfo("America/New_York")  # where the brokers' day ends last
MOST_TROUBLES_IN_A_ROW = 2
CLOCKS_APART = timedelta(minutes=5)  # more than that between a broker's clock and ours is worth a gap
NOTICES = (30, 7, 1)  # days before a token expires
PATIENCE = timedelta(hours=1)  # before a day that a broker has not finished is asked for again


class State(StrEnum):
    """A connection's state, as the table `connections` holds it; the mildest first."""

    ACTIVE = "active"
    RATE_LIMITED = "rate_limited"
    DEGRADED = "degraded"
    MISCONFIGURED = "misconfigured"
    NEEDS_REAUTH = "needs_reauth"


class FoundBy(StrEnum):
    """What found a connection in its state: the question whether its session is ready, or what was asked of it then."""

    PREFLIGHT = "preflight"
    SYNC = "sync"


MILDEST_FIRST = tuple(State)
PATIENCE_HELPS = frozenset({State.ACTIVE, State.DEGRADED})
NOT_OVER = frozenset({State.DEGRADED, State.MISCONFIGURED, State.NEEDS_REAUTH})  # by itself, without an answer
ENDINGS = {
    State.ACTIVE: "Completed",
    State.RATE_LIMITED: "RateLimited",
    State.DEGRADED: "Degraded",
    State.MISCONFIGURED: "Misconfigured",
    State.NEEDS_REAUTH: "NeedsReauth",
}
STATES: dict[type[ConnectorError], State] = {
    AuthRequired: State.NEEDS_REAUTH,
    RateLimited: State.RATE_LIMITED,
    Transient: State.DEGRADED,
    Rejected: State.MISCONFIGURED,
    ContractViolation: State.DEGRADED,
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a run came to for one connection."""

    connection: str
    state: State
    entered: bool  # the run found the connection in another state
    is_recalled: bool = False  # nothing was asked: this is what an earlier run came to
    windows: int = 0
    covered_until: datetime | None = None  # how far nothing was asked, as it was there already
    reason: str = ""
    remedy: str = ""
    retry_at: datetime | None = None
    totals: Totals = field(default_factory=Totals)
    gaps: tuple[str, ...] = ()
    news: tuple[Told, ...] = ()  # of what was brought, the newest
    is_broken: bool = False  # in a way that nobody foresaw: what state it is in is not known

    @property
    def fails(self) -> bool:
        """Tell whether the run is to be red: somebody must act, and has not been told yet; or a question, or we, are wrong."""
        if self.is_recalled:
            return False
        return (
            self.is_broken or self.state is State.MISCONFIGURED or (self.state is State.NEEDS_REAUTH and self.entered)
        )


def worth_retrying(error: object) -> bool:
    """Tell whether the same question may succeed in a while; what needs a person or a correction does not."""
    return isinstance(error, Transient)


def concerns_window_only(kind: str, error: ConnectorError) -> bool:
    """Tell whether the broker merely has nothing for this window, so that the others are worth asking."""
    return nothing_there(kind, error.code)


def nothing_there(kind: str, code: str | None) -> bool:
    """Tell whether this code is the broker's way to say that it has no statement for the window."""
    return code in connector(kind).nothing_there


def distrusts_export(error: ConnectorError) -> bool:
    """Tell whether the faster way to history turned out to tell something else than the plain one, or not all of it."""
    return error.code in (GRAIN, BOUNDED)


def ends_sync(error: ConnectorError, in_a_row: int) -> bool:
    """Tell whether the other windows must wait: at once for what concerns them all, else after troubles in a row.

    What a bounded key may not read is no reason not to ask for what it may.
    """
    if error.code == BOUNDED:
        return False
    concerns_all = error.code == UNREACHABLE or not isinstance(error, Transient | ContractViolation)
    return concerns_all or in_a_row >= MOST_TROUBLES_IN_A_ROW


def state_after(error: ConnectorError | None) -> State:
    """Give the state an error leaves its connection in."""
    return STATES[type(error)] if error is not None else State.ACTIVE


def is_silent(before: KnownState, key: str, now: datetime, *, tells_itself: bool, insists: bool) -> bool:
    """Tell whether nothing is asked: the broker wants silence, or a person was told what to do and has not done it.

    A broker that tells by itself whether the person has (`tells_itself`) may be asked that.
    """
    if before.state == State.RATE_LIMITED:
        return before.retry_at is not None and before.retry_at > now
    return before.state == State.NEEDS_REAUTH and not tells_itself and not insists and before.key == key


def is_healed_by_login(before: KnownState) -> bool:
    """Tell whether a session that is ready ends a connection's trouble: silence that is over, and what a preflight has met.

    Any other is the next sync's to end.
    """
    return before.state in (State.ACTIVE, State.NEEDS_REAUTH, State.RATE_LIMITED) or (
        before.found_by == FoundBy.PREFLIGHT
    )


def found_by(before: KnownState | None, state: State, step: FoundBy) -> FoundBy:
    """Tell what has found a connection in its state: trouble that a sync has met is not a preflight's while it lasts."""
    lasts = before is not None and before.state == state and before.found_by == FoundBy.SYNC
    return FoundBy.SYNC if lasts else step


def broken(connection: str, exc: Exception) -> Outcome:
    """Give what is known of a connection when something happened that nobody foresaw."""
    return Outcome(
        connection=connection,
        state=State.DEGRADED,
        entered=False,
        is_broken=True,
        reason=f"This was not foreseen: {type(exc).__name__}: {exc}",
        remedy="The log of the run tells more; the next run tries again.",
    )


def notice_of(expires_on: date | None, today: date) -> int | None:
    """Tell which of the warnings is due for a token that ends then, in days ahead; None while it is good for longer."""
    if expires_on is None:
        return None
    return min((days for days in NOTICES if (expires_on - today).days <= days), default=None)


def worst_error(errors: Sequence[ConnectorError]) -> ConnectorError | None:
    """Pick the error that names the connection's state; the latest of those equally bad."""
    return max(reversed(errors), key=lambda error: MILDEST_FIRST.index(state_after(error)), default=None)


def retry_at(error: ConnectorError | None, moment: datetime) -> datetime | None:
    """Tell when the broker may be asked again, where it wants silence until then."""
    return moment + timedelta(seconds=error.retry_after) if isinstance(error, RateLimited) else None


def worst(outcomes: Sequence[Outcome]) -> Outcome:
    """Pick the outcome that a run over several connections is named after."""
    return max(outcomes, key=lambda outcome: (outcome.is_broken, outcome.fails, MILDEST_FIRST.index(outcome.state)))


def jitter(run_id: str, most: float) -> float:
    """Spread runs that begin at the same moment everywhere: a part of `most` seconds, another one for each run."""
    return most * (UUID(run_id).int % 1000) / 1000


def span(
    since: date | None,
    until: date | None,
    now: datetime,
    *,
    is_open_always: bool = False,
    opened: date | None = None,
) -> Asked:
    """Decide what to ask for: by default all since the broker opened, up to the last day that has ended everywhere.

    Where it tells a few years only it is five years; where trading never rests it ends with this second, UTC.
    """
    last = until or now.astimezone(LAST_ZONE).date()
    start = since or opened or _years_before(last, DEFAULT_YEARS)
    if start >= last:
        raise BadInput(_why_empty(start, last, now, was_given=until is not None))
    present = now.astimezone(UTC).replace(microsecond=0, tzinfo=None) + timedelta(seconds=1)
    if is_open_always and (until is None or _midnight(until) >= present):
        return Asked(_midnight(start), present, is_up_to_now=True)
    return Asked(_midnight(start), _midnight(last))


def is_much(part: Asked) -> bool:
    """Tell whether so much is missing that the faster way to history is worth its detour."""
    return part.until - part.since > MUCH


def _why_empty(since: date, last: date, now: datetime, *, was_given: bool) -> str:
    if since > now.astimezone(UTC).date():
        return f"The first day, {since}, is in the future: nothing has been traded yet."
    if was_given:
        return f"The first day, {since}, must be before {last}, which is the day after the last."
    return (
        f"The first day, {since}, has not ended yet: there is nothing to backfill. fillhouse sync fetches what is new."
    )


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time.min)


def _years_before(day: date, years: int) -> date:
    """Go back by whole years; from a leap day to the first of March."""
    return day.replace(year=day.year - years) if (day.month, day.day) != (2, 29) else date(day.year - years, 3, 1)
