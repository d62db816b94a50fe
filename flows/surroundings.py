"""How Prefect is set where its user has not said otherwise: beside our own files, quiet, and losing nothing.

What is said here are defaults of the environment, for our own processes and those we start. A variable that is set, or a
profile of the user's own, goes before.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from filelock import Timeout

from flows import locks

API_URL = "PREFECT_API_URL"
PREFECT_HOME = "PREFECT_HOME"
OWN_PREFECT = Path(".prefect")  # in the user's home
UP = "up"  # the lock of the process that runs a server for this home
HEARTBEAT_SECONDS = 30  # the least Prefect takes; the alarm for a killed run waits for three of them

QUIET = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_UI_SHOW_PROMOTIONAL_CONTENT": "false",
}
RUNS = {"PREFECT_FLOWS_HEARTBEAT_FREQUENCY": str(HEARTBEAT_SECONDS)}
WORKER = {
    "PREFECT_WORKER_QUERY_SECONDS": "2",  # from the Run button to a run that has begun
}
TWO_DAYS = "P2D"  # a duration of ISO 8601, which is how Prefect reads this one
MONTH = str(30 * 24 * 3600)
SERVER = {
    # A limit's slot outlives the server that gave it, so that it can be given back to the next one.
    "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
    # A database that stays small: 384 runs a day come from the schedules alone, and their events are nine tenths of it.
    "PREFECT_SERVER_EVENTS_RETENTION_PERIOD": TWO_DAYS,
    "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED": "events,flow_runs",
    "PREFECT_SERVER_SERVICES_DB_VACUUM_RETENTION_PERIOD": MONTH,
}


def prefer(home: Path) -> None:
    """Set these defaults for this process; if `fillhouse up` runs a server for this home, that is the one to talk to."""
    for name, value in _defaults(home).items():
        os.environ.setdefault(name, value)
    if API_URL not in os.environ and (running := running_api(home)):
        os.environ[API_URL] = running
    if PREFECT_HOME in os.environ:
        folder = Path(os.environ[PREFECT_HOME]).expanduser()
        folder.mkdir(parents=True, exist_ok=True)  # Prefect makes no parents


def _defaults(home: Path) -> dict[str, str]:
    if has_own_prefect():
        return QUIET | RUNS
    return QUIET | RUNS | {PREFECT_HOME: str(home / "prefect")}


def prefect_home() -> Path:
    """Tell where Prefect keeps its own."""
    return Path(os.environ.get(PREFECT_HOME) or Path.home() / OWN_PREFECT).expanduser()


def configured_api() -> str | None:
    """Give the address of the Prefect server the user has named: in the environment, or in a profile."""
    from prefect.settings import get_current_settings  # noqa: PLC0415  (whoever only asks where things are needs no Prefect)

    return get_current_settings().api.url


def has_own_prefect() -> bool:
    """Tell whether the user has set up a Prefect of their own; merely running `prefect` leaves a folder, but no profile."""
    return (Path.home() / OWN_PREFECT / "profiles.toml").exists()


def running_api(home: Path) -> str | None:
    """Give the address of the server that a living `fillhouse up` runs for this home."""
    try:
        address = _holder(home).read_text().strip()
    except (FileNotFoundError, NotADirectoryError):  # the home may be a file, which others will say
        return None
    with suppress(Timeout), locks.alone(home, UP).acquire(timeout=0):
        return None  # nobody holds it: what is written there was left behind
    return address or None


def announce(home: Path, address: str) -> None:
    """Write where the server of this home is; who does so holds the lock."""
    _holder(home).write_text(address)


def _holder(home: Path) -> Path:
    return home / "locks" / f"{UP}.holder"


def of_server(environment: Mapping[str, str], api: str) -> dict[str, str]:
    """Give a server's environment: the given one, with our defaults behind it; its UI must be told where it is."""
    return SERVER | {"PREFECT_UI_API_URL": api} | dict(environment)


def of_worker(environment: Mapping[str, str], api: str) -> dict[str, str]:
    """Give the environment of a worker and of the runs it starts."""
    return WORKER | dict(environment) | {API_URL: api}
