"""Signed calls at the sandbox: other people's client is served, and what is forged, stale, used or unknown is refused."""

from __future__ import annotations

import base64
import json
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest
from ibind import IbkrClient
from ibind.oauth import oauth1a
from ibind.oauth.oauth1a import OAuth1aConfig
from ibind.support.errors import ExternalBrokerError

from connectors.ibkr_portal import endpoints, oauth
from connectors.ibkr_portal.endpoints import Credentials
from connectors.ibkr_portal.oauth import LiveSession
from connectors.ibkr_portal.sandbox import ACCOUNTS, Clock, Gateway, running, write_keys
from connectors.ibkr_portal.sandbox_asked import Asked
from connectors.ibkr_portal.sandbox_gateway import Answer
from connectors.ibkr_portal.sandbox_oauth import OAuth
from connectors.wire import Request
from tests.connectors.ibkr_portal.caller import THURSDAY_EVENING
from tests.connectors.ibkr_portal.consumers import consumer, keys

ORIGIN = "https://127.0.0.1:5000"
EXPONENT = 12_345
LATER = 20  # seconds, more than any limit but that of the login


# -- ibind, unchanged but for the base URL


class HurryingClock(Clock):
    """Six seconds pass at each look, for ibind keeps to no limits; it looks at the machine's clock itself."""

    def __call__(self) -> datetime:
        self.advance(6)
        return super().__call__()


@pytest.fixture
def ibind(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., IbkrClient]]:
    """Give what starts ibind with OAuth; it stops it, too."""
    gateway = Gateway(clock=HurryingClock())
    gateway.oauth = OAuth(keys(), gateway.faults)
    with running(gateway) as where:
        monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(where.ca_file))  # with OAuth it takes no certificate
        given = write_keys(keys(), where.ca_file.parent)
        started: list[IbkrClient] = []

        def start(**other: Any) -> IbkrClient:
            config = OAuth1aConfig(
                oauth_rest_url=f"{where.base_url}/",
                access_token=given["access_token"],
                access_token_secret=given["access_token_secret"],
                consumer_key=given["consumer_key"],
                dh_prime=f"{keys().prime:x}",
                encryption_key_fp=given["encryption_key"],
                signature_key_fp=given["signature_key"],
                **other,
            )
            client = IbkrClient(
                account_id=ACCOUNTS[0].number, max_retries=0, auto_register_shutdown=False, use_oauth=True,
                oauth_config=config,
            )  # fmt: skip
            started.append(client)
            return client

        yield start
        for client in started:
            client.close()


def test_ibind_signs_in_and_brings_home_the_trades(ibind: Callable[..., IbkrClient]) -> None:
    client = ibind()
    assert client.check_auth_status() is True
    assert client.receive_brokerage_accounts().data["selectedAccount"] == ACCOUNTS[0].number
    assert client.trades(days="7", account_id=ACCOUNTS[0].number).data == []
    rows = client.trades(days="7", account_id=ACCOUNTS[0].number).data
    assert rows
    conids = sorted({str(row["conid"]) for row in rows})
    assert [str(row["conid"]) for row in client.security_definition_by_conid(conids).data["secdef"]] == conids


def test_ibind_is_refused_with_another_consumer_key(ibind: Callable[..., IbkrClient]) -> None:
    with pytest.raises(TypeError):
        ibind(consumer_key="ANOTHERAB")
    client = ibind()
    client.oauth_config.consumer_key = "ANOTHERAB"
    with pytest.raises(ExternalBrokerError, match="invalid consumer") as refused:
        client.tickle()
    assert refused.value.status_code == 401
    client.oauth_config.consumer_key = keys().consumer_key


# -- calls of our own, some of them wrong


class Caller:
    """Signs as our connector does, by a clock of its own, and asks the gateway without a wire."""

    def __init__(self, gateway: Gateway, credentials: Credentials) -> None:
        self.gateway = gateway
        self.credentials = credentials

    @property
    def nonce(self) -> int:
        return int(self.gateway.now().timestamp() * 1e9) + time.monotonic_ns() % 1_000_000

    def asked(self, request: Request, nonce: int | None = None) -> Asked:
        assert request.signed is not None
        at = nonce or self.nonce
        signed = request.signed(at, at / 1e9)
        path = signed.url.removeprefix(f"{ORIGIN}/v1/api")
        return Asked(
            signed.method, path, signed.params, signed.body, authorization=signed.headers["Authorization"],
            addresses=(signed.url,),
        )  # fmt: skip

    def say(self, asked: Asked) -> tuple[int, Any]:
        self.gateway.now.advance(LATER)
        answer: Answer = self.gateway.answer(asked)
        return answer.status, json.loads(answer.body)

    def request_of_token(self) -> Request:
        assert self.credentials.consumer is not None
        return endpoints.live_session_token(self.credentials, self.credentials.consumer, EXPONENT)

    def sign_in(self) -> None:
        from connectors.ibkr_portal import replies  # noqa: PLC0415
        from connectors.wire import Response  # noqa: PLC0415

        status, said = self.say(self.asked(self.request_of_token()))
        told = replies.read(Response(status, {}, json.dumps(said).encode()), "live_session_token")
        assert self.credentials.consumer is not None
        session = oauth.agreed(self.credentials.consumer, EXPONENT, told)
        assert session is not None
        self.credentials = replace(self.credentials, session=session)

    def status(self) -> Asked:
        return self.asked(endpoints.auth_status(self.credentials))


@pytest.fixture
def gateway() -> Gateway:
    gateway = Gateway(clock=Clock(THURSDAY_EVENING))
    gateway.oauth = OAuth(keys(), gateway.faults)
    return gateway


@pytest.fixture
def caller(gateway: Gateway, tmp_path_factory: pytest.TempPathFactory) -> Caller:
    user = consumer(keys(), tmp_path_factory.mktemp("keys"))
    return Caller(gateway, Credentials(f"{ORIGIN}/v1/api", consumer=user))


@pytest.fixture
def known(caller: Caller) -> Caller:
    """Give a caller that has signed in."""
    caller.sign_in()
    return caller


def refused(said: tuple[int, Any], words: str) -> bool:
    return said[0] == 401 and words in json.dumps(said[1])


def test_a_signed_call_needs_no_login(known: Caller, gateway: Gateway) -> None:
    assert known.say(known.status())[0] == 200
    assert known.say(Asked("POST", "/iserver/auth/status"))[0] == 200  # one username, whoever asks
    gateway.end_login()
    assert known.say(Asked("POST", "/iserver/auth/status"))[0] == 401
    assert known.say(known.status())[0] == 200


def test_a_call_before_anything_was_agreed_on_is_refused(caller: Caller) -> None:
    caller.credentials = replace(caller.credentials, session=LiveSession(b"guess", THURSDAY_EVENING))
    assert refused(caller.say(caller.status()), "invalid signature")


@pytest.mark.parametrize("change", ["path", "method", "params", "signature", "token"])
def test_a_call_that_was_changed_on_its_way_is_refused(known: Caller, change: str) -> None:
    asked = known.asked(endpoints.trades(known.credentials, "U1"))
    header = asked.authorization
    changed = {
        "path": replace(asked, path="/iserver/accounts", addresses=(f"{ORIGIN}/v1/api/iserver/accounts",)),
        "method": replace(asked, method="POST"),
        "params": replace(asked, params={**asked.params, "accountId": "U2"}),
        "signature": replace(asked, authorization=header.replace('oauth_signature="', 'oauth_signature="A')),
        "token": replace(asked, authorization=header.replace('oauth_token="', 'oauth_token="A')),
    }[change]
    assert known.say(changed)[0] == 401


def test_a_nonce_is_good_once(known: Caller) -> None:
    asked = known.status()
    assert known.say(asked)[0] == 200
    assert refused(known.say(asked), "nonce used")


@pytest.mark.parametrize("seconds", [-600, 600])
def test_a_clock_that_is_minutes_off_is_refused(known: Caller, seconds: int) -> None:
    request = endpoints.auth_status(known.credentials)
    assert refused(known.say(known.asked(request, known.nonce + seconds * 1_000_000_000)), "invalid timestamp")


def test_a_time_that_goes_back_is_refused(known: Caller, gateway: Gateway) -> None:
    before = known.nonce
    gateway.now.advance(LATER)
    assert known.say(known.status())[0] == 200
    assert refused(known.say(known.asked(endpoints.auth_status(known.credentials), before)), "invalid timestamp")


def test_a_live_session_token_is_over_after_a_day(known: Caller, gateway: Gateway) -> None:
    gateway.now.advance(24 * 3600)
    assert known.say(known.status()) == (
        401, {"type": "/simple", "title": "Unauthorized", "status": 401, "detail": "Access token expired"},
    )  # fmt: skip
    known.sign_in()
    assert known.say(known.status())[0] == 200


def test_an_earlier_token_stays_good_unless_the_server_is_of_the_other_kind(known: Caller, gateway: Gateway) -> None:
    earlier = known.credentials
    known.sign_in()
    later, known.credentials = known.credentials, earlier
    assert known.say(known.status())[0] == 200
    gateway.faults.on("one_live_session")
    known.credentials = later
    known.sign_in()
    known.credentials = later
    assert refused(known.say(known.status()), "invalid signature")


@pytest.mark.parametrize(
    ("fault", "words"),
    [("consumer_inactive", "invalid consumer"), ("access_token_revoked", "No access secret key found for")],
)
def test_who_is_not_known_is_refused_in_the_words_that_were_seen(
    caller: Caller, gateway: Gateway, fault: str, words: str
) -> None:
    gateway.faults.on(fault)
    assert refused(caller.say(caller.asked(caller.request_of_token())), words)


def test_the_wrong_key_is_refused(caller: Caller) -> None:
    assert caller.credentials.consumer is not None
    wrong = replace(caller.credentials.consumer, signature_key=caller.credentials.consumer.encryption_key)
    caller.credentials = replace(caller.credentials, consumer=wrong)
    assert refused(caller.say(caller.asked(caller.request_of_token())), "invalid signature")


def test_a_header_without_its_parts_is_refused(known: Caller) -> None:
    assert refused(known.say(replace(known.status(), authorization="Bearer x")), "missing oauth_consumer_key")
    token = known.asked(known.request_of_token())
    assert refused(known.say(replace(known.status(), authorization=token.authorization)), "signature method")


def test_a_query_may_be_left_out_of_what_is_signed(known: Caller) -> None:
    """As ibind does it."""
    assert known.credentials.session is not None
    bare = replace(endpoints.secdef(known.credentials, ["1", "2"]), params={}, signed=None)
    assert known.credentials.consumer is not None
    asked = known.asked(oauth.signed(known.credentials.consumer, bare, known.credentials.session))
    assert known.say(replace(asked, params={"conids": "1,2"}))[0] == 200


def test_a_logout_ends_what_was_agreed_on(known: Caller) -> None:
    assert known.credentials.consumer is not None and known.credentials.session is not None
    request = Request("logout", "POST", f"{ORIGIN}/v1/api/logout")
    logout = known.asked(oauth.signed(known.credentials.consumer, request, known.credentials.session))
    assert known.say(logout) == (200, {"status": True})
    assert refused(known.say(known.status()), "invalid signature")


def test_signed_calls_may_be_more(known: Caller, gateway: Gateway) -> None:
    asked = [known.asked(endpoints.auth_status(known.credentials), known.nonce + each * 1_000) for each in range(51)]
    gateway.now.advance(LATER)
    assert [gateway.answer(each).status for each in asked] == [200] * 50 + [429]


def test_the_secret_looks_another_way_each_time(caller: Caller) -> None:
    assert keys().access_token_secret != keys().access_token_secret
    assert caller.credentials.consumer is not None
    prepend = oauth1a.calculate_live_session_token_prepend(
        keys().access_token_secret,
        oauth1a.read_private_key(private_key_content=caller.credentials.consumer.encryption_key),
    )
    assert base64.b16decode(prepend.upper()) == keys().secret
