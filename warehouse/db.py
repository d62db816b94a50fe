"""Open the writer's file, one process at a time, and the reader's file, any number of them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import duckdb
from filelock import FileLock, Timeout

from warehouse.migrate import migrate

WRITER = "warehouse.duckdb"
READER = "fillhouse.duckdb"
LOCK = "warehouse.lock"
LANDING_LOCK = "landing.lock"
RESTORING = ".restoring"  # a folder that is there while a home is being restored
PATIENCE_SECONDS = 600.0
MOST_LOG_BYTES = 4096  # a load, or some ten smaller transactions: replaying more costs more than writing it down


class WarehouseBusy(Exception):
    """Another process has kept the writer's lock for too long."""


class HalfRestored(Exception):
    """A restore into this home is under way, or was cut short: nobody may take what is there for the whole."""


@contextmanager
def writer(home: Path, patience: float = PATIENCE_SECONDS) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open the writer's file under its lock, brought to the newest shape; waits for other writers."""
    with locked(home, patience):
        refuse_half(home)
        with opened(home) as con:
            migrate(con)
            yield con


@contextmanager
def locked(home: Path, patience: float = PATIENCE_SECONDS) -> Iterator[None]:
    """Hold the writer's lock."""
    with _held(home, LOCK, patience, f"writing to {home / WRITER}"):
        yield


@contextmanager
def landing_kept(home: Path, patience: float = PATIENCE_SECONDS) -> Iterator[None]:
    """Let no loaded file leave the landing zone meanwhile, though new ones may come. Taken before the writer's lock."""
    with _held(home, LANDING_LOCK, patience, f"compacting, rebuilding, backing up or restoring {home}"):
        yield


@contextmanager
def _held(home: Path, lock: str, patience: float, doing: str) -> Iterator[None]:
    """Hold a lock; `doing` is what whoever else holds it is about."""
    home.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(home / lock, timeout=patience):
            yield
    except Timeout as exc:
        raise WarehouseBusy(f"Another process has been {doing} for {patience:.0f} seconds.") from exc


def refuse_half(home: Path) -> None:
    """Raise `HalfRestored` where a restore has not come to its end."""
    if (home / RESTORING).exists():
        raise HalfRestored(f"A restore into {home} has not come to its end. If it does not run any more, run it again.")


@contextmanager
def opened(home: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open the writer's file; the checkpoint is left to publishing, so that closing is quick.

    When there is nothing to publish for a night, the log of small changes would grow, and every opening replays it: whoever
    finds it long writes it down.
    """
    is_long = _log_bytes(home) > MOST_LOG_BYTES
    con = duckdb.connect(home / WRITER)
    try:
        con.execute("pragma disable_checkpoint_on_shutdown")
        con.execute("set checkpoint_threshold = '1GB'")
        if is_long:
            con.execute("checkpoint")
        yield con
    finally:
        con.close()


def _log_bytes(home: Path) -> int:
    try:
        return (home / f"{WRITER}.wal").stat().st_size
    except FileNotFoundError:
        return 0


@contextmanager
def reader(home: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open the published file, read-only. Raises `FileNotFoundError` before the first publishing."""
    path = home / READER
    if not is_published(home):
        raise FileNotFoundError(f"There is no {path} yet: import or back-fill something first.")
    con = duckdb.connect(path, read_only=True)
    try:
        yield con
    finally:
        con.close()


def is_published(home: Path) -> bool:
    """Tell whether there is a file for readers."""
    refuse_half(home)
    return (home / READER).exists()


@contextmanager
def newest(home: Path, patience: float = 2.0) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open whichever file is newest for a quick look: the writer's, unless somebody is writing or it may not be touched."""
    with ExitStack() as held:
        try:
            con = held.enter_context(writer(home, patience))
        except (WarehouseBusy, OSError, duckdb.IOException):
            con = held.enter_context(reader(home))
        yield con
