"""What a run brought: the executions it told first or told differently, newest first."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import NamedTuple

import duckdb

NEWS = """
select
    transact_time,
    book_date,
    account,
    symbol,
    side,
    last_qty,
    last_px,
    currency,
    commission,
    comm_currency,
    exec_type,
    coalesce(exec_id, row_key) as named,
    stands
from executions
where last_changed_at >= (
        select min(started_at)
        from sync_runs
        where run_id = $run
    )
    and exchange_id in (
        select exchange_id
        from exchanges
        where run_id = $run
            and connection = $connection
    )
order by
    book_date desc,
    transact_time desc,
    named
limit $most
"""


class Told(NamedTuple):
    """An execution, in short."""

    transact_time: datetime | None
    book_date: object
    account: str
    symbol: str
    side: str | None
    last_qty: Decimal
    last_px: Decimal | None
    currency: str | None
    commission: Decimal | None
    comm_currency: str | None
    exec_type: str
    named: str
    stands: bool


def news_of(con: duckdb.DuckDBPyConnection, run_id: str, connection: str, most: int) -> tuple[Told, ...]:
    """Give the newest executions that a run brought over a connection, `most` at most."""
    rows = con.execute(NEWS, {"run": run_id, "connection": connection, "most": most}).fetchall()
    return tuple(Told(*row) for row in rows)
