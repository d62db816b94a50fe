"""Signing in with OAuth: once a process, again where it is no longer good, and in plain words where it cannot be."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from connectors.errors import AuthRequired, ConnectorError, Rejected, Transient
from connectors.ibkr_portal.endpoints import Credentials, pace_key
from connectors.ibkr_portal.sandbox import Clock, Gateway, running
from connectors.ibkr_portal.sandbox_oauth import LIVE_SESSION_TOKEN, PRIME, OAuth
from connectors.wire import Window
from flows import live, talk, timing
from flows.connections import Connection
from flows.live import Kept
from flows.policy import State, state_after
from flows.signing import HELD
from flows.talk import About, Question
from tests.connectors.ibkr_portal.consumers import keys, signing
from warehouse import connections, db

MORNING = datetime(2026, 3, 5, 15, 30, tzinfo=UTC)
WEEK = Window(datetime(2026, 2, 27), datetime(2026, 3, 5, 15, 30))
STATUS, INIT = "/iserver/auth/status", "/iserver/auth/ssodh/init"


class Visitor:
    """Somebody with OAuth, and a clock that the sandbox looks at, too."""

    def __init__(self, home: Path, gateway: Gateway, credentials: Credentials) -> None:
        self.home = home
        self.gateway = gateway
        self.credentials = credentials

    def ask(self, topic: talk.Topic) -> ConnectorError | None:
        return talk.fetch(
            self.home, "ibkr_portal", "ibkr-portal", self.credentials, topic, "run", flow="test",
            clock=timing.TIME.now, sleep=timing.TIME.sleep,
        ).error  # fmt: skip

    def refusal(self) -> ConnectorError:
        error = self.ask(About.SESSION)
        assert error is not None
        return error

    def calls(self) -> list[str]:
        return [call.path for call in self.gateway.log]


@pytest.fixture
def visitor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Visitor]:
    clock = Clock(MORNING)
    monkeypatch.setattr(timing, "TIME", timing.Time(clock, clock.sleep))
    gateway = Gateway(clock=clock)
    gateway.oauth = OAuth(keys(), gateway.faults)
    HELD.clear()
    with running(gateway) as where:
        yield Visitor(tmp_path, gateway, signing(gateway, where))
    HELD.clear()


def test_a_process_signs_in_once_and_nobody_logs_in(visitor: Visitor) -> None:
    assert visitor.ask(About.SESSION) is None
    assert visitor.calls() == [LIVE_SESSION_TOKEN, STATUS, INIT]
    assert visitor.ask(Question(WEEK)) is None
    assert visitor.ask(About.SETUP) is None
    assert visitor.calls().count(LIVE_SESSION_TOKEN) == visitor.gateway.oauth.agreed == 1
    assert {call.status for call in visitor.gateway.log} == {200}


def test_the_next_process_signs_in_anew_and_the_session_stays_open(visitor: Visitor) -> None:
    visitor.ask(About.SESSION)
    HELD.clear()
    visitor.gateway.now.advance(60)
    assert visitor.ask(About.SESSION) is None
    assert visitor.calls() == [LIVE_SESSION_TOKEN, STATUS, INIT, LIVE_SESSION_TOKEN, STATUS]


def test_what_is_about_to_end_is_asked_for_anew(visitor: Visitor) -> None:
    visitor.ask(About.SESSION)
    visitor.gateway.now.advance(23 * 3600 + 55 * 60)
    assert visitor.ask(About.SESSION) is None
    assert visitor.gateway.oauth.agreed == 2
    assert {call.status for call in visitor.gateway.log} == {200}


@pytest.mark.parametrize("fault", ["live_session_expired", "http_401"])
def test_what_is_refused_in_between_is_asked_for_anew_once(visitor: Visitor, fault: str) -> None:
    visitor.ask(About.SESSION)
    visitor.gateway.faults.on(fault, at="/iserver/account/trades", calls=1)
    assert visitor.ask(Question(WEEK)) is None
    assert visitor.gateway.oauth.agreed == 2


def test_two_processes_that_end_each_others_sessions_both_go_on(visitor: Visitor) -> None:
    visitor.gateway.faults.on("one_live_session")
    held = []
    for _ in range(2):
        HELD.clear()
        assert visitor.ask(About.SESSION) is None
        held.append(dict(HELD))
    for each in (*held, *held):
        HELD.clear()
        HELD.update(each)
        visitor.gateway.now.advance(60)
        assert visitor.ask(Question(WEEK)) is None


def test_what_stays_refused_calls_a_person_after_one_more_attempt(visitor: Visitor) -> None:
    visitor.gateway.faults.on("live_session_expired")
    error = visitor.refusal()
    assert (type(error), state_after(error)) == (AuthRequired, State.NEEDS_REAUTH)
    assert "Generate a new access token on IBKR's OAuth page" in error.remedy
    assert "browser" not in str(error)
    assert visitor.calls() == [LIVE_SESSION_TOKEN, STATUS] * 2


@pytest.mark.parametrize(
    ("fault", "said", "remedy"),
    [
        ("consumer_inactive", "does not know this consumer key, or not yet", "a new one becomes good after some days"),
        ("access_token_revoked", "does not know this access token", "Generate a new access token"),
        ("http_401", "gives no reason that is known", "Compare consumer key, access token, its secret and both keys"),
    ],
)
def test_a_consumer_that_is_refused_is_told_why(visitor: Visitor, fault: str, said: str, remedy: str) -> None:
    visitor.gateway.faults.on(fault, at=LIVE_SESSION_TOKEN)
    error = visitor.refusal()
    assert state_after(error) is State.NEEDS_REAUTH
    assert said in error.message
    assert remedy in error.remedy
    assert keys().access_token not in str(error)
    assert visitor.calls() == [LIVE_SESSION_TOKEN]
    visitor.gateway.faults.off(fault)
    assert visitor.ask(About.SESSION) is None


def test_keys_that_are_not_those_uploaded_are_told_so(visitor: Visitor) -> None:
    consumer = visitor.credentials.consumer
    assert consumer is not None
    wrong = replace(consumer, signature_key=consumer.encryption_key)
    visitor.credentials = replace(visitor.credentials, consumer=wrong)
    error = visitor.refusal()
    assert state_after(error) is State.NEEDS_REAUTH
    assert "must be the private halves of those that were uploaded" in error.remedy


def test_another_prime_is_a_setting_to_be_corrected(visitor: Visitor) -> None:
    consumer = visitor.credentials.consumer
    assert consumer is not None
    visitor.credentials = replace(visitor.credentials, consumer=replace(consumer, dh_prime=f"{PRIME - 2:x}"))
    error = visitor.refusal()
    assert (type(error), state_after(error)) == (Rejected, State.MISCONFIGURED)
    assert "dhparam.pem" in error.remedy


def test_a_token_that_is_not_proved_is_not_signed_with(visitor: Visitor) -> None:
    visitor.gateway.faults.on("another_live_session")
    assert isinstance(visitor.refusal(), Rejected)
    assert visitor.calls() == [LIVE_SESSION_TOKEN]


@pytest.mark.parametrize("fault", ["http_503", "http_500", "empty_body", "truncated_json", "error_in_200"])
def test_trouble_is_not_a_persons(visitor: Visitor, fault: str) -> None:
    visitor.gateway.faults.on(fault, at=LIVE_SESSION_TOKEN, calls=1)
    error = visitor.ask(About.SESSION)
    assert error is None or not isinstance(error, AuthRequired)
    assert visitor.ask(About.SESSION) is None


def test_nobody_there_is_no_gateway_to_be_started(visitor: Visitor) -> None:
    visitor.credentials = replace(visitor.credentials, base_url="https://127.0.0.1:9/v1/api")
    error = visitor.refusal()
    assert isinstance(error, Transient)
    assert error.message == "IBKR at https://127.0.0.1:9/v1/api does not answer."
    assert "bin/run.sh" not in error.remedy


def test_a_session_that_tws_holds_is_left_to_it_with_oauth_too(visitor: Visitor) -> None:
    visitor.gateway.session.tws_logs_in()
    error = visitor.refusal()
    assert (type(error), error.code) == (AuthRequired, "competing")
    assert visitor.gateway.session.kicked_out == []
    visitor.credentials = replace(visitor.credentials, may_compete=True)
    assert visitor.ask(About.SESSION) is None
    assert len(visitor.gateway.session.kicked_out) == 1


def test_midnight_costs_the_brokerage_session_and_nobody_is_called(visitor: Visitor) -> None:
    visitor.ask(About.SESSION)
    visitor.gateway.now.advance(16 * 3600)  # half past seven in the morning of the next day
    assert visitor.ask(About.SESSION) is None
    assert visitor.ask(Question(WEEK)) is None
    assert "/sso/validate" not in visitor.calls()


def test_each_username_is_counted_and_locked_by_itself(visitor: Visitor) -> None:
    consumer = visitor.credentials.consumer
    assert consumer is not None
    other = replace(visitor.credentials, consumer=replace(consumer, access_token="another"))
    gateway = replace(visitor.credentials, consumer=None)
    named = {pace_key(each) for each in (visitor.credentials, other, gateway)}
    assert len(named) == 3
    assert not any(consumer.access_token in name or consumer.consumer_key in name for name in named)
    held = [live.gateway_of(Connection("ibkr-portal", "ibkr_portal", each)) for each in (visitor.credentials, other)]
    assert len(set(held)) == 2


def test_a_session_is_kept_awake_with_one_token(visitor: Visitor) -> None:
    visitor.ask(About.SESSION)
    kept = Kept(Connection("ibkr-portal", "ibkr_portal", visitor.credentials))
    with db.writer(visitor.home) as con:
        connections.record_state(
            con, "ibkr-portal", "ibkr_portal", kept.connection.key, str(State.ACTIVE), reason=None, remedy=None,
            moment=visitor.gateway.now(), retry_at=None, success=False,
        )  # fmt: skip
    said: list[str] = []
    for _ in range(10):
        visitor.gateway.now.advance(60)
        live.tickle(visitor.home, kept, clock=visitor.gateway.now, say=said.append)
    assert visitor.calls()[3:] == ["/tickle"] * 10
    assert said == []
