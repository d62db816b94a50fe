"""Rebuild every table from the landing zone, without the network, and say what came out different."""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.artifacts import create_markdown_artifact
from prefect.states import Completed

from flows import steps
from flows.connections import home


@flow(name="renormalize", persist_result=False)
def renormalize() -> Any:
    """Rebuild every table from the landed replies; the same code gives equal tables."""
    rebuilt = steps.renormalize(home())
    differences = [str(difference) for difference in rebuilt.differences]
    message = f"{rebuilt.conversations} conversations replayed, {len(differences)} differences."
    listed = "\n".join(f"- {difference}" for difference in differences) or "Every table came out as it was."
    create_markdown_artifact(f"# {message}\n\n{listed}\n", key="renormalize", description=message)
    return Completed(name="Different" if differences else "Completed", message=message, data=rebuilt)
