"""Run a flow for a person at a terminal: what cannot work is said at once, and Prefect works unseen."""

from __future__ import annotations

import logging
import warnings
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from flows import connections, stopping, surroundings, timing

OURS = Path(__file__).parent
START_SECONDS = 90  # a temporary server may take: on a fresh machine it makes its database first


def check(home: Path, names: Sequence[str] | None, since: date | None = None, until: date | None = None) -> None:
    """Raise what a flow would raise of these names and days; it takes no Prefect, unless that may know the names."""
    from flows import policy  # noqa: PLC0415

    if since or until:
        policy.span(since, until, timing.utc_now())
    known = {connection.name for connection in connections.from_environment()}
    if not known or not known.issuperset(names or ()):
        surroundings.prefer(home)
        with warnings.catch_warnings(action="ignore"):  # that there is no folder for Prefect, nor shall there be
            from prefect.settings import get_current_settings  # noqa: PLC0415

        if get_current_settings().api.url is None:
            connections.connections(names)


def run(home: Path, flow: Callable[[], Any], *, say: Callable[[str], None], last_word: str) -> Any:
    """Run a flow and give its final state; Ctrl-C and SIGTERM end the process with a last word."""
    with stopping.on_signals(lambda: say(last_word)):
        home.mkdir(parents=True, exist_ok=True)  # Prefect makes its own folder in it, but not this one
        surroundings.prefer(home)
        show_our_lines_only()
        _start_temporary_server(say)
        return flow()


def _start_temporary_server(say: Callable[[str], None]) -> None:
    """Start Prefect's temporary server where there is no other, as Prefect itself would in a moment."""
    from prefect.settings import get_current_settings  # noqa: PLC0415

    settings = get_current_settings()
    if settings.api.url is not None or not settings.server.ephemeral.enabled:
        return
    from prefect.server.api.server import SubprocessASGIServer  # noqa: PLC0415

    say("Prefect starts a server for this run; that takes about ten seconds.")
    with stopping.unheard_by_children():
        SubprocessASGIServer().start(timeout=START_SECONDS)


def show_our_lines_only() -> None:
    """Keep what Prefect says of its work off the screen, unless it was set to DEBUG; its server is told all the same."""
    import prefect.main  # noqa: F401, PLC0415  (which sets up the handlers)
    from prefect.settings import get_current_settings  # noqa: PLC0415

    if get_current_settings().logging.level == "DEBUG":
        return
    for handler in logging.getLogger().handlers:
        handler.addFilter(_is_ours)
        handler.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S"))


def _is_ours(record: logging.LogRecord) -> bool:
    """Tell whether a flow or a task of ours said it, or something else than Prefect."""
    return not record.name.startswith("prefect") or OURS in Path(record.pathname).parents
