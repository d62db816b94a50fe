"""Look up what connections were asked before, and what they were told."""

from __future__ import annotations

from collections.abc import Collection
from datetime import UTC, datetime

import duckdb


def is_known(con: duckdb.DuckDBPyConnection, connection: str, account: str | None = None) -> bool:
    """Tell whether anything was ever returned to this connection, about its account where it names one."""
    return first_covered(con, connection, account) is not None


def first_covered(con: duckdb.DuckDBPyConnection, connection: str, account: str | None = None) -> datetime | None:
    """Give the earliest moment that an answer to this connection covers."""
    row = con.execute(
        """
        select min(returned_since)
        from coverage
        where connection = ?
            and account is not distinct from coalesce(?, account)
        """,
        [connection, account],
    ).fetchall()
    found: datetime | None = row[0][0]
    return found


def first_asked(
    con: duckdb.DuckDBPyConnection, connection: str, since: datetime, account: str | None = None
) -> datetime | None:
    """Give the begin of the earliest window, of those that begin at `since` or later, that this connection was asked for."""
    row = con.execute(
        """
        select min(since)
        from coverage
        where connection = ?
            and account is not distinct from coalesce(?, account)
            and since >= ?
        """,
        [connection, account, since],
    ).fetchall()
    found: datetime | None = row[0][0]
    return found


def accounts_of(con: duckdb.DuckDBPyConnection, broker: str) -> dict[str, str]:
    """Give the account that each connection to a broker was last told of."""
    return dict(
        con.execute(
            """
            select
                connection,
                arg_max(account, recorded_at)
            from coverage
            where broker = ?
                and account is not null
            group by connection
            """,
            [broker],
        ).fetchall()
    )


def was_asked_since(con: duckdb.DuckDBPyConnection, connection: str, until: datetime, moment: datetime) -> bool:
    """Tell whether a window that ends at `until` was asked for since a moment."""
    return bool(
        con.execute(
            "select 1 from coverage where connection = ? and until = ? and recorded_at >= ? limit 1",
            [connection, until, _naive(moment)],
        ).fetchall()
    )


def has_answer_since(
    con: duckdb.DuckDBPyConnection, connector: str, endpoints: Collection[str], moment: datetime
) -> bool:
    """Tell whether some endpoint of a broker has answered since a moment."""
    return bool(
        con.execute(
            """
            select 1
            from exchanges
            where connector = ?
                and endpoint in (select unnest(?))
                and status = 200
                and answered_at >= ?
            limit 1
            """,
            [connector, sorted(endpoints), _naive(moment)],
        ).fetchall()
    )


def _naive(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(tzinfo=None)
