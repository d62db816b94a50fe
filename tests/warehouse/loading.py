"""Load statements straight into a DuckDB connection, without landing them: for tests of what a load does."""

from __future__ import annotations

import atexit
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from shutil import copyfile
from tempfile import TemporaryDirectory
from typing import Any

import duckdb
import polars as pl

from connectors.connector import Reply
from connectors.registry import connector
from warehouse.db import WRITER
from warehouse.landing import METADATA, SCHEMA
from warehouse.load import Batch, Loaded, Run, load
from warehouse.migrate import migrate

EPOCH = datetime(2026, 6, 1, 12, tzinfo=UTC)


def empty_warehouse() -> duckdb.DuckDBPyConnection:
    """Open a warehouse in memory: a copy of one that was made once, which takes an eighth of the time."""
    con = duckdb.connect(config=ONE_THREAD)
    con.execute(f"attach '{_pattern()}' as pattern (read_only)")
    con.execute("copy from database pattern to memory")
    con.execute("detach pattern")
    return con


def prepared(home: Path) -> Path:
    """Put an empty warehouse where there is none; the first command would make it, in three times as long."""
    if not (home / WRITER).exists():
        home.mkdir(parents=True, exist_ok=True)
        copyfile(_pattern(), home / WRITER)
    return home


ONE_THREAD: dict[str, Any] = {"threads": 1}  # for a handful of rows a second thread costs more than it does


@cache
def _pattern() -> Path:
    folder = TemporaryDirectory(prefix="fillhouse-pattern-")
    atexit.register(folder.cleanup)
    file = Path(folder.name) / "warehouse.duckdb"
    with duckdb.connect(file, config=ONE_THREAD) as con:
        migrate(con)
    return file


def load_statement(con: duckdb.DuckDBPyConnection, body: bytes, *, hour: int = 0) -> Loaded:
    """Load one Flex statement as if it had been answered `hour` hours after noon of 1 June 2026."""
    moment = EPOCH + timedelta(hours=hour)
    return load_reply(con, "ibkr_flex", Reply(f"exchange-{hour}", "GetStatement", body, moment))


def load_reply(con: duckdb.DuckDBPyConnection, broker: str, *replies: Reply) -> Loaded:
    """Load what one reply says, or several of one conversation."""
    moment = replies[-1].answered_at
    said = connector(broker).normalize(replies)
    schema = {**{name: SCHEMA[name] for name in METADATA}, "landed_file": pl.String, "landed_row": pl.Int32}
    ids = [reply.exchange_id for reply in replies]
    exchanges = [{"exchange_id": each, "kind": "exchange", "body_sha256": each} for each in ids]
    batch = Batch(
        reports=said.reports,
        instruments=said.instruments,
        statements=said.statements,
        quarantine=said.quarantine,
        drift=said.drift,
        exchanges=pl.DataFrame(exchanges, schema=schema),
        ledger=said.ledger,
    )
    naive = moment.replace(tzinfo=None)
    run = Run(run_id="run", flow="import", connection="import", asked=None, started_at=naive, finished_at=naive)
    return load(con, batch, run)


def table(con: duckdb.DuckDBPyConnection, name: str, *, leaving_out: tuple[str, ...] = ()) -> list[tuple[object, ...]]:
    """Give a table's rows as a sorted list, so that two can be compared."""
    columns = f"* exclude ({', '.join(leaving_out)})" if leaving_out else "*"
    return sorted(con.execute(f"select {columns} from {name}").fetchall(), key=repr)
