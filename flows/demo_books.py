"""The sandbox brokers' own books, and what came home of them, in a form in which the two can be compared and counted."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import duckdb

Book = dict[str, list[dict[str, Any]]]
Executions = Counter[tuple[Any, ...]]
Span = tuple[datetime, datetime]

NEW_YORK = ZoneInfo("America/New_York")
LISTED = timedelta(days=6)  # what the gateway tells, before the current day

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
    and status = 'final'
"""

PORTAL_HERE = """
select
    account,
    concat_ws('.', exec_id, lpad(exec_rev::varchar, 2, '0')) as exec_id,
    side,
    last_qty,
    last_px,
    commission,
    transact_time
from execution_reports
where source = 'ibkr_portal'
    and transact_time between $since and $until
qualify row_number() over (partition by account, row_key order by version desc) = 1
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
    """Give the fills that stand in the warehouse and that a statement of Interactive Brokers has told."""
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


def listed_at(moment: datetime) -> Span:
    """Give the span that the gateway's list of this (aware) moment is of."""
    first = moment.astimezone(NEW_YORK).date() - LISTED
    return datetime.combine(first, time.min, NEW_YORK), moment


def portal_in(con: duckdb.DuckDBPyConnection, listed: Span) -> Executions:
    """Give what the gateway told last of each execution of a span, whatever Flex says of it since."""
    since, until = (moment.astimezone(UTC).replace(tzinfo=None) for moment in listed)
    return Counter(
        (*row, when.replace(tzinfo=UTC))
        for *row, when in con.execute(PORTAL_HERE, {"since": since, "until": until}).fetchall()
    )


def portal_of(book: Book, listed: Span) -> Executions:
    """Give the executions of a span in the gateway's book."""
    return Counter(
        (
            account,
            *(row[name] for name in ("exec_id", "side")),
            *(Decimal(row[name]) for name in ("quantity", "price", "commission")),
            when,
        )
        for account, rows in book.items()
        for row in rows
        for when in [datetime.fromisoformat(row["time"]).astimezone(UTC)]
        if listed[0] <= when <= listed[1]
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
