"""Merge a batch of execution reports into versions, rows, cancels and families."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass

import duckdb
import polars as pl
import pyarrow as pa

from warehouse import versions
from warehouse.judging import judge, read_payments, write
from warehouse.scripts import scalar, sql, until_stable
from warehouse.shape import PUBLIC

TOLD = ", ".join(column for column in PUBLIC if column not in ("exchange_id", "raw_row"))
DIFFERING = f"select count(*) from (select {TOLD} from new_rows except select {TOLD} from old_rows)"  # noqa: S608  (names of ours)
ADDED = "select count(*) from new_rows anti join old_rows using (row_hash)"
REVISED = """
select count(*)
from new_rows as new
inner join old_rows as old using (row_hash)
where new.version > old.version
    or (new.source <> old.source and new.last_changed_at > old.last_changed_at)
"""
CEASED = """
select count(*)
from old_rows as old
where old.stands
    and row_hash in (select row_hash from new_rows where not stands)
"""
BATCH_ROWS = 12_500
SAME_TELLING = [
    "broker", "account", "row_key", "source", "broker_clock", "signed_qty", "last_px", "gross_trade_amt", "commission",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Merged:
    """What a batch of reports changed, in rows."""

    added: int
    revised: int = 0
    ceased: int = 0  # fills that stood and do not any more
    is_told_otherwise: bool = False  # whether any row says something else than before


def merge_reports(con: duckdb.DuckDBPyConnection, reports: pl.DataFrame) -> Merged:
    """Merge reports into versions, rows, cancels and families: what is alone as it is, the rest with what it touches."""
    placed = reports.with_row_index("place")
    incoming = _in_batches(placed)
    con.register("incoming", incoming)
    tangled = _tangled(con, reports)
    alone = _in_batches(placed.filter(~pl.col("place").is_in(tangled))) if tangled else incoming
    con.register("incoming_alone", alone)
    with _one_thread(con) if alone.num_rows > BATCH_ROWS else nullcontext():
        con.execute(sql("03_alone"))
    con.execute(sql("03_verified"))
    con.execute(sql("04_touched"))
    for registered in ("incoming", "incoming_alone"):
        con.unregister(registered)
    if not tangled and not scalar(con, "select count(*) from touched_families"):
        return Merged(alone.num_rows)
    con.register("incoming_tangled", _told_once(placed.filter(pl.col("place").is_in(tangled))))
    con.execute(versions.BATCH)
    con.unregister("incoming_tangled")
    until_stable(con, "select count(*) from touched_families", "05_widen")
    con.execute(sql("05_stored"))
    con.execute(versions.DROP_KNOWN)
    if not scalar(con, "select (select count(*) from batch) + (select count(*) from touched)"):
        return Merged(alone.num_rows)
    _lay_out_versions(con)
    judge(con)
    merged = Merged(
        added=alone.num_rows + scalar(con, ADDED),
        revised=scalar(con, REVISED),
        ceased=scalar(con, CEASED),
        is_told_otherwise=bool(scalar(con, DIFFERING)),
    )
    write(con)
    return merged


def _tangled(con: duckdb.DuckDBPyConnection, reports: pl.DataFrame) -> list[int]:
    """Find the places of reports that are tied to stored ones, or to one another."""
    con.execute(sql("01_links"))
    read_payments(con)
    con.execute(_links_of_others(reports))
    con.execute(sql("01_tangled"))
    if scalar(con, "select count(*) from paid"):
        con.execute(sql("02_priced"))
    return [place for (place,) in con.execute("select place from tangled").fetchall()]


def _lay_out_versions(con: duckdb.DuckDBPyConnection) -> None:
    """Lay out the versions of every row that the batch tells of."""
    con.execute(versions.FIRST_VERSIONS)
    con.execute(versions.REPLIES)
    if scalar(con, versions.TOLD_IN_PARTS):
        con.execute(versions.REPLIES_IN_PARTS)
    con.execute(versions.merged_versions(told_apart=bool(scalar(con, versions.TOLD_APART))))


def _told_once(reports: pl.DataFrame) -> pl.DataFrame:
    """Keep one of the rows that a reply tells twice: the highest revision, of equal ones the last."""
    return reports.sort("exec_rev", "raw_row", descending=True, nulls_last=True, maintain_order=True).unique(
        SAME_TELLING, keep="first", maintain_order=True
    )


def _links_of_others(reports: pl.DataFrame) -> str:
    """Write the view of stored links whose channel is not the batch's own: as a number in it, so that no others are read."""
    ranks = reports["source_rank"].unique().to_list()
    others = f"where source_rank <> {int(ranks[0])}" if len(ranks) == 1 else ""
    return f"create or replace temp view links_of_others as select * from links {others}"  # noqa: S608  (a number)


def _in_batches(frame: pl.DataFrame) -> pa.Table:
    """Hand a frame over in batches: DuckDB reads them side by side."""
    table = frame.to_arrow().combine_chunks()
    return pa.Table.from_batches(table.to_batches(max_chunksize=BATCH_ROWS), schema=table.schema)


@contextmanager
def _one_thread(con: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Let one thread insert: of several, each would lay out blocks of its own for all columns, for every batch it reads."""
    con.execute("set threads = 1")
    try:
        yield
    finally:
        con.execute("reset threads")
