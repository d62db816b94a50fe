"""When IBKR's servers rest, by region: silence then is expected, and nobody is called for it.

https://www.interactivebrokers.co.uk/en/software/systemStatus.php; the hours have changed before, so they are configuration.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, time, timedelta
from enum import StrEnum
from types import MappingProxyType
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
WRITTEN = re.compile(
    r"(?P<first>[a-z]{3})(?:-(?P<last>[a-z]{3}))? (?P<since>\d\d:\d\d)-(?P<until>\d\d:\d\d) (?P<zone>\S+)"
)


@dataclass(frozen=True, slots=True)
class Maintenance:
    """A span of each of some days, in local time; one that ends before it begins ends the day after."""

    days: frozenset[int]  # Monday is 0: the days it begins on
    since: time
    until: time
    zone: str

    def ends_at(self, moment: datetime) -> datetime | None:
        """Tell when it ends, in its own zone, if this (aware) moment is inside it."""
        local = moment.astimezone(ZoneInfo(self.zone))
        for day in (local.date(), local.date() - timedelta(days=1)):
            begins = datetime.combine(day, self.since, local.tzinfo)
            ends = datetime.combine(
                day if self.until > self.since else day + timedelta(days=1), self.until, local.tzinfo
            )
            if day.weekday() in self.days and begins <= local < ends:
                return ends
        return None


def of(written: str) -> tuple[Maintenance, ...]:
    """Read windows as a person writes them: `sun-fri 00:15-01:45 America/New_York; fri 23:00-03:00 America/New_York`.

    Raises `ValueError` for anything else.
    """
    return tuple(_one(part.strip()) for part in written.split(";") if part.strip())


def _one(written: str) -> Maintenance:
    found = WRITTEN.fullmatch(written.lower())
    if not found or {found["first"], found["last"] or found["first"]} - set(DAYS):
        message = f"{written!r} is no maintenance window: write it like 'sun-fri 00:15-01:45 America/New_York'."
        raise ValueError(message)
    zone = written.rsplit(maxsplit=1)[-1]
    try:
        ZoneInfo(zone)
    except (ZoneInfoNotFoundError, ValueError):
        message = f"{zone!r} is no time zone: write it like 'America/New_York'."
        raise ValueError(message) from None
    first, last = DAYS.index(found["first"]), DAYS.index(found["last"] or found["first"])
    days = frozenset((first + step) % 7 for step in range((last - first) % 7 + 1))
    return Maintenance(days, time.fromisoformat(found["since"]), time.fromisoformat(found["until"]), zone)


def ends_at(windows: Iterable[Maintenance], moment: datetime) -> datetime | None:
    """Tell when the maintenance that goes on at this (aware) moment ends; None if there is none."""
    return max((end for window in windows if (end := window.ends_at(moment))), default=None)


WEEKEND = "fri 23:00-03:00 America/New_York"
NORTH_AMERICA = of(f"sun-fri 00:15-01:45 America/New_York; {WEEKEND}")
EUROPE = of(f"sun-fri 06:25-07:45 Europe/Zurich; {WEEKEND}")
ASIA_PACIFIC = of(f"sun-fri 04:45-06:05 Asia/Hong_Kong; sun-fri 20:15-21:15 Asia/Hong_Kong; {WEEKEND}")


class Region(StrEnum):
    """Where the servers stand that a login connects to."""

    NORTH_AMERICA = "north-america"
    EUROPE = "europe"
    ASIA_PACIFIC = "asia-pacific"


REGIONS: Mapping[str, tuple[Maintenance, ...]] = MappingProxyType(
    {Region.NORTH_AMERICA: NORTH_AMERICA, Region.EUROPE: EUROPE, Region.ASIA_PACIFIC: ASIA_PACIFIC}
)
