"""Which part of a window a key may read: its owner can bound the times of its queries, and then Kraken tells nothing of others.

What is not told is not known to be empty, so a window is asked for as far as the key reads, and the rest is refused by name.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime

from connectors.errors import BOUNDED, Rejected
from connectors.kraken import endpoints, replies
from connectors.kraken.asking import Caller
from connectors.wire import Exchanging

LATELY = 86400  # seconds; a sync of what is newer goes without asking, every few minutes
SETTINGS = "in Kraken's settings under Connections & API"


@dataclass(frozen=True, slots=True)
class Readable:
    """The part `(start, end]` of a window that a key may read, and why that is not all of it."""

    start: int
    end: int
    refusal: Rejected | None = None


def readable(caller: Caller, start: int, end: int) -> Exchanging[Readable]:
    """Ask what the key may read of `(start, end]`. Raises `Rejected` where that is nothing."""
    if start > caller.now + caller.ahead - LATELY:
        return Readable(start, end)
    info = yield from _told(caller)
    first, last = max(start, info.reads_since - 1), min(end, info.reads_until or end)
    if (first, last) == (start, end):
        return Readable(start, end)
    refusal = Rejected(
        f"The key reads only {span_of(info)}: what happened at other times cannot be seen with it.",
        code=BOUNDED,
        remedy=f"Take away the bounds of its queries {SETTINGS}, or ask for no other days (--since, --until).",
    )
    if first >= last:
        raise refusal
    return Readable(first, last, refusal)


def is_bounded(caller: Caller) -> Exchanging[bool]:
    """Ask whether there are times that a key may not read."""
    info = yield from _told(caller)
    return bool(info.reads_since or info.reads_until)


def _told(caller: Caller) -> Exchanging[replies.KeyInfo]:
    try:
        return (
            yield from caller.read(
                endpoints.key_info(caller.credentials), lambda reply, _: replies.read_key_info(reply)
            )
        )
    except Rejected:  # then nobody knows of bounds
        return replies.KeyInfo(frozenset())


def span_of(info: replies.KeyInfo) -> str:
    """Say which times a bounded key reads."""
    spans = [f"from {day_of(info.reads_since)} on"] if info.reads_since else []
    spans += [f"until {day_of(info.reads_until)}"] if info.reads_until else []
    return " and ".join(spans)


def day_of(moment: int) -> date:
    """Give the day of a moment (seconds since 1970)."""
    return datetime.fromtimestamp(moment, UTC).date()
