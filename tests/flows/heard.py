"""What Prefect's server was told of connections."""

from __future__ import annotations

import time
from typing import Any

from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey
from prefect.events.filters import EventFilter, EventNameFilter

from flows.policy import State

STATES = [f"fillhouse.connection.{state}" for state in State]
Event = tuple[str, str | None, str]


def changes_since(since: float, how_many: int) -> list[Event]:
    """Read which changes of state were told, each by connection, state before and state; they take a moment to arrive."""
    deadline = time.monotonic() + 20
    while True:
        with get_client(sync_client=True) as client:
            found = client.read_events(filter=EventFilter(event=EventNameFilter(name=STATES)), limit=50).events
        mine = sorted(
            (event for event in found if event.occurred.timestamp() > since), key=lambda event: event.occurred
        )
        if len(mine) >= how_many or time.monotonic() > deadline:
            return [
                (str(event.payload["connection"]), event.payload["before"], str(event.payload["state"]))
                for event in mine
            ]
        time.sleep(0.3)


def pages(key: str, since: float) -> list[Any]:
    """Read the artifacts of a key, oldest first."""
    with get_client(sync_client=True) as client:
        found = client.read_artifacts(artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=[key])))
    return sorted(
        (page for page in found if page.created and page.created.timestamp() > since),
        key=lambda page: str(page.created),
    )
