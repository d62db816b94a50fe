"""The live session token, and what it signs: computed by both sides alike, at the odd lengths of numbers, too."""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import unquote

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding
from hypothesis import given, settings
from hypothesis import strategies as st
from ibind.oauth import oauth1a

from connectors.ibkr_portal import dhparam, oauth
from connectors.ibkr_portal.oauth import Agreement, Consumer, LiveSession
from connectors.ibkr_portal.sandbox_oauth import PRIME, write_keys
from connectors.wire import Request
from tests.connectors.ibkr_portal.consumers import consumer, keys

NOON = datetime(2026, 3, 5, 17, tzinfo=UTC)
NONCE = 1_772_730_000_123_456_789  # 2026-03-05 17:00 UTC, and a little more
REQUEST = Request(
    "trades", "GET", "https://api.ibkr.com/v1/api/iserver/account/trades", {"days": "7", "accountId": "U1"}
)
LIVE = LiveSession(b"\x07" * 20, NOON)


@pytest.fixture(scope="module")
def user(tmp_path_factory: pytest.TempPathFactory) -> Consumer:
    return consumer(keys(), tmp_path_factory.mktemp("keys"))


def sent(request: Request, nonce: int = NONCE) -> tuple[Request, dict[str, str]]:
    """Give a request as it goes over the wire, and what its header says."""
    assert request.signed is not None
    signed = request.signed(nonce, nonce / 1e9)
    header = signed.headers["Authorization"]
    return signed, {name: unquote(value) for name, value in re.findall(r'(\w+)="([^"]*)"', header)}


def agreement(user: Consumer, exponent: int, own: int, *, prime: int = PRIME) -> tuple[str, Agreement]:
    """Answer as IBKR does, by ibind's arithmetic; gives the token, too."""
    secret = keys().secret.hex()
    challenge = f"{pow(2, exponent, prime):x}"
    token = oauth1a.calculate_live_session_token(f"{prime:x}", f"{own:x}", challenge, secret)
    proof = hmac.new(base64.b64decode(token), user.consumer_key.encode(), hashlib.sha1).hexdigest()
    return token, Agreement(pow(2, own, prime), proof, NOON)


@settings(max_examples=30, deadline=None)  # each takes as long as a real exchange
@given(exponent=st.integers(2, 2**256 - 1), own=st.integers(2, 2**256 - 1))
def test_both_sides_come_to_the_same_token(user: Consumer, exponent: int, own: int) -> None:
    token, told = agreement(user, exponent, own)
    session = oauth.agreed(user, exponent, told)
    assert session is not None
    assert (base64.b64encode(session.token).decode(), session.ends_at) == (token, NOON)


@pytest.mark.parametrize("shared", [0x7F, 0x80, 0xFF, 0x100, 0x7FFF, 0x8000, 0xABC, 2**2047, 2**2040 - 1])
def test_a_number_is_written_with_room_for_a_sign(shared: int) -> None:
    assert oauth._bytes(shared) == bytes(oauth1a.to_byte_array(shared))  # noqa: SLF001  (no exchange comes to these)


def test_another_prime_comes_to_another_token(user: Consumer) -> None:
    _, told = agreement(user, 12_345, 67_890)
    assert oauth.agreed(replace(user, dh_prime=f"{PRIME - 2:x}"), 12_345, told) is None


def test_a_proof_may_be_printed_in_capitals(user: Consumer) -> None:
    _, told = agreement(user, 12_345, 67_890)
    assert oauth.agreed(user, 12_345, replace(told, proof=told.proof.upper())) is not None


def test_a_request_is_signed_with_the_token_over_its_query(user: Consumer) -> None:
    signed, said = sent(oauth.signed(user, REQUEST, LIVE))
    header = {name: value for name, value in said.items() if name not in {"realm", "oauth_signature"}}
    base = oauth1a.generate_base_string("GET", REQUEST.url, header, request_params=dict(REQUEST.params))
    token = base64.b64encode(LIVE.token).decode()
    assert said["oauth_signature"] == unquote(oauth1a.generate_hmac_sha_256_signature(base, token))
    assert said["realm"] == "limited_poa"
    assert (signed.params, signed.url, signed.method) == (REQUEST.params, REQUEST.url, REQUEST.method)


def test_the_request_for_a_token_is_signed_with_the_key_over_the_secret(user: Consumer) -> None:
    request = Request("live_session_token", "POST", "https://api.ibkr.com/v1/api/oauth/live_session_token")
    _, said = sent(oauth.asking(user, request, 12_345))
    assert int(said["diffie_hellman_challenge"], 16) == pow(2, 12_345, PRIME)
    header = {name: value for name, value in said.items() if name not in {"realm", "oauth_signature"}}
    base = oauth1a.generate_base_string("POST", request.url, header, prepend=keys().secret.hex())
    public = keys().signature_key.public_key()
    given_signature = base64.b64decode(said["oauth_signature"])
    public.verify(given_signature, base.encode(), padding.PKCS1v15(), hashes.SHA256())
    with pytest.raises(InvalidSignature):
        public.verify(given_signature, base.encode() + b" ", padding.PKCS1v15(), hashes.SHA256())


def test_a_nonce_is_the_time_and_never_the_same(user: Consumer) -> None:
    request = oauth.signed(user, REQUEST, LIVE)
    said = [sent(request, nonce)[1] for nonce in (NONCE, NONCE + 1)]
    assert [each["oauth_timestamp"] for each in said] == ["1772730000"] * 2
    assert len({each["oauth_nonce"] for each in said}) == 2
    assert len({each["oauth_signature"] for each in said}) == 2


def test_nothing_secret_is_shown(user: Consumer) -> None:
    _, told = agreement(user, 12_345, 67_890)
    session = oauth.agreed(user, 12_345, told)
    assert session is not None
    shown = repr(
        [user, told, session, oauth.signed(user, REQUEST, session), sent(oauth.signed(user, REQUEST, session))[0]]
    )
    for secret in (
        user.access_token, user.access_token_secret, user.signature_key, user.encryption_key, keys().secret.hex(),
        repr(session.token), session.token.hex(), told.proof, "Authorization",
    ):  # fmt: skip
        assert secret not in shown


def test_the_public_test_consumer_has_a_realm_of_its_own() -> None:
    assert (oauth.realm_of("TESTCONS"), oauth.realm_of("ABCDEFGHI")) == ("test_realm", "limited_poa")


# -- what cannot be a consumer


def other_kind_of_key() -> str:
    key = ec.generate_private_key(ec.SECP256R1())
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    ).decode()


@pytest.mark.parametrize(
    ("part", "text", "said"),
    [
        ("signature_key", "no key", "The signature key is no private key"),
        ("signature_key", other_kind_of_key(), "The signature key is no RSA key"),
        ("encryption_key", "no key", "The encryption key is no private key"),
        ("access_token_secret", "c2hvcnQ=", "The access token secret is not whole"),
        ("access_token_secret", "no base64", "The access token secret is not whole"),
        ("dh_prime", "no prime", "The Diffie-Hellman prime is neither"),
        ("dh_prime", "-----BEGIN DH PARAMETERS-----\nMEYC\n-----END DH PARAMETERS-----", "The Diffie-Hellman prime is neither"),
        ("dh_prime", "-----BEGIN DH PARAMETERS-----\n\n-----END DH PARAMETERS-----", "The Diffie-Hellman prime is neither"),
    ],
)  # fmt: skip
def test_what_cannot_be_one_is_said_without_showing_it(user: Consumer, part: str, text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said) as caught:
        replace(user, **{part: text})
    assert text not in str(caught.value)


def test_a_key_with_a_password_is_refused(user: Consumer) -> None:
    locked = keys().signature_key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"open-sesame"),
    )
    with pytest.raises(ValueError, match="without a password"):
        replace(user, signature_key=locked.decode())


def test_keys_are_read_in_both_forms_and_without_their_lines(user: Consumer) -> None:
    modern = keys().signature_key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    assert replace(user, signature_key=modern.decode()) != user


# -- the prime


OPENSSL_WROTE = """-----BEGIN DH PARAMETERS-----
MEYCQQCuSn5QpsyxkMsk2uUQCtlXdf6gwlGj9gKn02JQOt4yLdNpl7BjlAsFPznm
wGwUJmUOVhcds4Zvh0RD6ZeaMICPAgEC
-----END DH PARAMETERS-----
"""


def test_a_prime_is_read_as_openssl_writes_it() -> None:
    prime, generator = dhparam.read(OPENSSL_WROTE)
    assert generator == 2
    assert f"{prime:x}" == (
        "ae4a7e50a6ccb190cb24dae5100ad95775fea0c251a3f602a7d362503ade322d"
        "d36997b063940b053f39e6c06c1426650e56171db3866f874443e9979a30808f"
    )


def test_a_large_prime_is_read_too(tmp_path: Path) -> None:
    written = write_keys(keys(), tmp_path)["dh_prime"]
    assert dhparam.read(Path(written).read_text()) == (PRIME, 2)


@given(st.integers(0, 300), st.binary(max_size=3))
def test_a_prime_that_is_damaged_is_refused_or_another_number(place: int, instead: bytes) -> None:
    der = base64.b64decode("".join(OPENSSL_WROTE.splitlines()[1:-1]))
    damaged = base64.b64encode(der[:place] + instead).decode()
    with suppress(ValueError):
        dhparam.read(f"-----BEGIN DH PARAMETERS-----\n{damaged}\n-----END DH PARAMETERS-----")
