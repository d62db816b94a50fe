"""Which spans of which channel have been asked for, returned and verified; and how far the unbroken part reaches."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, time, timedelta
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
