"""Load 100 new fills into a warehouse of ten million rows, and the same into one of ten thousand; then sync both.

`python -m tests.benchmarks.bench_scale [--rows 10000000]`. The rows are made by SQL from one that was loaded, with the hashes a
load looks for; the loads are those of every sync, from opening the file to closing it, publishing excepted. A whole sync is
`fillhouse sync` as a person types it, against the sandbox's Kraken on loopback: with the start of Prefect's server in it, and,
where there are new fills, the publishing of the reader's file.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import polars as pl

from connectors.connector import Reply
from connectors.kraken.sandbox import API_KEY, API_SECRET, KrakenBroker, own_keys, running
from connectors.registry import connector
from warehouse import db
from warehouse.landing import METADATA, SCHEMA
from warehouse.load import Batch, Run, load

SMALL = 10_000
NEW = 100
SCATTERED = 5
RUNS = 3
MOMENT = datetime(2026, 6, 1, 12, tzinfo=UTC)
FILLHOUSE = Path(sys.executable).with_name("fillhouse")
FIRST = 1_500_000_000
MACROS = Path(__file__).parents[2] / "warehouse" / "derive" / "00_macros.sql"

GROW = """
insert into execution_reports by name
select
    template.* replace (
        'T' || number as row_key,
        'T' || number as exec_id,
        'O' || number // 3 as order_id,
        number::varchar as trade_id,
        epoch_ms((1500000000 + number * 25) * 1000) as transact_time,
        epoch_ms((1500000000 + number * 25) * 1000)::date as book_date,
        'A' || number % 4 as account,
        link('kraken', 'A' || number % 4, 'T' || number) as row_hash
    )
from execution_reports as template
cross join range(1, $rows) as numbers(number)
"""
TIE = """
insert into links by name
select
    row_hash,
    row_hash as exec_hash,
    link(broker, account, trade_id) as trade_hash,
    link(broker, account, order_id) as order_hash,
    source_rank,
    lane(broker, account, instrument_id, last_qty, last_px) + row_hash % 100000 as lane_hash,
    row_hash as symbol_lane_hash,
    false as seeks,
    row_hash as family,
    book_date as book_first,
    book_date as book_last
from execution_reports
where exec_id <> 'T0'
"""
AS_OF = "select count(*), sum(commission) from fills_as_of(?) where account = 'A1' and book_date = ?"


def page_of(numbers: list[int], fee: str) -> bytes:
    """Write a page of trades."""
    rows = ",".join(
        f'"T{number}":{{"ordertxid":"O{number // 3}","pair":"XXBTZUSD","time":{FIRST + number * 25}.5,"type":"buy",'
        f'"ordertype":"limit","price":"60000.1","cost":"1200.2","fee":"{fee}","vol":"0.02","margin":"0","leverage":"0",'
        f'"misc":"","trade_id":{number},"maker":true}}'
        for number in numbers
    )
    return f'{{"error":[],"result":{{"count":{len(numbers)},"trades":{{{rows}}}}}}}'.encode()


def load_page(con: duckdb.DuckDBPyConnection, page: bytes, account: str, hour: int) -> int:
    """Load one page as a sync does, and tell how many rows it added or revised."""
    moment = MOMENT + timedelta(hours=hour)
    naive = moment.replace(tzinfo=None)
    reply = Reply(f"e{hour}", "TradesHistory", page, moment, account, {}, is_live=True)
    said = connector("kraken").normalize([reply])
    schema = {**{name: SCHEMA[name] for name in METADATA}, "landed_file": pl.String, "landed_row": pl.Int32}
    landed = pl.DataFrame([{"exchange_id": f"e{hour}", "kind": "exchange", "answered_at": naive}], schema=schema)
    batch = Batch(said.reports, said.instruments, said.statements, said.quarantine, said.drift, landed, said.ledger)
    done = load(con, batch, Run("run", "incremental", "kraken", None, naive, naive, every_day=True))
    return done.added + done.revised


def grown(home: Path, rows: int) -> None:
    """Make a warehouse of so many rows."""
    with db.writer(home) as con:
        load_page(con, page_of([0], "1.92"), "A0", 0)
        con.execute(MACROS.read_text())
        con.execute(GROW, {"rows": rows})
        con.execute(TIE)
        con.execute("checkpoint")


def seconds_of(work: Callable[..., object], *given: object) -> float:
    """Time one piece of work."""
    started = time.perf_counter()
    work(*given)
    return time.perf_counter() - started


def measured(home: Path, rows: int) -> dict[str, float]:
    """Measure the three things that must not grow with the warehouse."""
    hours = iter(range(1, 1000))

    def sync(numbers: list[int], fee: str) -> None:
        with db.writer(home) as con:
            if load_page(con, page_of(numbers, fee), "A1", next(hours)) != len(numbers):
                raise SystemExit("not every fill was loaded")

    new = [seconds_of(sync, list(range(rows + run * NEW, rows + (run + 1) * NEW)), "1.92") for run in range(RUNS)]
    scattered = [1 + 4 * (place * (rows // SCATTERED) // 4) for place in range(SCATTERED)]
    mixed = [
        seconds_of(sync, [*scattered, *range(rows + (9 + run) * NEW, rows + (10 + run) * NEW)], f"1.9{run}1")
        for run in range(RUNS)
    ]
    day = datetime.fromtimestamp(FIRST + rows // 2 * 25, UTC).date()
    with db.writer(home) as con:
        asked = [
            seconds_of(lambda: con.execute(AS_OF, [MOMENT.replace(tzinfo=None), day]).fetchall()) for _ in range(RUNS)
        ]
    return {
        f"load of {NEW} new fills": statistics.median(new),
        f"the same with {SCATTERED} old ones corrected": statistics.median(mixed),
        "fills_as_of, one account and day": statistics.median(asked),
    }


def synced(home: Path) -> dict[str, float]:
    """Measure a whole sync that finds nothing new, and one that finds new fills."""
    broker = KrakenBroker(trades=200, years=1, keys=own_keys("pro"))
    with running(broker) as address:
        settings = {
            "FILLHOUSE_HOME": str(home),
            "FILLHOUSE_KRAKEN_KEY": API_KEY,
            "FILLHOUSE_KRAKEN_SECRET": API_SECRET,
            "FILLHOUSE_KRAKEN_TIER": "pro",
            "FILLHOUSE_KRAKEN_ACCOUNT": "A1",
            "FILLHOUSE_KRAKEN_BASE_URL": address,
        }

        def sync() -> None:
            subprocess.run(
                [FILLHOUSE, "sync"], check=True, capture_output=True, cwd=home, env={**os.environ, **settings}
            )

        sync()
        idle = [seconds_of(sync) for _ in range(RUNS)]
        new = []
        for _ in range(RUNS):
            broker.trade_now(SCATTERED)
            new.append(seconds_of(sync))
    return {
        "fillhouse sync, nothing new": statistics.median(idle),
        f"the same, {SCATTERED} new": statistics.median(new),
    }


def main() -> None:
    """Read the command line, measure both sizes, print the table."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rows", type=int, default=10_000_000)
    rows = arguments.parse_args().rows
    with tempfile.TemporaryDirectory(prefix="fillhouse-scale-") as folder:
        found = {}
        for size in (SMALL, rows):
            home = Path(folder) / str(size)
            home.mkdir()
            grown(home, size)
            found[size] = measured(home, size) | synced(home)
    sys.stdout.write(f"{'milliseconds, medians of ' + str(RUNS):<44}{SMALL:>14,}{rows:>14,}{'ratio':>8}\n")
    for name, small in found[SMALL].items():
        large = found[rows][name]
        sys.stdout.write(f"{name:<44}{small * 1000:>14.1f}{large * 1000:>14.1f}{large / small:>8.1f}\n")


if __name__ == "__main__":
    main()
