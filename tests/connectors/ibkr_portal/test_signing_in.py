"""Signing in, without a wire: one question whose answer is a secret, and what is made of it."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from connectors.connector import SignedIn
from connectors.errors import SIGNED_OUT, AuthRequired, ContractViolation, Rejected
from connectors.ibkr_portal import endpoints, replies
from connectors.ibkr_portal.endpoints import Credentials
from connectors.ibkr_portal.signing_in import sign_in
from connectors.wire import Request, Response
from tests.connectors.ibkr_portal.consumers import consumer, keys

NOON = datetime(2026, 3, 5, 17, tzinfo=UTC)
CHANCE = bytes(range(32))


@pytest.fixture(scope="module")
def credentials(tmp_path_factory: pytest.TempPathFactory) -> Credentials:
    return Credentials("https://api.ibkr.com/v1/api", consumer=consumer(keys(), tmp_path_factory.mktemp("keys")))


def asked(credentials: Credentials, status: int, said: Any) -> Any:
    """Answer the one question, and give what comes of it."""
    signing = sign_in(credentials, CHANCE, NOON)
    request = next(signing)
    assert isinstance(request, Request)
    assert (request.endpoint, request.method, request.secret_reply) == ("live_session_token", "POST", True)
    assert request.url == "https://api.ibkr.com/v1/api/oauth/live_session_token"
    assert "Authorization" not in request.headers
    with pytest.raises(StopIteration) as ended:
        signing.send(Response(status, {}, json.dumps(said).encode(), NOON))
    return ended.value.value


def test_a_gateway_is_asked_nothing() -> None:
    with pytest.raises(StopIteration) as ended:
        next(sign_in(Credentials(), CHANCE, NOON))
    assert ended.value.value == SignedIn(Credentials())


def test_what_cannot_be_used_is_said_before_anything_is_asked() -> None:
    with pytest.raises(Rejected, match="It is incomplete without"):
        next(sign_in(Credentials(unusable="It is incomplete without a key."), CHANCE, NOON))


def test_nothing_is_signed_before_something_was_agreed_on(credentials: Credentials) -> None:
    with pytest.raises(ValueError, match="before a live session token"):
        endpoints.auth_status(credentials)


def test_a_reason_that_is_known_is_told_and_the_token_in_it_is_not(credentials: Credentials) -> None:
    assert credentials.consumer is not None
    said = f"id: 118871, error: LST failed, error: No access secret key found for {credentials.consumer.access_token}"
    with pytest.raises(AuthRequired) as caught:
        asked(credentials, 401, {"error": said, "statusCode": 401})
    assert caught.value.code == "token"
    assert credentials.consumer.access_token not in str(caught.value)


def test_a_signed_request_is_never_answered_with_a_gateways_remedy(credentials: Credentials) -> None:
    for status, words in ((200, "not authenticated"), (500, "Access Denied"), (401, ""), (410, "gone")):
        said = Response(status, {}, json.dumps({"error": words}).encode(), NOON)
        with pytest.raises(AuthRequired) as caught:
            replies.read(said, "auth_status", credentials.access)
        assert (caught.value.code, "browser" in str(caught.value)) == (SIGNED_OUT, False)


@pytest.mark.parametrize("status", [200, 400])
def test_words_that_no_table_knows_are_not_quoted(credentials: Credentials, status: int) -> None:
    with pytest.raises(ContractViolation) as caught:
        asked(credentials, status, {"error": "a token 0123456789"})
    assert "0123456789" not in str(caught.value)


@pytest.mark.parametrize(
    "said",
    [
        [], {}, {"diffie_hellman_response": "no number"},
        {"diffie_hellman_response": "ff", "live_session_token_signature": "ff", "live_session_token_expiration": 10**30},
    ],
)  # fmt: skip
def test_an_answer_that_is_no_agreement_is_refused_without_quoting_it(credentials: Credentials, said: Any) -> None:
    with pytest.raises(ContractViolation, match="answered with no agreement"):
        asked(credentials, 200, said)


def test_chance_decides_what_is_asked(credentials: Credentials) -> None:
    other = replace(credentials, base_url="https://api.ibkr.com/v1/api")
    headers = []
    for chance in (CHANCE, bytes(32)[:-1] + b"\x07"):
        request = next(sign_in(other, chance, NOON))
        assert isinstance(request, Request)
        assert request.signed is not None
        headers.append(request.signed(1_772_730_000_000_000_000, 1_772_730_000.0).headers["Authorization"])
    assert 'diffie_hellman_challenge="80"' in headers[1]
    assert headers[0] != headers[1]
