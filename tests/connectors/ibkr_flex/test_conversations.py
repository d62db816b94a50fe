from __future__ import annotations

import json
from collections.abc import Iterable
from datetime import date, datetime, time, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.errors import AuthRequired, ConnectorError, ContractViolation, RateLimited, Rejected, Transient
from connectors.ibkr_flex import conversations, endpoints, replies
from connectors.ibkr_flex.conversations import PATIENCE, backfill, windows
from connectors.ibkr_flex.endpoints import Credentials
from connectors.wire import Pause, Request, Response, Step, Window

ENVELOPES = Path(__file__).with_name("recorded") / "envelopes"
EXPECTED: dict[str, dict[str, Any]] = json.loads((ENVELOPES / "expected.json").read_text())
CREDENTIALS = Credentials(token="canary-7f31", query_id="917301")
WINDOW = Window(datetime(2025, 1, 1), datetime(2026, 1, 1))
ERRORS = {kind.__name__: kind for kind in (AuthRequired, RateLimited, Transient, Rejected, ContractViolation)}


def answer(name: str) -> Response:
    return Response(200, {}, (ENVELOPES / name).read_bytes())


class Talk:
    """Holds a conversation with prepared answers and keeps what it said; an answer may be trouble to throw."""

    def __init__(self, answers: Iterable[Response | ConnectorError]) -> None:
        self.answers = iter(answers)
        self.requests: list[Request] = []
        self.pauses: list[float] = []

    def hold(self) -> Talk:
        conversation = backfill(CREDENTIALS, WINDOW)
        said: Step = next(conversation)
        while True:
            try:
                if isinstance(said, Pause):
                    self.pauses.append(said.seconds)
                    said = conversation.send(None)
                else:
                    assert isinstance(said, Request)
                    self.requests.append(said)
                    reply = next(self.answers)
                    said = conversation.throw(reply) if isinstance(reply, ConnectorError) else conversation.send(reply)
            except StopIteration:
                return self

    @property
    def endpoints(self) -> list[str]:
        return [request.endpoint for request in self.requests]


def test_a_statement_is_asked_for_polled_and_taken() -> None:
    talk = Talk(
        [answer("success.xml"), answer("warn_1019.xml"), answer("1019_without_status.xml"), answer("statement.xml")]
    ).hold()
    assert talk.endpoints == ["SendRequest", "GetStatement", "GetStatement", "GetStatement"]
    assert talk.pauses == [3.0, 6.0, 12.0]
    assert dict(talk.requests[0].params) == {
        "t": "canary-7f31",
        "q": "917301",
        "v": "3",
        "fd": "20250101",
        "td": "20251231",
    }
    assert all(request.headers["User-Agent"] for request in talk.requests)


def test_a_query_that_hangs_with_dates_is_asked_for_its_stored_period() -> None:
    request = endpoints.send_request(Credentials("t", "q", asks_dates=False), WINDOW)
    assert dict(request.params) == {"t": "t", "q": "q", "v": "3"}


def test_a_statement_that_is_never_made_ends_after_ten_minutes() -> None:
    answers = [answer("success.xml"), *(answer("warn_1019.xml") for _ in range(40))]
    talk = Talk(answers)
    with pytest.raises(Transient, match="did not finish"):
        talk.hold()
    assert PATIENCE - 30 <= sum(talk.pauses) <= PATIENCE


def test_too_many_requests_is_waited_out_once_and_then_left_to_the_runner() -> None:
    talk = Talk([answer("fail_1018.xml"), answer("success.xml"), answer("statement.xml")]).hold()
    assert talk.pauses == [65.0, 3.0]
    with pytest.raises(RateLimited):
        Talk([answer("fail_1018.xml"), answer("fail_1018.xml")]).hold()


def test_a_locked_query_is_left_alone_for_an_hour() -> None:
    with pytest.raises(RateLimited) as caught:
        Talk([answer("success.xml"), answer("warn_1025.xml")]).hold()
    assert caught.value.retry_after == 3600.0


def test_an_expired_token_asks_for_a_new_one_after_one_request() -> None:
    talk = Talk([answer("fail_1012.xml")])
    with pytest.raises(AuthRequired) as caught:
        talk.hold()
    assert len(talk.requests) == 1
    assert "generate a token" in caught.value.remedy
    assert "canary" not in str(caught.value)


def test_a_forgotten_reference_is_asked_for_anew_once() -> None:
    talk = Talk([answer("success.xml"), answer("fail_1017.xml"), answer("success.xml"), answer("statement.xml")]).hold()
    assert talk.endpoints == ["SendRequest", "GetStatement", "SendRequest", "GetStatement"]
    with pytest.raises(Transient):
        Talk([answer("success.xml"), answer("fail_1017.xml"), answer("success.xml"), answer("fail_1017.xml")]).hold()


def test_the_returned_address_is_tried_first_and_the_documented_one_after_it() -> None:
    unreachable = Transient("no answer", code="ConnectError")
    talk = Talk([answer("success_gdcdyn_url_over_lines.xml"), unreachable, answer("statement.xml")]).hold()
    assert [request.url.split("/")[2] for request in talk.requests[1:]] == [
        "gdcdyn.interactivebrokers.com",
        "ndcdyn.interactivebrokers.com",
    ]


@pytest.mark.parametrize(
    "name", ["success_foreign_host_url.xml", "success_plain_http_url.xml", "success_without_url.xml"]
)
def test_the_token_goes_to_no_other_address(name: str) -> None:
    talk = Talk([answer(name), answer("statement.xml")]).hold()
    assert talk.requests[1].url == f"{endpoints.BASE_URL}/GetStatement"


@pytest.mark.parametrize(
    "url",
    [
        "https://ndcdyn.interactivebrokers.com.evil.example/AccountManagement/FlexWebService/GetStatement",
        "https://evil.example/AccountManagement/FlexWebService/GetStatement",
        "http://gdcdyn.interactivebrokers.com/Universal/servlet/x",
        "https://gdcdyn.interactivebrokers.com/elsewhere",
        "https://user@gdcdyn.interactivebrokers.com/Universal/servlet/x",
        "https://gdcdyn.interactivebrokers.com:8443/Universal/servlet/x",
        "https://[broken/Universal/servlet/x",
        "",
    ],
)
def test_an_address_that_only_looks_like_ibkr_is_not_trusted(url: str) -> None:
    assert not endpoints.may_be_trusted(url, endpoints.BASE_URL)


@pytest.mark.parametrize("name", sorted(EXPECTED))
def test_every_recorded_answer_is_read_as_it_is_meant(name: str) -> None:
    expected = EXPECTED[name]
    outcome, response = expected["outcome"], answer(name)
    read = replies.read_ticket if expected["of"] == "SendRequest" else replies.still_generating
    if outcome == "ticket":
        ticket = replies.read_ticket(response)
        trusted = ticket.url if endpoints.may_be_trusted(ticket.url, endpoints.BASE_URL) else None
        assert (ticket.reference, trusted) == (expected["reference_code"], expected["url"])
    elif outcome in ("still generating", "statement"):
        assert replies.still_generating(response) is (outcome == "still generating")
    else:
        kinds = tuple(ERRORS[kind] for kind in outcome.split(" or ") if kind in ERRORS) or (Transient,)
        with pytest.raises(ConnectorError) as caught:
            read(response)
        assert isinstance(caught.value, kinds)
        assert caught.value.code == expected.get("code", caught.value.code)


@pytest.mark.parametrize(
    ("status", "kind"), [(429, RateLimited), (503, Transient), (403, Rejected), (302, ContractViolation)]
)
def test_an_http_status_is_sorted_before_the_body_is_read(status: int, kind: type[ConnectorError]) -> None:
    with pytest.raises(kind):
        replies.read_ticket(Response(status, {}, (ENVELOPES / "success.xml").read_bytes()))


@given(since=st.dates(date(2000, 1, 1), date(2030, 1, 1)), days=st.integers(1, 4000))
def test_windows_cover_the_span_once_in_order_and_none_is_over_a_year(since: date, days: int) -> None:
    since, until = (datetime.combine(day, time.min) for day in (since, since + timedelta(days=days)))
    pieces = windows(since, until)
    assert pieces[0].since == since
    assert pieces[-1].until == until
    assert all(before.until == after.since for before, after in pairwise(pieces))
    assert all((piece.until - piece.since).days <= conversations.LONGEST.days for piece in pieces)
