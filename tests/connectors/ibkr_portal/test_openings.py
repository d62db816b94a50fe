"""When the brokerage session is opened and when it is left alone: hours of visits, by the clock, to a gateway with moods."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.errors import ConnectorError
from connectors.ibkr_portal.endpoints import Credentials
from connectors.ibkr_portal.lately import OPENINGS, Lately
from connectors.ibkr_portal.replies import Tier
from connectors.ibkr_portal.sandbox import USER_NAME, Clock, Gateway, Running, running
from connectors.ibkr_portal.sandbox_session import MAC
from connectors.wire import Call, Window
from flows import talk, timing
from flows.policy import State, state_after
from flows.talk import About, Question
from warehouse import landing

MORNING = datetime(2026, 3, 5, 15, 30, tzinfo=UTC)  # a Thursday, 10:30 in New York
AT_REST = datetime(2026, 3, 6, 5, 20, tzinfo=UTC)  # 0:20 in New York: maintenance until 1:45
INIT = "/iserver/auth/ssodh/init"
WEEK = Window(MORNING.replace(tzinfo=None) - timedelta(days=6), MORNING.replace(tzinfo=None))


class Visitor:
    """Somebody who looks at a gateway every few minutes, and syncs now and then."""

    def __init__(self, home: Path, gateway: Gateway, where: Running) -> None:
        self.home = home
        self.gateway = gateway
        self.credentials = Credentials(where.base_url, certificate=where.ca_file)
        self.error: ConnectorError | None = None

    def ask(self, topic: talk.Topic) -> State:
        fetched = talk.fetch(
            self.home, "ibkr_portal", "ibkr-portal", self.credentials, topic, "run", flow="test",
            clock=timing.TIME.now, sleep=timing.TIME.sleep,
        )  # fmt: skip
        self.error = fetched.error
        return state_after(fetched.error)

    def look(self) -> State:
        return self.ask(About.LOOK)

    def sync(self) -> State:
        state = self.ask(About.SESSION)
        return state if self.error else self.ask(Question(WEEK))

    def looks(self, times: int) -> list[State]:
        """Look every five minutes."""
        found = []
        for _ in range(times):
            self.gateway.now.advance(300)
            found.append(self.look())
        return found

    def openings(self) -> int:
        return len(self.gateway.calls(INIT))


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock(MORNING)
    monkeypatch.setattr(timing, "TIME", timing.Time(clock, clock.sleep))
    return clock


@pytest.fixture
def visitor(tmp_path: Path, clock: Clock) -> Iterator[Visitor]:
    gateway = Gateway(clock=clock)
    with running(gateway) as where:
        yield Visitor(tmp_path, gateway, where)


def test_a_healthy_login_is_never_called_a_person_for(visitor: Visitor) -> None:
    visitor.gateway.log_in()
    assert visitor.sync() is State.ACTIVE
    for _ in range(3):
        assert visitor.looks(12) == [State.ACTIVE] * 12
        assert visitor.sync() is State.ACTIVE
    assert visitor.openings() > 12  # between two visits the session falls asleep


def test_a_refused_opening_is_repeated_ever_more_rarely_and_calls_a_person_throughout(visitor: Visitor) -> None:
    visitor.gateway.log_in()
    visitor.gateway.faults.on("compete_false_refused", at=INIT)
    assert set(visitor.looks(24)) == {State.NEEDS_REAUTH}
    assert visitor.openings() <= 8
    visitor.gateway.faults.off("compete_false_refused")
    assert State.ACTIVE in visitor.looks(7)


def test_an_opening_that_meets_trouble_calls_a_person_after_some_attempts_and_once(visitor: Visitor) -> None:
    visitor.gateway.log_in()
    visitor.gateway.faults.on("http_500", at=INIT)
    states = visitor.looks(24)
    called = states.index(State.NEEDS_REAUTH)
    assert called >= 3
    assert states == [State.DEGRADED] * called + [State.NEEDS_REAUTH] * (24 - called)
    visitor.gateway.faults.off("http_500")
    assert State.ACTIVE in visitor.looks(7)


def test_at_maintenance_no_session_is_opened_and_nobody_is_called(visitor: Visitor, clock: Clock) -> None:
    clock.advance((AT_REST - clock()).total_seconds())
    visitor.gateway.log_in()
    assert visitor.looks(15) == [State.DEGRADED] * 15
    assert visitor.sync() is State.DEGRADED
    assert visitor.openings() == 0
    assert visitor.looks(3)[-1] is State.ACTIVE


def test_what_one_gateway_was_asked_is_nothing_to_another(visitor: Visitor, clock: Clock) -> None:
    other = Gateway(clock=clock, seed=9)
    with running(other) as where:
        second = Visitor(visitor.home, other, where)
        visitor.gateway.log_in()
        other.log_in()
        other.faults.on("compete_false_refused", at=INIT)
        for _ in range(12):
            assert visitor.looks(1) == [State.ACTIVE]
            assert visitor.sync() is State.ACTIVE
            assert second.look() is State.NEEDS_REAUTH
        assert second.openings() <= 6
        assert visitor.gateway.pacing.violations == other.pacing.violations == []


def test_a_look_takes_the_session_from_nobody_and_a_sync_only_where_it_may(visitor: Visitor) -> None:
    visitor.gateway.log_in()
    visitor.gateway.session.tws_logs_in()
    assert (visitor.look(), visitor.sync()) == (State.NEEDS_REAUTH, State.NEEDS_REAUTH)
    visitor.credentials = Credentials(
        visitor.credentials.base_url, may_compete=True, certificate=visitor.credentials.certificate
    )
    assert visitor.looks(3) == [State.DEGRADED] * 3  # the next sync brings it back
    assert visitor.gateway.session.kicked_out == []
    assert visitor.sync() is State.ACTIVE
    assert len(visitor.gateway.session.kicked_out) == 1


def test_a_session_that_is_taken_back_is_left_to_who_took_it(visitor: Visitor, clock: Clock) -> None:
    visitor.credentials = Credentials(
        visitor.credentials.base_url, may_compete=True, certificate=visitor.credentials.certificate
    )
    visitor.gateway.log_in()
    visitor.gateway.session.tws_logs_in()
    assert visitor.sync() is State.ACTIVE
    visitor.gateway.session.tws_logs_in()
    for _ in range(12):
        assert visitor.looks(1) == [State.NEEDS_REAUTH]
        assert visitor.sync() is State.NEEDS_REAUTH
    assert "FILLHOUSE_IBKR_PORTAL_COMPETE=false" in str(visitor.error)
    assert len(visitor.gateway.session.kicked_out) == 1
    visitor.gateway.session.tws_logs_out()
    clock.advance(300)
    assert visitor.sync() is State.ACTIVE


def test_a_lost_connection_is_nobody_who_competes(visitor: Visitor) -> None:
    visitor.gateway.log_in()
    visitor.gateway.session.lose_connection()
    assert visitor.sync() is State.NEEDS_REAUTH
    assert "brokerage session is down" in str(visitor.error)
    assert "holds the brokerage session" not in str(visitor.error)


def test_a_lost_connection_comes_back_with_the_sync_that_may_compete(visitor: Visitor) -> None:
    visitor.credentials = Credentials(
        visitor.credentials.base_url, may_compete=True, certificate=visitor.credentials.certificate
    )
    visitor.gateway.log_in()
    visitor.gateway.session.lose_connection()
    assert visitor.looks(1) == [State.DEGRADED]
    visitor.gateway.now.advance(120)
    assert visitor.sync() is State.ACTIVE


def test_a_login_without_accounts_is_no_success(visitor: Visitor) -> None:
    visitor.gateway.log_in()
    visitor.gateway.faults.on("no_accounts")
    assert visitor.sync() is State.DEGRADED
    assert "names no account yet" in str(visitor.error)
    assert "/iserver/account/trades" not in {call.path for call in visitor.gateway.log}


def test_an_address_without_the_api_names_the_setting(visitor: Visitor) -> None:
    visitor.credentials = Credentials(
        visitor.credentials.base_url.removesuffix("/v1/api"), certificate=visitor.credentials.certificate
    )
    visitor.gateway.log_in()
    assert visitor.look() is State.MISCONFIGURED
    assert "FILLHOUSE_IBKR_PORTAL_BASE_URL" in str(visitor.error)


def test_who_logged_in_on_which_machine_is_not_landed(visitor: Visitor) -> None:
    visitor.gateway.log_in()
    assert visitor.sync() is State.ACTIVE
    rows = [row.row for path in landing.landed_files(visitor.home) for row in landing.read_file(visitor.home, path)]
    asked = {row["endpoint"] for row in rows if row["kind"] == "exchange"}
    assert asked >= {"auth_status", "sso_validate", "ssodh_init", "accounts", "trades"}
    bodies = b"".join(row["body"] or b"" for row in rows if row["endpoint"] != "trades")
    assert MAC.encode() not in bodies
    assert USER_NAME.encode() not in bodies


CALLS = st.lists(
    st.tuples(st.sampled_from([*OPENINGS, "auth_status", "trades"]), st.sampled_from(["", *Tier])), max_size=20
)


@given(asked=CALLS, later=st.floats(0, 86_400))
def test_a_session_that_was_ready_just_now_may_be_opened_at_once(asked: list[tuple[str, str]], later: float) -> None:
    told = [*asked, ("auth_status", str(Tier.READY))]
    calls = [Call(name, float(place), "https://gateway", came_to) for place, (name, came_to) in enumerate(told)]
    lately = Lately.at("https://gateway/v1/api", calls)
    assert lately.keeps_still_for(len(calls) + later) == 0
    assert not lately.needs_person()


@given(asked=CALLS)
def test_the_calls_to_another_gateway_change_nothing(asked: list[tuple[str, str]]) -> None:
    calls = [Call(name, float(place), "https://other", came_to) for place, (name, came_to) in enumerate(asked)]
    assert Lately.at("https://gateway/v1/api", calls) == Lately(())
