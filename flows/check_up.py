"""The doctor as a run: the same checks that the command line makes, as a page in Prefect."""

from __future__ import annotations

from typing import Any

from prefect import flow
from prefect.artifacts import create_markdown_artifact
from prefect.logging import get_run_logger
from prefect.states import Completed, Failed

from connectors.checkup import Finding, Level
from flows.connections import home
from flows.doctor import examine
from flows.naming import run_name


@flow(name="doctor", flow_run_name=run_name, persist_result=False)
def check_up() -> Any:
    """Check what must be right before the first sync: settings, keys, permissions, clocks, and what brokers answer."""
    found = list(examine(home(), say=get_run_logger().info))
    in_the_way = [finding for finding in found if finding.level is Level.BAD]
    message = f"{len(in_the_way)} of {len(found)} things are in the way." if in_the_way else "Nothing is in the way."
    create_markdown_artifact(markdown(message, found), key="doctor", description=message)
    return Failed(name="InTheWay", message=message) if in_the_way else Completed(message=message)


def markdown(message: str, found: list[Finding]) -> str:
    """Lay the findings out, what is in the way first."""
    worst_first = sorted(found, key=lambda finding: list(Level).index(finding.level), reverse=True)
    rows = ["| | what | what to do |", "|---|---|---|"]
    rows += [f"| {finding.level} | {finding.text} | {finding.remedy} |" for finding in worst_first]
    return f"# Doctor\n\n{message}\n\n" + "\n".join(rows) + "\n"
