"""Compare importing a Flex statement into DuckDB with `ibflex` merely parsing the same file.

`python -m tests.benchmarks.bench_ibkr_flex [--trades 100000]`. Both take turns in one run, each time in a process of its
own whose peak memory the kernel recorded. "Work" is from the file on disk to the parsed objects, or to the rows committed
with their bytes landed, imports of modules left out on both sides; "process" is all of it, start to end, publishing the
reader's file included. The statement is invented, and gone afterwards.
"""

import argparse
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from tests.benchmarks.statements import write_statement

RUNS = 3
IBFLEX = """
import sys, time
from ibflex import parser
started = time.perf_counter()
trades = len(parser.parse(sys.argv[1]).FlexStatements[0].Trades)
print(trades, time.perf_counter() - started)
"""
ROWS = """
import sys, time
from pathlib import Path
import dataframely
from connectors.registry import connector
from flows import importing
connector("ibkr_flex")
started = time.perf_counter()
(done,) = importing.import_files(Path(sys.argv[2]), "ibkr_flex", [Path(sys.argv[1])])
print(done.loaded.added, time.perf_counter() - started)
"""
FILLHOUSE = Path(sys.executable).with_name("fillhouse")
MAXRSS_UNIT = 1 if sys.platform == "darwin" else 1024
COUNT = "select count(*) as fills from fills"


@dataclass(frozen=True, slots=True)
class Measured:
    """One process: wall time from start to end, peak resident memory in bytes, and what it printed."""

    seconds: float
    peak: int
    out: str


def measure(command: Sequence[str | Path], home: Path) -> Measured:
    """Run a command to its end and measure it; stop the benchmark if it fails."""
    environment = {**os.environ, "FILLHOUSE_HOME": str(home)}
    with tempfile.TemporaryFile("w+") as out, tempfile.TemporaryFile("w+") as err:
        started = time.perf_counter()
        process = subprocess.Popen([str(word) for word in command], stdout=out, stderr=err, env=environment)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        if process.returncode:
            raise SystemExit(f"{command[0]} ended with {process.returncode}: {err.read()[-2000:]}")
        return Measured(seconds, usage.ru_maxrss * MAXRSS_UNIT, out.read())


def parse_with_ibflex(file: Path, trades: int, home: Path) -> Measured:
    """Let ibflex parse the file."""
    measured = measure([sys.executable, "-c", IBFLEX, file], home)
    if int(measured.out.split()[0]) != trades:
        raise SystemExit(f"ibflex read {measured.out.split()[0]} trades of {trades}")
    return measured


def rows_with_fillhouse(file: Path, trades: int, home: Path) -> Measured:
    """Let Fillhouse land, read and load the file."""
    measured = measure([sys.executable, "-c", ROWS, file, home], home)
    if int(measured.out.split()[0]) != trades:
        raise SystemExit(f"fillhouse added {measured.out.split()[0]} rows of {trades}")
    return measured


def work_of(measured: Measured) -> Measured:
    """Give the time that the process itself took for the work."""
    return Measured(float(measured.out.split()[1]), measured.peak, "")


def import_with_fillhouse(file: Path, home: Path, fills: int) -> Measured:
    """Import the file, and check (outside the measurement) that the warehouse then holds so many fills."""
    measured = measure([FILLHOUSE, "import", "--broker", "ibkr_flex", file], home)
    held = measure([FILLHOUSE, "sql", "--format", "csv", COUNT], home).out.split()[-1]
    if int(held) != fills:
        raise SystemExit(f"the warehouse holds {held} fills, not {fills}")
    return measured


def median_of(runs: Sequence[Measured]) -> Measured:
    """Take the medians of several runs."""
    return Measured(statistics.median(r.seconds for r in runs), round(statistics.median(r.peak for r in runs)), "")


def versions() -> str:
    """Say what was measured, and where."""
    told = [f"python {platform.python_version()}"]
    for package in ("polars", "duckdb", "ibflex", "fillhouse"):
        try:
            told.append(f"{package} {version(package)}")
        except PackageNotFoundError:
            told.append(f"{package} not installed")
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count()
    return f"{', '.join(told)}, {cores} cores, {platform.system()} {platform.machine()}"


def line(name: str, measured: Measured, trades: int, size: int, ratio: float | None) -> str:
    """Write one line of the table."""
    times = f"{ratio:.1f} x" if ratio else ""
    return (
        f"{name:<40}{measured.seconds:>10.2f}{trades / measured.seconds:>12,.0f}{times:>9}"
        f"{measured.peak / 1e6:>13,.0f}{measured.peak / size:>12.2f}"
    )


def compare(trades: int, folder: Path) -> list[str]:
    """Measure both in turns, then a small import for its latency, and return the lines to show."""
    big, small, empty = folder / "statement.xml", folder / "small.xml", folder / "none"
    write_statement(big, trades)
    write_statement(small, 20, seed=8)
    size = big.stat().st_size
    there = FILLHOUSE.exists()
    theirs, ours, rows = [], [], []
    for run in range(RUNS):
        theirs.append(parse_with_ibflex(big, trades, empty))
        if there:
            rows.append(rows_with_fillhouse(big, trades, folder / f"rows{run}"))
            ours.append(import_with_fillhouse(big, folder / f"home{run}", trades))
    ibflex, parsed = median_of(theirs), median_of([work_of(run) for run in theirs])
    lines = [
        f"{trades:,} trades, {size / 1e6:,.0f} MB, medians of {RUNS} runs; {versions()}",
        f"{'':<40}{'seconds':>10}{'trades/s':>12}{'ratio':>9}{'peak RSS MB':>13}{'RSS / file':>12}",
        line("work: ibflex, parsing only", parsed, trades, size, 1),
    ]
    if not there:
        return [*lines, f"fillhouse is not installed at {FILLHOUSE}: not measured"]
    fillhouse, loaded = median_of(ours), median_of([work_of(run) for run in rows])
    lines += [
        line("work: fillhouse, to rows in DuckDB", loaded, trades, size, parsed.seconds / loaded.seconds),
        line("process: ibflex, parsing only", ibflex, trades, size, 1),
        line("process: fillhouse import", fillhouse, trades, size, ibflex.seconds / fillhouse.seconds),
    ]
    tiny = small.stat().st_size
    fresh = median_of([import_with_fillhouse(small, folder / f"small{run}", 20) for run in range(RUNS)])
    into = import_with_fillhouse(small, folder / "home0", trades + 20)
    lines.append(line("import of 20 trades, fresh warehouse", fresh, 20, tiny, None))
    lines.append(line(f"import of 20 trades, beside {trades:,}", into, 20, tiny, None))
    return lines


def main() -> None:
    """Read the command line, measure in a temporary folder, print the table."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--trades", type=int, default=100_000)
    with tempfile.TemporaryDirectory(prefix="fillhouse-bench-") as folder:
        lines = compare(arguments.parse_args().trades, Path(folder))
    sys.stdout.write("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
