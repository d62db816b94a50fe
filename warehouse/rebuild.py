"""Make the warehouse anew beside the old one, compare the two, and swap them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb

from warehouse.db import WRITER
from warehouse.durable import flush_folder
from warehouse.migrate import migrate

REBUILT = "warehouse.rebuilt.duckdb"

# Everything that comes out of the landing zone. `landed_file` and `landed_row` move when files are compacted.
COMPARED = {
    "execution_reports": "*",
    "merged_rows": "*",
    "past_fills": "*",
    "links": "*",
    "ledger_entries": "*",
    "ledger_findings": "*",
    "instruments": "*",
    "exchanges": "* exclude (landed_file, landed_row)",
    "coverage": "*",
    "members": "*",
    "watermarks": "*",
    "quarantine": "*",
    "drift": "*",
    "sync_runs": "*",
}
CARRIED = ("connections", "token_notices", "gap_notices", "untold")


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """What a rebuild replayed, and by table how many rows only the old or only the new warehouse has."""

    conversations: int
    differences: dict[str, tuple[int, int]]


@contextmanager
def beside(home: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open an empty warehouse of the newest shape beside the writer's file; what an earlier try left is thrown away."""
    path = home / REBUILT
    for leftover in (path, path.with_name(f"{REBUILT}.wal")):
        leftover.unlink(missing_ok=True)
    con = duckdb.connect(path)
    try:
        migrate(con)
        yield con
    finally:
        con.close()


def loaded_conversations(home: Path) -> set[str]:
    """Name the conversations that the present warehouse holds."""
    with duckdb.connect() as con:
        _attach_former(con, home)
        return {name for (name,) in con.execute("select distinct conversation_id from former.exchanges").fetchall()}


def _attach_former(con: duckdb.DuckDBPyConnection, home: Path) -> None:
    path = str(home / WRITER).replace("'", "''")
    con.execute(f"attach '{path}' as former (read_only)")  # attach takes no parameters


def carry_over(con: duckdb.DuckDBPyConnection, home: Path) -> dict[str, tuple[int, int]]:
    """Copy what no landed reply tells from the old file into the new, and tell where their tables differ."""
    _attach_former(con, home)
    try:
        there = {
            name
            for (name,) in con.execute(
                "select table_name from duckdb_tables() where database_name = 'former'"
            ).fetchall()
        }
        for table in CARRIED:
            if table in there:
                con.execute(f"delete from {table}")  # noqa: S608  (a constant of this module)
                con.execute(f"insert into {table} by name select * from former.{table}")  # noqa: S608
        found = {table: _difference(con, table, columns) for table, columns in COMPARED.items() if table in there}
    finally:
        con.execute("detach former")
    return {table: counts for table, counts in found.items() if counts != (0, 0)}


def _difference(con: duckdb.DuckDBPyConnection, table: str, columns: str) -> tuple[int, int]:
    """Count rows that only the former and only the new table have."""
    old, new = f"select {columns} from former.{table}", f"select {columns} from {table}"  # noqa: S608
    row = con.execute(
        f"select (select count(*) from ({old} except all {new})), (select count(*) from ({new} except all {old}))"  # noqa: S608
    ).fetchall()[0]
    return int(row[0]), int(row[1])


def swap(home: Path) -> None:
    """Put the rebuilt file in the old one's place. The writer's lock is held, and the rebuilt file closed and checkpointed."""
    with duckdb.connect(home / WRITER) as old:
        old.execute("checkpoint")  # so that no log is left that the new file could be taken to own
    (home / REBUILT).replace(home / WRITER)
    (home / f"{WRITER}.wal").unlink(missing_ok=True)
    flush_folder(home)
