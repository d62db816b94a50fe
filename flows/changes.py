"""What is told of a connection: one Prefect event a change of its state, and a page with what to do where a person must.

Nothing of it is lost: it is kept in the warehouse, with what makes it so, until it was told. An event that is told again
has the same id, so it is still one.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from uuid import UUID

from prefect import get_run_logger
from prefect.artifacts import create_markdown_artifact
from prefect.events import emit_event

from connectors.errors import ConnectorError
from flows import stopping
from flows.policy import State
from warehouse import db, untold
from warehouse.untold import Untold

CONNECTION = "fillhouse.connection"
NEEDS_REAUTH = f"{CONNECTION}.{State.NEEDS_REAUTH}"
MISCONFIGURED = f"{CONNECTION}.{State.MISCONFIGURED}"
TOKEN_EXPIRES = f"{CONNECTION}.token_expires"
SYNCED = f"{CONNECTION}.synced"
OLD_GAP = f"{CONNECTION}.old_gap"
QUARANTINED = f"{CONNECTION}.quarantined"


class NotTold(Exception):
    """Prefect did not take an event."""


def of_state(connection: str, before: str | None, state: State, error: ConnectorError | None) -> Untold | None:
    """Give `fillhouse.connection.<state>` if the state is news. A connection that is first heard of as active is none."""
    if before == state or (before is None and state is State.ACTIVE):
        return None
    reason, remedy = (error.message, error.remedy) if error else ("", "")
    said = {"state": str(state), "before": before, "reason": reason, "remedy": remedy}
    return Untold(connection, f"{CONNECTION}.{state}", said)


def of_expiry(connection: str, expires_on: date, days: int) -> Untold:
    """Give `fillhouse.connection.token_expires`."""
    return Untold(connection, TOKEN_EXPIRES, {"expires_on": expires_on.isoformat(), "days": days})


def tell(home: Path) -> None:
    """Tell what has not been told yet, oldest first. What cannot be told now is kept for the next run."""
    with at_most_a_warning("What is to be told is kept for the next run"):
        with db.writer(home) as con:
            waiting = untold.waiting(con)
        for news in waiting:
            _tell(news)
            with db.writer(home) as con:
                untold.clear(con, news)


@contextmanager
def at_most_a_warning(what: str) -> Iterator[None]:
    """Warn of whatever goes wrong in the block: no run fails because nobody could be told of it."""
    try:
        with stopping.kept():
            yield
    except Exception as exc:  # noqa: BLE001  (Prefect's server away, our file in use: the fills are there all the same)
        get_run_logger().warning("%s: %s: %s", what, type(exc).__name__, exc)


def _tell(news: Untold) -> None:
    """Emit an event, after the page that a notification of it can link to."""
    if news.event == TOKEN_EXPIRES:
        _show_expiry(news.connection, str(news.said["expires_on"]))
    elif State.NEEDS_REAUTH in (news.said.get("before"), news.said.get("state")):
        _show_login(news)
    emit(news.event, news.connection, UUID(news.id), **news.said)


def _show_login(news: Untold) -> None:
    """Show what a person is to do, or that it was done."""
    state, reason, remedy = State(str(news.said["state"])), str(news.said["reason"]), str(news.said["remedy"])
    create_markdown_artifact(
        _page(news.connection, state, reason, remedy),
        key=f"{news.connection}-login",
        description=remedy if state is State.NEEDS_REAUTH else f"{news.connection} is {state} again",
    )


def _page(connection: str, state: State, reason: str, remedy: str) -> str:
    """Write the page behind a notification."""
    if state is State.NEEDS_REAUTH:
        parts = [
            f"# {connection} needs you",
            reason,
            f"**What to do:** {remedy}",
            "Until then it is only looked at, and what is missed meanwhile is fetched afterwards.",
        ]
    else:
        parts = [f"# {connection} is {state}", "It no longer waits for a person.", reason]
    return "\n\n".join(part for part in parts if part) + "\n"


def _show_expiry(connection: str, expires_on: str) -> None:
    """Show how to renew a token."""
    create_markdown_artifact(
        f"# The token of {connection} expires on {expires_on}\n\nMake a new one in Client Portal under Flex Web Service "
        "Configuration, store it with this connection, and set the day it expires on.\n",
        key=f"{connection}-token",
        description=f"The token of {connection} expires on {expires_on}",
    )


def emit(event: str, connection: str, identity: UUID | None = None, **said: object) -> None:
    """Emit an event about a connection. Raises `NotTold` where Prefect does not take it."""
    emitted = emit_event(
        event=event,
        resource={"prefect.resource.id": f"{CONNECTION}.{connection}", "prefect.resource.name": connection},
        payload={"connection": connection, **said},
        id=identity,
    )
    if emitted is None:
        raise NotTold(event)
