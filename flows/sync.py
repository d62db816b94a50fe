"""Bring one connection up to date: what a backfill and an incremental sync have in common."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from prefect import get_run_logger
from prefect.artifacts import create_markdown_artifact
from prefect.runtime import flow_run
from prefect.states import Completed, Failed

from connectors.errors import ConnectorError
from connectors.registry import connector
from flows import locks, planning, policy, steps, talk, tasks, timing
from flows.connections import Connection, retry_delays
from flows.planning import Plan, Planner
from flows.policy import FoundBy, Outcome, State
from flows.progress import Shown
from flows.report import Summary
from flows.talk import About, Question, Way
from warehouse import connections as states
from warehouse import db, instruments, news
from warehouse.connections import KnownState
from warehouse.coverage import Asked

MOST_NEWS = 20  # executions on the page of a run
KNOWN_ENOUGH = 3  # executions that a key is asked for that has not synced yet
NAMES_LAST = timedelta(days=1)  # how long a listing of instruments is good for


def ended(summary: Summary) -> Any:
    """Keep the summary as an artifact, and end the run with the name of its worst connection."""
    create_markdown_artifact(summary.markdown(), key=str(flow_run.flow_name), description=summary.message())
    ending = Failed if summary.worst.fails else Completed
    return ending(name=summary.name, message=summary.message(), data=summary)


def sync(where: Path, connection: Connection, planned: Planner, *, insists: bool = True, waits: bool = True) -> Outcome:
    """Ask one connection for what is missing. Two runs over one connection take turns, so the second finds it done.

    Where a person must act first, a run that does not insist ends at once, without a request. One that `waits` for nobody
    raises `InUse` instead.
    """
    with _held(where, connection, waits=waits):
        before = _state_before(where, connection.name)
        if before and _is_silent(connection, before, insists=insists):
            return _still_so(connection.name, before)
        with db.writer(where) as con:
            plan = planned(con, connection, timing.utc_now())
        if before and _has_nothing_to_tell(connection, before, plan):
            return _still_so(connection.name, before)
        unready = check_session(where, connection) or _stranger(where, connection, before)
        if unready is not None:
            plan = replace(plan, questions=())
        errors, loaded = _bring(where, connection, plan) if unready is None else ([unready], 0)
        error, moment = policy.worst_error(errors), timing.utc_now()
        if loaded or error is not None or connector(connection.kind).preflight:
            step = FoundBy.SYNC if unready is None else FoundBy.PREFLIGHT
            _record(where, connection, before, error, moment, step)
        return _outcome(where, connection, plan, before=before, error=error, moment=moment)


@contextmanager
def _held(where: Path, connection: Connection, *, waits: bool) -> Iterator[None]:
    """Hold a connection, alone. Raises `InUse` where it, or the key it shares with others, is in use, and nobody waits."""
    with locks.holding(where, connection.name, get_run_logger().info, waits=waits):
        if not waits and connector(connection.kind).is_one_at_a_time:
            locks.require_free(where, connection.key)
        yield


def _bring(where: Path, connection: Connection, plan: Plan) -> tuple[list[ConnectorError], int]:
    """Ask what is planned, and what must be known for it. Gives the errors that matter and how many questions were answered."""
    if plan.wants_names and plan.questions:
        _ask_names(where, connection)
    errors, loaded = _ask(where, connection, plan.questions)
    return (errors + _describe(where, connection) if loaded else errors), loaded


def check(where: Path, connection: Connection) -> Outcome:
    """Find out how a connection is, and record it: where the broker has a session, by asking; else by what is known.

    A session that is ready says nothing of trouble that a sync has met. Raises `InUse` where another run is asking.
    """
    if connector(connection.kind).preflight is None:
        return recalled(where, connection)
    with _held(where, connection, waits=False):
        before = _state_before(where, connection.name)
        if before and _is_silent(connection, before, insists=False):
            return _still_so(connection.name, before)
        error, moment = check_session(where, connection, About.LOOK), timing.utc_now()
        if error is None and before is not None and not policy.is_healed_by_login(before):
            return _still_so(connection.name, before)
        _record(where, connection, before, error, moment, FoundBy.PREFLIGHT)
        state = policy.state_after(error)
        return Outcome(
            connection=connection.name,
            state=state,
            entered=before is None or before.state != state,
            reason=error.message if error else "",
            remedy=error.remedy if error else "",
            retry_at=policy.retry_at(error, moment),
        )


def recalled(where: Path, connection: Connection) -> Outcome:
    """Say how a connection was when it was last asked; one that was not is taken to be well."""
    before = _state_before(where, connection.name)
    if before is None:
        return Outcome(connection.name, State.ACTIVE, entered=False, is_recalled=True)
    return _still_so(connection.name, before)


def check_session(where: Path, connection: Connection, about: About = About.SESSION) -> ConnectorError | None:
    """Ask whether the session is ready, where the broker has one; gives why it is not."""
    if connector(connection.kind).preflight is None:
        return None
    state = tasks.check_session(where, connection.name, str(flow_run.id), str(flow_run.flow_name), about)
    fetched: talk.Fetched = state.result()
    return fetched.error


def _stranger(where: Path, connection: Connection, before: KnownState | None) -> ConnectorError | None:
    """Ask a key that has not synced yet for what those before it have told; gives why it is not of the same account."""
    broker = connector(connection.kind)
    is_proved = before is not None and before.key == connection.key and before.state == State.ACTIVE
    if broker.recognise is None or before is None or is_proved:
        return None
    with db.writer(where) as con:
        told = states.newest_told(con, connection.name, connection.account, broker.channels[0], KNOWN_ENOUGH)
    if not told:
        return None
    return tasks.recognise(where, connection.name, told, str(flow_run.id), str(flow_run.flow_name)).error


def _record(
    where: Path,
    connection: Connection,
    before: KnownState | None,
    error: ConnectorError | None,
    moment: datetime,
    step: FoundBy,
) -> None:
    """Record how a step found a connection at a moment; a sync that met no trouble is a success."""
    state = policy.state_after(error)
    tasks.record_state(
        where,
        connection.name,
        connection.kind,
        connection.key,
        state,
        error=error,
        moment=moment,
        success=error is None and step is FoundBy.SYNC,
        found_by=policy.found_by(before, state, step),
    )


def _is_silent(connection: Connection, before: KnownState, *, insists: bool) -> bool:
    """Tell whether this connection is left alone for now."""
    tells_itself = connector(connection.kind).preflight is not None
    return policy.is_silent(before, connection.key, timing.utc_now(), tells_itself=tells_itself, insists=insists)


def _has_nothing_to_tell(connection: Connection, before: KnownState, plan: Plan) -> bool:
    """Tell whether a run asks nothing, and so cannot know that trouble is over which does not end by itself."""
    return not plan.questions and connector(connection.kind).preflight is None and before.state in policy.NOT_OVER


def _ask_names(where: Path, connection: Connection) -> None:
    """Ask how the broker names things. Without an answer older listings serve, so that is no reason to stop."""
    try:
        fetched = tasks.fetch_names(where, connection.name, str(flow_run.id), str(flow_run.flow_name))
        steps.load_conversation(where, fetched.conversation_id)
    except ConnectorError as error:
        get_run_logger().warning("%s: no listing of instruments: %s", connection.name, error)


def _describe(where: Path, connection: Connection) -> list[ConnectorError]:
    """Ask what the contracts are that no record describes yet. Their fills are loaded all the same."""
    broker = connector(connection.kind)
    if broker.describe is None:
        return []
    with db.writer(where) as con:
        unknown = instruments.undescribed(con, broker.broker)
    if not unknown:
        return []
    try:
        fetched = tasks.describe(where, connection.name, unknown, str(flow_run.id), str(flow_run.flow_name))
        steps.load_conversation(where, fetched.conversation_id)
    except ConnectorError as error:
        get_run_logger().warning("%s: %d contracts are not described: %s", connection.name, len(unknown), error)
        return [error] if policy.state_after(error) in (State.RATE_LIMITED, State.NEEDS_REAUTH) else []
    return []


def _ask(where: Path, connection: Connection, questions: Sequence[Question]) -> tuple[list[ConnectorError], int]:
    """Fetch and load question by question, oldest first. Gives the errors that matter and how many were loaded."""
    errors: list[ConnectorError] = []
    loaded = in_a_row = 0
    waiting = list(questions)
    shown = Shown.of(connection.name, len(waiting)) if waiting else None
    while waiting:
        question = waiting.pop(0)
        try:
            _ask_one(where, connection.name, question, shown)
            loaded, in_a_row = loaded + 1, 0
        except ConnectorError as error:
            if question.may_fall_back and policy.distrusts_export(error):
                get_run_logger().warning("%s: %s Its pages are read instead.", connection.name, error.message)
                waiting = [*_by_pages(connection, question), *waiting]
            elif not policy.concerns_window_only(connection.kind, error):
                errors, in_a_row = [*errors, error], in_a_row + 1
                if policy.ends_sync(error, in_a_row):
                    break
        if shown is not None:
            shown.after(len(waiting))
    return errors, loaded


def _by_pages(connection: Connection, question: Question) -> list[Question]:
    """Ask the same span in the plain way."""
    window = question.window
    pages = connector(connection.kind).windows(window.since, window.until)
    return [Question(piece, Way.PAGES, question.is_up_to_now and piece.until == window.until) for piece in pages]


def _ask_one(where: Path, connection: str, question: Question, shown: Shown | None) -> None:
    delays = retry_delays()
    get_run_logger().info("%s %s: asked for", connection, question)
    patient = tasks.fetch_window.with_options(retries=len(delays), retry_delay_seconds=delays)
    fetched = patient(where, connection, question, str(flow_run.id), str(flow_run.flow_name), shown)
    loaded = tasks.load_window(where, connection, question, fetched.conversation_id)
    get_run_logger().info(
        "%s %s: %d rows, %d added, %d revised, %d rejected",
        connection, question, loaded.rows_read, loaded.added, loaded.revised, loaded.rejected,
    )  # fmt: skip


def _outcome(
    where: Path,
    connection: Connection,
    plan: Plan,
    *,
    before: KnownState | None,
    error: ConnectorError | None,
    moment: datetime,
) -> Outcome:
    with db.writer(where) as con:
        totals = states.totals_of(con, str(flow_run.id), connection.name)
        brought = totals.added + totals.revised + totals.cancelled
        told = news.news_of(con, str(flow_run.id), connection.name, MOST_NEWS) if brought else ()
        gaps = planning.missing(con, connection, _without_last_moments(plan))
    state = policy.state_after(error)
    return Outcome(
        connection=connection.name,
        state=state,
        entered=before is None or before.state != state,
        windows=len(plan.questions),
        covered_until=plan.covered_until,
        reason=error.message if error else "",
        remedy=error.remedy if error else "",
        retry_at=policy.retry_at(error, moment),
        totals=totals,
        gaps=tuple(map(str, gaps)),
        news=told,
    )


def _without_last_moments(plan: Plan) -> Asked:
    """Give the span a run answers for. One that was asked up to now ends where the broker's clock was then."""
    if not plan.asked.is_up_to_now:
        return plan.asked
    return replace(plan.asked, until=max(plan.asked.until - policy.CLOCKS_APART, plan.asked.since))


def _still_so(connection: str, before: KnownState) -> Outcome:
    return Outcome(
        connection=connection,
        state=State(before.state),
        entered=False,
        is_recalled=True,
        reason=before.reason or "",
        remedy=before.remedy or "",
        retry_at=before.retry_at,
    )


def _state_before(where: Path, connection: str) -> KnownState | None:
    with db.writer(where) as con:
        return states.state_of(con, connection)
