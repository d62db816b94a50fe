"""Put a batch of execution reports into the warehouse: one transaction, the same rows whatever came before or comes twice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime

import duckdb
import polars as pl

from warehouse import coverage
from warehouse.coverage import Asked
from warehouse.merging import merge_reports
from warehouse.scripts import scalar, sql, transaction

PLACE = {"exchange_id": pl.String, "raw_row": pl.Int32}
SAME_DAYS, ANY_DAY = 2, 10_000  # before and after the legs of an execution that come now


@dataclass(frozen=True, slots=True)
class Batch:
    """What some replies say, as frames; the schemas are those of a connector's `Normalized`."""

    reports: pl.DataFrame
    instruments: pl.DataFrame
    statements: pl.DataFrame
    quarantine: pl.DataFrame
    drift: pl.DataFrame
    exchanges: pl.DataFrame  # landed exchanges without bodies: the columns of the table
    ledger: pl.DataFrame = field(default_factory=pl.DataFrame)
    released: pl.DataFrame = field(
        default_factory=lambda: pl.DataFrame(schema=PLACE)
    )  # places of rows in quarantine no more


@dataclass(frozen=True, slots=True)
class Run:
    """Who loads, and what was asked."""

    run_id: str
    flow: str
    connection: str
    asked: Asked | None
    started_at: datetime
    finished_at: datetime
    waited_seconds: float = 0.0
    verdict: str = "ok"
    every_day: bool = False  # whether the broker trades on weekends too, so that they can be missing
    is_news: bool = False  # readers should see it even if no fill changed
    nothing_there: bool = False  # the broker's answer was that it has no statement for what was asked
    account: str | None = None  # that was asked about, where the connection names it
    channels: tuple[frozenset[str], ...] = ()  # each set must return what was asked, by any channel in it
    beyond_reach: str | None = None  # what tells what the channels no longer do


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a load changed, in rows."""

    rows_read: int = 0
    added: int = 0
    revised: int = 0
    cancelled: int = 0
    rejected: int = 0
    entries: int = 0  # of the ledger, new or changed
    entries_read: int = 0
    gaps: tuple[str, ...] = field(default=())

    @property
    def changed(self) -> bool:
        """Tell whether readers would see a difference."""
        return bool(self.added or self.revised or self.cancelled or self.rejected or self.entries)


def load(
    con: duckdb.DuckDBPyConnection, batch: Batch, run: Run, before_commit: Callable[[], object] | None = None
) -> Loaded:
    """Load a batch in one transaction; on any error nothing of it stays, one of what is to be done `before_commit` included."""
    with transaction(con):
        _append(con, "exchanges", batch.exchanges)
        gaps = coverage.record(
            con,
            batch.statements,
            run.connection,
            run.asked,
            run.run_id,
            run.verdict,
            run.finished_at,
            every_day=run.every_day,
            nothing_there=run.nothing_there,
            asked_account=run.account,
            channels=run.channels,
            beyond_reach=run.beyond_reach,
        )
        coverage.record_members(con, batch.statements, batch.reports)
        exchanges = batch.exchanges.filter(pl.col("kind") == "exchange")
        answered: list[datetime] = exchanges["answered_at"].drop_nulls().to_list()
        told_at = max(answered, default=run.finished_at)
        con.execute("create or replace temp table load_moment as select ?::timestamp as moment", [told_at])
        con.execute(sql("00_macros"))
        changed_entries = _merge_entries(con, batch.ledger)
        _merge_instruments(con, batch.instruments)
        rejected = _merge_quarantine(con, batch)
        merged = merge_reports(con, _with_terms(con, batch, told_at))
        _merge_drift(con, batch.drift)
        read = batch.reports.height + rejected
        loaded = Loaded(
            rows_read=read,
            added=merged.added,
            revised=merged.revised,
            cancelled=merged.ceased,
            rejected=rejected,
            entries=changed_entries,
            entries_read=batch.ledger.height,
            gaps=tuple(gaps),
        )
        _record_run(con, batch, run, loaded)
        if loaded.changed or merged.is_told_otherwise or loaded.gaps or run.is_news or run.nothing_there:
            note_change(con)
        if before_commit is not None:
            before_commit()
    return loaded


def note_change(con: duckdb.DuckDBPyConnection) -> None:
    """Say, in the transaction that makes it so, that the published file is no longer what there is."""
    con.execute("update news set mark = uuid()::varchar")


def _with_terms(con: duckdb.DuckDBPyConnection, batch: Batch, told_at: datetime) -> pl.DataFrame:
    """Add to rows what they leave to their instrument's record, and the stored rows that waited for a record of this batch."""
    reports = batch.reports
    described = batch.instruments.filter(pl.col("currency").is_not_null())["instrument_id"].to_list()
    if described:
        waiting = con.execute(
            """
            select *, clock_last as broker_clock, ?::timestamp as answered_at
            from execution_reports
            where currency is null
                and status = 'provisional'
                and instrument_id in (select unnest(?))
            """,
            [told_at, described],
        ).pl()
        reports = pl.concat([reports, waiting.select(pl.col(name).cast(kind) for name, kind in reports.schema.items())])
    poor = reports.filter(pl.col("currency").is_null())["instrument_id"].unique().to_list()
    if not poor:
        return reports
    terms = con.execute(
        """
        select
            instrument_id,
            currency as told_currency,
            contract_multiplier as told_multiplier
        from instruments
        where currency is not null
            and instrument_id in (select unnest(?))
        """,
        [poor],
    ).pl()
    told = pl.col("currency").is_null() & pl.col("told_currency").is_not_null()
    return (
        reports.join(terms, on="instrument_id", how="left", maintain_order="left")
        .with_columns(
            currency=pl.coalesce("currency", "told_currency"),
            contract_multiplier=pl.when(told)
            .then(pl.coalesce("contract_multiplier", "told_multiplier"))
            .otherwise("contract_multiplier"),
        )
        .select(reports.columns)
    )


def _merge_entries(con: duckdb.DuckDBPyConnection, entries: pl.DataFrame) -> int:
    """Keep ledger entries; gives how many are new or say something else than before."""
    if entries.is_empty():
        con.execute("create or replace temp table fresh_entries as select * from ledger_entries limit 0")
        return 0
    con.register("incoming_entries", entries)
    con.execute(sql("01_ledger"))
    con.unregister("incoming_entries")
    return scalar(con, "select count(*) from fresh_entries")


def stored_legs(con: duckdb.DuckDBPyConnection, legs: pl.DataFrame) -> pl.DataFrame:
    """Give the stored ledger entries that belong to the same executions as these; some of theirs may have come earlier.

    Most are of the same days. Of an execution that these tell one asset of, the other may be of any day.
    """
    is_lone = bool((legs.group_by("account", "exec_id").agg(pl.col("asset").n_unique())["asset"] == 1).any())
    con.execute(sql("00_macros"))
    con.register("incoming_legs", legs.select("broker", "account", "exec_id", "book_date"))
    found: pl.DataFrame = con.execute(
        """
        select ledger_entries.* exclude (entry_hash, exec_hash, first_seen_at), first_seen_at as answered_at
        from ledger_entries
        where exec_hash in (select link(broker, account, exec_id) from incoming_legs)
            and book_date >= (select min(book_date) - $days::integer from incoming_legs)
            and book_date <= (select max(book_date) + $days::integer from incoming_legs)
        """,
        {"days": ANY_DAY if is_lone else SAME_DAYS},
    ).pl()
    con.unregister("incoming_legs")
    return found


def _append(con: duckdb.DuckDBPyConnection, table: str, frame: pl.DataFrame) -> None:
    if frame.height:
        con.register("incoming", frame)
        con.execute(f"insert into {table} by name select * from incoming")  # noqa: S608  (a constant of this module)
        con.unregister("incoming")


def _merge_instruments(con: duckdb.DuckDBPyConnection, instruments: pl.DataFrame) -> None:
    con.register("incoming", instruments)
    con.execute(sql("20_instruments"))
    con.unregister("incoming")


def _merge_quarantine(con: duckdb.DuckDBPyConnection, batch: Batch) -> int:
    """Keep rejected rows, those of the same bytes once; gives how many are new."""
    con.register("incoming", batch.quarantine)
    con.register("landed", batch.exchanges.select("exchange_id", "body_sha256"))
    con.register("released", batch.released)
    before = scalar(con, "select count(*) from quarantine anti join released using (exchange_id, raw_row)")
    con.execute(sql("21_quarantine"))
    for name in ("incoming", "landed", "released"):
        con.unregister(name)
    return scalar(con, "select count(*) from quarantine") - before


def _merge_drift(con: duckdb.DuckDBPyConnection, drift: pl.DataFrame) -> None:
    con.register("incoming", drift)
    con.execute(sql("22_drift"))
    con.unregister("incoming")


def _record_run(con: duckdb.DuckDBPyConnection, batch: Batch, run: Run, loaded: Loaded) -> None:
    asked = run.asked
    con.execute(
        "insert into sync_runs by name select unnest(?, recursive := true)",
        [
            {
                "run_id": run.run_id,
                "flow": run.flow,
                "connection": run.connection,
                "asked_since": asked.since if asked else None,
                "asked_until": asked.until if asked else None,
                "started_at": run.started_at,
                "finished_at": run.finished_at,
                "exchanges": batch.exchanges.filter(pl.col("kind") == "exchange").height,
                "waited_seconds": run.waited_seconds,
                "rows_read": loaded.rows_read,
                "added": loaded.added,
                "revised": loaded.revised,
                "cancelled": loaded.cancelled,
                "rejected": loaded.rejected,
                "gaps": len(loaded.gaps),
                "verdict": run.verdict,
            }
        ],
    )
