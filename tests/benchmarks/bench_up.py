"""Measure what `fillhouse up` makes its user wait for, and what it leaves on the disk while its schedules go on.

`python -m tests.benchmarks.bench_up [--presses 10] [--minutes 0]`. The sandbox's Kraken on loopback, an empty folder, everything
started as a user does. First the Run button: each press waits for the run before to end. Then, for so many minutes, nobody does
anything: the schedules do. How late their runs begin is printed, and by how much Prefect's database grows in a day.
"""

import argparse
import sqlite3
import statistics
import sys
import tempfile
import time
from datetime import datetime
from pathlib import Path

from connectors.kraken.sandbox import API_KEY, API_SECRET, KrakenBroker, own_keys, running
from tests.flows.operating import System, up

DAY = 24 * 60  # minutes


def pressed(system: System) -> tuple[float, float, float]:
    """Press Run; gives the seconds to the run's process being started, to its running, and to its end."""
    began = time.time()
    run = system.press("incremental", connections=["kraken"])
    system.end_of(run)
    moments = {name: moment.timestamp() - began for name, moment in system.states_of(run).items()}
    return moments["Pending"], moments["Running"], max(moments.values())


def rows_of(database: Path) -> dict[str, int]:
    """Count what grows in Prefect's database."""
    tables = ("flow_run", "task_run", "log", "events", "artifact", "flow_run_state")
    with sqlite3.connect(database) as con:
        return {table: con.execute(f"select count(*) from {table}").fetchone()[0] for table in tables}


def watched(system: System, minutes: int) -> None:
    """Let the schedules go on for a while, and print how late their runs began and how much the database grew."""
    database = system.folder / "data" / "prefect" / "prefect.db"
    before, rows = _megabytes(database), rows_of(database)
    time.sleep(60 * minutes)
    grown = {table: count - rows[table] for table, count in rows_of(database).items()}
    begun = [run for run in system.all("flow_runs") if run["auto_scheduled"] and run["start_time"]]
    late = sorted(_moment(run["start_time"]) - _moment(run["expected_start_time"]) for run in begun)
    sys.stdout.write(f"{len(begun)} scheduled runs began late by {', '.join(f'{each:.2f}' for each in late)} s\n")
    megabytes = _megabytes(database) - before
    sys.stdout.write(
        f"in {minutes} minutes: {megabytes:.2f} MB, rows {grown}; in a day {megabytes * DAY / minutes:.0f} MB\n"
    )


def _moment(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _megabytes(database: Path) -> float:
    with sqlite3.connect(database) as con:
        [(size,)] = con.execute("select page_count * page_size from pragma_page_count(), pragma_page_size()")
    return float(size) / 2**20


def main() -> None:
    """Read the command line, start everything, measure, print."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--presses", type=int, default=10)
    arguments.add_argument("--minutes", type=int, default=0)
    asked = arguments.parse_args()
    broker = KrakenBroker(trades=200, years=1, keys=own_keys("pro"))
    with tempfile.TemporaryDirectory(prefix="fillhouse-up-") as folder, running(broker) as address:
        settings = {
            "FILLHOUSE_KRAKEN_KEY": API_KEY,
            "FILLHOUSE_KRAKEN_SECRET": API_SECRET,
            "FILLHOUSE_KRAKEN_BASE_URL": address,
            "FILLHOUSE_KRAKEN_TIER": "pro",
        }
        began = time.monotonic()
        with up(Path(folder), settings) as system:
            sys.stdout.write(f"from the command to `Up:`, the first time: {time.monotonic() - began:.1f} s\n")
            every = [pressed(system) for _ in range(asked.presses)]
            for name, seconds in zip(("picked up", "running", "ended"), zip(*every, strict=True), strict=True):
                told = ", ".join(f"{each:.1f}" for each in sorted(seconds))
                sys.stdout.write(f"{name:<10} median {statistics.median(seconds):5.1f} s of {told}\n")
            if asked.minutes:
                watched(system, asked.minutes)


if __name__ == "__main__":
    main()
