"""What Kraken's answers show of a key: what it lacks, and what it may do that nobody needs."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from connectors.checkup import Finding, Level
from connectors.kraken.bounds import SETTINGS, day_of, span_of
from connectors.kraken.replies import KeyInfo

NEEDED = frozenset({"query-closed-trades", "query-ledger", "export-data"})
READ_ONLY = frozenset({"query-funds", "query-open-trades", "create-ws-token"})  # not needed, but no harm
WARNED_DAYS = 30
UNTOLD = Finding(
    Level.NOTE,
    "Kraken did not tell what the key may do; whether it may trade or withdraw cannot be seen without trying, which is not done",
    f"See {SETTINGS} that it may only query closed orders and trades and ledger entries, and export data.",
)


def of_key(info: KeyInfo, now: datetime) -> Iterator[Finding]:
    """Say what a key may do besides what is needed, and what bounds it has. What it lacks shows when it is used."""
    acting = sorted(info.permissions - NEEDED - READ_ONLY)
    if acting:
        yield Finding(
            Level.LOOK,
            f"the key may do more than read: {', '.join(acting)}",
            f"Take that from it {SETTINGS}, or create a key for Fillhouse alone.",
        )
    else:
        yield Finding(Level.OK, "the key can neither trade nor move money")
    reading = sorted(info.permissions & READ_ONLY)
    if reading:
        yield Finding(Level.NOTE, f"the key may also do what a sync does not need: {', '.join(reading)}")
    if info.reads_since or info.reads_until:
        yield Finding(
            Level.LOOK, f"the key reads only {span_of(info)}", f"Take away the bounds of its queries {SETTINGS}."
        )
    if info.valid_until:
        ends = day_of(info.valid_until)
        level = Level.LOOK if (ends - now.date()).days <= WARNED_DAYS else Level.OK
        yield Finding(level, f"the key expires on {ends}", "Create another in time." if level is Level.LOOK else "")
