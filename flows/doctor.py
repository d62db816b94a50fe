"""What must be right before the first sync: the folder, the settings, the versions, and what each broker says to a check.

A connection that must not be asked now is not. Nothing is changed at a broker, and what is landed of a check never becomes a fill.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from importlib.metadata import version
from pathlib import Path
from typing import Any

import duckdb
import httpx
from filelock import Timeout

from connectors.checkup import Finding, Level, of_error
from connectors.connector import Reply
from connectors.errors import ConnectorError, Transient
from connectors.registry import CONNECTORS, connector
from flows import locks, policy, questions, steps, surroundings, talk, timing
from flows.connections import ENV_FILE, Connection, NotConfigured, connections, key_files, misnamed
from warehouse import connections as states
from warehouse import db, landing, publish
from warehouse.connections import KnownState

FLOW = "doctor"
PUBLIC_TO_NOBODY = 0o077
PATIENCE_SECONDS = 5.0
EXPIRES_SOON = timedelta(days=30)
# Of these packages, from which version on Prefect 3.8 fails, and how.
BREAKING = {
    "fastapi": ((0, 155), "its server does not start"),
    "sqlalchemy": ((2, 1), "its scheduler creates no runs"),
}
REPAIRED_IN = (3, 9)  # of Prefect


def examine(
    home: Path,
    *,
    clock: Callable[[], datetime] = timing.utc_now,
    sleep: Callable[[float], None] = timing.wait,
    say: Callable[[str], None] = lambda _text: None,
) -> Iterator[Finding]:
    """Check everything, what needs no network first; each finding comes as soon as it is known."""
    writable = home_of(home)
    yield writable
    for secret in (ENV_FILE, *_key_files()):
        yield from private_file(secret)
    yield from versions({name: version(name) for name in ("prefect", *BREAKING)})
    configured: list[Connection] = []
    for found in _configured(home):
        if isinstance(found, Connection):
            configured.append(found)
        else:
            yield found
    if configured:
        yield Finding(Level.OK, f"configured: {', '.join(connection.name for connection in configured)}")
    yield _readers_file(home)
    if writable.level is not Level.OK:
        return
    for connection in configured:
        for found in _of_connection(home, connection, clock, sleep, say):
            yield replace(found, text=f"{connection.name}: {found.text}")
    yield from _of_the_past(home, configured)
    yield from _of_files(home, {connection.kind for connection in configured})


def home_of(home: Path) -> Finding:
    """Check that the folder, or the one it will be made in, can be written to."""
    there = next(folder for folder in (home, *home.parents) if folder.exists())
    if there.is_dir() and os.access(there, os.W_OK | os.X_OK):
        return Finding(Level.OK, f"{there} is a folder that can be written to")
    return Finding(
        Level.BAD,
        f"{there} cannot be written to",
        "Set FILLHOUSE_HOME to a folder that can, or give yourself the right.",
    )


def private_file(path: Path) -> Iterator[Finding]:
    """Check that nobody else can read a file that holds tokens or a key, where there is one."""
    if path.exists():
        mode = path.stat().st_mode & 0o777
        if mode & PUBLIC_TO_NOBODY:
            yield Finding(Level.LOOK, f"{path} has mode {mode:04o}, and others may read it", f"chmod 600 {path}")
        else:
            yield Finding(Level.OK, f"{path} has mode {mode:04o}; it is not encrypted, but yours alone")


def _key_files() -> list[Path]:
    """Name the files of private keys; none where the settings cannot be read, which is said elsewhere."""
    with suppress(NotConfigured):
        return key_files()
    return []


def versions(installed: dict[str, str]) -> Iterator[Finding]:
    """Check for versions that Prefect is known not to work with; it says nothing of them itself."""
    broken = [
        Finding(
            Level.BAD,
            f"Prefect {installed['prefect']} does not work with {name} {installed[name]}: {how}",
            f"Install {name} older than {'.'.join(map(str, since))}.",
        )
        for name, (since, how) in BREAKING.items()
        if _numbers(installed["prefect"]) < REPAIRED_IN and _numbers(installed[name]) >= since
    ]
    said = ", ".join(f"{name} {number}" for name, number in installed.items())
    yield from broken or [Finding(Level.OK, f"{said} work together")]


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in text.split(".")[:2] if part.isdecimal())


def _configured(home: Path) -> Iterator[Connection | Finding]:
    """Give the connections of the environment and the blocks; and what is wrong with how they are described."""
    surroundings.prefer(home)
    from flows.blocks import stored_connections  # noqa: PLC0415

    stored: list[Connection] = []
    try:
        stored = stored_connections()
    except NotConfigured as exc:
        yield Finding(Level.BAD, _without_dot(exc))
    except (httpx.HTTPError, RuntimeError) as exc:
        yield Finding(
            Level.LOOK,
            f"Prefect's server does not answer ({type(exc).__name__}), so blocks are not checked",
            "Start it, or unset PREFECT_API_URL.",
        )
    try:
        yield from (Finding(Level.LOOK, said, "Correct its name, or take it away.") for said in misnamed())
        yield from connections(None, stored)
    except NotConfigured as exc:
        yield Finding(Level.BAD, _without_dot(exc))


def _without_dot(exc: Exception) -> str:
    return str(exc).rstrip(".")


def _readers_file(home: Path) -> Finding:
    if not (home / db.READER).exists():
        return Finding(Level.OK, "nothing is loaded yet")
    try:
        with db.reader(home) as con:
            con.execute("select 1 from fills limit 1").fetchall()
    except duckdb.Error as exc:
        said = str(exc).splitlines()[0]
        return Finding(Level.BAD, f"the reader's file cannot be read ({said})", "Make it anew: fillhouse renormalize")
    moment = publish.published_at(home)
    return Finding(
        Level.OK, f"the reader's file was published {moment:%Y-%m-%d %H:%M} UTC" if moment else "it is there"
    )


def _of_the_past(home: Path, configured: Sequence[Connection]) -> Iterator[Finding]:
    """Name the connections that stand in `status` and are configured no more."""
    if not db.is_published(home):
        return
    with db.reader(home) as con:
        known = states.names(con)
    for name in sorted({*known} - {connection.name for connection in configured}):
        said = f"{name} stands in status, and is not configured here"
        yield Finding(Level.NOTE, said, f"If it is no more: fillhouse forget {name}")


def _of_connection(
    home: Path,
    connection: Connection,
    clock: Callable[[], datetime],
    sleep: Callable[[float], None],
    say: Callable[[str], None],
) -> Iterator[Finding]:
    """Check one connection: what its owner said of it, what its broker answers, what its newest reply shows."""
    yield from _expiry(connection, clock())
    broker = connector(connection.kind)
    try:
        known = _state_of(home, connection.name)
        query = broker.query_param(connection.credentials) if broker.query_param else (None, None)
        shown = _newest_shown(home, connection.kind, connection.name, query)
        is_new_key = known is not None and known.key != connection.key
        if broker.check is not None and (is_new_key or not _is_all_right(shown)):
            yield from _asked(home, connection, known, clock, sleep, say)
            shown = _newest_shown(home, connection.kind, connection.name, query)
        elif shown is not None:
            yield Finding(Level.OK, "judged by the newest statement that is here; none was asked for")
    except db.WarehouseBusy:
        yield Finding(Level.LOOK, "not checked: another process is writing to the warehouse", "Try again later.")
        return
    yield from shown or ()


def _expiry(connection: Connection, now: datetime) -> Iterator[Finding]:
    """Say when the token ends, which only its owner can tell."""
    if connection.kind != "ibkr_flex":
        return
    ends = connection.expires_on
    if ends is None:
        yield Finding(
            Level.NOTE,
            "IBKR does not tell when the token expires",
            "To be warned in time, set FILLHOUSE_IBKR_FLEX_TOKEN_EXPIRES, or 'Expires on' in its block.",
        )
    elif ends <= now.date():
        yield Finding(Level.BAD, f"the token expired on {ends}", "Generate one in the Client Portal, and set its day.")
    else:
        soon = ends - now.date() <= EXPIRES_SOON
        yield Finding(
            Level.LOOK if soon else Level.OK, f"the token expires on {ends}", "Renew it in time." if soon else ""
        )


def _asked(
    home: Path,
    connection: Connection,
    known: KnownState | None,
    clock: Callable[[], datetime],
    sleep: Callable[[float], None],
    say: Callable[[str], None],
) -> Iterator[Finding]:
    """Ask the broker, unless it is to be left alone or is just being asked by another run."""
    broker = connector(connection.kind)
    tells_itself = broker.preflight is not None
    if known and policy.is_silent(known, connection.key, clock(), tells_itself=tells_itself, insists=False):
        yield _left_alone(connection.name, known)
        return
    try:
        with locks.alone(home, connection.name).acquire(timeout=0):
            if broker.is_one_at_a_time:
                with locks.alone(home, connection.key).acquire(timeout=0):
                    pass  # `fetch` would wait for it, as long as a backfill takes
            fetched = talk.fetch(
                home,
                connection.kind,
                connection.name,
                connection.credentials,
                talk.About.SETUP,
                landing.new_id(clock()),
                flow=FLOW,
                clock=clock,
                sleep=sleep,
                on_wait=lambda pause: say(f"{connection.name}: {pause.why}; waiting {pause.seconds:.0f} s"),
            )
            with suppress(db.WarehouseBusy):  # then the next run loads it
                steps.load_conversation(home, fetched.conversation_id)
    except Timeout:
        yield Finding(Level.NOTE, "another run is asking with it just now, so it was not asked")
        return
    yield from fetched.findings
    if fetched.error is not None:
        yield _of_trouble(connection, fetched.error)


def _left_alone(name: str, known: KnownState) -> Finding:
    if known.retry_at is not None and known.state == policy.State.RATE_LIMITED:
        text = f"not asked: the broker wants silence until {known.retry_at:%Y-%m-%d %H:%M} UTC"
        return Finding(Level.LOOK, text, "Nothing: it passes.")
    since = f" since {known.state_since:%Y-%m-%d %H:%M} UTC" if known.state_since else ""
    text = f"not asked with the same key: {known.state}{since}. {(known.reason or '').rstrip('.')}"
    return Finding(Level.BAD, text, f"{known.remedy or ''} Then run fillhouse sync {name}.".strip())


def _of_trouble(connection: Connection, error: ConnectorError) -> Finding:
    if policy.nothing_there(connection.kind, error.code):
        text = (
            "token and query are good, but there is no statement of the last days yet, so what it prints cannot be seen"
        )
        return Finding(Level.NOTE, text)
    found = of_error(error)
    remedy = found.remedy or ("It may be a passing trouble: try again later." if isinstance(error, Transient) else "")
    return replace(found, remedy=remedy)


def _of_files(home: Path, configured: set[str]) -> Iterator[Finding]:
    """Look at the newest imported file of each broker that no connection is configured for."""
    for kind in sorted(CONNECTORS.keys() - configured):
        if connector(kind).examine is not None:
            for found in _newest_shown(home, kind, steps.IMPORTED) or ():
                yield replace(found, text=f"imported {kind} files: {found.text}")


def _state_of(home: Path, name: str) -> KnownState | None:
    if not (home / db.WRITER).exists():
        return None
    with db.writer(home, PATIENCE_SECONDS) as con:
        return states.state_of(con, name)


def _is_all_right(shown: Sequence[Finding] | None) -> bool:
    """Tell whether what is here shows nothing to be mended; else it may have been by now, which only a new reply can show."""
    return shown is not None and not any(found.level in {Level.LOOK, Level.BAD} for found in shown)


def _newest_shown(
    home: Path, kind: str, name: str, query: tuple[str | None, str | None] = (None, None)
) -> list[Finding] | None:
    """Examine the newest reply with rows (of this query, where one is named); None where there is none, or nothing to see."""
    look = connector(kind).examine
    if look is None or not (home / db.WRITER).exists():
        return None
    with db.writer(home, PATIENCE_SECONDS) as con:
        asked = {"connector": kind, "connection": name, "param": query[0], "query": query[1]}
        replies = questions.rows(con, questions.LATEST_REPLIES, asked)
    for row in replies:
        found = look(_reply(home, row))
        if found is not None:
            return list(found)
    return None


def _reply(home: Path, row: dict[str, Any]) -> Reply:
    body = landing.read_body(home, row["landed_file"], row["exchange_id"])
    return Reply(row["exchange_id"], row["endpoint"], body or b"", row["answered_at"])
