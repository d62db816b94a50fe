"""What is told after a sync besides the connection's state: that it succeeded, what it rejected, what still lacks."""

from __future__ import annotations

from pathlib import Path

from flows import changes, policy, timing
from flows.policy import Outcome, State
from warehouse import connections as states
from warehouse import db

MOST_GAPS = 10
REMEDY = "Run a backfill; fillhouse status names each gap."


def tell(where: Path, outcome: Outcome) -> None:
    """Emit what alarms listen to: each success, each growth of the quarantine, and gaps that have been there for a day, once."""
    if outcome.state is State.ACTIVE:
        changes.emit(changes.SYNCED, outcome.connection)
    if outcome.totals.rejected:
        changes.emit(changes.QUARANTINED, outcome.connection, rows=outcome.totals.rejected)
    with db.writer(where) as con:
        gaps = states.gaps_of(con, outcome.connection)
        due = states.is_time_to_tell_of_gaps(con, outcome.connection, gaps, timing.utc_now(), policy.OLD)
    if due:
        changes.emit(changes.OLD_GAP, outcome.connection, gaps="\n".join(gaps[:MOST_GAPS]), remedy=REMEDY)
