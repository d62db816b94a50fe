from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
import respx

from connectors import http
from connectors.connector import Limit, Limits
from connectors.errors import UNREACHABLE, ContractViolation, RateLimited, Transient
from connectors.nonces import Nonces
from connectors.pace import Pace
from connectors.wire import Conversation, Pause, Remark, Request, ask

URL = "https://broker.example/service"
CANARY = "canary-7f31"
LIMITS = Limits(rules=(), timeout_seconds=5.0, max_reply_bytes=1000)
NOW = datetime(2026, 4, 1, 12, tzinfo=UTC)


class Ledger:
    """Stands where the landing zone stands, and keeps what it is given."""

    def __init__(self) -> None:
        self.kept: list[dict[str, Any]] = []

    def exchange(self, **facts: Any) -> str:
        self.kept.append(facts)
        return str(len(self.kept))


class Clock:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 1_000_000.0
        self.slept: list[float] = []

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


@pytest.fixture
def hold(tmp_path: Path, clock: Clock, ledger: Ledger) -> Callable[..., http.Tally]:
    """Hold a conversation with whatever respx answers."""

    def held(conversation: Conversation, limits: Limits = LIMITS) -> http.Tally:
        tally = http.Tally()
        with http.client(limits) as client:
            http.converse(
                conversation,
                client=client,
                limits=limits,
                landing=ledger,
                pace=Pace(tmp_path / "pace.json", limits.rules, clock, clock.sleep),
                nonces=Nonces(tmp_path / "nonce", clock),
                clock=lambda: NOW,
                sleep=clock.sleep,
                tally=tally,
            )
        return tally

    return held


def request(**changes: Any) -> Request:
    facts: dict[str, Any] = {
        "endpoint": "Statement",
        "method": "GET",
        "url": URL,
        "params": {"t": CANARY, "q": "1"},
        "headers": {"User-Agent": "Fillhouse/0.1"},
        "secret_params": frozenset({"t"}),
    }
    return Request(**{**facts, **changes})


def once(*seen: list[bytes]) -> Conversation:
    response = yield from ask(request())
    for where in seen:
        where.append(response.body)


@respx.mock
def test_an_exchange_is_landed_before_the_conversation_sees_it(hold: Callable[..., http.Tally], ledger: Ledger) -> None:
    respx.get(URL).respond(200, text="reply")
    landed_when_seen = []

    def watching() -> Conversation:
        yield from ask(request())
        landed_when_seen.append(len(ledger.kept))

    tally = hold(watching())
    assert (landed_when_seen, tally.requests) == ([1], 1)
    assert ledger.kept[0]["body"] == b"reply"
    assert ledger.kept[0]["request"] == {"method": "GET", "url": URL, "params": {"t": "***", "q": "1"}}


@respx.mock
def test_a_remark_is_kept_with_the_call_it_is_about(
    hold: Callable[..., http.Tally], tmp_path: Path, clock: Clock
) -> None:
    respx.get(URL).respond(200, text="reply")

    def remarking() -> Conversation:
        yield Remark("too early to say anything")
        yield from ask(request())
        yield Remark("ready")

    hold(remarking())
    [call] = Pace(tmp_path / "pace.json", (), clock, clock.sleep).recent()
    assert (call.endpoint, call.came_to) == ("Statement", "ready")
    assert URL.startswith(call.origin + "/")


@respx.mock
def test_a_secret_goes_to_the_broker_and_nowhere_else(
    hold: Callable[..., http.Tally], ledger: Ledger, caplog: pytest.LogCaptureFixture
) -> None:
    route = respx.get(URL).respond(200, text="reply")
    with caplog.at_level(logging.DEBUG):
        hold(once())
    assert CANARY in str(route.calls[0].request.url)
    assert CANARY not in repr(ledger.kept)
    assert CANARY not in caplog.text
    assert "***" in caplog.text
    assert CANARY not in repr(request())


@respx.mock
def test_trouble_on_the_wire_names_no_secret_and_is_landed(hold: Callable[..., http.Tally], ledger: Ledger) -> None:
    respx.get(URL).mock(side_effect=httpx.ReadTimeout("slow"))
    with pytest.raises(Transient) as caught:
        hold(once())
    assert CANARY not in str(caught.value)
    assert ledger.kept[0]["status"] is None


@respx.mock
def test_nobody_there_is_named_and_why(hold: Callable[..., http.Tally]) -> None:
    respx.get(URL).mock(side_effect=httpx.ConnectError("[Errno 111] Connection refused"))
    with pytest.raises(Transient, match=r"^[a-z.]+ cannot be reached \(.* Connection refused\)\.$") as caught:
        hold(once())
    assert caught.value.code == UNREACHABLE


@respx.mock
def test_a_conversation_may_try_another_way_after_trouble_on_the_wire(hold: Callable[..., http.Tally]) -> None:
    respx.get(URL).mock(side_effect=httpx.ConnectError("refused"))
    respx.get(URL + "/other").respond(200, text="reply")
    seen = []

    def stubborn() -> Conversation:
        try:
            yield from ask(request())
        except Transient:
            seen.append((yield from ask(request(url=URL + "/other"))).body)

    hold(stubborn())
    assert seen == [b"reply"]


@respx.mock
def test_a_redirect_is_an_answer_and_is_never_followed(hold: Callable[..., http.Tally], ledger: Ledger) -> None:
    elsewhere = respx.get("https://elsewhere.example/").respond(200)
    respx.get(URL).respond(302, headers={"location": "https://elsewhere.example/"})
    hold(once())
    assert ledger.kept[0]["status"] == 302
    assert not elsewhere.called


@respx.mock
def test_a_redirect_lands_no_secret(hold: Callable[..., http.Tally], ledger: Ledger) -> None:
    respx.get(URL).respond(302, headers={"location": f"https://elsewhere.example/path?t={CANARY}&q=1"})
    hold(once())
    assert ledger.kept[0]["headers"]["location"] == "https://elsewhere.example/path"


@respx.mock
def test_a_reply_beyond_the_cap_is_refused_and_the_request_landed(
    hold: Callable[..., http.Tally], ledger: Ledger
) -> None:
    respx.get(URL).respond(200, content=b"x" * 1001)
    with pytest.raises(ContractViolation, match="more than 1,000 bytes"):
        hold(once())
    [landed] = ledger.kept
    assert landed["body"] == b""
    assert "more than 1,000 bytes" in landed["headers"]["x-trouble"]


@respx.mock
def test_a_pause_is_slept_and_counted(hold: Callable[..., http.Tally], clock: Clock) -> None:
    def patient() -> Conversation:
        yield Pause(3.0, "the statement is being made")
        yield Pause(6.0, "the statement is being made")

    assert hold(patient()).waited_seconds == 9.0
    assert clock.slept == [3.0, 6.0]


@respx.mock
def test_the_generator_is_closed_whatever_happens(hold: Callable[..., http.Tally]) -> None:
    respx.get(URL).respond(200)
    closed = []

    def careful() -> Conversation:
        try:
            yield from ask(request())
            raise ContractViolation("not what was promised")
        finally:
            closed.append(True)

    with pytest.raises(ContractViolation):
        hold(careful())
    assert closed == [True]


@respx.mock
def test_the_pace_is_kept_over_conversations(hold: Callable[..., http.Tally], clock: Clock) -> None:
    respx.get(URL).respond(200)
    limits = Limits(rules=(Limit(1, 1.1), Limit(3, 65.0)))

    def chatty() -> Iterator[Any]:
        for _ in range(2):
            yield from ask(request())

    hold(chatty(), limits)
    hold(chatty(), limits)
    assert [round(seconds, 6) for seconds in clock.slept] == [1.1, 1.1, 62.8]


@respx.mock
def test_after_a_rate_limit_no_conversation_asks_until_it_is_over(
    hold: Callable[..., http.Tally], clock: Clock
) -> None:
    route = respx.get(URL).respond(200)

    def told_off() -> Conversation:
        yield from ask(request())
        raise RateLimited("silence", retry_after=3600.0)

    with pytest.raises(RateLimited):
        hold(told_off())
    with pytest.raises(RateLimited) as again:
        hold(once())
    assert again.value.retry_after == 3600.0
    assert route.call_count == 1
    clock.now += 3601.0
    hold(once())
    assert route.call_count == 2
