"""Find what no answer has covered yet."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

import duckdb

from warehouse.coverage import Asked, lacks


def missing_windows(
    con: duckdb.DuckDBPyConnection,
    connection: str,
    asked: Asked,
    *,
    channels: Sequence[frozenset[str]] = (),
    every_day: bool = False,
    account: str | None = None,
    told_after: timedelta = timedelta(0),
) -> list[Asked]:
    """Give the parts of a span that no answer has returned yet, oldest first: where a backfill continues.

    Each set of `channels` must have covered a part, by any channel in it; where none are named, the connection's most
    authoritative one. An answer covers what it returned for the account that it ends earliest for; one that begins
    later for an account found no older days there. Before the first moment returned, an answer that there
    is nothing covers what it was asked for.
    Where the connection names its `account`, only that one's answers count; where something is told late, only those that were
    given so long `told_after` their end.
    """
    silent = _silent(con, connection)
    missing = [
        gap
        for sources in channels or (_most_authoritative(con, connection),)
        for gap in _gaps(
            sorted([*silent, *_covered(con, connection, sources, account, told_after)]), asked, every_day=every_day
        )
    ]
    return _united(missing)


def _most_authoritative(con: duckdb.DuckDBPyConnection, connection: str) -> frozenset[str]:
    rows = con.execute(
        """
        select distinct source
        from coverage
        where connection = ?
            and source_rank = (select max(source_rank) from coverage where connection = ?)
        """,
        [connection, connection],
    ).fetchall()
    return frozenset(source for (source,) in rows)


def _covered(
    con: duckdb.DuckDBPyConnection,
    connection: str,
    sources: frozenset[str],
    account: str | None,
    told_after: timedelta,
) -> list[tuple[datetime, datetime]]:
    """Give what answers of these channels returned, a span an answer; one without dates returned nothing.

    Of all answers, or of those that were given so long `told_after` their end.
    """
    return con.execute(
        """
        select
            min(returned_since) as since,
            min(returned_until) as until
        from coverage
        where connection = ?
            and source in (select unnest(?))
            and account is not distinct from coalesce(?, account)
        group by exchange_id
        having count(*) = count(returned_since)
            and (? or max(recorded_at) >= max(returned_until) + ?)
        order by since, until
        """,
        [connection, sorted(sources), account, not told_after, told_after],
    ).fetchall()


def _silent(con: duckdb.DuckDBPyConnection, connection: str) -> list[tuple[datetime, datetime]]:
    """Give what the broker says it has nothing for, before the first moment it ever returned."""
    return con.execute(
        """
        select
            asked.since,
            least(asked.until, first.moment) as until
        from coverage as asked
        cross join (select min(returned_since) as moment from coverage where connection = ?) as first
        where asked.connection = ?
            and asked.status = 'nothing'
            and asked.since < first.moment
        """,
        [connection, connection],
    ).fetchall()


def _gaps(covered: Sequence[tuple[datetime, datetime]], asked: Asked, *, every_day: bool) -> list[Asked]:
    gaps, start = [], asked.since
    for since, until in covered:
        if since > start and lacks(start, min(since, asked.until), every_day=every_day):
            gaps.append(Asked(start, min(since, asked.until)))
        start = max(start, until)
        if start >= asked.until:
            return gaps
    if start < asked.until and lacks(start, asked.until, every_day=every_day):
        gaps.append(Asked(start, asked.until))
    return gaps


def _united(gaps: Sequence[Asked]) -> list[Asked]:
    """Put gaps that touch or overlap together, oldest first."""
    united: list[Asked] = []
    for gap in sorted(gaps, key=lambda gap: gap.since):
        if united and gap.since <= united[-1].until:
            united[-1] = Asked(united[-1].since, max(united[-1].until, gap.until))
        else:
            united.append(gap)
    return united
