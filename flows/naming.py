"""What runs are called: which flow, over which connections, and for when."""

from __future__ import annotations

from prefect.runtime import flow_run

MOST_NAMES = 3


def run_name() -> str:
    """Name the present run: "incremental kraken 2026-01-31 14:15", in UTC."""
    chosen = (flow_run.parameters or {}).get("connections")
    parts = [str(flow_run.flow_name)]
    if chosen is not None:
        parts.append(_names(chosen))
    return " ".join([*parts, f"{flow_run.scheduled_start_time:%Y-%m-%d %H:%M}"])


def _names(chosen: list[str]) -> str:
    if not chosen:
        return "all"
    return ", ".join(chosen) if len(chosen) <= MOST_NAMES else f"{len(chosen)} connections"
