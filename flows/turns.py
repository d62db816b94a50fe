"""Go from connection to connection so that none keeps another waiting: not by being in use, nor by breaking."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from prefect import get_run_logger

from flows import aftermath, changes, locks, policy, stopping, sync
from flows.connections import Connection
from flows.planning import Planner
from flows.policy import Outcome

Turn = Callable[[Connection], Outcome]


def check(where: Path, chosen: Sequence[Connection]) -> tuple[Outcome, ...]:
    """Find out how each connection is. Of one that is in use, whoever uses it will say."""

    def turn(connection: Connection) -> Outcome:
        try:
            return sync.check(where, connection)
        except locks.InUse:
            return sync.recalled(where, connection)

    return tuple(_guarded(where, connection, turn) for connection in chosen)


def bring(where: Path, chosen: Sequence[Connection], planned: Planner, *, insists: bool = True) -> tuple[Outcome, ...]:
    """Bring each connection up to date: first those that are free, then those that others use, as they become free."""
    outcomes: dict[str, Outcome] = {}
    busy = []
    for connection in chosen:
        try:
            outcomes[connection.name] = _guarded(
                where, connection, lambda each: _brought(where, each, planned, insists=insists, waits=False)
            )
        except locks.InUse:
            busy.append(connection)
    for connection in busy:
        outcomes[connection.name] = _guarded(
            where, connection, lambda each: _brought(where, each, planned, insists=insists, waits=True)
        )
    return tuple(outcomes[connection.name] for connection in chosen)


def _brought(where: Path, connection: Connection, planned: Planner, *, insists: bool, waits: bool) -> Outcome:
    """Bring a connection up to date, and tell what alarms listen to."""
    outcome = sync.sync(where, connection, planned, insists=insists, waits=waits)
    if not outcome.is_recalled:
        with changes.at_most_a_warning(f"What came of {connection.name} was not noted"):
            aftermath.note(where, outcome)
    return outcome


def _guarded(where: Path, connection: Connection, turn: Turn) -> Outcome:
    """Give a connection its turn, and tell of its state. What nobody foresaw ends that turn only; the run ends failed."""
    try:
        with stopping.kept():
            outcome = turn(connection)
    except locks.InUse:
        raise
    except Exception as exc:  # noqa: BLE001  (the other connections are to have their turns)
        get_run_logger().exception("%s: this was not foreseen", connection.name)
        outcome = policy.broken(connection.name, exc)
    changes.tell(where)
    return outcome
