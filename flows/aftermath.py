"""What is told after a sync besides the connection's state: that it succeeded, what it rejected, what still lacks."""

from __future__ import annotations

from pathlib import Path

from flows import changes, policy, timing
from flows.policy import Outcome, State
from warehouse import connections as states
from warehouse import db, untold
from warehouse.untold import Untold

MOST_GAPS = 10
REMEDY = "Run a backfill; fillhouse status names each gap."


def note(where: Path, outcome: Outcome) -> None:
    """Note what alarms listen to: each success, each growth of the quarantine, and gaps that have been there for a day, once."""
    name, moment = outcome.connection, timing.utc_now()
    with db.writer(where) as con:
        if outcome.state is State.ACTIVE:
            untold.note(con, Untold(name, changes.SYNCED, {}), moment)
        if outcome.totals.rejected:
            untold.note(con, Untold(name, changes.QUARANTINED, {"rows": outcome.totals.rejected}), moment)
        gaps = states.gaps_of(con, name)
        said = {"gaps": "\n".join(gaps[:MOST_GAPS]), "remedy": REMEDY}
        states.note_gaps(con, name, gaps, moment, policy.OLD, Untold(name, changes.OLD_GAP, said))
