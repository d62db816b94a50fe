"""The sandbox brokers' own books, and what came home of them, in a form in which the two can be compared and counted."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import duckdb

Book = dict[str, list[dict[str, Any]]]
Executions = Counter[tuple[Any, ...]]

FLEX_HERE = """
select
    account,
    concat_ws('.', exec_id, lpad(exec_rev::varchar, 2, '0')) as exec_id,
    symbol,
    side,
    comm_currency,
    last_qty,
    last_px,
    commission,
    transact_time
from fills
where broker = 'ibkr'
"""

KRAKEN_HERE = """
select
    account,
    exec_id,
    exec_type,
    base_asset,
    quote_asset,
    signed_qty,
    gross_trade_amt,
    commission,
    transact_time
from fills
inner join instruments using (instrument_id)
where fills.broker = 'kraken'
"""


def flex_in(con: duckdb.DuckDBPyConnection) -> Executions:
    """Give the fills of Interactive Brokers that stand in the warehouse."""
    return Counter(
        (*texts, *(Decimal(number or 0) for number in numbers), when.replace(tzinfo=UTC))
        for *texts, quantity, price, commission, when in con.execute(FLEX_HERE).fetchall()
        for numbers in [(quantity, price, commission)]
    )


def flex_of(book: Book) -> Executions:
    """Give the executions that stand in the Flex sandbox's book."""
    return Counter(
        (
            account,
            *(row[name] for name in ("exec_id", "symbol", "side", "commission_currency")),
            *(Decimal(row[name]) for name in ("quantity", "price", "commission")),
            datetime.fromisoformat(row["time"]).astimezone(UTC),
        )
        for account, rows in book.items()
        for row in rows
    )


def kraken_in(con: duckdb.DuckDBPyConnection) -> Executions:
    """Give the fills of Kraken that stand in the warehouse; of a swap of two coins it does not matter which is the base."""
    return Counter(
        (
            account,
            exec_id,
            kind,
            _moved(base, quantity, quote, gross),
            Decimal(commission or 0),
            when.replace(tzinfo=UTC),
        )
        for account, exec_id, kind, base, quote, quantity, gross, commission, when in con.execute(
            KRAKEN_HERE
        ).fetchall()
    )


def kraken_of(book: Book) -> Executions:
    """Give the executions that stand in the Kraken sandbox's book, a fee in several assets as the warehouse tells it."""
    return Counter(
        (
            account,
            row["exec_id"],
            row["exec_type"],
            _moved(*_legs(row)),
            Decimal(row["commission"] or 0),
            datetime.fromisoformat(row["time"]).astimezone(UTC),
        )
        for account, rows in book.items()
        for row in rows
    )


def _legs(row: dict[str, Any]) -> tuple[str, Decimal, str, Decimal]:
    base, quote = row["symbol"].split("/")
    sign = 1 if row["side"] == "BUY" else -1
    return base, sign * Decimal(row["quantity"]), quote, -sign * Decimal(row["cost"])


def _moved(base: str, quantity: Decimal, quote: str, gross: Decimal) -> tuple[tuple[str, str], ...]:
    """Write what came and what went, by asset."""
    return tuple(sorted((asset, f"{amount.normalize():f}") for asset, amount in ((base, quantity), (quote, gross))))
