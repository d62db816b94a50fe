"""Publish the reader's file: a whole copy of the writer's, swapped in by rename, so readers never wait and never break."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb

from warehouse.db import READER, WRITER, locked, opened
from warehouse.durable import clone

RECORD = "published.json"
LEAST_SECONDS = 60.0
DURATIONS = 20.0  # publishing may take a twentieth of the time

NOTHING_LANDED = """
create or replace view raw_exchanges as
select
    exchange_id,
    conversation_id,
    run_id,
    connector,
    connection,
    kind,
    endpoint,
    request,
    status,
    null::varchar as headers,
    null::blob as body,
    body_sha256,
    body_bytes,
    requested_at,
    answered_at,
    note
from exchanges
where false
"""

LANDED = """
create or replace view raw_exchanges as
select distinct on (exchange_id)
    exchange_id,
    conversation_id,
    run_id,
    connector,
    connection,
    kind,
    endpoint,
    request,
    status,
    headers,
    body,
    body_sha256,
    body_bytes,
    requested_at,
    answered_at,
    note
from read_parquet('{pattern}', hive_partitioning = false)
"""


def publish(home: Path, *, now: bool = False) -> bool:
    """Publish if something changed and the last time is long enough ago; `now` disregards how long. Tells whether it did.

    What changed is asked of the warehouse itself (`news.mark`), so a process that dies behind its commit hides nothing.
    """
    record = _read(home)
    if not (home / WRITER).exists():
        return False
    gap = max(LEAST_SECONDS, DURATIONS * record.get("seconds", 0.0))
    if not now and 0 <= time.time() - record.get("at", 0.0) < gap:  # a clock that was ahead would keep it for long
        return False
    with locked(home):
        started = time.monotonic()
        with opened(home) as con:
            mark = str(con.execute("select mark from news").fetchall()[0][0])
            if mark == record.get("mark") and (home / READER).exists():
                return False
            _point_at_landing(con, home)
            con.execute("checkpoint")
        temporary = home / f".{READER}.tmp"
        clone(home / WRITER, temporary)
        temporary.replace(home / READER)
        _write(home, {"mark": mark, "at": time.time(), "seconds": time.monotonic() - started})
    return True


def published_at(home: Path) -> datetime | None:
    """Tell when the reader's file was last published."""
    at = _read(home).get("at")
    return datetime.fromtimestamp(at, UTC) if at else None


def _point_at_landing(con: duckdb.DuckDBPyConnection, home: Path) -> None:
    """Make `raw_exchanges` anew: a view over the landed files, by their absolute path."""
    landing = home.resolve() / "landing"
    some = any(landing.glob("source=*/connection=*/date=*/*.parquet"))
    pattern = str(landing / "source=*" / "connection=*" / "date=*" / "*.parquet").replace("'", "''")
    con.execute(LANDED.format(pattern=pattern) if some else NOTHING_LANDED)
    con.execute("comment on view raw_exchanges is 'Every landed exchange with its bytes: a view over the landing zone'")


def _read(home: Path) -> dict[str, Any]:
    try:
        return dict(json.loads((home / RECORD).read_text()))
    except (FileNotFoundError, json.JSONDecodeError):
        return {}


def _write(home: Path, record: dict[str, Any]) -> None:
    temporary = home / f".{RECORD}.tmp"
    temporary.write_text(json.dumps(record))
    temporary.replace(home / RECORD)
