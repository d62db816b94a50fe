"""Which days of which channel have been asked for, returned and verified; and how far the unbroken part reaches."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import duckdb
import polars as pl

SATURDAY = 5


@dataclass(frozen=True, slots=True)
class Asked:
    """A window asked of a channel, half-open."""

    since: date
    until: date


def business_days(since: date, until: date) -> int:
    """Count the days from Monday to Friday in `[since, until)`."""
    return sum((since + timedelta(days=offset)).weekday() < SATURDAY for offset in range(max((until - since).days, 0)))


def verdict_on(asked: Asked, answer: dict[str, Any]) -> tuple[str, str | None]:
    """Judge one answer: (`complete`, None), or (`partial`, what is missing). Weekends are no gap."""
    since, until = answer["returned_since"], answer["returned_until"]
    if not answer["holds_section"]:
        return "partial", "the query has no section for trades, so it cannot tell whether there were any"
    if since is None or until is None:
        return "partial", "the statement does not say which days it covers"
    missing = []
    if business_days(asked.since, min(since, asked.until)):
        missing.append(f"{asked.since} to {min(since, asked.until) - timedelta(days=1)}")
    if business_days(max(until, asked.since), asked.until):
        missing.append(f"{max(until, asked.since)} to {asked.until - timedelta(days=1)}")
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
    nothing_there: bool = False,
) -> list[str]:
    """Write what was asked and returned, move the watermarks, and name the gaps.

    A file that was imported was asked for nothing: it covers what it says it covers. `nothing_there`: the broker has
    answered that it has no statement for the window, which before the first day it ever returned is no gap.
    """
    rows: list[dict[str, Any]] = []
    gaps: list[str] = []
    for account in _accounts(statements):
        if asked is None and None in (account["returned_since"], account["returned_until"]):
            continue
        wanted = asked or Asked(account["returned_since"], _last_said(statements, account))
        status, reason = verdict_on(wanted, account)
        if not account.pop("holds_section"):
            account |= {"returned_since": None, "returned_until": None}  # nothing was returned of what was asked
        rows.append({**account, "since": wanted.since, "until": wanted.until, "status": status, "reason": reason})
    if asked is not None and statements.is_empty():
        nothing = dict.fromkeys(("broker", "source", "source_rank", "account", "returned_since", "returned_until"))
        status = "nothing" if nothing_there else "failed"
        lost = {"row_count": 0, "broker_count": None, "exchange_id": None, "status": status, "reason": verdict}
        rows.append({**nothing, **lost, "since": asked.since, "until": asked.until})
    for row in rows:
        con.execute(
            "insert into coverage by name select unnest(?, recursive := true)",
            [{**row, "connection": connection, "run_id": run_id, "recorded_at": recorded_at}],
        )
        if row["status"] != "complete":
            gaps.append(
                f"{row['source'] or connection} {row['since']} to {row['until'] - timedelta(days=1)}: {row['reason']}"
            )
    if rows:
        move_watermarks(con, recorded_at)
    return gaps


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


def _last_said(statements: pl.DataFrame, account: dict[str, Any]) -> date:
    """Give the end of the last statement of an account: what a file that was asked for nothing says it covers."""
    own = statements.filter(
        (pl.col("source") == account["source"]) & pl.col("account").eq_missing(pl.lit(account["account"], pl.String))
    )
    last = own["returned_until"].max()
    assert isinstance(last, date)  # noqa: S101  (the caller has looked)
    return last


def _accounts(statements: pl.DataFrame) -> list[dict[str, Any]]:
    """Give one answer an account and channel: a query that breaks out by day answers in many statements.

    What is returned is their first unbroken span: behind a missing day nothing counts.
    """
    answers: dict[tuple[Any, ...], dict[str, Any]] = {}
    for said in statements.sort("returned_since", nulls_last=True).iter_rows(named=True):
        answer = answers.setdefault((said["source"], said["account"]), {**said, "row_count": 0})
        answer["row_count"] += said["row_count"]
        answer["holds_section"] = answer["holds_section"] and said["holds_section"]
        since, until = said["returned_since"], said["returned_until"]
        if None not in (since, until, answer["returned_until"]) and not business_days(answer["returned_until"], since):
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
    """Set each channel's watermark to the end of its first unbroken span of returned days, weekends bridged."""
    spans: dict[tuple[object, ...], tuple[date, date]] = {}
    windows = con.execute(
        """
        select connection, broker, source, source_rank, account, returned_since, returned_until
        from coverage
        where returned_since is not null
        order by returned_since, returned_until
        """
    ).fetchall()
    for *key, since, until in windows:
        first = spans.setdefault(tuple(key), (since, until))
        if not business_days(first[1], since):
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


def missing_windows(con: duckdb.DuckDBPyConnection, connection: str, asked: Asked) -> list[Asked]:
    """Give the parts of a span that no answer has returned yet, oldest first: where a backfill continues.

    An answer covers what it returned for the account that it ends earliest for; one that begins later for an account
    found no older days there. Only answers of the connection's most authoritative channel count, and before the first
    day returned those that said there was nothing.
    """
    covered = con.execute(
        """
        select
            min(returned_since) as since,
            min(returned_until) as until
        from coverage
        where connection = ?
            and source is not null
        group by exchange_id
        having count(*) = count(returned_since)
            and max(source_rank) = (select max(source_rank) from coverage where connection = ?)
        order by since, until
        """,
        [connection, connection],
    ).fetchall()
    silent = con.execute(
        """
        select
            asked.since,
            least(asked.until, first.day) as until
        from coverage as asked
        cross join (select min(returned_since) as day from coverage where connection = ?) as first
        where asked.connection = ?
            and asked.status = 'nothing'
            and asked.since < first.day
        """,
        [connection, connection],
    ).fetchall()
    gaps, start = [], asked.since
    for since, until in sorted([*silent, *covered]):
        if since > start and business_days(start, min(since, asked.until)):
            gaps.append(Asked(start, min(since, asked.until)))
        start = max(start, until)
        if start >= asked.until:
            return gaps
    if start < asked.until and business_days(start, asked.until):
        gaps.append(Asked(start, asked.until))
    return gaps
