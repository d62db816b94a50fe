"""A warehouse beside a sandbox Kraken, on a clock that leaps over every wait; and the two books, to be compared."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb

from connectors.kraken.endpoints import Credentials, Tier
from connectors.kraken.sandbox import API_KEY, API_SECRET, KrakenBroker, own_keys, running
from connectors.registry import connector
from connectors.wire import Window
from flows import steps, talk
from flows.talk import About, Fetched, Question, Way
from tests.warehouse.loading import prepared
from warehouse import db
from warehouse.load import Loaded

FRIDAY_EVENING = datetime(2026, 3, 6, 22, 30, tzinfo=UTC)
Execution = dict[str, Any]

EXECUTIONS = """
select
    fills.exec_id,
    exec_type,
    transact_time,
    base_asset,
    quote_asset,
    signed_qty,
    gross_trade_amt,
    last_px,
    order_id
from fills
inner join instruments using (instrument_id)
where fills.broker = 'kraken'
"""
FEES = "select exec_id, asset, amount, kind from fees where broker = 'kraken' and amount <> 0"


@dataclass(slots=True)
class LeapingClock:
    """Time goes on as it does, and leaps over what is slept."""

    began: float = field(default_factory=time.monotonic)
    leapt: float = 0.0

    def __call__(self) -> datetime:
        """Give the time."""
        return FRIDAY_EVENING + timedelta(seconds=time.monotonic() - self.began + self.leapt)

    def sleep(self, seconds: float) -> None:
        """Let it pass at once."""
        self.leapt += max(seconds, 0.0)


@dataclass(slots=True)
class Desk:
    """One connection to one sandbox broker, and where its trades are kept."""

    home: Path
    broker: KrakenBroker
    clock: LeapingClock
    credentials: Credentials
    fetched: list[Fetched] = field(default_factory=list)

    @property
    def now(self) -> datetime:
        """Give the time as windows are written, in whole seconds."""
        return self.clock().replace(microsecond=0, tzinfo=None)

    def ask(self, window: Window | None, way: Way = Way.PAGES) -> Fetched:
        """Hold one conversation."""
        fetched = talk.fetch(
            self.home,
            "kraken",
            "kraken",
            self.credentials,
            About.NAMES if window is None else Question(window, way, is_up_to_now=True),
            "run",
            flow="backfill",
            clock=self.clock,
            sleep=self.clock.sleep,
        )
        self.fetched.append(fetched)
        return fetched

    def load(self, fetched: Fetched) -> Loaded:
        """Load what was landed of a conversation."""
        return steps.load_conversation(self.home, fetched.conversation_id)

    def bring(self, window: Window | None = None, way: Way = Way.PAGES) -> Loaded:
        """Ask for a window, else for how things are named, and load the answer."""
        return self.load(self.ask(window, way))

    def everything(self) -> Window:
        """Give a window over the whole history."""
        return Window(self.now - timedelta(days=366 * self.broker.years + 10), self.now)

    def windows(self) -> list[Window]:
        """Give the windows a backfill of everything is cut into."""
        whole = self.everything()
        return list(connector("kraken").windows(whole.since, whole.until))

    def executions(self) -> dict[str, Execution]:
        """Give what stands in the warehouse, by id."""
        with db.writer(self.home) as con:
            return executions_in(con)

    def book(self, until: datetime | None = None) -> dict[str, Execution]:
        """Give what stands in the broker's own book, up to a moment."""
        return executions_of(self.broker, (until or self.now).replace(tzinfo=UTC))


@contextmanager
def desk(home: Path, *, tier: Tier = Tier.PRO, key: str = API_KEY, **options: Any) -> Iterator[Desk]:
    """Open a broker and a warehouse that knows nothing yet."""
    clock = LeapingClock()
    broker = KrakenBroker(clock=clock, keys=own_keys(str(tier)), **options)
    with running(broker) as address:
        yield Desk(prepared(home), broker, clock, Credentials(key, API_SECRET, tier=tier, base_url=address))


def executions_in(con: duckdb.DuckDBPyConnection) -> dict[str, Execution]:
    """Give what stands in a warehouse, in the form in which books are compared."""
    fees: dict[str, set[tuple[str, Decimal, str]]] = {}
    for exec_id, asset, amount, kind in con.execute(FEES).fetchall():
        fees.setdefault(exec_id, set()).add((asset, Decimal(amount), kind))
    return {
        exec_id: {
            "type": exec_type,
            "time": when.replace(tzinfo=UTC),
            "moved": {(base, quantity), (quote, gross)},
            "price": None if exec_type == "LEDGER" else price,
            "order_id": order_id,
            "fees": fees.get(exec_id, set()),
        }
        for exec_id, exec_type, when, base, quote, quantity, gross, price, order_id in con.execute(
            EXECUTIONS
        ).fetchall()
    }


def executions_of(broker: KrakenBroker, until: datetime) -> dict[str, Execution]:
    """Give what stands in the broker's book up to a moment, in the same form."""
    found = {}
    for row in broker.book()["kraken"]["main"]:
        when = datetime.fromisoformat(str(row["time"]))
        if when < until:
            base, quote = str(row["symbol"]).split("/")
            quantity, cost = Decimal(str(row["quantity"])), Decimal(str(row["cost"]))
            sign = 1 if row["side"] == "BUY" else -1
            charged: Any = row["fees"]
            found[str(row["exec_id"])] = {
                "type": row["exec_type"],
                "time": when,
                "moved": {(base, sign * quantity), (quote, -sign * cost)},
                "price": None if row["exec_type"] == "LEDGER" else Decimal(str(row["price"])),
                "order_id": row["order_id"],
                "fees": _as_the_ledger_prints(charged),
            }
    return found


def _as_the_ledger_prints(charged: list[dict[str, str]]) -> set[tuple[str, Decimal, str]]:
    """Give fees by kind. What opening a position costs shows only in a sum that the ledger rounds to four decimals."""
    amounts = {fee["kind"]: Decimal(fee["amount"]) for fee in charged}
    if "margin_open" in amounts:
        total = (amounts["trade"] + amounts["margin_open"]).quantize(Decimal("0.0001"))
        amounts["margin_open"] = total - amounts["trade"]
    return {
        (fee["asset"], amounts["margin_open"] if fee["kind"] == "margin_open" else Decimal(fee["amount"]), fee["kind"])
        for fee in charged
        if Decimal(fee["amount"])
    }
