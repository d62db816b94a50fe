"""Compare bringing Kraken's pages into DuckDB with `ccxt` merely parsing the same pages.

`python -m tests.benchmarks.bench_kraken [--trades 200000]`. Both take turns in one process. Ours is from the replies' bytes to
the rows that keep the contract, and from there to these rows committed in a warehouse's file; ccxt's from the bytes to its list
of trades. The history is invented.
"""

import argparse
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TypeVar

import ccxt
import polars as pl

from connectors.connector import Reply
from connectors.registry import connector
from warehouse import db
from warehouse.landing import METADATA, SCHEMA
from warehouse.load import Batch, Run, load

RUNS = 3
PAGE = 50
MOMENT = datetime(2026, 6, 1, 12, tzinfo=UTC)
NAIVE = MOMENT.replace(tzinfo=None)
MARKET = {
    "id": "XXBTZUSD",
    "symbol": "BTC/USD",
    "base": "BTC",
    "quote": "USD",
    "baseId": "XXBT",
    "quoteId": "ZUSD",
    "altname": "XBTUSD",
    "active": True,
    "type": "spot",
    "spot": True,
    "precision": {"amount": 1e-8, "price": 0.1},
    "limits": {},
    "taker": 0.0026,
    "maker": 0.0016,
}

Given = TypeVar("Given")
Made = TypeVar("Made")


def pages_of(trades: int) -> list[bytes]:
    """Invent a history, newest first, 50 to a page."""
    chance, pages = random.Random(7), []
    for first in range(0, trades, PAGE):
        rows = ",".join(
            f'"T{number:05X}-{chance.randrange(16**5):05X}-{chance.randrange(16**6):06X}":'
            f'{{"ordertxid":"O{number // 3:05X}-AAAAA-BBBBBB","postxid":"TKH2SE-M7IF5-CFI7LT","pair":"XXBTZUSD",'
            f'"time":{1_780_000_000 - number}.{chance.randrange(10_000):04},"type":"buy","ordertype":"limit",'
            f'"price":"60{chance.randrange(1000):03}.10000","cost":"1200.20000","fee":"1.92032","vol":"0.02000000",'
            f'"margin":"0.00000","leverage":"0","misc":"","trade_id":{40_000_000 + number},"maker":true}}'
            for number in range(first, min(first + PAGE, trades))
        )
        pages.append(f'{{"error":[],"result":{{"count":{trades},"trades":{{{rows}}}}}}}'.encode())
    return pages


def with_ccxt(pages: list[bytes]) -> tuple[None, int]:
    """Let ccxt parse every page; gives how many trades that were."""
    exchange, parsed = ccxt.kraken(), 0
    exchange.set_markets([MARKET])
    for page in pages:
        told = json.loads(page)["result"]["trades"]
        for txid, trade in told.items():
            trade["id"] = txid
        parsed += len(exchange.parse_trades(list(told.values())))
    return None, parsed


def normalised(pages: list[bytes]) -> tuple[Batch, int]:
    """Normalise every page, as one conversation; gives what a load takes, and its rows."""
    params = {"start": "1700000000", "end": "1790000000"}
    replies = [
        Reply(f"e{number:06}", "TradesHistory", page, MOMENT, "main", params, is_live=True)
        for number, page in enumerate(pages)
    ]
    said = connector("kraken").normalize(replies)
    schema = {**{name: SCHEMA[name] for name in METADATA}, "landed_file": pl.String, "landed_row": pl.Int32}
    landed = [{"exchange_id": reply.exchange_id, "kind": "exchange", "answered_at": NAIVE} for reply in replies]
    batch = Batch(
        said.reports, said.instruments, said.statements, said.quarantine, said.drift,
        pl.DataFrame(landed, schema=schema), said.ledger,
    )  # fmt: skip
    return batch, said.reports.height


def committed(batch: Batch) -> tuple[None, int]:
    """Load the rows into a warehouse of their own, from opening its file to closing it; gives how many are new."""
    with tempfile.TemporaryDirectory(prefix="fillhouse-bench-") as home, db.writer(Path(home)) as con:
        return None, load(con, batch, Run("run", "backfill", "kraken", None, NAIVE, NAIVE, every_day=True)).added


def timed(work: Callable[[Given], tuple[Made, int]], given: Given, trades: int) -> tuple[Made, float]:
    """Time one run, and stop the benchmark if it loses a trade."""
    started = time.perf_counter()
    made, done = work(given)
    seconds = time.perf_counter() - started
    if done != trades:
        raise SystemExit(f"{work.__name__} came to {done} trades of {trades}")
    return made, seconds


def line(name: str, seconds: float, trades: int, parsed: float) -> str:
    """Write one line of the table."""
    return f"{name:<60}{seconds:>8.2f} s{trades / seconds:>12,.0f}/s{parsed / seconds:>8.1f} x\n"


def main() -> None:
    """Read the command line, measure, print the table."""
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--trades", type=int, default=200_000)
    trades = arguments.parse_args().trades
    pages = pages_of(trades)
    theirs, ours, whole = [], [], []
    for _ in range(RUNS):
        theirs.append(timed(with_ccxt, pages, trades)[1])
        batch, normalising = timed(normalised, pages, trades)
        ours.append(normalising)
        whole.append(normalising + timed(committed, batch, trades)[1])
    parsed, told, loaded = map(statistics.median, (theirs, ours, whole))
    sys.stdout.write(
        f"{trades:,} trades of Kraken in {len(pages):,} pages, {sum(map(len, pages)) / 1e6:,.0f} MB, medians of {RUNS} runs\n"
        + line("ccxt, parsing only", parsed, trades, parsed)
        + line("fillhouse, pages to rows (checked, in data frames)", told, trades, parsed)
        + line("fillhouse, pages to rows committed in a new warehouse", loaded, trades, parsed)
    )


if __name__ == "__main__":
    main()
