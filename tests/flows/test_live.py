"""Sessions that are kept awake: while they are ready and wanted, by one process, and never against a person."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from connectors.ibkr_portal.endpoints import Credentials
from connectors.ibkr_portal.sandbox import Clock, Gateway, Running, running
from flows import live, locks, talk, timing
from flows.connections import Connection, NotConfigured
from flows.live import Kept
from flows.policy import State
from warehouse import connections, db, publish

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


class Rounds(threading.Event):
    """Ends after so many rounds, without waiting for them."""

    def __init__(self, rounds: int) -> None:
        super().__init__()
        self.rounds = rounds
        if not rounds:
            self.set()

    def wait(self, timeout: float | None = None) -> bool:  # noqa: ARG002
        self.rounds -= 1
        if not self.rounds:
            self.set()
        return self.is_set()


def wanted(keeper: Keeper, name: str = "ibkr-portal") -> Connection:
    return Connection(name, "ibkr_portal", keeper.kept.connection.credentials, keeps_alive=True)


def rounds(keeper: Keeper, looks: Iterable[list[Connection] | Exception]) -> list[str]:
    """Go round once a look; gives what the gateway was asked."""
    told = list(looks)
    remaining = iter([*told, told[-1]])  # it looks once more before it ends

    def look() -> list[Connection]:
        keeper.clock.advance(60)
        found = next(remaining)
        if isinstance(found, Exception):
            raise found
        return found

    before = len(keeper.gateway.log)
    live.live(keeper.home, look, Rounds(len(told)), clock=keeper.clock, say=keeper.said.append)
    return [call.path for call in keeper.gateway.log[before:]]


def test_one_process_a_gateway_whatever_its_connections_are_called(keeper: Keeper) -> None:
    keeper.found(State.ACTIVE)
    with locks.alone(keeper.home, f"live-{live.gateway_of(keeper.kept.connection)}"):
        assert rounds(keeper, [[wanted(keeper, "of-the-same-gateway")]] * 3) == []
    assert keeper.said == ["of-the-same-gateway is kept awake by another process."]


def test_two_connections_to_one_gateway_are_one_session(keeper: Keeper) -> None:
    keeper.found(State.ACTIVE)
    assert rounds(keeper, [[wanted(keeper), wanted(keeper, "again")]] * 2) == ["/tickle"] * 2


def test_a_session_that_is_no_longer_wanted_awake_is_let_go(keeper: Keeper) -> None:
    keeper.found(State.ACTIVE)
    each = wanted(keeper)
    asleep = replace(each, keeps_alive=False)
    assert rounds(keeper, [[each], [asleep], [each], NotConfigured("There is none."), [each]]) == ["/tickle"] * 3
    assert keeper.said == ["ibkr-portal is no longer to be kept awake."] * 2


def test_while_nobody_can_say_which_connections_there_are_sessions_are_kept(keeper: Keeper) -> None:
    keeper.found(State.ACTIVE)
    assert rounds(keeper, [[wanted(keeper)], OSError("no server")]) == ["/tickle"] * 2


def test_whoever_writes_to_the_warehouse_keeps_nobody_from_being_kept_awake(keeper: Keeper) -> None:
    keeper.found(State.ACTIVE)
    publish.publish(keeper.home, now=True)
    with db.locked(keeper.home):
        assert keeper.tickle() == ["/tickle"]


def test_what_nobody_foresaw_is_a_stumble(keeper: Keeper) -> None:
    keeper.found(State.ACTIVE)
    [pace] = (keeper.home / "pace").glob("*.json")
    good = pace.read_text()
    pace.write_text("{}")
    assert keeper.tickle(live.MOST_STUMBLES - 1) == []
    assert keeper.said == []
    pace.write_text(good)
    assert keeper.tickle() == ["/tickle"]
    pace.write_text("{}")
    assert rounds(keeper, [[wanted(keeper)]] * 4) == []
    assert len(keeper.said) == 1
