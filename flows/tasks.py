"""The steps as Prefect tasks: three lines around plain functions, given paths and names, never credentials."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

from prefect import get_run_logger, task
from prefect.cache_policies import NO_CACHE
from prefect.client.schemas.objects import State as TaskState
from prefect.runtime import task_run
from prefect.states import Completed

from connectors.errors import ConnectorError
from connectors.wire import Pause
from flows import changes, policy, steps, talk
from flows.blocks import every_connection
from flows.connections import retry_delays
from flows.policy import FoundBy, State
from flows.progress import Shown
from flows.talk import About, Contracts, Question
from warehouse import connections, db
from warehouse.load import Loaded

WORTH_TELLING = 3.0  # seconds of waiting


def _is_worth_retrying(_task: Any, _task_run: Any, state: Any) -> bool:
    return policy.worth_retrying(state.result(raise_on_failure=False))


@task(
    task_run_name="fetch {connection} {question}",
    cache_policy=NO_CACHE,
    persist_result=False,
    retry_condition_fn=_is_worth_retrying,
)
def fetch_window(
    home: Path, connection: str, question: Question, run_id: str, flow: str, shown: Shown | None = None
) -> talk.Fetched:
    """Ask for one window and land the answer; a failure is recorded in coverage before its error is raised."""
    asked, say = every_connection([connection])[0], get_run_logger().info
    fetched = talk.fetch(
        home,
        asked.kind,
        asked.name,
        asked.credentials,
        question,
        run_id,
        flow=flow,
        on_wait=_tell_of_wait,
        on_progress=lambda progress: shown.within(str(question), progress, say) if shown else None,
        say=say,
    )
    if fetched.error is not None:
        _tell_of_trouble(f"{connection} {question}", fetched.error)
    return _landed(home, fetched)


def _tell_of_wait(pause: Pause) -> None:
    if pause.seconds >= WORTH_TELLING:
        get_run_logger().info("%.0f s to wait: %s", pause.seconds, pause.why)


def _tell_of_trouble(what: str, error: ConnectorError) -> None:
    """Say that another attempt follows, and when; after the last one the run says what it came to."""
    delays, attempt = retry_delays(), task_run.run_count
    if policy.worth_retrying(error) and attempt <= len(delays):
        get_run_logger().warning("%s: %s Again in %.0f s.", what, error.message, delays[attempt - 1])


@task(task_run_name="fetch names {connection}", cache_policy=NO_CACHE, persist_result=False)
def fetch_names(home: Path, connection: str, run_id: str, flow: str) -> talk.Fetched:
    """Ask how a broker names assets and instruments, and land the answer."""
    asked = every_connection([connection])[0]
    return _landed(home, talk.fetch(home, asked.kind, asked.name, asked.credentials, About.NAMES, run_id, flow=flow))


@task(task_run_name="check {connection}", cache_policy=NO_CACHE, persist_result=False)
def check_session(
    home: Path, connection: str, run_id: str, flow: str, about: About = About.SESSION
) -> TaskState[talk.Fetched]:
    """Ask whether the connection's session is ready, and land the answer; gives it with why it is not.

    A session that is not ready is an answer, not a failure: it is asked about every few minutes, and said once.
    """
    asked = every_connection([connection])[0]
    fetched = talk.fetch(home, asked.kind, asked.name, asked.credentials, about, run_id, flow=flow)
    steps.load_conversation(home, fetched.conversation_id)
    error = fetched.error
    return Completed(
        name=policy.ENDINGS[policy.state_after(error)], message=str(error) if error else None, data=fetched
    )


@task(task_run_name="describe {connection}", cache_policy=NO_CACHE, persist_result=False)
def describe(home: Path, connection: str, instruments: list[str], run_id: str, flow: str) -> talk.Fetched:
    """Ask what some instruments are, by the broker's ids of them, and land the answer."""
    asked = every_connection([connection])[0]
    return _landed(
        home,
        talk.fetch(home, asked.kind, asked.name, asked.credentials, Contracts(tuple(instruments)), run_id, flow=flow),
    )


@task(task_run_name="recognise {connection}", cache_policy=NO_CACHE, persist_result=False)
def recognise(home: Path, connection: str, executions: list[str], run_id: str, flow: str) -> talk.Fetched:
    """Ask whether a new key knows what the one before it has told, and land the answer."""
    asked = every_connection([connection])[0]
    fetched = talk.fetch(
        home, asked.kind, asked.name, asked.credentials, talk.Executions(tuple(executions)), run_id, flow=flow
    )
    steps.load_conversation(home, fetched.conversation_id)
    return fetched


def _landed(home: Path, fetched: talk.Fetched) -> talk.Fetched:
    """Load what a conversation landed before its error is raised."""
    if fetched.error is not None:
        steps.load_conversation(home, fetched.conversation_id)
        raise fetched.error
    return fetched


@task(task_run_name="load {connection} {question}", cache_policy=NO_CACHE, persist_result=False)
def load_window(home: Path, connection: str, question: Question, conversation_id: str) -> Loaded:  # noqa: ARG001  (they name the run)
    """Load what was landed for one window."""
    return steps.load_conversation(home, conversation_id)


@task(task_run_name="record {connection} as {state}", cache_policy=NO_CACHE, persist_result=False)
def record_state(
    home: Path,
    connection: str,
    kind: str,
    key: str,
    state: State,
    *,
    error: ConnectorError | None,
    moment: datetime,
    success: bool,
    found_by: FoundBy,
) -> None:
    """Record a connection's state; readers are shown it when it is news, and whoever listens is to hear of each change once."""
    with db.writer(home) as con:
        before = connections.state_of(con, connection)
        connections.record_state(
            con,
            connection,
            kind,
            key,
            str(state),
            reason=error.message if error else None,
            remedy=(error.remedy or None) if error else None,
            moment=moment,
            retry_at=policy.retry_at(error, moment),
            success=success,
            found_by=str(found_by),
            news=changes.of_state(connection, before.state if before else None, state, error),
        )
