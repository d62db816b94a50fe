"""What a check of the set-up finds, as plain data; a conversation that checks yields its findings as it goes."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from enum import StrEnum

from connectors.errors import ConnectorError, RateLimited, Transient
from connectors.wire import Response, Step

APART, FAR_APART = 2.0, 60.0  # seconds between two clocks


class Level(StrEnum):
    """How bad a finding is: nothing, worth knowing, worth a look, in the way."""

    OK = "ok"
    NOTE = "note"
    LOOK = "look"
    BAD = "bad"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was checked: what was found, and what to do about it."""

    level: Level
    text: str
    remedy: str = ""


Checkup = Generator[Step | Finding, Response | None, None]
"""A conversation that checks the set-up, and changes nothing at the broker."""


def of_error(error: ConnectorError) -> Finding:
    """Say what came instead of an answer: trouble that passes is worth a look, all else is in the way."""
    level = Level.LOOK if isinstance(error, Transient | RateLimited) else Level.BAD
    return Finding(level, error.message.rstrip("."), error.remedy)


def of_clocks(whose: str, theirs: float, ours: float) -> Finding:
    """Compare a clock that tells whole seconds with ours, both in seconds since 1970."""
    ahead = theirs - ours if theirs > ours else min(theirs + 1 - ours, 0.0)
    if abs(ahead) <= APART:
        return Finding(Level.OK, f"{whose} clock and this machine's agree")
    direction = "behind" if ahead > 0 else "ahead of"
    return Finding(
        Level.BAD if abs(ahead) > FAR_APART else Level.LOOK,
        f"this machine's clock is {abs(ahead):.0f} s {direction} {whose}",
        "Set it by a time server (NTP).",
    )
