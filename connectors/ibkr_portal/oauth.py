"""IBKR's own OAuth 1.0a: what a consumer has, the live session token that both sides come to, and what is signed with which.

The user has uploaded two public keys and a Diffie-Hellman prime, and was given an access token with its secret, which only the
private encryption key can read. About once a day both sides agree on a live session token: it is computed by each and never
sent. The request for it is signed with the private signature key, all others with the token. Nothing here draws chance or reads
a clock: the exponent of the agreement is handed in, and a request is signed when it is sent, with a nonce that is the time.

https://www.interactivebrokers.com/campus/ibkr-api-page/oauth-1-0a-extended/
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from connectors.ibkr_portal import dhparam
from connectors.ibkr_portal.signature import authorization, base_string
from connectors.wire import Request

REALM = "limited_poa"
TEST_REALM, TEST_CONSUMER = "test_realm", "TESTCONS"  # IBKR's public consumer for paper accounts has a realm of its own
GENERATOR = 2
A_SECOND = 1_000_000_000  # in nonces, which are the time in nanoseconds


@dataclass(frozen=True, slots=True)
class Consumer:
    """What was registered at IBKR and what was given for it; all of it text. Raises `ValueError` for what cannot be one."""

    consumer_key: str = field(repr=False)
    access_token: str = field(repr=False)
    access_token_secret: str = field(repr=False)  # base64, encrypted for the encryption key
    signature_key: str = field(repr=False)  # private, PEM
    encryption_key: str = field(repr=False)  # private, PEM
    dh_prime: str = field(repr=False)  # hexadecimal, or what is in dhparam.pem
    realm: str = REALM

    def __post_init__(self) -> None:
        _private_key(self.signature_key, "signature key")
        _private_key(self.encryption_key, "encryption key")
        _parameters(self.dh_prime)
        try:
            _secret(self)
        except ValueError:
            message = "The access token secret is not whole, or was made for another encryption key."
            raise ValueError(message) from None


@dataclass(frozen=True, slots=True)
class Agreement:
    """What IBKR answers to the request for a live session token."""

    response: int = field(repr=False)  # its half of the exchange
    proof: str = field(repr=False)  # that it came to the same token
    ends_at: datetime


@dataclass(frozen=True, slots=True)
class LiveSession:
    """The token that signs requests for a day."""

    token: bytes = field(repr=False)
    ends_at: datetime


def realm_of(consumer_key: str) -> str:
    """Tell the realm of a consumer, where nobody says another."""
    return TEST_REALM if consumer_key == TEST_CONSUMER else REALM


def asking(consumer: Consumer, request: Request, exponent: int) -> Request:
    """Make a request that asks for a live session token: it is signed with the private signature key."""
    key = _private_key(consumer.signature_key, "signature key")
    secret = _secret(consumer).hex()
    prime, generator = _parameters(consumer.dh_prime)
    challenge = f"{pow(generator, exponent, prime):x}"

    def sign(base: str) -> bytes:
        return key.sign(
            (secret + base).encode(), padding.PKCS1v15(), hashes.SHA256()
        )  # the secret goes before the text

    return _signed(consumer, request, "RSA-SHA256", sign, {"diffie_hellman_challenge": challenge})


def agreed(consumer: Consumer, exponent: int, told: Agreement) -> LiveSession | None:
    """Compute the live session token; None where IBKR came to another, as it does with another prime."""
    prime, _ = _parameters(consumer.dh_prime)
    token = hmac.digest(_bytes(pow(told.response, exponent, prime)), _secret(consumer), "sha1")
    proof = hmac.new(token, consumer.consumer_key.encode(), hashlib.sha1).hexdigest()
    return LiveSession(token, told.ends_at) if hmac.compare_digest(proof, told.proof.lower()) else None


def signed(consumer: Consumer, request: Request, session: LiveSession) -> Request:
    """Make a request that is signed with the live session token when it is sent.

    What the query says is signed, as the specification has it that IBKR names. Clients that sign none of it, or sign it
    otherwise, are known to be served all the same; how strict IBKR is, is written nowhere.
    """

    def sign(base: str) -> bytes:
        return hmac.digest(session.token, base.encode(), "sha256")

    return _signed(consumer, request, "HMAC-SHA256", sign, {})


def _signed(
    consumer: Consumer, request: Request, method: str, sign: Callable[[str], bytes], more: Mapping[str, str]
) -> Request:
    """Make a request as it is landed and shown; given a nonce, `signed` makes of it what goes over the wire."""

    def as_sent(nonce: int, _moment: float) -> Request:
        said = {
            "oauth_consumer_key": consumer.consumer_key,
            "oauth_nonce": f"{nonce:x}",
            "oauth_signature_method": method,
            "oauth_timestamp": str(nonce // A_SECOND),  # never before the last one, as IBKR wants it
            "oauth_token": consumer.access_token,
            **more,
        }
        base = base_string(request.method, request.url, [*request.params.items(), *said.items()])
        signature = base64.b64encode(sign(base)).decode()
        header = authorization(consumer.realm, {**said, "oauth_signature": signature})
        return replace(request, headers={**request.headers, "Authorization": header}, signed=None)

    return replace(request, signed=as_sent)


def _secret(consumer: Consumer) -> bytes:
    """Read the access token secret. A key that is not the one it was encrypted for may give other bytes instead of an error."""
    key = _private_key(consumer.encryption_key, "encryption key")
    return key.decrypt(base64.b64decode(consumer.access_token_secret, validate=True), padding.PKCS1v15())


def _bytes(number: int) -> bytes:
    """Write a number as Java does, with room for a sign: a number that fills its bytes has a zero before them."""
    return number.to_bytes(number.bit_length() // 8 + 1, "big")


def _private_key(pem: str, what: str) -> rsa.RSAPrivateKey:
    try:
        key = serialization.load_pem_private_key(pem.encode(), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        message = f"The {what} is no private key in the form PEM, without a password."
        raise ValueError(message) from None  # its cause may quote the key
    if not isinstance(key, rsa.RSAPrivateKey):
        message = f"The {what} is no RSA key."
        raise ValueError(message)  # noqa: TRY004  (what is wrong is the user's text)
    return key


def _parameters(text: str) -> tuple[int, int]:
    """Read prime and generator out of dhparam.pem, or take a hexadecimal prime."""
    try:
        return dhparam.read(text) if "BEGIN" in text else (int("".join(text.split()), 16), GENERATOR)
    except ValueError:
        message = "The Diffie-Hellman prime is neither hexadecimal nor what openssl dhparam writes."
        raise ValueError(message) from None
