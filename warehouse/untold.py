"""What is to be told of a connection: written in the transaction that makes it so, and gone once somebody was told."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from uuid import uuid4

import duckdb


@dataclass(frozen=True, slots=True)
class Untold:
    """An event that is still to be emitted, and what it says."""

    connection: str
    event: str
    said: Mapping[str, object]
    id: str = field(default_factory=lambda: str(uuid4()))


def note(con: duckdb.DuckDBPyConnection, news: Untold, moment: datetime) -> None:
    """Keep what is to be told; call it in the transaction of what it tells of."""
    noted_at = moment.astimezone(UTC).replace(tzinfo=None)
    con.execute(
        "insert into untold (id, connection, event, said, noted_at) values (?, ?, ?, ?, ?)",
        [news.id, news.connection, news.event, json.dumps(dict(news.said)), noted_at],
    )


def waiting(con: duckdb.DuckDBPyConnection) -> list[Untold]:
    """Give what is still to be told, oldest first."""
    rows = con.execute("select connection, event, said, id from untold order by noted_at, rowid").fetchall()
    return [Untold(connection, event, json.loads(said), id_) for connection, event, said, id_ in rows]


def clear(con: duckdb.DuckDBPyConnection, news: Untold) -> None:
    """Forget what was told."""
    con.execute("delete from untold where id = ?", [news.id])
