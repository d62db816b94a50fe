"""Which spans of which channel have been asked for, returned and verified; and how far the unbroken part reaches."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from math import ceil
from typing import Any

import duckdb
import polars as pl

SATURDAY = 5


@dataclass(frozen=True, slots=True)
class Asked:
    """A window asked of a channel, half-open: moments in UTC, or the broker's days as their midnights."""

    since: datetime
    until: datetime
    is_up_to_now: bool = False  # it ended when it was asked, by a clock that may be ahead of the broker's

    def __str__(self) -> str:
        """Write whole days as a person says them, both ends inclusive; else the moments."""
        if self.since.time() == self.until.time() == time.min:
            return f"{self.since:%Y-%m-%d} to {self.until - timedelta(days=1):%Y-%m-%d}"
        return f"{self.since:%Y-%m-%d %H:%M:%S} to {self.until:%Y-%m-%d %H:%M:%S}"


def lacks(since: datetime, until: datetime, *, every_day: bool) -> bool:
    """Tell whether `[since, until)` holds time in which there may be trades: without weekends, unless those count."""
    days = max(ceil((until - since) / timedelta(days=1)), 0)
    return days > 0 and (
        every_day or any((since + timedelta(days=offset)).weekday() < SATURDAY for offset in range(min(days, 3)))
    )


def verdict_on(asked: Asked, answer: dict[str, Any], *, every_day: bool) -> tuple[str, str | None]:
    """Judge one answer: (`complete`, None), or (`partial`, what is missing)."""
    since, until = answer["returned_since"], answer["returned_until"]
    if since is None and answer["broker_count"] not in (None, answer["row_count"]):
        return "partial", f"the broker counts {answer['broker_count']} rows and told {answer['row_count']}"
    if not answer["holds_section"]:
        return "partial", "the query has no place for executions, so it cannot tell whether there were any"
    if since is None or until is None:
        return "partial", "the statement does not say which days it covers"
    missing = []
    if asked.is_up_to_now and asked.since < until:
        asked = Asked(asked.since, min(asked.until, until))
    if lacks(asked.since, min(since, asked.until), every_day=every_day):
        missing.append(str(Asked(asked.since, min(since, asked.until))))
    if lacks(max(until, asked.since), asked.until, every_day=every_day):
        missing.append(str(Asked(max(until, asked.since), asked.until)))
    return ("partial", f"not returned: {', '.join(missing)}") if missing else ("complete", None)


def record(
    con: duckdb.DuckDBPyConnection,
    statements: pl.DataFrame,
    connection: str,
    asked: Asked | None,
    run_id: str,
    verdict: str,
    recorded_at: datetime,
    *,
    every_day: bool,
    nothing_there: bool = False,
    asked_account: str | None = None,
    channels: Sequence[frozenset[str]] = (),
    beyond_reach: str | None = None,
) -> list[str]:
    """Write what was asked and returned, move the watermarks, and name the gaps.

    A file that was imported was asked for nothing: it covers what it says it covers. `nothing_there`: the broker has
    answered that it has no statement for the window, which before the first day it ever returned is no gap. What was asked
    of several sets of `channels` and told by some of them has failed for the others. `beyond_reach`
    tells what these no longer do.
    """
    rows: list[dict[str, Any]] = []
    gaps: list[str] = []
    for account in _accounts(statements, every_day=every_day):
        if asked is None and None in (account["returned_since"], account["returned_until"]):
            if account["broker_count"] in (None, account["row_count"]):
                continue
            del account["holds_section"]
            counts = f"the broker counts {account['broker_count']} rows and told {account['row_count']}"
            rows.append({**account, "since": None, "until": None, "status": "partial", "reason": counts})
            continue
        wanted = asked or Asked(account["returned_since"], _last_said(statements, account))
        status, reason = verdict_on(wanted, account, every_day=every_day)
        if not account.pop("holds_section"):
            account |= {"returned_since": None, "returned_until": None}  # nothing was returned of what was asked
        rows.append({**account, "since": wanted.since, "until": wanted.until, "status": status, "reason": reason})
    for row in rows:
        row["channels"] = _named(group for group in channels if row["source"] in group)
    silent = [group for group in channels if group.isdisjoint({row["source"] for row in rows})]
    if asked is not None and (silent or statements.is_empty()):
        nothing = dict.fromkeys(("broker", "source", "source_rank", "returned_since", "returned_until"))
        status = "nothing" if nothing_there else "failed"
        lost = {"row_count": 0, "broker_count": None, "exchange_id": None, "status": status, "reason": verdict}
        span = {"since": asked.since, "until": asked.until}
        rows.append({**nothing, **lost, **span, "account": asked_account, "channels": _named(silent)})
    said = {
        "connection": connection,
        "every_day": every_day,
        "beyond_reach": beyond_reach,
        "run_id": run_id,
        "recorded_at": recorded_at,
    }
    for row in rows:
        con.execute(
            "insert into coverage by name select unnest(?, recursive := true)",
            [{**row, **said}],
        )
        if row["status"] != "complete" and not _is_told_beside(row, rows):
            window = Asked(row["since"], row["until"]) if row["since"] else "file"
            gaps.append(f"{row['source'] or connection} {window}: {row['reason']}")
    if rows:
        move_watermarks(con, recorded_at)
    return gaps


def _named(groups: Iterable[frozenset[str]]) -> list[list[str]] | None:
    return [sorted(group) for group in groups] or None


def _is_told_beside(row: dict[str, Any], rows: Sequence[dict[str, Any]]) -> bool:
    """Tell whether a channel that answers for this one has returned the same window, in the same conversation."""
    same = ("channels", "account", "since", "until")
    return row["channels"] is not None and any(
        other["status"] == "complete" and all(other[name] == row[name] for name in same) for other in rows
    )


def record_members(con: duckdb.DuckDBPyConnection, statements: pl.DataFrame, reports: pl.DataFrame) -> None:
    """Remember which accounts' rows came in another account's statement, where the reply holds that one's only."""
    carried = (
        statements.filter(pl.col("account").n_unique().over("exchange_id") == 1)
        .select("exchange_id", "broker", statement_account="account")
        .unique()
        .join(reports.select("exchange_id", "account").unique(), on="exchange_id")
        .filter(pl.col("account") != pl.col("statement_account"))
        .select("broker", "statement_account", "account")
        .unique()
    )
    if carried.height:
        con.register("carried", carried)
        con.execute("insert into members select * from carried except select * from members")
        con.unregister("carried")


def _last_said(statements: pl.DataFrame, account: dict[str, Any]) -> datetime:
    """Give the end of the last statement of an account: what a file that was asked for nothing says it covers."""
    own = statements.filter(
        (pl.col("source") == account["source"]) & pl.col("account").eq_missing(pl.lit(account["account"], pl.String))
    )
    last = own["returned_until"].max()
    assert isinstance(last, datetime)  # noqa: S101  (the caller has looked)
    return last


def _accounts(statements: pl.DataFrame, *, every_day: bool) -> list[dict[str, Any]]:
    """Give one answer an account and channel: a query that breaks out by day answers in many statements.

    What is returned is their first unbroken span: behind a missing day nothing counts.
    """
    answers: dict[tuple[Any, ...], dict[str, Any]] = {}
    for said in statements.sort("returned_since", nulls_last=True).iter_rows(named=True):
        answer = answers.setdefault((said["source"], said["account"]), {**said, "row_count": 0})
        answer["row_count"] += said["row_count"]
        answer["holds_section"] = answer["holds_section"] and said["holds_section"]
        since, until = said["returned_since"], said["returned_until"]
        if None not in (since, until, answer["returned_until"]) and not lacks(
            answer["returned_until"], since, every_day=every_day
        ):
            answer["returned_until"] = max(answer["returned_until"], until)
    kept = (
        "broker",
        "source",
        "source_rank",
        "account",
        "returned_since",
        "returned_until",
        "holds_section",
        "row_count",
        "broker_count",
        "exchange_id",
    )
    return [{name: answer[name] for name in kept} for answer in answers.values()]


def move_watermarks(con: duckdb.DuckDBPyConnection, moment: datetime) -> None:
    """Set each channel's watermark to the end of its first unbroken span."""
    spans: dict[tuple[object, ...], tuple[datetime, datetime]] = {}
    windows = con.execute(
        """
        select connection, broker, source, source_rank, account, every_day, returned_since, returned_until
        from coverage
        where returned_since is not null
        order by returned_since, returned_until
        """
    ).fetchall()
    for *key, every_day, since, until in windows:
        first = spans.setdefault(tuple(key), (since, until))
        if not lacks(first[1], since, every_day=every_day):
            spans[tuple(key)] = (first[0], max(first[1], until))
    known = {
        tuple(key): (since, until)
        for *key, since, until in con.execute(
            "select connection, broker, source, source_rank, account, verified_since, verified_until from watermarks"
        ).fetchall()
    }
    for channel, span in spans.items():
        if known.get(channel) != span:
            con.execute(
                """
                delete from watermarks
                where connection = ? and broker = ? and source = ? and source_rank = ? and account is not distinct from ?
                """,
                list(channel),
            )
            con.execute(
                """
                insert into watermarks
                    (connection, broker, source, source_rank, account, verified_since, verified_until, updated_at)
                values (?, ?, ?, ?, ?, ?, ?, ?)
                """,
                [*channel, *span, moment],
            )


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
