"""The check of every connection: who must log in or renew what, said once when it becomes so."""

from __future__ import annotations

from datetime import date
from typing import Any

import duckdb
from prefect import flow
from prefect.runtime import flow_run

from flows import changes, policy, steps, sync, timing, turns
from flows.blocks import every_connection
from flows.connections import Connection, home
from flows.form import NONE
from flows.naming import run_name
from flows.report import Summary
from warehouse import connections as states
from warehouse import db


@flow(name="reauth-check", flow_run_name=run_name, persist_result=False)
def reauth_check(connections: list[str] = NONE) -> Any:
    """Find out whether each connection is ready, before the next sync needs it, and say what a person must do.

    Args:
        connections: Which ones; all where none is chosen.

    """
    where, now = home(), timing.utc_now()
    chosen = every_connection(connections)
    with steps.published(where, now=False):
        with db.writer(where) as con:
            for connection in chosen:
                due_notice(con, connection, now.date())
        outcomes = turns.check(where, chosen)
    return sync.ended(Summary(str(flow_run.id), None, outcomes))


def due_notice(con: duckdb.DuckDBPyConnection, connection: Connection, today: date) -> int | None:
    """Note 30, 7 and 1 days ahead that a token expires, each once; gives the days, None where there is nothing to tell.

    A renewed token is no longer spoken of.
    """
    ahead = policy.notice_of(connection.expires_on, today)
    states.forget_expiry(con, connection.name, connection.expires_on)
    if connection.expires_on is None or ahead is None:
        return None
    news = changes.of_expiry(connection.name, connection.expires_on, ahead)
    is_news = states.note_expiry(con, connection.name, connection.expires_on, ahead, timing.utc_now(), news)
    return ahead if is_news else None
