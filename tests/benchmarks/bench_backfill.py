"""Backfill Kraken's pages from the sandbox while new trades keep arriving, and compare the time with what the counter asks for.

`python -m tests.benchmarks.bench_backfill [--trades 20000]`. Real HTTP on loopback, on a clock that leaps over every wait; the
time taken is that clock's, reading and loading included. What was brought is compared with the broker's book; a difference, or
one refusal for asking too fast, ends the benchmark.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from connectors.kraken.budget import CEILINGS, DECAYS, cost_of
from connectors.kraken.endpoints import Tier
from tests.connectors.kraken.desk import desk

ARRIVALS = 0.02  # trades a second while it goes on


def measured(home: Path, tier: Tier, trades: int) -> str:
    """Bring a whole history home and give a line of the table."""
    with desk(home, tier=tier, trades=trades, years=5, arrivals_per_second=ARRIVALS) as at:
        started, until = time.perf_counter(), at.now
        at.bring()
        began = at.clock()
        for window in at.windows():
            fetched = at.ask(window)
            if fetched.error is not None:
                raise SystemExit(f"{tier}: {fetched.error}")
            at.load(fetched)
        passed, really = (at.clock() - began).total_seconds(), time.perf_counter() - started
        here, there = at.executions(), at.book(until)
        if here != there:
            differing = {exec_id for exec_id in here.keys() | there.keys() if here.get(exec_id) != there.get(exec_id)}
            raise SystemExit(f"{tier}: {len(differing):,} executions are not as in the broker's book")
        if at.broker.rate_limit_refusals:
            raise SystemExit(f"{tier}: {len(at.broker.rate_limit_refusals)} requests were refused for asking too fast")
        costs = sum(cost_of(call.method) for call in at.broker.log)
        least = (costs - CEILINGS[tier]) / DECAYS[tier]
        return (
            f"{tier:<14}{len(here):>12,}{len(at.broker.log):>10,}{passed:>14,.0f}{least:>14,.0f}"
            f"{passed / least:>8.3f}{really:>12.1f}\n"
        )


def main() -> None:
    """Read the command line, measure each tier, print the table."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--trades", type=int, default=20_000)
    trades = arguments.parse_args().trades
    sys.stdout.write(
        f"{'tier':<14}{'executions':>12}{'requests':>10}{'took, s':>14}{'at least, s':>14}{'ratio':>8}{'really, s':>12}\n"
    )
    for tier in Tier:
        with tempfile.TemporaryDirectory(prefix="fillhouse-backfill-") as folder:
            sys.stdout.write(measured(Path(folder), tier, trades))
            sys.stdout.flush()


if __name__ == "__main__":
    main()
