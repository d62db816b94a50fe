"""Connections beside one another: what is wrong with one, or holds it up, keeps no other from its sync."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from connectors.ibkr_flex.sandbox import QUERY_ID, SERVICE_PATH, TOKEN, FlexBroker
from connectors.ibkr_flex.sandbox import running as flex_running
from flows.connections import from_environment
from tests.flows.desk import Desk

STATES = "select connection, state from connections order by connection"
SETTING = "FILLHOUSE_IBKR_PORTAL_CERTIFICATE"
HOLDS = """
import sys, time
from pathlib import Path
from flows import locks
home, name, awaited = Path(sys.argv[1]), *sys.argv[2:]
with locks.holding(home, name, print):
    print("holds", flush=True)
    while not list(home.glob(f"landing/source={awaited}/**/*.parquet")):
        time.sleep(0.1)
"""


@pytest.fixture
def flex(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Iterator[FlexBroker]:
    """Give the desk a second connection, whose name comes after the gateway's."""
    broker = FlexBroker(now=desk.clock, years=1, executions=60, generation_seconds=0.2)
    with flex_running(broker) as address:
        for name, value in {
            "FILLHOUSE_IBKR_FLEX_NAME": "statements",
            "FILLHOUSE_IBKR_FLEX_TOKEN": TOKEN,
            "FILLHOUSE_IBKR_FLEX_QUERY_ID": QUERY_ID,
            "FILLHOUSE_IBKR_FLEX_BASE_URL": address + SERVICE_PATH,
        }.items():
            monkeypatch.setenv(name, value)
        yield broker


@contextmanager
def held(home: Path, name: str, *, until_landed: str = "never") -> Iterator[None]:
    """Have another process hold a connection, until something of a connector was landed."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLDS, str(home), name, until_landed],
        cwd=Path(__file__).parents[2], stdout=subprocess.PIPE, text=True,
    ) as holder:  # fmt: skip
        try:
            assert holder.stdout is not None
            assert holder.stdout.readline() == "holds\n"
            yield
        finally:
            holder.kill()


@pytest.mark.usefixtures("flex")
@pytest.mark.parametrize("content", [None, b"\x30\x82 in another form"])
def test_a_certificate_that_cannot_be_read_is_its_connections_trouble_only(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, content: bytes | None
) -> None:
    path = desk.home / "gateway.pem"
    if content is not None:
        path.write_bytes(content)
    monkeypatch.setenv(SETTING, str(path))
    state = desk.sync()
    assert (state.name, state.is_failed()) == ("Misconfigured", True)
    assert SETTING in state.message
    assert desk.ask(STATES) == [("ibkr-portal", "misconfigured"), ("statements", "active")]
    assert len(desk.fills()) > 0


@pytest.mark.usefixtures("flex")
def test_what_nobody_foresaw_ends_its_connections_turn_only_and_the_run_says_so(desk: Desk) -> None:
    (portal,) = (each for each in from_environment() if each.kind == "ibkr_portal")
    pace = desk.home / "pace" / f"{portal.key}.json"
    pace.parent.mkdir()
    pace.write_text("{}")  # none of ours wrote this
    state = desk.sync()
    assert (state.name, state.is_failed()) == ("Failed", True)
    assert "ibkr-portal" in state.message
    assert ("statements", "active") in desk.ask(STATES)
    assert len(desk.fills()) > 0
    pace.unlink()
    desk.gateway.log_in()
    assert desk.sync().name == "Completed"


@pytest.mark.usefixtures("flex")
def test_a_check_waits_for_nobody(desk: Desk) -> None:
    desk.gateway.log_in()
    with held(desk.home, "ibkr-portal"), held(desk.home, "statements"):
        began = time.monotonic()
        assert desk.check().name == "Completed"
        assert time.monotonic() - began < 60  # they are never let go
    assert desk.calls() == []


@pytest.mark.usefixtures("flex")
def test_a_sync_takes_those_first_that_nobody_holds(desk: Desk) -> None:
    desk.gateway.log_in()
    with held(desk.home, "ibkr-portal", until_landed="ibkr_flex"):
        assert desk.sync().name == "Completed"
    assert desk.ask(STATES) == [("ibkr-portal", "active"), ("statements", "active")]
