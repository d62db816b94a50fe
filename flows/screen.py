"""The one screen of `status`: where things stand, since when, and what to do; all times are UTC."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from flows import console
from flows.freshness import Freshness
from flows.questions import Row, Status

MOST_ROWS = 8  # of a table; the rest is counted
MOST_GAPS = 3
MOST_FINDINGS = 3
EVERYTHING = 'fillhouse sql "select * from data_health order by severity"   every gap and finding, with its remedy'


def status(found: Status, published_at: datetime | None, now: datetime) -> None:
    """Print the state of the warehouse."""
    if published_at:
        console.line(
            f"The reader's file was published {age(published_at, now)} ago ({_written(published_at)}). Times are UTC."
        )
    if found.holdings:
        _table("Accounts", list(found.holdings[0]), [list(row.values()) for row in found.holdings])
    if found.connections:
        names = ["connection", "kind", "state", "since", "checked", "last success"]
        _table("Connections", names, [_connection(row, now) for row in found.connections])
    if found.channels:
        names = ["connection", "channel", "account", "from", "without a gap to", "freshness"]
        _table("Channels", names, [_channel(channel) for channel in found.channels])
    if found.gaps:
        _list("Gaps", _at_most(MOST_GAPS, [f"{row['connection']}: {row['what']}" for row in found.gaps], "gaps"))
    if found.findings:
        shown = [text for row in found.findings[:MOST_FINDINGS] for text in _finding(row)]
        others = [f"{row['findings']} x {row['kind']} ({row['severity']})" for row in found.findings[MOST_FINDINGS:]]
        _list("Findings", [*shown, *([f"also {', '.join(others)}"] if others else [])])
    _section("Next")
    for text in _next_steps(found, now):
        console.lines(textwrap.wrap(text, console.width(), initial_indent="  ", subsequent_indent="    "))


def age(moment: datetime, now: datetime) -> str:
    """Write how long ago a moment is, in the largest unit that fits twice."""
    seconds = max((now - moment).total_seconds(), 0)
    for unit, length in (("days", 86400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f"{seconds // length:.0f} {unit}"
    return f"{seconds:.0f} seconds"


def _connection(row: Row, now: datetime) -> list[Any]:
    checked, success = (_age_of(row[name], now) for name in ("checked_at", "last_success_at"))
    return [row["connection"], row["kind"], row["state"], _written(row.get("state_since")), checked, success]


def _channel(channel: Freshness) -> list[Any]:
    several = f"{len(channel.accounts)} accounts"
    account = several if len(channel.accounts) > 1 else "".join(channel.accounts)
    return [
        channel.connection,
        channel.source,
        account,
        f"{channel.verified_since:%Y-%m-%d}",
        _end(channel.verified_until),
        _freshness(channel),
    ]


def _freshness(channel: Freshness) -> str:
    if not channel.promises:
        return ""
    return f"stale since {_written(channel.stale_since)}" if channel.stale_since else "fresh"


def _end(moment: datetime) -> str:
    """Write an exclusive end as a person says it: the last whole day, else the moment."""
    whole = moment.time() == moment.min.time()
    return f"{moment - timedelta(days=1):%Y-%m-%d}" if whole else f"{moment:%Y-%m-%d %H:%M}"


def _finding(row: Row) -> list[str]:
    others = " (others differ)" if row["remedies"] > 1 else ""
    many = f"{row['severity']}: {row['findings']} x {row['kind']}, since {_written(row['since'])}"
    return [f"{many}, such as: {row['example']}", f"  {row['remedy']}{others}"]


def _next_steps(found: Status, now: datetime) -> Iterable[str]:
    waiting = [row for row in found.connections if row["state"] not in (None, "active")]
    for row in waiting:
        parts = [f"{row['connection']} is {row['state']}:", row["reason"], row["remedy"], _silence(row, now)]
        yield " ".join(part for part in parts if part)
    stale = {channel.connection for channel in found.channels if channel.stale_since}
    named = sorted(stale - {row["connection"] for row in waiting})
    if named:
        yield f"fillhouse sync {' '.join(named)}   fetches what is new"
    if found.gaps:
        yield "fillhouse backfill   asks again for what is missing"
    if len(found.gaps) > MOST_GAPS or any(row["remedies"] > 1 for row in found.findings):
        yield EVERYTHING
    if not waiting and not found.gaps and not named:
        yield 'fillhouse sql "select * from fills order by transact_time desc limit 10"'


def _silence(row: Row, now: datetime) -> str:
    """Say until when the broker is left alone."""
    retry_at = row["retry_at"]
    return f"Not asked before {_written(retry_at)}." if retry_at and retry_at.replace(tzinfo=UTC) > now else ""


def _table(title: str, names: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    _section(title)
    cells = [["" if value is None else console.shown(value) for value in row] for row in rows[:MOST_ROWS]]
    numbers = [isinstance(value, int) for value in rows[0]]
    console.grid(names, cells, numbers, wraps=True)
    if len(rows) > MOST_ROWS:
        console.line(f"and {len(rows) - MOST_ROWS} more")


def _section(title: str) -> None:
    console.lines(["", title])


def _list(title: str, texts: Sequence[str]) -> None:
    """Print a line each, cut off where the screen ends: what is behind it is in `data_health`."""
    _section(title)
    for text in texts:
        line = f"  {text}"
        console.line(line if len(line) <= console.width() else line[: console.width() - 1] + "…")


def _at_most(most: int, texts: Sequence[str], called: str) -> list[str]:
    return [*texts[:most], *([f"and {len(texts) - most} more {called}"] if len(texts) > most else [])]


def _age_of(moment: datetime | None, now: datetime) -> str:
    return f"{age(moment.replace(tzinfo=UTC), now)} ago" if moment else "never"


def _written(moment: datetime | None) -> str:
    return f"{moment:%Y-%m-%d %H:%M}" if moment else ""
