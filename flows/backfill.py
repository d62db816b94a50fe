"""Fetch the history that is not covered yet: window by window, connection by connection."""

from __future__ import annotations

from datetime import date, datetime
from pathlib import Path
from typing import Any, cast
from uuid import UUID

from prefect import flow, get_run_logger
from prefect.artifacts import create_markdown_artifact, create_progress_artifact, update_progress_artifact
from prefect.runtime import flow_run
from prefect.states import Completed, Failed

from connectors.errors import ConnectorError
from connectors.registry import connector
from connectors.wire import Window
from flows import policy, steps, tasks
from flows.blocks import every_connection
from flows.connections import Connection, home, retry_delays
from flows.policy import Outcome, State
from flows.report import Summary
from warehouse import connections as states
from warehouse import coverage, db
from warehouse.connections import KnownState
from warehouse.coverage import Asked


@flow(name="backfill", persist_result=False)
def backfill(connections: list[str] | None = None, since: date | None = None, until: date | None = None) -> Any:
    """Fetch every day that is not covered yet, oldest first; what is covered is not asked again.

    Args:
        connections: Names of connections; all that are configured when left out.
        since: First day, five years ago when left out.
        until: The day after the last; when left out, today in New York, so that yesterday is the last.

    """
    where, asked = home(), policy.span(since, until, steps.utc_now())
    chosen = every_connection(connections)
    with steps.published(where):
        recovered = steps.recover(where)
        outcomes = tuple(sync(where, connection, asked) for connection in chosen)
    return ended(Summary(str(flow_run.id), asked, outcomes, recovered))


def ended(summary: Summary) -> Any:
    """Keep the summary as an artifact, and end the run with the name of its worst connection."""
    create_markdown_artifact(summary.markdown(), key=str(flow_run.flow_name), description=summary.message())
    ending = Failed if summary.worst.fails else Completed
    return ending(name=summary.name, message=summary.message(), data=summary)


def sync(where: Path, connection: Connection, asked: Asked) -> Outcome:
    """Ask one connection for what is missing. Two runs over one connection take turns, so the second finds it done."""
    with steps.alone(where, connection.name):
        before = _state_before(where, connection.name)
        if before and before.state == State.RATE_LIMITED and before.retry_at and before.retry_at > steps.utc_now():
            return _still_shut(connection.name, before)
        windows = _windows(where, connection, asked)
        errors, loaded = _ask(where, connection, windows)
        moment = steps.utc_now()
        error = policy.worst_error(errors)
        if loaded or error is not None:
            state = policy.state_after(error)
            tasks.record_state(
                where, connection.name, connection.kind, state, error=error, moment=moment, success=error is None
            )
        return _outcome(where, connection.name, asked, before=before, error=error, moment=moment, windows=len(windows))


def _ask(where: Path, connection: Connection, windows: list[Window]) -> tuple[list[ConnectorError], int]:
    """Fetch and load window by window, oldest first. Gives the errors that matter and how many windows were loaded."""
    errors: list[ConnectorError] = []
    loaded = in_a_row = 0
    progress = _progress(connection.name)
    for number, window in enumerate(windows, 1):
        try:
            _ask_window(where, connection.name, window)
            loaded, in_a_row = loaded + 1, 0
        except ConnectorError as error:
            if not policy.concerns_window_only(connection.kind, error):
                errors, in_a_row = [*errors, error], in_a_row + 1
                if policy.ends_sync(error, in_a_row):
                    break
        update_progress_artifact(progress, 100.0 * number / len(windows), f"{number} of {len(windows)} windows")
    return errors, loaded


def _ask_window(where: Path, connection: str, window: Window) -> None:
    delays = retry_delays()
    patient = tasks.fetch_window.with_options(retries=len(delays), retry_delay_seconds=delays)
    fetched = patient(where, connection, window, str(flow_run.id), str(flow_run.flow_name))
    loaded = tasks.load_window(where, connection, window, fetched.conversation_id)
    get_run_logger().info(
        "%s %s: %d rows, %d added, %d revised, %d rejected",
        connection, window, loaded.rows_read, loaded.added, loaded.revised, loaded.rejected,
    )  # fmt: skip


def _windows(where: Path, connection: Connection, asked: Asked) -> list[Window]:
    """Cut what is missing into the broker's questions. Where the broker takes no dates there is only one question."""
    with db.writer(where) as con:
        missing = coverage.missing_windows(con, connection.name, asked)
    cut = connector(connection.kind).windows
    windows = [window for part in missing for window in cut(part.since, part.until)]
    return windows if connection.asks_dates else windows[-1:]


def _outcome(
    where: Path,
    connection: str,
    asked: Asked,
    *,
    before: KnownState | None,
    error: ConnectorError | None,
    moment: datetime,
    windows: int,
) -> Outcome:
    with db.writer(where) as con:
        totals = states.totals_of(con, str(flow_run.id), connection)
        gaps = coverage.missing_windows(con, connection, asked)
    state = policy.state_after(error)
    return Outcome(
        connection=connection,
        state=state,
        entered=before is None or before.state != state,
        windows=windows,
        reason=error.message if error else "",
        remedy=error.remedy if error else "",
        retry_at=policy.retry_at(error, moment),
        totals=totals,
        gaps=tuple(str(Window(gap.since, gap.until)) for gap in gaps),
    )


def _still_shut(connection: str, before: KnownState) -> Outcome:
    return Outcome(
        connection=connection,
        state=State.RATE_LIMITED,
        entered=False,
        reason=before.reason or "",
        remedy=before.remedy or "",
        retry_at=before.retry_at,
    )


def _state_before(where: Path, connection: str) -> KnownState | None:
    with db.writer(where) as con:
        return states.state_of(con, connection)


def _progress(connection: str) -> UUID:
    key = f"{flow_run.flow_name}-{connection}"
    return cast("UUID", create_progress_artifact(0.0, key=key, description="0 windows"))
