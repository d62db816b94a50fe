"""What is known of each connection: its state, and what a run has done for it."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

import duckdb

from warehouse import untold
from warehouse.load import note_change
from warehouse.scripts import transaction
from warehouse.untold import Untold


@dataclass(frozen=True, slots=True)
class KnownState:
    """A connection's state as last recorded; moments are aware, in UTC."""

    key: str | None
    state: str
    reason: str | None
    remedy: str | None
    checked_at: datetime
    last_success_at: datetime | None
    retry_at: datetime | None
    state_since: datetime | None = None
    found_by: str | None = None


@dataclass(frozen=True, slots=True)
class Totals:
    """What the conversations of one run cost and brought, for one connection."""

    conversations: int = 0
    requests: int = 0
    waited_seconds: float = 0.0
    rows: int = 0
    added: int = 0
    revised: int = 0
    cancelled: int = 0
    rejected: int = 0


def newest_told(
    con: duckdb.DuckDBPyConnection, connection: str, account: str | None, sources: Collection[str], most: int
) -> list[str]:
    """Name the newest executions of an account that these channels have told a connection."""
    rows = con.execute(
        """
        select execution_rows.exec_id
        from execution_rows
        inner join exchanges using (exchange_id)
        where exchanges.connection = ?
            and execution_rows.account is not distinct from ?
            and execution_rows.source in (select unnest(?))
            and execution_rows.exec_id is not null
        order by
            execution_rows.transact_time desc nulls last,
            execution_rows.exec_id
        limit ?
        """,
        [connection, account, sorted(sources), most],
    ).fetchall()
    return [exec_id for (exec_id,) in rows]


def record_state(
    con: duckdb.DuckDBPyConnection,
    connection: str,
    kind: str,
    key: str,
    state: str,
    *,
    reason: str | None,
    remedy: str | None,
    moment: datetime,
    retry_at: datetime | None,
    success: bool,
    found_by: str | None = None,
    news: Untold | None = None,
) -> None:
    """Write a connection's state; a last success is kept unless this is one. A new state or reason is news for readers.

    Since when it is so is kept while the state is the same, whatever the reason. What is to be told of it is kept until it
    was told.
    """
    known = state_of(con, connection)
    last_success = moment if success else known.last_success_at if known else None
    since = known.state_since if known and known.state == state else moment
    with transaction(con):
        con.execute("delete from connections where connection = ?", [connection])
        con.execute(
            """
            insert into connections
                (connection, kind, key, state, reason, remedy, checked_at, last_success_at, retry_at, state_since, found_by)
            values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
            """,
            [
                connection,
                kind,
                key,
                state,
                reason,
                remedy,
                _naive(moment),
                _naive(last_success),
                _naive(retry_at),
                _naive(since),
                found_by,
            ],
        )
        if news is not None:
            untold.note(con, news, moment)
        if known is None or (known.state, known.reason) != (state, reason):
            note_change(con)


def state_of(con: duckdb.DuckDBPyConnection, connection: str) -> KnownState | None:
    """Read a connection's state; None where nothing was recorded yet."""
    rows = con.execute(
        """
        select
            key,
            state,
            reason,
            remedy,
            checked_at,
            last_success_at,
            retry_at,
            state_since,
            found_by
        from connections
        where connection = ?
        """,
        [connection],
    ).fetchall()
    if not rows:
        return None
    key, state, reason, remedy, checked_at, *moments, found_by = rows[0]
    last_success_at, retry_at, state_since = map(_aware, moments)
    return KnownState(
        key, state, reason, remedy, checked_at.replace(tzinfo=UTC), last_success_at, retry_at, state_since, found_by
    )


def names(con: duckdb.DuckDBPyConnection) -> list[str]:
    """Name the connections of which a state is known."""
    rows = con.execute("select connection from connections order by connection").fetchall()
    return [connection for (connection,) in rows]


def forget(con: duckdb.DuckDBPyConnection, connection: str) -> None:
    """Take away a connection's state, and what was to be told of it; not what it brought."""
    with transaction(con):
        for table in ("connections", "token_notices", "gap_notices", "untold"):
            con.execute(f"delete from {table} where connection = ?", [connection])  # noqa: S608
        note_change(con)


def note_expiry(
    con: duckdb.DuckDBPyConnection, connection: str, expires_on: date, ahead: int, moment: datetime, news: Untold
) -> bool:
    """Note that a token's end so many days ahead is to be told; False if that was noted before."""
    with transaction(con):
        said = con.execute(
            "select 1 from token_notices where connection = ? and days <= ?", [connection, ahead]
        ).fetchall()
        if not said:
            con.execute(
                "insert into token_notices values (?, ?, ?, ?)", [connection, expires_on, ahead, _naive(moment)]
            )
            untold.note(con, news, moment)
            note_change(con)
    return not said


def forget_expiry(con: duckdb.DuckDBPyConnection, connection: str, expires_on: date | None) -> None:
    """Forget what was said of another day: the token was renewed."""
    stale = con.execute(
        "select 1 from token_notices where connection = ? and expires_on is distinct from ?", [connection, expires_on]
    ).fetchall()
    if stale:
        with transaction(con):
            con.execute(
                "delete from token_notices where connection = ? and expires_on is distinct from ?",
                [connection, expires_on],
            )
            note_change(con)


def note_gaps(
    con: duckdb.DuckDBPyConnection,
    connection: str,
    gaps: list[str],
    moment: datetime,
    patience: timedelta,
    news: Untold,
) -> None:
    """Keep since when a connection has had gaps, whichever; once it is longer than `patience`, `news` are to be told, once."""
    known = con.execute("select since, told_at from gap_notices where connection = ?", [connection]).fetchall()
    now = _naive(moment)
    with transaction(con):
        if known and not gaps:
            con.execute("delete from gap_notices where connection = ?", [connection])
        elif gaps and not known:
            con.execute("insert into gap_notices values (?, ?, null)", [connection, now])
        elif gaps and known[0][1] is None and now - known[0][0] > patience:
            con.execute("update gap_notices set told_at = ? where connection = ?", [now, connection])
            untold.note(con, news, moment)


def gaps_of(con: duckdb.DuckDBPyConnection, connection: str) -> list[str]:
    """Give the gaps of a connection, as `data_health` words them."""
    rows = con.execute(
        "select what from data_health where kind = 'gap' and connection = ? order by what", [connection]
    ).fetchall()
    return [what for (what,) in rows]


def totals_of(con: duckdb.DuckDBPyConnection, run_id: str, connection: str) -> Totals:
    """Add up what a run did for a connection, failed attempts included."""
    rows = con.execute(
        """
        select
            count(*)::bigint,
            coalesce(sum(exchanges), 0)::bigint,
            coalesce(sum(waited_seconds), 0)::double,
            coalesce(sum(rows_read), 0)::bigint,
            coalesce(sum(added), 0)::bigint,
            coalesce(sum(revised), 0)::bigint,
            coalesce(sum(cancelled), 0)::bigint,
            coalesce(sum(rejected), 0)::bigint
        from sync_runs
        where run_id = ?
            and connection = ?
        """,
        [run_id, connection],
    ).fetchall()
    return Totals(*rows[0])


def _naive(moment: datetime | None) -> datetime | None:
    """Give the time in UTC without its zone: what a column of type timestamp holds."""
    return moment.astimezone(UTC).replace(tzinfo=None) if moment else None


def _aware(moment: datetime | None) -> datetime | None:
    return moment.replace(tzinfo=UTC) if moment else None
