"""Rebuild every table from the landing zone, without the network, and say what came out different."""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.artifacts import create_markdown_artifact
from prefect.states import Completed

from flows import steps
from flows.connections import home
from flows.naming import run_name
from warehouse import landing


@flow(name="renormalize", flow_run_name=run_name, persist_result=False)
def renormalize() -> Any:
    """Rebuild every table from the landed replies; the same code gives equal tables."""
    where = home()
    if not landing.landed_files(where):
        return Completed(message=f"Nothing has been landed in {where} yet, so there is nothing to rebuild from.")
    with steps.published(where):
        rebuilt = steps.renormalize(where)
    differences = [
        f"{table}: {before:,} rows only before, {after:,} only now"
        for table, (before, after) in sorted(rebuilt.differences.items())
        if before or after
    ]
    message = f"{rebuilt.conversations} conversations replayed, {len(differences)} tables differ."
    listed = "\n".join(f"- {difference}" for difference in differences) or "Every table is equal to what it was."
    create_markdown_artifact(f"# Renormalize\n\n{message}\n\n{listed}\n", key="renormalize", description=message)
    return Completed(name="Different" if differences else "Completed", message=message, data=rebuilt)
