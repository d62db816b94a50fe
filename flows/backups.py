"""Back up a home while it is at work, and restore it: what belongs to it, and what must not come back as it was.

| in the home | in a backup |
|---|---|
| the landing zone, the writer's file | yes, of one moment |
| the reader's file | no: published anew, since it names the folder it belongs to |
| the paces of keys | yes: silence that a broker asked for holds |
| the nonces of keys | yes, and on the way back so many are left out as can have been used since |
| locks | no: they belong to processes |
| Prefect's own database | only when asked for, since it holds the credentials and the key to them |
"""

from __future__ import annotations

import shutil
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from connectors.nonces import Nonces
from flows import encryption, steps, timing
from flows.questions import BadInput
from warehouse import backup, db, publish
from warehouse.durable import flush_folder
from warehouse.migrate import migrate

PACE = "pace"
NONCE = ".nonce"
PREFECT = f"prefect/{encryption.DATABASE}"
PREFECT_KEY = f"prefect/{encryption.FILE}"  # without it the credentials in the database are lost
OWNER_ONLY = 0o600
PLACED = (backup.LANDING, PACE, db.WRITER)
MADE = (f"{db.WRITER}.wal", db.READER, f".{db.READER}.tmp", publish.RECORD, f".{publish.RECORD}.tmp")
# What may lie in a home that counts as empty: locks are made by asking, Prefect's folder by any flow, the last by mkfs.
NOTHING = frozenset({db.LOCK, db.LANDING_LOCK, "locks", "logs", "prefect", "lost+found"})


@dataclass(frozen=True, slots=True)
class Restored:
    """What came back: the backup it was, whether Prefect's database is of it, and how many conversations were loaded late."""

    backup: backup.Backup
    with_prefect: bool
    recovered: int

    @property
    def kept_prefect(self) -> bool:
        """Tell whether Prefect's database in the backup was passed over for one that is in use."""
        return PREFECT in self.backup.files and not self.with_prefect


def back_up(
    home: Path, target: Path, *, with_prefect: bool = False, counted: backup.Counted = iter
) -> tuple[backup.Backup, int]:
    """Bring the backup of a home up to date, syncs or not; gives what it holds and how many files had to be copied."""
    target = target.expanduser().resolve()
    if target.is_relative_to(home):
        raise BadInput(
            f"{target} is in {home}, which is to be backed up: name a folder elsewhere, best on another disk."
        )
    db.refuse_half(home)
    if not (home / db.WRITER).exists():
        raise BadInput(f"Nothing has been loaded in {home} yet: import or back-fill something first.")
    made_at = timing.utc_now()
    with _prefect_database(home, wanted=with_prefect) as prefect, backup.snapshot(home) as files:
        paces = {path.relative_to(home).as_posix(): path for path in _paces(home)}
        return backup.bring_up_to_date(target, {**files, **paces, **prefect}, made_at, counted)


def _paces(home: Path) -> list[Path]:
    return sorted(path for path in (home / PACE).glob("*") if path.suffix in (".json", NONCE))


@contextmanager
def _prefect_database(home: Path, *, wanted: bool) -> Iterator[dict[str, Path]]:
    """Copy Prefect's database as SQLite does it beside a running server; nobody but the owner may read the copy."""
    if not wanted:
        yield {}
        return
    database, copy = home / PREFECT, home / ".prefect.db.backup"
    if not database.exists():
        raise BadInput(
            f"There is no {database}: Prefect keeps its files elsewhere (PREFECT_HOME), so back them up there."
        )
    try:
        copy.unlink(missing_ok=True)
        copy.touch(mode=OWNER_ONLY)
        with closing(sqlite3.connect(database)) as source, closing(sqlite3.connect(copy)) as target:
            source.backup(target)
        key = home / PREFECT_KEY
        yield {PREFECT: copy, **({PREFECT_KEY: key} if key.exists() else {})}
    except sqlite3.Error as exc:
        raise BadInput(f"{database} cannot be copied: {exc}.") from exc
    finally:
        copy.unlink(missing_ok=True)


def restore(source: Path, home: Path, *, counted: backup.Counted = iter) -> Restored:
    """Put a backup into an empty home, all of it or nothing: what is cut short is refused by every command until it is done.

    It is copied into a folder in the home and verified there, put in place, published, and only then may be used. What had
    been landed but not loaded when it was made is loaded at the end, as after any death.
    """
    found = backup.finished(source)
    _refuse_unless_empty(home)
    with _left_as_it_was(home), db.landing_kept(home):
        with db.locked(home):
            _refuse_unless_empty(home)
            _clear(home)  # what an earlier restore left that was cut short
            staging = home / db.RESTORING
            staging.mkdir()
        try:
            backup.copy_out(found, staging, counted)
            _leave_nonces_out(staging, found.made_at or timing.utc_now())
            with_prefect = _put_in_place(home, staging)
            with db.locked(home), db.opened(home) as con:
                migrate(con)
            publish.publish(home, now=True)
            flush_folder(home)
            shutil.rmtree(staging)
        except BaseException:
            _clear(home)
            raise
    recovered = steps.recover(home)
    if recovered:
        publish.publish(home, now=True)
    return Restored(found, with_prefect, recovered)


def _refuse_unless_empty(home: Path) -> None:
    """Refuse a home that has something in it; what a restore that was cut short put there is nothing."""
    allowed = NOTHING | ({*PLACED, *MADE, db.RESTORING} if (home / db.RESTORING).exists() else set())
    there = sorted(path.name for path in home.iterdir() if path.name not in allowed) if home.exists() else []
    if there:
        raise BadInput(
            f"{home} is not empty ({', '.join(there[:3])}): a restore overwrites nothing. Name another home."
        )


def _clear(home: Path) -> None:
    """Remove what a restore put into a home, the mark that it goes on last; nobody else has written there meanwhile."""
    if not (home / db.RESTORING).exists():
        return
    for path in (home / name for name in (*PLACED, *MADE, db.RESTORING)):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


@contextmanager
def _left_as_it_was(home: Path) -> Iterator[None]:
    """Take a home away again that was made for nothing."""
    was_there = home.exists()
    try:
        yield
    except BaseException:
        if not was_there:
            for lock in (db.LOCK, db.LANDING_LOCK):
                (home / lock).unlink(missing_ok=True)
            with suppress(OSError):
                home.rmdir()
        raise


def _leave_nonces_out(staging: Path, made_at: datetime) -> None:
    """Let no nonce be used twice, even of a key whose nonces were ahead of the clock when the backup was made."""
    since = (timing.utc_now() - made_at).total_seconds()
    for file in (staging / PACE).glob(f"*{NONCE}"):
        Nonces(file, time.time).leave_out(max(since, 0.0))


def _put_in_place(home: Path, staging: Path) -> bool:
    """Move everything to where it belongs; gives whether Prefect's database was among it. One that is there stays."""
    for name in PLACED:
        if (staging / name).exists():
            (staging / name).rename(home / name)
    if not (staging / PREFECT).exists() or (home / PREFECT).exists():
        return False
    (home / PREFECT).parent.mkdir(exist_ok=True)
    for name in (PREFECT_KEY, PREFECT):
        if (staging / name).exists():
            (staging / name).chmod(OWNER_ONLY)
            (staging / name).replace(home / name)
    return True
