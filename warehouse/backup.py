"""A backup of a home: a folder that is brought up to date at once or not at all, and checked before anything comes out of it.

`fillhouse-backup.json` names every file with its hash; what it does not name does not count. Landed files never change,
so those that are there stay. All others lie in a folder of their moment, so that the former backup is whole until the
new list takes the place of its own.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path, PurePosixPath

import duckdb

from warehouse import db, durable
from warehouse.landing import GATHERED, landed_files

LIST = "fillhouse-backup.json"
FORMAT = 1
LANDING = "landing"
MOMENT = "moment-"  # begins the name of a folder with what changes from backup to backup
PRIVATE = 0o700

# Gives files one by one, and may tell somebody how many are done.
Counted = Callable[[Sequence[str]], Iterable[str]]


class BadBackup(Exception):
    """A folder is no backup, or not one of this home, or not what was backed up any more."""


@dataclass(frozen=True, slots=True)
class Backup:
    """What a backup holds: size and sha256 of each file, by its path in the home. `made_at` is null before the first is done."""

    folder: Path
    moment: str = ""
    made_at: datetime | None = None
    files: Mapping[str, tuple[int, str]] = field(default_factory=dict)

    def place_of(self, path: str) -> Path:
        """Tell where in the backup a file of the home lies."""
        return self.folder / path if _stays(path) else self.folder / self.moment / path

    def is_there(self, path: str) -> bool:
        """Tell whether a file is in its place, with the size it had."""
        place = self.place_of(path)
        return path in self.files and place.is_file() and place.stat().st_size == self.files[path][0]

    @property
    def size(self) -> int:
        """Give the size of all files together, in bytes."""
        return sum(size for size, _ in self.files.values())


def _stays(path: str) -> bool:
    """Tell whether a file never changes once it is there."""
    return path.startswith(f"{LANDING}/")


@contextmanager
def snapshot(home: Path) -> Iterator[dict[str, Path]]:
    """Give the warehouse and the landed files of one moment, by their paths in the home; syncs go on meanwhile.

    The writer's lock is held as long as publishing would hold it. What the warehouse knows has been landed before, and
    nothing that is landed goes away; a conversation that still goes on is there as if it had been killed at that moment.
    """
    copy = home / f".{db.WRITER}.backup"
    with db.landing_kept(home):
        try:
            with db.locked(home):
                db.refuse_half(home)
                with db.opened(home) as con:
                    con.execute("checkpoint")
                durable.clone(home / db.WRITER, copy)
                landed = landed_files(home)
            yield {db.WRITER: copy, **{path.relative_to(home).as_posix(): path for path in landed}}
        finally:
            copy.unlink(missing_ok=True)


def bring_up_to_date(
    folder: Path, files: Mapping[str, Path], made_at: datetime, counted: Counted = iter
) -> tuple[Backup, int]:
    """Make a folder hold these files, given by their paths in the home, and no others; gives how many had to be copied."""
    former = _begun(folder)
    _refuse_loss(former, files)
    moment = f"{MOMENT}{made_at:%Y%m%dT%H%M%S.%f}"
    (folder / moment).mkdir(mode=PRIVATE)
    kept = {path: former.files[path] for path in files if _stays(path) and former.is_there(path)}
    backup = Backup(folder, moment, made_at, kept)
    new = [path for path in files if path not in kept]
    copied = {path: durable.copy(files[path], backup.place_of(path)) for path in counted(new)}
    for touched in sorted({parent for path in copied for parent in backup.place_of(path).parents}, reverse=True):
        if touched.is_relative_to(folder):
            durable.flush_folder(touched)
    backup = replace(backup, files=kept | copied)
    _write_list(backup)
    _tidy(backup)
    return backup, len(copied)


def _begun(folder: Path) -> Backup:
    """Read what a folder holds so far; a new one is marked as ours before anything else is put there."""
    if (folder / LIST).exists():
        return read(folder)
    if folder.exists() and any(folder.iterdir()):
        raise BadBackup(
            f"{folder} has something in it and is no backup. Name an empty folder, or one that is not there."
        )
    folder.mkdir(parents=True, exist_ok=True, mode=PRIVATE)
    nothing = Backup(folder)
    _write_list(nothing)
    return nothing


def _refuse_loss(former: Backup, files: Mapping[str, Path]) -> None:
    """Refuse files of a home that has lost something, or of another home, in the place of a backup that knows more."""
    with duckdb.connect() as con:
        _attach(con, "present", files[db.WRITER])
        named = [name for (name,) in con.execute("select distinct landed_file from present.exchanges").fetchall()]
        gathered = {PurePosixPath(path).parent for path in files if PurePosixPath(path).name.startswith(GATHERED)}
        if missing := [name for name in named if name not in files and PurePosixPath(name).parent not in gathered]:
            raise BadBackup(
                f"{len(missing)} landed files are missing that the warehouse knows, such as {min(missing)}. Nothing was backed "
                f"up; a former backup, restored into another home, has them."
            )
        if former.made_at is None:
            return
        _attach(con, "former", former.place_of(db.WRITER))
        [(lost,)] = con.execute(
            "select count(*) from former.exchanges anti join present.exchanges using (exchange_id)"
        ).fetchall()
    if lost:
        raise BadBackup(
            f"{former.folder} holds {lost} exchanges that this home does not know: it is another home's backup, or this "
            f"home has lost them. Restore it, or back up into another folder."
        )


def _attach(con: duckdb.DuckDBPyConnection, name: str, warehouse: Path) -> None:
    quoted = str(warehouse).replace("'", "''")
    try:
        con.execute(f"attach '{quoted}' as {name} (read_only)")  # attach takes no parameters
    except duckdb.Error as exc:
        raise BadBackup(f"{warehouse} cannot be read. Back up into another folder.") from exc


def _write_list(backup: Backup) -> None:
    made_at = backup.made_at.isoformat() if backup.made_at else None
    said = {"format": FORMAT, "made_at": made_at, "moment": backup.moment, "files": backup.files}
    durable.write_text(json.dumps(said, indent=0), backup.folder / LIST)


def _tidy(backup: Backup) -> None:
    """Remove what the list does not name: what was compacted away, the former warehouse, what a killed backup left."""
    for folder in backup.folder.glob(f"{MOMENT}*"):
        if folder.name != backup.moment:
            shutil.rmtree(folder)
    for path in sorted((backup.folder / LANDING).rglob("*"), reverse=True):  # files before the folder they are in
        if path.is_file() and path.relative_to(backup.folder).as_posix() not in backup.files:
            path.unlink()
        elif path.is_dir() and not any(path.iterdir()):
            path.rmdir()


def read(folder: Path) -> Backup:
    """Read what a backup holds, without looking whether it is there."""
    try:
        said = json.loads((folder / LIST).read_text())
        if said["format"] != FORMAT:
            raise BadBackup(f"{folder} was written by another version of Fillhouse: its format is {said['format']!r}.")
        made_at = datetime.fromisoformat(said["made_at"]) if said["made_at"] else None
        files = {str(path): (int(size), str(sha256)) for path, (size, sha256) in said["files"].items()}
        moment = str(said["moment"])
    except (FileNotFoundError, NotADirectoryError) as exc:
        raise BadBackup(f"{folder} is no backup: there is no {LIST} in it.") from exc
    except (ValueError, KeyError, TypeError, AttributeError) as exc:
        raise BadBackup(f"{folder / LIST} is damaged.") from exc
    for path in (moment, *files):
        if PurePosixPath(path).is_absolute() or ".." in PurePosixPath(path).parts:
            raise BadBackup(f"{folder / LIST} is damaged: it names {path}.")
    return Backup(folder, moment, made_at, files)


def finished(folder: Path) -> Backup:
    """Read what a finished backup holds and see that every file is there; what is in them is for `copy_out` to check."""
    backup = read(folder)
    if backup.made_at is None:
        raise BadBackup(f"{folder} was never finished: the first backup into it was cut short.")
    for path in (db.WRITER, *backup.files):
        if not backup.is_there(path):
            raise BadBackup(f"{backup.place_of(path)} is missing, or has another size than what was backed up.")
    return backup


def copy_out(backup: Backup, into: Path, counted: Counted = iter) -> None:
    """Copy every file out of a backup, and see that each is what was backed up."""
    for path in counted(list(backup.files)):
        if durable.copy(backup.place_of(path), into / path) != backup.files[path]:
            raise BadBackup(f"{backup.place_of(path)} is not what was backed up: its sha256 differs.")
    for folder in (into, *(path for path in into.rglob("*") if path.is_dir())):
        durable.flush_folder(folder)
