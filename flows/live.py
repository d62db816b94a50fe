"""The one long-running process: keeps sessions awake that somebody wants kept, and lets everything else alone.

A session is tickled only while the last check found it ready. Once it is not, a person may be logging in, and a tickle then
does harm: it is left alone until a check, of `reauth-check` or of a sync, has found it ready again.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from connectors import http
from connectors.errors import ConnectorError, Transient
from connectors.nonces import Nonces
from connectors.registry import connector
from flows import locks, talk, timing
from flows.connections import Connection
from flows.policy import State
from warehouse import connections as states
from warehouse import db

CADENCE = 60.0
MOST_STUMBLES = 3  # one tickle in fifteen is said to fail by itself

log = logging.getLogger("fillhouse.live")


@dataclass(slots=True)
class Kept:
    """A session that is kept awake, and what came of its last tickles."""

    connection: Connection
    stumbles: int = 0
    gave_up_at: datetime | None = None


def live(
    where: Path,
    chosen: Sequence[Connection],
    ended: threading.Event,
    *,
    clock: Callable[[], datetime] = timing.utc_now,
    say: Callable[[str], None] = log.info,
) -> None:
    """Keep sessions awake until `ended`; one process a gateway does so, others say that it is being done."""
    with ExitStack() as held:
        kept = [Kept(each) for each in chosen if each.keeps_alive and _is_ours(where, each, held, say)]
        while kept and not ended.is_set():
            for each in kept:
                tickle(where, each, clock=clock, say=say)
            ended.wait(CADENCE)


def _is_ours(where: Path, connection: Connection, held: ExitStack, say: Callable[[str], None]) -> bool:
    """Take a gateway for this process, unless its tickler is another one."""
    if connector(connection.kind).keep_alive is None:
        return False
    lock: FileLock = locks.alone(where, f"live-{connection.name}")
    try:
        held.enter_context(lock.acquire(timeout=0))
    except Timeout:
        say(f"{connection.name} is kept awake by another process.")
        return False
    return True


def tickle(
    where: Path, kept: Kept, *, clock: Callable[[], datetime] = timing.utc_now, say: Callable[[str], None] = log.info
) -> None:
    """Tickle a session that the last check found ready; one that no longer is, is left to the next check."""
    connection = kept.connection
    with db.writer(where) as con:
        known = states.state_of(con, connection.name)
    if (
        known is None
        or known.state != State.ACTIVE
        or (kept.gave_up_at is not None and known.checked_at <= kept.gave_up_at)
    ):
        return
    error = _tickled(where, connection, clock)
    kept.gave_up_at = None
    kept.stumbles = kept.stumbles + 1 if error is not None else 0
    if error is None or (isinstance(error, Transient) and kept.stumbles < MOST_STUMBLES):
        return
    kept.stumbles, kept.gave_up_at = 0, clock()
    say(f"{connection.name} is no longer kept awake, until a check finds it ready. {error}")


class Unkept:
    """A landing zone that keeps nothing: a tickle tells nothing of fills, and its answer is the session's cookie."""

    def exchange(self, **_said: object) -> str:
        """Let an exchange go."""
        return ""


def _tickled(where: Path, connection: Connection, clock: Callable[[], datetime]) -> ConnectorError | None:
    """Tickle once, at the pace that all processes keep; gives what went wrong."""
    broker = connector(connection.kind)
    assert broker.keep_alive is not None  # noqa: S101  (`_is_ours` looked)
    try:
        with http.client(broker.limits, certificate=talk.certificate_of(connection.credentials)) as client:
            http.converse(
                broker.keep_alive(connection.credentials),
                client=client,
                limits=broker.limits,
                landing=Unkept(),
                pace=talk.pace_of(where, broker, connection.key, clock, timing.wait),
                nonces=Nonces(where / "pace" / f"{connection.key}.nonce", lambda: clock().timestamp()),
                clock=clock,
                sleep=timing.wait,
                tally=http.Tally(),
            )
    except ConnectorError as error:
        return error
    return None
