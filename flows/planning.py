"""Plan what to ask of a connection: what no answer covers, begun a little earlier, cut into the broker's questions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import duckdb

from connectors.connector import Connector
from connectors.registry import connector
from connectors.wire import Window
from flows.connections import Connection
from flows.talk import Question
from warehouse import gaps
from warehouse.coverage import Asked


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run means to ask of a connection: the span it answers for, and the questions still open."""

    asked: Asked
    questions: tuple[Question, ...]
    wants_names: bool = False
    covered_until: datetime | None = None  # how far nothing is asked, as it is there already


Planner = Callable[[duckdb.DuckDBPyConnection, Connection, datetime], Plan]


def missing(
    con: duckdb.DuckDBPyConnection,
    connection: Connection,
    asked: Asked,
    *,
    wants_pages: bool = False,
    told_after: timedelta = timedelta(0),
) -> list[Asked]:
    """Give the parts of a span that no answer of this connection covers; that of an export is none where pages are wanted.

    Only answers that were given so long `told_after` their end count.
    """
    broker = connector(connection.kind)
    unwanted = broker.export_channels if wants_pages else frozenset()
    return gaps.missing_windows(
        con,
        connection.name,
        asked,
        channels=[group - unwanted for group in broker.channels],
        every_day=broker.is_open_always,
        account=connection.account,
        told_after=told_after,
    )


def within_reach(broker: Connector, asked: Asked, moment: datetime) -> Asked:
    """Leave out what is further back than the broker tells anything of; nothing may be left."""
    if broker.reach is None:
        return asked
    return replace(asked, since=min(max(asked.since, moment.replace(tzinfo=None) - broker.reach), asked.until))


def overlapping(
    con: duckdb.DuckDBPyConnection, connection: Connection, parts: Sequence[Asked], wanted: Asked
) -> list[Asked]:
    """Begin each missing part a little earlier, among what is wanted, where no answer came late enough to have told all."""
    overlap = connector(connection.kind).overlap
    begun = []
    for part in parts:
        before = Asked(max(part.since - overlap, wanted.since), part.since)
        unsure = missing(con, connection, before, told_after=overlap)
        begun.append(Asked(min([part, *unsure], key=lambda each: each.since).since, part.until))
    return begun


def cut(broker: Connector, connection: Connection, parts: Sequence[Asked]) -> list[Window]:
    """Cut what is missing into the broker's questions. Where the broker takes no dates there is only one question."""
    if broker.reach is not None and parts:  # it tells the same last days, whatever it is asked
        return list(broker.windows(min(part.since for part in parts), max(part.until for part in parts)))
    windows = [window for part in parts for window in broker.windows(part.since, part.until)]
    return windows if connection.asks_dates else windows[-1:]
