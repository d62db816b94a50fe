"""The incremental sync: what happened since the last one, and whatever an earlier one could not get."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import duckdb
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.runtime import flow_run

from connectors.registry import connector
from flows import planning, policy, steps, sync, timing, turns
from flows.blocks import every_connection
from flows.connections import Connection, home, most_jitter
from flows.form import NONE
from flows.naming import run_name
from flows.planning import Plan
from flows.report import Summary
from flows.talk import Question
from warehouse import connections as states
from warehouse import told
from warehouse.coverage import Asked

FIRST_DAYS = timedelta(days=7)  # for a connection that was never backfilled: enough for today's questions
LONG_AGO = timedelta(days=31)  # what was asked in vain before is for a backfill


@flow(name="incremental", flow_run_name=run_name, persist_result=False)
def incremental(connections: list[str] = NONE) -> Any:
    """Fetch what is new since the last sync, and close gaps behind it; "sync now" is this flow, too.

    Args:
        connections: Which ones; all where none is chosen.

    """
    where = home()
    chosen = every_connection(connections)
    insists = not _was_scheduled()
    if not insists:
        timing.wait(policy.jitter(str(flow_run.id), most_jitter()))
    with steps.published(where):
        recovered = steps.recover(where)
        outcomes = turns.bring(where, chosen, planned, insists=insists)
    return sync.ended(Summary(str(flow_run.id), None, outcomes, recovered))


def planned(con: duckdb.DuckDBPyConnection, connection: Connection, moment: datetime) -> Plan:
    """Plan what to ask: each gap since the first day that is covered, with an overlap in front of it."""
    broker = connector(connection.kind)
    end = policy.span(None, None, moment, is_open_always=broker.is_open_always, opened=broker.opened)
    first = told.first_covered(con, connection.name, connection.account) or min(
        max(end.since, end.until - FIRST_DAYS),
        told.first_asked(con, connection.name, end.until - LONG_AGO, connection.account) or end.until,
    )
    wanted = Asked(first, end.until, end.is_up_to_now)
    wanted = planning.within_reach(broker, wanted, moment)
    parts = planning.missing(con, connection, wanted)
    if not broker.is_open_always and _was_not_ready(con, connection, end.until, moment):
        parts = [part for part in parts if part.until < end.until]
    windows = planning.cut(broker, connection, planning.overlapping(con, connection, parts, wanted))
    names_since = moment - sync.NAMES_LAST
    return Plan(
        wanted,
        tuple(
            Question(window, is_up_to_now=wanted.is_up_to_now and window.until == wanted.until) for window in windows
        ),
        wants_names=broker.reference is not None
        and not told.has_answer_since(con, connection.kind, broker.reference_endpoints, names_since),
    )


def _was_not_ready(con: duckdb.DuckDBPyConnection, connection: Connection, until: datetime, moment: datetime) -> bool:
    """Tell whether the last day was asked for just now, and only patience helps: no login, and no setting."""
    known = states.state_of(con, connection.name)
    helps = known is None or (known.key == connection.key and known.state in policy.PATIENCE_HELPS)
    return helps and told.was_asked_since(con, connection.name, until, moment - policy.PATIENCE)


def _was_scheduled() -> bool:
    """Tell whether nobody pressed a button: then a connection that waits for a person is left alone."""
    with get_client(sync_client=True) as client:
        return client.read_flow_run(flow_run.id).auto_scheduled
