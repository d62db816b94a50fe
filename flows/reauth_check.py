"""The check of every connection: who must log in or renew what, said once when it becomes so."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

from prefect import flow
from prefect.runtime import flow_run

from flows import changes, policy, steps, sync
from flows.blocks import every_connection
from flows.connections import Connection, home
from flows.report import Summary
from warehouse import connections as states
from warehouse import db


@flow(name="reauth-check", persist_result=False)
def reauth_check(connections: list[str] | None = None) -> Any:
    """Find out whether each connection is ready, before the next sync needs it, and say what a person must do.

    Args:
        connections: Names of connections; all that are configured when left out.

    """
    where, now = home(), steps.utc_now()
    chosen = every_connection(connections)
    with steps.published(where, now=False):
        outcomes = tuple(sync.check(where, connection) for connection in chosen)
        for connection in chosen:
            warn_of_expiry(where, connection, now.date())
    return sync.ended(Summary(str(flow_run.id), policy.span(None, None, now, is_open_always=True), outcomes))


def warn_of_expiry(where: Path, connection: Connection, today: date) -> None:
    """Say 30, 7 and 1 days ahead that a token expires, each once; a renewed one is no longer spoken of."""
    ends = connection.expires_on
    ahead = policy.notice_of(ends, today)
    with db.writer(where) as con:
        states.forget_expiry(con, connection.name, ends)
        is_news = (
            ends is not None
            and ahead is not None
            and states.note_expiry(con, connection.name, ends, ahead, steps.utc_now())
        )
    if is_news and ends is not None and ahead is not None:
        changes.tell_expiry(connection.name, ends, ahead)
