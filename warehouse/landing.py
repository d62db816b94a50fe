"""The landing zone: every exchange with a broker, as it was, in Parquet files that are never changed.

A row is an exchange, or the header or footer of a conversation. Files are written under a temporary name, flushed to
disk and renamed, so a reader sees whole files only; a killed conversation loses what it had not flushed yet.
"""

from __future__ import annotations

import hashlib
import json
import os
import time
import uuid
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
from pyarrow import parquet

from warehouse.durable import flush_folder

GATHERED = "compact-"  # what the names of files begin with that hold many conversations
FLUSH_SECONDS = 30.0
FLUSH_BYTES = 64 << 20
SCHEMA_VERSION = 1

SCHEMA: dict[str, Any] = {
    "exchange_id": pl.String,
    "conversation_id": pl.String,
    "run_id": pl.String,
    "connector": pl.String,
    "connection": pl.String,
    "kind": pl.String,  # opened, exchange, closed
    "endpoint": pl.String,
    "request": pl.String,
    "status": pl.Int32,
    "headers": pl.String,
    "body": pl.Binary,
    "body_sha256": pl.String,
    "body_bytes": pl.Int64,
    "requested_at": pl.Datetime("us"),
    "answered_at": pl.Datetime("us"),
    "note": pl.String,
    "schema_version": pl.Int32,
}
ARROW = pa.schema(  # a large body would be copied several times on its way through a data frame
    [
        (
            name,
            {pl.String: pa.string(), pl.Binary: pa.binary(), pl.Int32: pa.int32(), pl.Int64: pa.int64()}.get(
                kind, pa.timestamp("us")
            ),
        )
        for name, kind in SCHEMA.items()
    ]
)
METADATA = [name for name in SCHEMA if name not in ("body", "headers", "schema_version")]


def new_id(moment: datetime) -> str:
    """Make an id that sorts by time: microseconds in hexadecimal, then 64 random bits."""
    return f"{int(moment.timestamp() * 1_000_000):015x}{uuid.uuid4().hex[:16]}"


@dataclass(frozen=True, slots=True)
class Landed:
    """A landed exchange: where it lies and what it says of itself."""

    row: dict[str, Any]
    file: str
    place: int

    @property
    def metadata(self) -> dict[str, Any]:
        """Give the row of the table `exchanges`."""
        return {**{name: self.row[name] for name in METADATA}, "landed_file": self.file, "landed_row": self.place}


@dataclass(slots=True)
class Conversation:
    """Lands one conversation: a header, its exchanges in batches, a footer."""

    home: Path
    connector: str
    connection: str
    run_id: str
    opened_at: datetime
    is_one_file: bool = False  # however large; else what is long waits for nothing
    conversation_id: str = ""
    _waiting: list[dict[str, Any]] = field(default_factory=list)
    _batch: int = 0
    _flushed_at: float = 0.0
    landed: list[Landed] = field(default_factory=list)

    def open(self, note: dict[str, Any]) -> None:
        """Land the header: what was asked, by which run."""
        self.conversation_id = new_id(self.opened_at)
        self._flushed_at = time.monotonic()
        self._add("opened", self.opened_at, note=json.dumps(note, default=str))

    def exchange(
        self,
        *,
        endpoint: str,
        request: dict[str, Any],
        status: int | None,
        headers: dict[str, str],
        body: bytes,
        body_is_secret: bool,
        requested_at: datetime,
        answered_at: datetime,
        exchange_id: str = "",
        body_sha256: str = "",
    ) -> str:
        """Land one exchange; gives its id. Of a secret body only the hash and length are kept."""
        exchange_id = self._add(
            "exchange",
            answered_at,
            endpoint=endpoint,
            request=json.dumps(request),
            status=status,
            headers=json.dumps(headers),
            body=None if body_is_secret else body,
            body_sha256=body_sha256 or hashlib.sha256(body).hexdigest(),
            body_bytes=len(body),
            requested_at=_naive(requested_at),
            exchange_id=exchange_id or new_id(answered_at),
        )
        waiting = sum(row["body_bytes"] or 0 for row in self._waiting)
        is_due = waiting >= FLUSH_BYTES or time.monotonic() - self._flushed_at >= FLUSH_SECONDS
        if is_due and not self.is_one_file:
            self.flush()
        return exchange_id

    def close(self, moment: datetime, note: dict[str, Any]) -> None:
        """Land the footer: the verdict, counts and waits."""
        self._add("closed", moment, note=json.dumps(note, default=str))
        self.flush()

    def close_staged(self, moment: datetime, note: dict[str, Any]) -> Staged:
        """Add the footer and write all that waits, but not into its place yet; `landed` says where that will be."""
        self._add("closed", moment, note=json.dumps(note, default=str))
        name = self._next_file()
        staged = stage(_table(self._waiting), self.home / name)
        self._laid(self._waiting, name)
        self._waiting = []
        return staged

    def flush(self) -> None:
        """Write what waits to its own file."""
        if not self._waiting:
            return
        name = self._next_file()
        write_durably(_table(self._waiting), self.home / name)
        self._laid(self._waiting, name)
        self._waiting = []
        self._flushed_at = time.monotonic()

    def _next_file(self) -> Path:
        folder = Path("landing") / f"source={self.connector}" / f"connection={self.connection}"
        return folder / f"date={self.opened_at:%Y-%m-%d}" / f"{self.conversation_id}-{self._batch}.parquet"

    def _laid(self, rows: list[dict[str, Any]], name: Path) -> None:
        self.landed += [Landed(row, str(name), place) for place, row in enumerate(rows)]
        self._batch += 1

    def _add(self, kind: str, moment: datetime, **facts: Any) -> str:
        row = {
            **dict.fromkeys(SCHEMA),
            "exchange_id": new_id(moment),
            "conversation_id": self.conversation_id,
            "run_id": self.run_id,
            "connector": self.connector,
            "connection": self.connection,
            "kind": kind,
            "answered_at": _naive(moment),
            "schema_version": SCHEMA_VERSION,
            **facts,
        }
        self._waiting.append(row)
        return str(row["exchange_id"])


def _naive(moment: datetime) -> datetime:
    return moment.replace(tzinfo=None)


def _table(rows: list[dict[str, Any]]) -> pa.Table:
    """Lay rows out as an Arrow table; the bodies, which may be large, are not copied."""
    place = ARROW.get_field_index("body")
    table = pa.Table.from_pylist([{**row, "body": None} for row in rows], schema=ARROW)
    return table.set_column(
        place, ARROW.field(place), pa.chunked_array([_binary(row["body"]) for row in rows], pa.binary())
    )


def _binary(body: bytes | None) -> pa.Array:
    if body is None:
        return pa.nulls(1, pa.binary())
    offsets = pa.array([0, len(body)], pa.int32())
    return pa.Array.from_buffers(pa.binary(), 1, [None, offsets.buffers()[1], pa.py_buffer(body)])


@dataclass(frozen=True, slots=True)
class Staged:
    """A file that is whole and on the disk under a temporary name."""

    temporary: Path
    path: Path

    def place(self) -> None:
        """Give it its name, to stay."""
        self.temporary.replace(self.path)
        flush_folder(self.path.parent)

    def discard(self) -> None:
        """Remove it, unless it is in its place by now."""
        self.temporary.unlink(missing_ok=True)


def write_durably(table: pa.Table, path: Path) -> None:
    """Write a Parquet file that is whole or absent, whatever happens: temporary name, flush to disk, rename, flush the folder."""
    staged = stage(table, path)
    try:
        staged.place()
    finally:
        staged.discard()


def stage(table: pa.Table, path: Path) -> Staged:
    """Write a Parquet file under a temporary name and flush it to the disk."""
    path.parent.mkdir(parents=True, exist_ok=True)
    staged = Staged(path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.tmp"), path)
    try:
        with staged.temporary.open("wb") as file:
            parquet.write_table(
                table,
                file,
                compression="zstd",
                compression_level=1,
                use_dictionary=False,
                write_statistics=False,
            )
            file.flush()
            os.fsync(file.fileno())
    except BaseException:
        staged.discard()
        raise
    finally:
        pa.default_memory_pool().release_unused()  # it would keep twice the size of a large body
    return staged


def landed_files(home: Path) -> list[Path]:
    """Give every file of the landing zone."""
    return sorted((home / "landing").glob("source=*/connection=*/date=*/*.parquet"))


def gathered_conversations(home: Path) -> set[str]:
    """Name the conversations in gathered files: only what has been loaded is gathered."""
    gathered = [path for path in landed_files(home) if path.name.startswith(GATHERED)]
    told = (pl.read_parquet(path, columns=["conversation_id"], hive_partitioning=False) for path in gathered)
    return {name for frame in told for name in frame["conversation_id"].unique().to_list()}


def read_file(home: Path, path: Path) -> list[Landed]:
    """Read every row of a landed file, bodies included."""
    frame = pl.read_parquet(path, hive_partitioning=False)
    name = str(path.relative_to(home))
    return [Landed(row, name, place) for place, row in enumerate(frame.iter_rows(named=True))]


def read_body(home: Path, file: str, exchange_id: str) -> bytes | None:
    """Read one body from its file; after compaction, from whichever file holds the exchange now."""
    candidates = [home / file, *sorted((home / file).parent.glob("*.parquet"))]
    for path in candidates:
        if path.exists():
            found = (
                pl.scan_parquet(path, hive_partitioning=False)
                .filter(pl.col("exchange_id") == exchange_id)
                .select("body")
                .collect()
            )
            if found.height:
                body: bytes | None = found.item(0, 0)
                return body
    return None


def conversations(home: Path, wanted: Collection[str]) -> Iterator[list[Landed]]:
    """Replay the landing zone: each wanted conversation's rows, conversations in the order of their last answers."""
    read = lru_cache(maxsize=2)(lambda path: read_file(home, path))  # neighbours lie in one compacted file
    for conversation_id, paths in _index(home, wanted):
        rows = {
            row.row["exchange_id"]: row
            for path in paths
            for row in read(path)
            if row.row["conversation_id"] == conversation_id
        }
        yield sorted(rows.values(), key=lambda row: (row.row["answered_at"], row.row["exchange_id"]))


def _index(home: Path, wanted: Collection[str]) -> list[tuple[str, list[Path]]]:
    """Find where each wanted conversation lies, ordered by its last answer."""
    ends: dict[str, datetime] = {}
    places: dict[str, list[Path]] = {}
    for path in landed_files(home):
        if not path.name.startswith(GATHERED) and path.stem.rsplit("-", 1)[0] not in wanted:
            continue
        columns = pl.read_parquet(path, columns=["conversation_id", "answered_at"], hive_partitioning=False)
        for conversation_id, answered_at in (
            columns.group_by("conversation_id").agg(pl.col("answered_at").max()).iter_rows()
        ):
            if conversation_id in wanted:
                ends[conversation_id] = max(ends.get(conversation_id, answered_at), answered_at)
                places.setdefault(conversation_id, []).append(path)
    return [(key, places[key]) for key in sorted(places, key=lambda key: (ends[key], key))]


def exchanges_frame(landed: Iterable[Landed]) -> pl.DataFrame:
    """Lay landed rows out as the table `exchanges`."""
    schema = {**{name: SCHEMA[name] for name in METADATA}, "landed_file": pl.String, "landed_row": pl.Int32}
    return pl.DataFrame([row.metadata for row in landed], schema=schema)
