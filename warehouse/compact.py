"""Gather the landing zone's many small files: each day of a connection that is over becomes one file."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl

from warehouse import db
from warehouse.landing import ARROW, GATHERED, landed_files, write_durably

FEWEST = 2  # files that are worth gathering
LARGEST_BYTES = 256 << 20  # a day whose bodies are more than this stays as it is: they are all in memory at once


class CorruptLanding(Exception):
    """A landed body no longer has the hash it was landed with."""


@dataclass(frozen=True, slots=True)
class Compacted:
    """What compacting did."""

    files_before: int
    files_after: int


def compact(home: Path, *, today: date | None = None) -> Compacted:
    """Rewrite each closed and loaded connection-day into one file: written, verified, then the small ones removed.

    Raises `CorruptLanding` before anything is removed. Killed in between, some exchanges lie in two files: readers
    take each `exchange_id` once, and the next run removes the small files again.
    """
    with db.landing_kept(home):
        return _compact(home, today or datetime.now(UTC).date())


def _compact(home: Path, closing: date) -> Compacted:
    before = landed_files(home)
    with db.writer(home) as con:
        loaded = {name for (name,) in con.execute("select distinct conversation_id from exchanges").fetchall()}
    days: dict[Path, list[Path]] = {}
    for path in before:
        days.setdefault(path.parent, []).append(path)
    for folder, paths in days.items():
        if date.fromisoformat(folder.name.removeprefix("date=")) < closing:
            _compact_day(home, folder, [path for path in paths if _is_settled(path, loaded)])
    return Compacted(len(before), len(landed_files(home)))


def _is_settled(path: Path, loaded: set[str]) -> bool:
    return path.name.startswith(GATHERED) or path.stem.rsplit("-", 1)[0] in loaded


def _compact_day(home: Path, folder: Path, paths: list[Path]) -> None:
    if len(paths) < FEWEST or _bytes_in(paths) > LARGEST_BYTES:
        return
    frame = pl.concat([pl.read_parquet(path, hive_partitioning=False) for path in paths])
    frame = frame.unique(subset="exchange_id", keep="first", maintain_order=True).sort("answered_at", "exchange_id")
    digest = hashlib.sha256("".join(frame["exchange_id"].to_list()).encode()).hexdigest()[:16]
    target = folder / f"{GATHERED}{digest}.parquet"
    if target not in paths:
        write_durably(frame.to_arrow().cast(ARROW), target)
    _verify(target)
    place = pl.read_parquet(target, columns=["exchange_id"], hive_partitioning=False).with_row_index("landed_row")
    with db.writer(home) as con:
        con.register("moved", place)
        con.execute(
            """
            update exchanges
            set
                landed_file = ?,
                landed_row = moved.landed_row
            from moved
            where moved.exchange_id = exchanges.exchange_id
            """,
            [str(target.relative_to(home))],
        )
        con.unregister("moved")
    for path in paths:
        if path != target:
            path.unlink()


def _bytes_in(paths: list[Path]) -> int:
    """Count the bytes of all bodies; on the disk they may be many times smaller."""
    sizes = pl.scan_parquet(paths, hive_partitioning=False).select(pl.col("body_bytes").sum())
    return int(sizes.collect().item())


def _verify(path: Path) -> None:
    """Read the new file back and hash every body again."""
    frame = pl.read_parquet(path, columns=["exchange_id", "body", "body_sha256"], hive_partitioning=False)
    for exchange_id, body, sha256 in frame.iter_rows():
        if body is not None and hashlib.sha256(body).hexdigest() != sha256:
            raise CorruptLanding(f"The body of {exchange_id} in {path} is not what was landed; nothing was removed.")
