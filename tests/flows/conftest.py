"""What tests of flows begin with: a Prefect server, sandboxes, homes for data, a terminal, a transcript of all that is logged."""

from __future__ import annotations

import io
import logging
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from prefect.settings import (
    PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
    PREFECT_HOME,
    PREFECT_SERVER_ANALYTICS_ENABLED,
    temporary_settings,
)
from prefect.testing.utilities import prefect_test_harness

from connectors.ibkr_flex.sandbox import QUERY_ID, SERVICE_PATH, FlexBroker, running
from connectors.ibkr_portal import sandbox as portal
from flows import timing
from tests.flows.desk import MORNING, Desk
from tests.flows.terminal import PLAIN, Terminal
from tests.importing import imported_cases

CANARY = "777000777000777000777"
LOGGERS = ("", "prefect", "prefect.flow_runs", "prefect.task_runs", "httpx", "httpcore")
CASES = ("05_cancel_keeps_commission_then_rebook", "17_trade_confirmations_then_activity")


@pytest.fixture(scope="session")
def transcript() -> Iterator[io.StringIO]:
    """Write down all that is logged, tracebacks included, whatever its level."""
    text = io.StringIO()
    handler = logging.StreamHandler(text)
    handler.setFormatter(logging.Formatter("%(name)s %(levelname)s %(message)s"))
    levels = {name: logging.getLogger(name).level for name in LOGGERS}
    for name in LOGGERS:
        logging.getLogger(name).addHandler(handler)
        logging.getLogger(name).setLevel(logging.DEBUG)
    yield text
    for name, level in levels.items():
        logging.getLogger(name).removeHandler(handler)
        logging.getLogger(name).setLevel(level)


@pytest.fixture(scope="session")
def prefect(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Start one Prefect server for all tests of flows."""
    home = tmp_path_factory.mktemp("prefect")
    settings = {
        PREFECT_HOME: home,
        PREFECT_SERVER_ANALYTICS_ENABLED: False,
        PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None,  # else every run takes a second longer
    }
    with temporary_settings(settings), prefect_test_harness(server_startup_timeout=90):
        yield


@dataclass(frozen=True, slots=True)
class House:
    """A home for data beside a broker of its own."""

    home: Path
    broker: FlexBroker
    address: str

    def backfill(self, **asked: Any) -> Any:
        """Run the flow and give its final state."""
        from flows.backfill import backfill  # noqa: PLC0415  (Prefect must be set up before)

        return backfill(**{"until": self.broker.today, **asked}, return_state=True)

    def few_days(self) -> dict[str, Any]:
        """Ask for so little that it is one question."""
        return {"since": self.broker.today - timedelta(days=6)}


@contextmanager
def built(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[House]:
    """Build a house and describe it in the environment as a user would; the folder holds no `.env`."""
    broker = FlexBroker(years=1, executions=120, generation_seconds=0.2, tokens={CANARY: None})
    home.mkdir()
    monkeypatch.chdir(home)
    with running(broker) as address:
        monkeypatch.setenv("FILLHOUSE_HOME", str(home))
        monkeypatch.setenv("FILLHOUSE_RETRY_DELAYS", "[0, 0]")
        monkeypatch.setenv("FILLHOUSE_IBKR_FLEX_TOKEN", CANARY)
        monkeypatch.setenv("FILLHOUSE_IBKR_FLEX_QUERY_ID", QUERY_ID)
        monkeypatch.setenv("FILLHOUSE_IBKR_FLEX_BASE_URL", address + SERVICE_PATH)
        yield House(home, broker, address)


@pytest.fixture
def house(
    prefect: None,  # noqa: ARG001
    transcript: io.StringIO,  # noqa: ARG001
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[House]:
    """Give a house that knows nothing yet."""
    with built(tmp_path / "home", monkeypatch) as house:
        yield house


@pytest.fixture
def query(house: House) -> Callable[..., list[tuple[Any, ...]]]:
    """Ask the writer's file of the house."""
    from warehouse import db  # noqa: PLC0415

    def ask(text: str, *values: Any) -> list[tuple[Any, ...]]:
        with db.writer(house.home) as con:
            return con.execute(text, list(values)).fetchall()

    return ask


@pytest.fixture
def desk(prefect: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:  # noqa: ARG001
    """Give a desk that knows nothing yet; nobody has logged in."""
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.chdir(home)
    clock = portal.Clock(MORNING)
    monkeypatch.setattr(timing, "TIME", timing.Time(clock, clock.sleep))
    gateway = portal.Gateway(clock=clock)
    with portal.running(gateway) as where:
        for name, value in {
            "FILLHOUSE_HOME": str(home),
            "FILLHOUSE_RETRY_DELAYS": "[0]",
            "FILLHOUSE_IBKR_PORTAL_BASE_URL": where.base_url,
            "FILLHOUSE_IBKR_PORTAL_CERTIFICATE": str(where.ca_file),
        }.items():
            monkeypatch.setenv(name, value)
        yield Desk(home, gateway, clock)


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    return Terminal(tmp_path / "home")


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Terminal:
    """Give a home with four fills in it, for tests that only ask."""
    terminal = Terminal(tmp_path_factory.mktemp("loaded"))
    terminal.run("import", PLAIN)
    return terminal


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fill one home for each module; each test copies it."""
    return imported_cases(tmp_path_factory.mktemp("filled"), CASES)


@pytest.fixture
def home(filled: Path, tmp_path: Path) -> Path:
    """Give a home with four fills in it, of the test's own."""
    return Path(shutil.copytree(filled, tmp_path / "home"))


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "backup"
