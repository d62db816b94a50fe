"""Say which windows Kraken's replies told in full: those whose pages hold as many rows as Kraken counts, or a report."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Any

import polars as pl

from connectors.contract import STATEMENT
from connectors.kraken import dialect, exports
from connectors.kraken.reading import EXPORTS, LEDGER_REPLIES, Answer, ids_of
from connectors.kraken.replies import INSIDE

PATIENCE = timedelta(days=7)  # with an entry that is pending
CHANNELS = {
    exports.TRADES: (dialect.EXPORT, dialect.EXPORT_RANK),
    "TradesHistory": (dialect.REST, dialect.REST_RANK),
    **dict.fromkeys(LEDGER_REPLIES, (dialect.LEDGER, dialect.LEDGER_RANK)),
}
COMPARED = {"TradesHistory": exports.TRADES, "Ledgers": exports.LEDGERS}  # a page, and the report it is compared with


def told_in_full(answers: Sequence[Answer], unlisted: pl.DataFrame, unsettled: pl.DataFrame) -> pl.DataFrame:
    """Give a row a window that was asked for (`STATEMENT`); without dates where its rows do not add up.

    Times are fractional and windows whole seconds, `(start, end]`: what is told of one joins what is told of the next. A
    saved page tells no window, but it may show that there is more than it holds. A trade that had to be asked for by its id
    is one of its window; so is one of those that the ledger names and no answer tells (`account`, `exec_id`,
    `entry_time`), unless Kraken says that it does not know it. Of the ledger a window is told up to the first entry that
    was `unsettled` (`account`, `entry_time`) when it was asked for, so that it is asked for again; for a week. The page that a
    report is compared with tells no window of its own.
    """
    asked: dict[tuple[str, ...], list[Answer]] = {}
    for answer in answers:
        if answer.endpoint in (*INSIDE, *EXPORTS):
            asked.setdefault((answer.endpoint, *_window(answer)), []).append(answer)
    for page, report in COMPARED.items():
        for window in [window for endpoint, *window in asked if endpoint == report]:
            asked.pop((page, *window), None)
    by_id = [answer for answer in answers if answer.endpoint == "QueryTrades"]
    answered_for = {txid for answer in by_id for txid in answer.params.get("txid", "").split(",")}
    owed = unlisted.filter(~pl.col("exec_id").is_in(answered_for))
    rows = [_row(told, *_counted(told, by_id, owed), unsettled) for told in asked.values()]
    return pl.DataFrame([row for row in rows if row], schema=STATEMENT)


def _window(answer: Answer) -> tuple[str, ...]:
    return answer.account, answer.params.get("start", ""), answer.params.get("end", "")


def _counted(told: Sequence[Answer], by_id: Sequence[Answer], owed: pl.DataFrame) -> tuple[int, int | None]:
    """Count the distinct rows of a window; and give how many there are, as the last page counts and the ledger knows."""
    last = told[-1]
    if last.endpoint in EXPORTS:
        text = exports.unpacked(last.reply.body)
        return sum(bool(line.strip()) for line in text.split(b"\n")) - 1, None
    ids = ids_of(told)
    number = ids.len()
    if last.endpoint != "TradesHistory" or "start" not in last.params:
        return number, last.count
    count = number if last.count is None else last.count
    if count != number:
        number = len({*ids, *chain.from_iterable(_within(answer, last) for answer in by_id)})
    start, end = (_moment(last.params[name]) for name in ("start", "end"))
    missing = owed.filter(pl.col("account") == last.account, pl.col("entry_time") > start, pl.col("entry_time") <= end)
    return number, count + missing.height


def _within(looked_up: Answer, page: Answer) -> set[str]:
    """Give which of the trades that were looked up belong to a page's account and window."""
    if looked_up.account != page.account:
        return set()
    start, end = (int(page.params[name]) for name in ("start", "end"))
    times = {txid: row.get("time") if isinstance(row, dict) else row.time for txid, row in looked_up.rows.items()}
    return {txid for txid, time in times.items() if start < float(time or 0) <= end}


def _row(
    told: Sequence[Answer], row_count: int, broker_count: int | None, unsettled: pl.DataFrame
) -> dict[str, Any] | None:
    last = told[-1]
    adds_up = broker_count in (None, row_count)
    named = "start" in last.params
    if not named and adds_up:
        return None
    source, rank = CHANNELS[last.endpoint]
    return {
        "broker": dialect.BROKER,
        "source": source,
        "source_rank": rank,
        "account": last.account,
        "returned_since": _moment(last.params["start"]) if named and adds_up else None,
        "returned_until": _settled_until(last, unsettled) if named and adds_up else None,
        "broker_clock": last.answered_at,
        "holds_section": True,
        "row_count": row_count,
        "broker_count": broker_count,
        "exchange_id": last.reply.exchange_id,
        "answered_at": last.answered_at,
    }


def _settled_until(last: Answer, unsettled: pl.DataFrame) -> datetime:
    """Give the end of a window, or the second before its first entry that may still become an execution."""
    start, end = (_moment(last.params[name]) for name in ("start", "end"))
    if last.endpoint not in LEDGER_REPLIES:
        return end
    awaited = unsettled.filter(
        pl.col("account") == last.account,
        pl.col("entry_time").is_between(max(start, last.answered_at - PATIENCE), end, closed="right"),
    )
    first = awaited.select(pl.col("entry_time").dt.offset_by("-1us").dt.truncate("1s").min()).item()
    return end if first is None else first


def _moment(seconds: str) -> datetime:
    return datetime.fromtimestamp(int(seconds), UTC).replace(tzinfo=None)
