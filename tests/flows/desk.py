"""A home for data beside a gateway whose days pass in seconds; and the books of Interactive Brokers, to be compared."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb

from connectors.ibkr_flex.sandbox import FlexBroker
from connectors.ibkr_portal.sandbox import Clock, Gateway
from warehouse import db

MORNING = datetime(2026, 3, 5, 15, 30, tzinfo=UTC)  # a Thursday, 10:30 in New York


class Desk:
    """A home for data beside a gateway of its own, and a clock that both look at."""

    def __init__(self, home: Path, gateway: Gateway, clock: Clock) -> None:
        self.home = home
        self.gateway = gateway
        self.clock = clock

    def sync(self) -> Any:
        from flows.incremental import incremental  # noqa: PLC0415  (Prefect must be set up before)

        return incremental(return_state=True)

    def check(self) -> Any:
        from flows.reauth_check import reauth_check  # noqa: PLC0415

        return reauth_check(return_state=True)

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        with db.writer(self.home) as con:
            return con.execute(query).fetchall()

    def calls(self, since: int = 0) -> list[str]:
        return [call.path for call in self.gateway.log[since:]]

    def fills(self) -> set[tuple[Any, ...]]:
        return set(
            self.ask(
                "select account, exec_id || '.' || lpad(exec_rev::varchar, 2, '0'), signed_qty, last_px from fills"
            )
        )

    def book(self) -> set[tuple[Any, ...]]:
        """Give what the gateway's book says of the days that it tells."""
        first = self.clock() - timedelta(days=6)
        return {
            (
                account,
                row["exec_id"],
                Decimal(str(row["quantity"])) * (1 if row["side"] == "BUY" else -1),
                Decimal(str(row["price"])),
            )
            for account, rows in self.gateway.tell_book()["ibkr_portal"].items()
            for row in rows
            if datetime.fromisoformat(str(row["time"])) >= first
        }


def ibkr_fills_in(con: duckdb.DuckDBPyConnection, first: datetime) -> Counter[tuple[Any, ...]]:
    """Give what stands of Interactive Brokers' executions since a moment, whoever told it."""
    return Counter(
        con.execute(
            """
            select
                account,
                coalesce(exec_id || '.' || lpad(exec_rev::varchar, 2, '0'), exec_id, ''),
                signed_qty,
                last_px,
                commission,
                comm_currency,
                status
            from fills
            where broker = 'ibkr'
                and transact_time >= ?
            """,
            [first.astimezone(UTC).replace(tzinfo=None)],
        ).fetchall()
    )


def ibkr_book_of(flex: FlexBroker, first: datetime) -> Counter[tuple[Any, ...]]:
    """Give what Interactive Brokers' own book says of the same time, once it is final."""
    return Counter(
        (
            account,
            row["exec_id"] or "",
            Decimal(row["quantity"]) * (1 if row["side"] == "BUY" else -1),
            Decimal(row["price"]),
            Decimal(row["commission"]),
            row["commission_currency"],
            "final",
        )
        for account, rows in flex.book()["ibkr_flex"].items()
        for row in rows
        if datetime.fromisoformat(row["time"]) >= first
    )
