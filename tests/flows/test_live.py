"""Sessions that are kept awake: while they are ready and wanted, by one process, and never against a person."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from connectors.ibkr_portal.endpoints import Credentials
from connectors.ibkr_portal.sandbox import Clock, Gateway, Running, running
from flows import live, locks, talk, timing
from flows.connections import Connection
from flows.live import Kept
from flows.policy import State
from warehouse import connections, db

MORNING = datetime(2026, 3, 5, 15, 30, tzinfo=UTC)


class Keeper:
    """One session, a gateway, and a clock that both look at."""

    def __init__(self, home: Path, gateway: Gateway, clock: Clock, where: Running) -> None:
        self.home = home
        self.gateway = gateway
        self.clock = clock
        self.kept = Kept(
            Connection("ibkr-portal", "ibkr_portal", Credentials(where.base_url, certificate=where.ca_file))
        )
        self.said: list[str] = []

    def found(self, state: State) -> None:
        """Record what a check found."""
        each = self.kept.connection
        with db.writer(self.home) as con:
            connections.record_state(
                con, each.name, each.kind, each.key, str(state), reason=None, remedy=None, moment=self.clock(),
                retry_at=None, success=False,
            )  # fmt: skip

    def tickle(self, times: int = 1) -> list[Any]:
        """Tickle each minute; gives what the gateway was asked."""
        before = len(self.gateway.log)
        for _ in range(times):
            self.clock.advance(60)
            live.tickle(self.home, self.kept, clock=self.clock, say=self.said.append)
        return [call.path for call in self.gateway.log[before:]]


@pytest.fixture
def keeper(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Keeper]:
    clock = Clock(MORNING)
    monkeypatch.setattr(timing, "TIME", timing.Time(clock, clock.sleep))
    gateway = Gateway(clock=clock)
    with running(gateway) as where:
        keeper = Keeper(tmp_path, gateway, clock, where)
        gateway.log_in()
        fetched = talk.fetch(
            tmp_path,
            "ibkr_portal",
            "ibkr-portal",
            keeper.kept.connection.credentials,
            talk.About.SESSION,
            "run",
            flow="test",
        )
        assert fetched.error is None
        yield keeper


def test_a_ready_session_is_kept_awake(keeper: Keeper) -> None:
    keeper.found(State.ACTIVE)
    assert keeper.tickle(30) == ["/tickle"] * 30
    before = len(keeper.gateway.log)
    fetched = talk.fetch(
        keeper.home,
        "ibkr_portal",
        "ibkr-portal",
        keeper.kept.connection.credentials,
        talk.About.SESSION,
        "run",
        flow="test",
    )
    assert fetched.error is None
    assert [call.path for call in keeper.gateway.log[before:]] == [
        "/iserver/auth/status"
    ]  # it need not be opened again


@pytest.mark.parametrize("state", [State.NEEDS_REAUTH, State.DEGRADED, State.RATE_LIMITED])
def test_a_session_that_is_not_ready_is_left_alone(keeper: Keeper, state: State) -> None:
    keeper.found(state)
    assert keeper.tickle(5) == []


def test_nothing_known_of_a_session_means_no_tickle(keeper: Keeper) -> None:
    assert keeper.tickle(3) == []


def test_a_session_that_ends_is_tickled_once_more_and_then_left_to_a_check(keeper: Keeper) -> None:
    keeper.found(State.ACTIVE)
    keeper.gateway.session.log_out()
    assert keeper.tickle(10) == ["/tickle"]
    assert len(keeper.said) == 1
    keeper.gateway.log_in()
    assert keeper.tickle(3) == []  # somebody may be logging in
    keeper.found(State.ACTIVE)
    assert "/tickle" in keeper.tickle()


def test_single_stumbles_are_nothing(keeper: Keeper) -> None:
    keeper.found(State.ACTIVE)
    keeper.gateway.faults.on("tickle_fails", at="/tickle", calls=1)
    keeper.tickle(5)
    assert keeper.said == []


def test_one_process_a_gateway(keeper: Keeper) -> None:
    import threading  # noqa: PLC0415

    ended = threading.Event()
    ended.set()
    wanted = Connection("ibkr-portal", "ibkr_portal", keeper.kept.connection.credentials, keeps_alive=True)
    with locks.alone(keeper.home, "live-ibkr-portal"):
        live.live(keeper.home, [wanted], ended, say=keeper.said.append)
    assert keeper.said == ["ibkr-portal is kept awake by another process."]
