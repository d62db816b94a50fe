"""The backfill: every day that no answer covers yet, window by window, connection by connection."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any

import duckdb
from prefect import flow
from prefect.artifacts import create_markdown_artifact
from prefect.runtime import flow_run
from prefect.states import Completed, Failed

from connectors.connector import Connector
from connectors.registry import connector
from connectors.wire import Window
from flows import planning, policy, steps, sync, timing, turns
from flows.blocks import every_connection
from flows.connections import Connection, home
from flows.form import NONE, Day
from flows.naming import run_name
from flows.planning import Plan, Planner
from flows.questions import BadInput
from flows.report import Intent, Summary
from flows.talk import Question, Way
from warehouse import db, told
from warehouse.coverage import Asked


@flow(name="backfill", flow_run_name=run_name, persist_result=False)
def backfill(
    connections: list[str] = NONE,
    since: Day | None = None,
    until: Day | None = None,
    via: Way | None = None,
    dry_run: bool = False,  # noqa: FBT001, FBT002  (a switch in a form)
) -> Any:
    """Fetch every day that is not covered yet, oldest first; what is covered is not asked again.

    Args:
        connections: Which ones; all where none is chosen.
        since: First day; when left out, five years ago at IBKR, which tells no more, and Kraken's first day at Kraken.
        until: The day after the last; when left out, the last day that has ended, or now where trading never rests.
        via: How Kraken's history is fetched: "export" or "pages"; when left out, the export for a first backfill and for
            more than three months. Pages are also read of what only an export has told, which tells less.
        dry_run: Only say what would be asked for; no broker is asked.

    """
    where = home()
    try:
        asked = policy.span(since, until, timing.utc_now())
    except BadInput as wrong:  # what a form cannot check, as it looks at one field at a time
        return Failed(name="Misconfigured", message=str(wrong))
    chosen = every_connection(connections)
    planned = planner(since, until, via)
    if dry_run:
        return intended(where, chosen, planned)
    with steps.published(where):
        recovered = steps.recover(where)
        outcomes = turns.bring(where, chosen, planned)
    return sync.ended(Summary(str(flow_run.id), asked, outcomes, recovered))


def planner(since: date | None, until: date | None, via: Way | None) -> Planner:
    """Give what plans a backfill of these days: for each connection what is missing of them, cut as its broker takes it."""

    def planned(con: duckdb.DuckDBPyConnection, connection: Connection, moment: datetime) -> Plan:
        broker = connector(connection.kind)
        span = policy.span(since, until, moment, is_open_always=broker.is_open_always, opened=broker.opened)
        wanted = planning.within_reach(broker, span, moment)
        parts = planning.missing(con, connection, wanted, wants_pages=via is Way.PAGES)
        covered_until = parts[0].since if parts else wanted.until
        is_first = not told.is_known(con, connection.name, connection.account)
        overlapping = planning.overlapping(con, connection, parts, wanted)
        by_export = [part for part in overlapping if _goes_by_export(broker, via, part, is_first=is_first)]
        by_pages = planning.cut(broker, connection, [part for part in overlapping if part not in by_export])
        asked = [
            *((Window(part.since, part.until), Way.EXPORT) for part in by_export),
            *((window, Way.PAGES) for window in by_pages),
        ]
        return Plan(
            wanted,
            tuple(
                Question(
                    window,
                    way,
                    is_up_to_now=wanted.is_up_to_now and window.until == wanted.until,
                    may_fall_back=via is None,
                )
                for window, way in sorted(asked, key=lambda each: each[0].since)
            ),
            wants_names=broker.reference is not None,
            covered_until=covered_until if covered_until > wanted.since else None,
        )

    return planned


def _goes_by_export(broker: Connector, via: Way | None, part: Asked, *, is_first: bool) -> bool:
    """Tell how a missing part is fetched: a first history and a long part by export, where there is one."""
    wanted = is_first or policy.is_much(part) if via is None else via is Way.EXPORT
    return wanted and broker.export is not None


def intended(where: Path, chosen: Sequence[Connection], planned: Planner) -> Any:
    """End the run by saying what it would have asked for."""
    questions = {}
    with db.writer(where) as con:
        for connection in chosen:
            questions[connection.name] = planned(con, connection, timing.utc_now()).questions
    intent = Intent({name: tuple(map(str, asked)) for name, asked in questions.items()})
    create_markdown_artifact(intent.markdown(), key="backfill-dry-run", description=intent.message())
    return Completed(name="DryRun", message=intent.message(), data=intent)
