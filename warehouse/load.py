"""Put a batch of execution reports into the warehouse: one transaction, the same rows whatever came before or comes twice."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from datetime import datetime
from importlib.resources import files

import duckdb
import polars as pl
import pyarrow as pa

from warehouse import coverage, versions
from warehouse.coverage import Asked
from warehouse.shape import PUBLIC

TOLD = ", ".join(column for column in PUBLIC if column not in ("exchange_id", "raw_row"))
DIFFERING = f"select count(*) from (select {TOLD} from new_rows except select {TOLD} from old_rows)"  # noqa: S608  (names of ours)
BATCH_ROWS = 12_500
POORER_KEYS = "select distinct key_rank, key_worth from latest where key_rank < 4 order by key_worth desc"
PLACE = {"exchange_id": pl.String, "raw_row": pl.Int32}
SAME_TELLING = [
    "broker", "account", "row_key", "source", "broker_clock", "signed_qty", "last_px", "gross_trade_amt", "commission",
]  # fmt: skip
SAME_DAYS, ANY_DAY = 2, 10_000  # before and after the legs of an execution that come now
CANCELS_TOLD_TWICE = ((True, ANY_DAY), (False, 0), (False, 1))
UNMATCHED_CANCELS = """
select distinct
    unnest(
        case
            when ref_trade_id is not null then ['trade', 'unprinted']
            when ref_row_key is not null then ['unprinted']
            else ['none']
        end
    )
from told
where exec_type = 'CANCEL'
    and names_no_known_row
    and row_hash not in (select by_hash from ends)
"""
NO_ID = 1  # the key of a row that prints no id
MOST_ROUNDS = 1000  # of label propagation; a family of n rows needs at most n


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


def load(con: duckdb.DuckDBPyConnection, batch: Batch, run: Run) -> Loaded:
    """Load a batch in one transaction; on any error nothing of it stays."""
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
        con.execute(_sql("00_macros"))
        changed_entries = _merge_entries(con, batch.ledger)
        _merge_instruments(con, batch.instruments)
        added, revised, cancelled, is_told_otherwise = _merge_reports(con, _with_terms(con, batch, told_at))
        rejected = _merge_quarantine(con, batch)
        _merge_drift(con, batch.drift)
        read = batch.reports.height + rejected
        loaded = Loaded(read, added, revised, cancelled, rejected, changed_entries, batch.ledger.height, tuple(gaps))
        _record_run(con, batch, run, loaded)
        if loaded.changed or is_told_otherwise or loaded.gaps or run.is_news or run.nothing_there:
            note_change(con)
    return loaded


def note_change(con: duckdb.DuckDBPyConnection) -> None:
    """Say, in the transaction that makes it so, that the published file is no longer what there is."""
    con.execute("update news set mark = uuid()::varchar")


@contextmanager
def transaction(con: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Commit when the block ends well; roll back and raise again when it does not."""
    con.execute("begin transaction")
    try:
        yield
    except BaseException:
        con.execute("rollback")
        raise
    con.execute("commit")


def derive_again(con: duckdb.DuckDBPyConnection) -> None:
    """Judge every stored row anew from `execution_reports` alone, as if each had been touched. For audits."""
    with transaction(con):
        con.execute(_sql("00_macros"))
        con.execute("create or replace temp table load_moment as select null::timestamp as moment")
        con.execute(_sql("03_verified"))
        con.execute("create or replace temp table touched as select row_hash, book_first, book_last from links")
        con.execute(
            "create or replace temp table touched_days as select distinct book_date as day from execution_reports"
        )
        con.execute("create or replace temp table stored_reports as select * from execution_reports")
        con.execute("create or replace temp table new_reports as select * from execution_reports limit 0")
        _judge(con)
        _write(con)


def _merge_reports(con: duckdb.DuckDBPyConnection, reports: pl.DataFrame) -> tuple[int, int, int, bool]:
    """Merge reports into versions, rows, cancels and families.

    Gives rows added, revised and fills that ceased to stand, and whether any row says something else than before.
    """
    placed = reports.with_row_index("place")
    con.register("incoming", _in_batches(placed))
    con.execute(_sql("01_links"))
    _read_payments(con)
    con.execute(_links_of_others(reports))
    con.execute(_sql("01_tangled"))
    if _scalar(con, "select count(*) from paid"):
        con.execute(_sql("02_priced"))
    tangled = _places(con, "select place from tangled")
    alone = placed.filter(~pl.col("place").is_in(tangled)) if tangled else placed
    con.register("incoming_alone", _in_batches(alone))
    with _one_thread(con) if alone.height > BATCH_ROWS else nullcontext():
        con.execute(_sql("03_alone"))
    con.execute(_sql("03_verified"))
    con.execute(_sql("04_touched"))
    for registered in ("incoming", "incoming_alone"):
        con.unregister(registered)
    if not tangled and not _scalar(con, "select count(*) from touched_families"):
        return alone.height, 0, 0, False
    con.register("incoming_tangled", _told_once(placed.filter(pl.col("place").is_in(tangled))))
    con.execute(versions.BATCH)
    con.unregister("incoming_tangled")
    _until_stable(con, "select count(*) from touched_families", "05_widen")
    con.execute(_sql("05_stored"))
    con.execute(versions.DROP_KNOWN)
    if not _scalar(con, "select (select count(*) from batch) + (select count(*) from touched)"):
        return alone.height, 0, 0, False
    con.execute(versions.FIRST_VERSIONS)
    con.execute(versions.REPLIES)
    if _scalar(con, versions.TOLD_IN_PARTS):
        con.execute(versions.REPLIES_IN_PARTS)
    con.execute(versions.merged_versions(told_apart=bool(_scalar(con, versions.TOLD_APART))))
    _judge(con)
    added = _scalar(con, "select count(*) from new_rows anti join old_rows using (row_hash)")
    revised = _scalar(
        con,
        """
        select count(*)
        from new_rows as new
        inner join old_rows as old using (row_hash)
        where new.version > old.version
            or (new.source <> old.source and new.last_changed_at > old.last_changed_at)
        """,
    )
    is_told_otherwise = bool(_scalar(con, DIFFERING))
    cancelled = _scalar(
        con,
        "select count(*) from old_rows as old where old.stands and row_hash in (select row_hash from new_rows where not stands)",
    )
    _write(con)
    return alone.height + added, revised, cancelled, is_told_otherwise


def _told_once(reports: pl.DataFrame) -> pl.DataFrame:
    """Keep one of the rows that a reply tells twice: the highest revision, of equal ones the last."""
    return reports.sort("exec_rev", "raw_row", descending=True, nulls_last=True, maintain_order=True).unique(
        SAME_TELLING, keep="first", maintain_order=True
    )


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


def _links_of_others(reports: pl.DataFrame) -> str:
    """Write the view of stored links whose channel is not the batch's own: as a number in it, so that no others are read."""
    ranks = reports["source_rank"].unique().to_list()
    others = f"where source_rank <> {int(ranks[0])}" if len(ranks) == 1 else ""
    return f"create or replace temp view links_of_others as select * from links {others}"  # noqa: S608  (a number)


def _merge_entries(con: duckdb.DuckDBPyConnection, entries: pl.DataFrame) -> int:
    """Keep ledger entries; gives how many are new or say something else than before."""
    if entries.is_empty():
        con.execute("create or replace temp table fresh_entries as select * from ledger_entries limit 0")
        return 0
    con.register("incoming_entries", entries)
    con.execute(_sql("01_ledger"))
    con.unregister("incoming_entries")
    return _scalar(con, "select count(*) from fresh_entries")


def stored_legs(con: duckdb.DuckDBPyConnection, legs: pl.DataFrame) -> pl.DataFrame:
    """Give the stored ledger entries that belong to the same executions as these; some of theirs may have come earlier.

    Most are of the same days. Of an execution that these tell one asset of, the other may be of any day.
    """
    is_lone = bool((legs.group_by("account", "exec_id").agg(pl.col("asset").n_unique())["asset"] == 1).any())
    con.execute(_sql("00_macros"))
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


def _places(con: duckdb.DuckDBPyConnection, query: str) -> list[int]:
    return [place for (place,) in con.execute(query).fetchall()]


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


def _judge(con: duckdb.DuckDBPyConnection) -> None:
    """Judge the touched rows: which is which, what ended what, who belongs together, who bears the fees."""
    con.execute(versions.TOUCHED_REPORTS)
    con.execute(
        """
        create or replace temp table asked_executions as
        select distinct link(broker, account, exec_id) as exec_hash, book_date
        from touched_reports
        where exec_id is not null
        """
    )
    _read_payments(con)
    con.execute(_sql("06_latest"))
    for key_rank, worth in con.execute(POORER_KEYS).fetchall():
        for by_day in (False, True) if key_rank == NO_ID else (False,):
            con.execute(_sql("07_poor_keys"), {"key_rank": key_rank, "worth": worth, "by_day": by_day})
    if _scalar(con, "select count(distinct source) from latest") > 1:
        _match_channels(con)
    con.execute(_sql("08_lessers"))
    con.execute(_sql("09_cancels"))
    _net_cancels(con)
    con.execute(_sql("09_corrections"))
    con.execute(_sql("10_families"))
    _until_stable(con, "select sum(family % 4294967296) from families", "11_pull")
    con.execute(_sql("12_fees"))
    con.execute(versions.FILLERS)
    con.execute(versions.NEW_ROWS)
    con.execute(_sql("13_old_rows"))


def _read_payments(con: duckdb.DuckDBPyConnection) -> None:
    """Read what the ledger says was paid for `asked_executions`; most brokers keep none."""
    con.execute(_sql("paid"))
    if _scalar(con, "select exists(from ledger_entries)"):
        con.execute(_sql("paid_by_ledger"))


def _match_channels(con: duckdb.DuckDBPyConnection) -> None:
    """Find what several channels tell of one execution, one cancel or one order."""
    for within_a_day in (True, False):
        con.execute(_sql("08_by_execution"), {"within_a_day": within_a_day})
    for of_a_trade, days in CANCELS_TOLD_TWICE if _scalar(con, "select count(*) from cancels") else ():
        con.execute(_sql("08_cancels"), {"of_a_trade": of_a_trade, "days": days})
    for within_an_order in (True, False):
        con.execute(_sql("08_by_terms"), {"within_an_order": within_an_order})
    con.execute(_sql("08_orders"))


def _net_cancels(con: duckdb.DuckDBPyConnection) -> None:
    """Let each cancel that names no known row net one; most loads hold none."""
    told = con.execute(UNMATCHED_CANCELS).fetchall()
    for named in ("trade", "unprinted", "none"):
        if (named,) in told:
            for by_id in (True, False):
                con.execute(_sql("09_netting"), {"named": named, "by_id": by_id})
    if told:
        con.execute(_sql("09_booked_again"))


def _write(con: duckdb.DuckDBPyConnection) -> None:
    """Write what was judged."""
    con.execute(_sql("14_reports"))
    con.execute(_sql("15_rows"))


def _until_stable(con: duckdb.DuckDBPyConnection, measure: str, step: str) -> None:
    """Repeat a step until the measure no longer moves."""
    before = _scalar(con, measure)
    for _ in range(MOST_ROUNDS):
        con.execute(_sql(step))
        after = _scalar(con, measure)
        if after == before:
            return
        before = after
    message = f"{step} did not come to rest in {MOST_ROUNDS} rounds."
    raise RuntimeError(message)


def _append(con: duckdb.DuckDBPyConnection, table: str, frame: pl.DataFrame) -> None:
    if frame.height:
        con.register("incoming", frame)
        con.execute(f"insert into {table} by name select * from incoming")  # noqa: S608  (a constant of this module)
        con.unregister("incoming")


def _merge_instruments(con: duckdb.DuckDBPyConnection, instruments: pl.DataFrame) -> None:
    con.register("incoming", instruments)
    con.execute(_sql("20_instruments"))
    con.unregister("incoming")


def _merge_quarantine(con: duckdb.DuckDBPyConnection, batch: Batch) -> int:
    """Keep rejected rows, those of the same bytes once; gives how many are new."""
    con.register("incoming", batch.quarantine)
    con.register("landed", batch.exchanges.select("exchange_id", "body_sha256"))
    con.register("released", batch.released)
    before = _scalar(con, "select count(*) from quarantine anti join released using (exchange_id, raw_row)")
    con.execute(_sql("21_quarantine"))
    for name in ("incoming", "landed", "released"):
        con.unregister(name)
    return _scalar(con, "select count(*) from quarantine") - before


def _merge_drift(con: duckdb.DuckDBPyConnection, drift: pl.DataFrame) -> None:
    con.register("incoming", drift)
    con.execute(_sql("22_drift"))
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


def _scalar(con: duckdb.DuckDBPyConnection, query: str) -> int:
    row = con.execute(query).fetchall()
    return int(row[0][0] or 0)


def _sql(step: str) -> str:
    return files("warehouse").joinpath("derive", f"{step}.sql").read_text()
