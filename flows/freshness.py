"""Whether each channel is as fresh as it promises: what counts is the newest moment told, never when it was asked for.

This is no part of `data_health`: a view gives the same answer to everybody who reads the same file, and becoming stale needs no
load, only time. So the moment is given to a function, and `status` asks it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta

from flows.policy import LAST_ZONE

NOON = time(12)
SATURDAY = 5


@dataclass(frozen=True, slots=True)
class Promise:
    """How fresh a connection's channels are meant to be."""

    within: timedelta | None  # of now; None: each weekday's statement, by noon of the day after
    channels: tuple[frozenset[str], ...] = ()  # of each set, one that is fresh is enough


@dataclass(frozen=True, slots=True)
class Reach:
    """How far a channel has told one account, moments in UTC without a zone, or the broker's days as their midnights."""

    connection: str
    source: str
    account: str | None
    verified_since: datetime
    verified_until: datetime  # without a gap
    newest: datetime
    is_read: bool = True  # the login, or a setting, still names the account


@dataclass(frozen=True, slots=True)
class Freshness:
    """A channel of a connection, over all accounts that are read: the one that reaches least far speaks for them."""

    connection: str
    source: str
    accounts: tuple[str, ...]
    verified_since: datetime
    verified_until: datetime
    newest: datetime
    promises: bool  # files promise nothing, and a channel does not that another has overtaken
    stale_since: datetime | None = None


def judge(reaches: Iterable[Reach], promises: Mapping[str, Promise], now: datetime) -> list[Freshness]:
    """Judge every channel by its connection's promise at a moment (aware); in the order in which they came."""
    by_channel: dict[tuple[str, str], list[Reach]] = {}
    for reach in (each for each in reaches if each.is_read):
        by_channel.setdefault((reach.connection, reach.source), []).append(reach)
    newest = {channel: min(reach.newest for reach in told) for channel, told in by_channel.items()}
    return [_judged(told, promises.get(connection), newest, now) for (connection, _), told in by_channel.items()]


def _judged(
    told: Sequence[Reach], promise: Promise | None, newest: Mapping[tuple[str, str], datetime], now: datetime
) -> Freshness:
    connection, source = told[0].connection, told[0].source
    own = newest[connection, source]
    group = next((group for group in promise.channels if source in group), frozenset()) if promise else frozenset()
    promises = promise is not None and own >= max(newest.get((connection, other), own) for other in {source, *group})
    due = due_at(own, promise.within) if promise else now
    return Freshness(
        connection=connection,
        source=source,
        accounts=tuple(sorted(reach.account for reach in told if reach.account)),
        verified_since=min(reach.verified_since for reach in told),
        verified_until=min(reach.verified_until for reach in told),
        newest=own,
        promises=promises,
        stale_since=due if promises and due < now else None,
    )


def due_at(newest: datetime, within: timedelta | None) -> datetime:
    """Tell when more than this should have been told (aware, UTC): after a while, or by noon in New York of the next day."""
    if within is not None:
        return newest.replace(tzinfo=UTC) + within
    return datetime.combine(_first_weekday(newest.date()) + timedelta(days=1), NOON, LAST_ZONE).astimezone(UTC)


def _first_weekday(day: date) -> date:
    return next(later for later in (day + timedelta(days=ahead) for ahead in range(3)) if later.weekday() < SATURDAY)
