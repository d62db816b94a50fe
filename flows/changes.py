"""Tell whoever listens what became of a connection: one Prefect event a change of its state, and what to do."""

from __future__ import annotations

from datetime import date

from prefect.artifacts import create_markdown_artifact
from prefect.events import emit_event

from connectors.errors import ConnectorError
from flows.policy import State

CONNECTION = "fillhouse.connection"
NEEDS_REAUTH = f"{CONNECTION}.{State.NEEDS_REAUTH}"
MISCONFIGURED = f"{CONNECTION}.{State.MISCONFIGURED}"
TOKEN_EXPIRES = f"{CONNECTION}.token_expires"
SYNCED = f"{CONNECTION}.synced"
OLD_GAP = f"{CONNECTION}.old_gap"
QUARANTINED = f"{CONNECTION}.quarantined"


def tell(connection: str, before: str | None, state: State, error: ConnectorError | None) -> None:
    """Emit `fillhouse.connection.<state>` if the state is news. A connection that is first heard of as active is none.

    For `needs_reauth`, entering and leaving it, there is an artifact, too: a page that a notification can link to.
    """
    if before == state or (before is None and state is State.ACTIVE):
        return
    reason, remedy = (error.message, error.remedy) if error else ("", "")
    emit(f"{CONNECTION}.{state}", connection, state=str(state), before=before, reason=reason, remedy=remedy)
    if State.NEEDS_REAUTH in (before, state):
        create_markdown_artifact(
            _page(connection, state, reason, remedy),
            key=f"{connection}-login",
            description=remedy if state is State.NEEDS_REAUTH else f"{connection} is {state} again",
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


def tell_expiry(connection: str, expires_on: date, days: int) -> None:
    """Emit `fillhouse.connection.token_expires`, with the page that says how to renew it."""
    emit(TOKEN_EXPIRES, connection, expires_on=expires_on.isoformat(), days=days)
    create_markdown_artifact(
        f"# The token of {connection} expires on {expires_on}\n\nMake a new one in Client Portal under Flex Web Service "
        "Configuration, store it with this connection, and set the day it expires on.\n",
        key=f"{connection}-token",
        description=f"The token of {connection} expires on {expires_on}",
    )


def emit(event: str, connection: str, **said: object) -> None:
    """Emit an event about a connection."""
    emit_event(
        event=event,
        resource={"prefect.resource.id": f"{CONNECTION}.{connection}", "prefect.resource.name": connection},
        payload={"connection": connection, **said},
    )
