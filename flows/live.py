"""The one long-running process: keeps sessions awake that somebody wants kept, and lets everything else alone.

A session is tickled only while the last check found it ready. Once it is not, a person may be logging in, and a tickle then
does harm: it is left alone until a check, of `reauth-check` or of a sync, has found it ready again.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from filelock import Timeout

from connectors import http
from connectors.errors import ConnectorError, Transient
from connectors.nonces import Nonces
from connectors.registry import connector
from flows import locks, talk, timing
from flows.connections import Connection, NotConfigured
from flows.policy import State
from flows.signing import signed_in
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
    look: Callable[[], Iterable[Connection]],
    ended: threading.Event,
    *,
    clock: Callable[[], datetime] = timing.utc_now,
    say: Callable[[str], None] = log.info,
) -> None:
    """Keep sessions awake until `ended`; before each round, `look` says of which connections.

    One process a gateway does so, whatever its connections are called; others say that it is being done.
    """
    kept: dict[str, Kept] = {}
    with ExitStack() as every_lock:
        locked: dict[str, ExitStack] = {}
        busy: set[str] = set()
        while True:
            wanted = _wanted(look, kept.values(), say)
            for gateway in kept.keys() - wanted.keys():
                say(f"{kept.pop(gateway).connection.name} is no longer to be kept awake.")
                locked.pop(gateway).close()
            for gateway, connection in wanted.items():
                if gateway in kept:
                    kept[gateway].connection = connection
                elif (lock := _taken(where, gateway)) is not None:
                    locked[gateway] = every_lock.enter_context(lock)
                    kept[gateway] = Kept(connection)
                elif gateway not in busy:
                    say(f"{connection.name} is kept awake by another process.")
            busy = wanted.keys() - kept.keys()
            if ended.is_set():
                return
            for each in kept.values():
                tickle(where, each, clock=clock, say=say)
            ended.wait(CADENCE)


def gateway_of(connection: Connection) -> str:
    """Name the gateway that a connection talks to, with the login where that is its own, so that a lock can be called so."""
    return re.sub(r"\W+", "-", f"{connection.credentials.base_url} {connection.key}").strip("-")


def _wanted(
    look: Callable[[], Iterable[Connection]], kept: Iterable[Kept], say: Callable[[str], None]
) -> dict[str, Connection]:
    """Give the connections that are to be kept awake, one a gateway; where that cannot be found out, those that are."""
    try:
        found = [each for each in look() if each.keeps_alive and connector(each.kind).keep_alive is not None]
    except NotConfigured:
        found = []
    except Exception as exc:  # noqa: BLE001  (Prefect's server is away for a moment: what holds a session goes on)
        say(f"Which connections there are cannot be found out: {type(exc).__name__}: {exc}")
        found = [each.connection for each in kept]
    return {gateway_of(each): each for each in reversed(found)}


def _taken(where: Path, gateway: str) -> ExitStack | None:
    """Take a gateway for this process, unless its tickler is another one."""
    held = ExitStack()
    try:
        held.enter_context(locks.alone(where, f"live-{gateway}").acquire(timeout=0))
    except Timeout:
        return None
    return held


def tickle(
    where: Path, kept: Kept, *, clock: Callable[[], datetime] = timing.utc_now, say: Callable[[str], None] = log.info
) -> None:
    """Tickle a session that the last check found ready; one that no longer is, is left to the next check."""
    connection = kept.connection
    error: Exception | None
    try:
        if not _is_ready(where, kept):
            return
        error = _tickled(where, connection, clock)
    except Exception as exc:  # noqa: BLE001  (whatever it is, a stumble; the sessions of others are kept awake)
        error = exc
    kept.gave_up_at = None
    kept.stumbles = kept.stumbles + 1 if error is not None else 0
    may_pass = isinstance(error, Transient) or not isinstance(error, ConnectorError)
    if error is None or (may_pass and kept.stumbles < MOST_STUMBLES):
        return
    kept.stumbles, kept.gave_up_at = 0, clock()
    said = error if isinstance(error, ConnectorError) else f"{type(error).__name__}: {error}"
    say(f"{connection.name} is no longer kept awake, until a check finds it ready. {said}")


def _is_ready(where: Path, kept: Kept) -> bool:
    """Tell whether the last check found a session ready, and none has found it otherwise since it was given up."""
    with db.newest(where) as con:
        known = states.state_of(con, kept.connection.name)
    return (
        known is not None
        and known.state == State.ACTIVE
        and (kept.gave_up_at is None or known.checked_at > kept.gave_up_at)
    )


class Unkept:
    """A landing zone that keeps nothing: a tickle tells nothing of fills, and its answer is the session's cookie."""

    def exchange(self, **_said: object) -> str:
        """Let an exchange go."""
        return ""


def _tickled(where: Path, connection: Connection, clock: Callable[[], datetime]) -> ConnectorError | None:
    """Tickle once, at the pace that all processes keep; gives what went wrong."""
    broker = connector(connection.kind)
    assert broker.keep_alive is not None  # noqa: S101  (`_wanted` looked)
    try:
        with talk.client_of(broker, connection.credentials) as client:
            http.converse(
                signed_in(broker, connection.credentials, broker.keep_alive, clock),
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
