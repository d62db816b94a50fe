"""A backfill that is killed, again and again, loses nothing and repeats nothing that was done."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from prefect.settings import PREFECT_API_URL, PREFECT_HOME

from tests.flows.conftest import House
from tests.flows.test_backfill import assert_equal_to_book
from warehouse import landing

ROOT = Path(__file__).resolve().parents[2]
PATIENCE_SECONDS = 40.0
RUN = """
import sys
from datetime import date
from flows.backfill import backfill
backfill(since=date.fromisoformat(sys.argv[1]), until=date.fromisoformat(sys.argv[2]), return_state=True)
"""
MOMENTS: dict[str, Callable[[House], bool]] = {
    "the statement was asked for": lambda house: house.broker.requests["SendRequest"] >= 1,
    "the first answer was landed": lambda house: len(landing.landed_files(house.home)) >= 1,
    "the second window was asked for": lambda house: house.broker.requests["SendRequest"] >= 3,
    "the second answer was landed": lambda house: len(landing.landed_files(house.home)) >= 2,
}


def killed_when(house: House, has_come: Callable[[House], bool]) -> None:
    """Run the flow in a process of its own and kill it at a moment."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PREFECT_HOME": str(PREFECT_HOME.value())}
    environment |= {"PREFECT_API_URL": str(PREFECT_API_URL.value()), "DO_NOT_TRACK": "1"}
    days = [str(house.broker.history.first_day), str(house.broker.today)]
    command = [sys.executable, "-c", RUN, *days]
    with subprocess.Popen(command, cwd=house.home, env=environment, stderr=subprocess.DEVNULL) as run:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not has_come(house):
            assert run.poll() is None, "the run ended before its moment came"
            assert time.monotonic() < deadline, "the moment never came"
            time.sleep(0.002)
        run.kill()


def test_killed_at_any_moment_the_next_run_goes_on_where_it_was(
    house: House, query: Callable[..., list[tuple[Any, ...]]]
) -> None:
    for has_come in MOMENTS.values():
        killed_when(house, has_come)
    since = house.broker.history.first_day
    assert house.backfill(since=since).name == "Completed"
    assert_equal_to_book(house)
    answered = query("select since, account, count(*) from coverage where status = 'complete' group by since, account")
    assert {times for _, _, times in answered} == {1}, "a window that was covered has been asked again"
    landed = {path.name.rsplit("-", 1)[0] for path in landing.landed_files(house.home)}
    loaded = {conversation for (conversation,) in query("select distinct conversation_id from exchanges")}
    assert landed == loaded, "something was landed and never loaded"

    before = house.broker.requests.copy()
    house.backfill(since=since)
    assert house.broker.requests == before


def test_a_killed_run_keeps_no_lock(house: House) -> None:
    killed_when(house, lambda at: (at.home / "locks").exists())
    started = time.monotonic()
    assert house.backfill(**house.few_days()).name == "Completed"
    assert time.monotonic() - started < PATIENCE_SECONDS
