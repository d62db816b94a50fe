"""A run in a terminal, stopped wherever it stands: a line, an exit code, nothing left behind, and the next run goes on."""

from __future__ import annotations

import io
import os
import pty
import select
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import NoReturn

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.objects import StateType
from prefect.client.schemas.sorting import FlowRunSort
from prefect.settings import PREFECT_API_URL

from flows import locks
from tests.flows.conftest import House
from tests.flows.test_backfill import assert_equal_to_book
from warehouse import db, landing

ROOT = Path(__file__).resolve().parents[2]
SAID = "fillhouse: Stopped. What was landed is kept; the next run goes on from there."
PATIENCE_SECONDS = 90.0
SOON_SECONDS = 5.0  # about three where nobody else wants the processor
CTRL_C = b"\x03"


@dataclass
class Terminal:
    """A terminal in which a command runs, as the first of its process group."""

    process: int
    screen: int
    text: str = ""

    def wait_for(self, has_come: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while not has_come():
            assert time.monotonic() < deadline, f"the moment never came: {self.text}"
            assert self._read(), f"the run ended before its moment came: {self.text}"

    def end(self, within: float) -> int:
        """Wait for the command to end and give its exit code."""
        deadline = time.monotonic() + within
        while self._read():
            assert time.monotonic() < deadline, f"it goes on: {self.text}"
        return os.waitstatus_to_exitcode(os.waitpid(self.process, 0)[1])

    def _read(self) -> bool:
        """Read what is on the screen by now; tells whether more may come."""
        if not select.select([self.screen], [], [], 0.01)[0]:
            return True
        with suppress(OSError):  # Linux says so at the end
            said = os.read(self.screen, 65536).decode()
            self.text += said
            return bool(said)
        return False


@contextmanager
def typed(folder: Path, *arguments: str, **environment: str) -> Iterator[Terminal]:
    """Type a command into a terminal of its own; what is left of it is ended."""
    process, screen = pty.fork()
    if process == 0:
        os.chdir(folder)
        command = [sys.executable, "-m", "flows.cli", *arguments]
        os.execve(sys.executable, command, {**os.environ, "PYTHONPATH": str(ROOT), **environment})  # noqa: S606
    try:
        yield Terminal(process, screen)
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process, signal.SIGKILL)
        os.close(screen)


def assert_stops(terminal: Terminal, by: signal.Signals = signal.SIGINT) -> None:
    """Stop a command, as a person or a service manager would, and look at what it leaves."""
    before = terminal.text
    if by is signal.SIGINT:
        os.write(terminal.screen, CTRL_C)
    else:
        os.kill(terminal.process, by)
    assert terminal.end(within=SOON_SECONDS) == 128 + by
    said = terminal.text.removeprefix(before).replace("^C", "")
    assert [line for line in said.splitlines() if line][-1] == SAID
    assert "Traceback" not in terminal.text
    assert "Crash" not in terminal.text
    with pytest.raises(ProcessLookupError):  # nobody is left in its process group: not Prefect's server either
        os.killpg(terminal.process, 0)


@pytest.fixture(scope="module")
def no_server(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Give a Prefect that nobody has set up: it starts a server for each run."""
    folder = tmp_path_factory.mktemp("user")
    return {"HOME": str(folder), "PREFECT_HOME": str(folder / "prefect"), "DO_NOT_TRACK": "1"}


def server() -> dict[str, str]:
    return {"PREFECT_API_URL": str(PREFECT_API_URL.value())}


Moment = Callable[[House, Terminal], bool]
ALONE: dict[str, tuple[Moment, signal.Signals]] = {
    "Prefect's server starts": (lambda _, terminal: "starts a server" in terminal.text, signal.SIGINT),
    "the broker makes a statement": (lambda house, _: house.broker.requests["SendRequest"] >= 1, signal.SIGINT),
    "a service manager ends it": (lambda house, _: house.broker.requests["SendRequest"] >= 2, signal.SIGTERM),
}
WITH_A_SERVER: dict[str, tuple[Moment, signal.Signals]] = {
    "an answer was landed": (lambda house, _: len(landing.landed_files(house.home)) >= 3, signal.SIGINT),
}


def test_stopped_at_any_moment_the_next_run_goes_on_where_it_was(house: House, no_server: dict[str, str]) -> None:
    command = ("backfill", "--since", str(house.broker.history.first_day))
    for moments, prefect in ((ALONE, no_server), (WITH_A_SERVER, server())):
        for has_come, by in moments.values():
            with typed(house.home, *command, **prefect) as terminal:
                terminal.wait_for(partial(has_come, house, terminal))
                assert_stops(terminal, by)
            with locks.alone(house.home, "ibkr-flex").acquire(timeout=0), db.locked(house.home, patience=0):
                pass
    with typed(house.home, *command, **server()) as terminal:
        assert terminal.end(within=PATIENCE_SECONDS) == 0, terminal.text
    assert_equal_to_book(house)
    landed = {path.name.rsplit("-", 1)[0] for path in landing.landed_files(house.home)}
    with db.writer(house.home) as con:
        loaded = {name for (name,) in con.execute("select distinct conversation_id from exchanges").fetchall()}
    assert landed == loaded, "something was landed and never loaded"


@pytest.mark.parametrize("command", ["backfill", "sync"])
def test_waiting_for_another_run_it_stops_and_its_server_is_told(house: House, command: str) -> None:
    with locks.holding(house.home, "ibkr-flex", print), typed(house.home, command, **server()) as terminal:
        terminal.wait_for(lambda: "waiting for it to end" in terminal.text)
        assert_stops(terminal)
    with get_client(sync_client=True) as client:
        (last,) = client.read_flow_runs(limit=1, sort=FlowRunSort.START_TIME_DESC)
    assert (last.state_name, last.state_type) == ("Crashed", StateType.CRASHED)


def test_a_signal_that_reaches_prefect_as_it_begins_a_task_is_not_taken_for_an_error(
    house: House, monkeypatch: pytest.MonkeyPatch, transcript: io.StringIO
) -> None:
    import prefect._internal.engine as begins  # noqa: PLC0415  (Prefect must be set up before)

    def stopped() -> NoReturn:
        signal.raise_signal(signal.SIGINT)
        pytest.fail("nobody heard it")

    before = transcript.tell()
    monkeypatch.setattr(begins, "uuid4", stopped)
    usual = signal.signal(signal.SIGINT, signal.default_int_handler)  # where tests run in the background it is ignored
    try:
        with pytest.raises(KeyboardInterrupt):
            house.backfill(**house.few_days())
    finally:
        signal.signal(signal.SIGINT, usual)
    assert "Task run is not set" not in transcript.getvalue()[before:]
