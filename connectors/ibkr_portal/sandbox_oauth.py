"""OAuth 1.0a from the other side: who has registered, which live session tokens are agreed on, and which signature is good.

A signed call is looked at in this order; each refusal is a 401:

- a parameter of OAuth missing, or another signature method than the path has
- the consumer unknown or not active yet: `invalid consumer`
- the access token unknown or revoked: `No access secret key found for ...`
- a timestamp that is minutes off, or goes back; a nonce that was used with this access token before
- the signature: RSA-SHA256 for `live_session_token`, with the secret before the text; HMAC-SHA256 for all else, with any live
  session token that was agreed on
- a live session token that is over after 24 hours: `Access token expired`

The words for consumer and access token were seen in the field, those of the last refusal are IBKR's documents'; all others are made
up. How far off a clock may be is told nowhere. A signature may cover the query, as the specification has it, or leave it out: IBKR
serves clients of both kinds. It may name the server by its address or by the header `Host`.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from urllib.parse import quote, unquote

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from connectors.ibkr_portal.sandbox_asked import Asked
from connectors.ibkr_portal.sandbox_faults import Faults
from connectors.ibkr_portal.sandbox_session import Refused

LIVE_SESSION_TOKEN = "/oauth/live_session_token"
LASTS = timedelta(hours=24)
CLOCKS_APART = timedelta(minutes=5)
BACK = timedelta(seconds=5)  # threads overtake one another
NEEDED = (
    "oauth_consumer_key",
    "oauth_nonce",
    "oauth_signature",
    "oauth_signature_method",
    "oauth_timestamp",
    "oauth_token",
)
EXPIRED: dict[str, object] = {
    "type": "/simple",
    "title": "Unauthorized",
    "status": 401,
    "detail": "Access token expired",
}
GENERATOR = 2
PRIME = int(  # of 2048 bits, from RFC 3526: to look for one takes minutes
    """
    FFFFFFFF FFFFFFFF C90FDAA2 2168C234 C4C6628B 80DC1CD1 29024E08 8A67CC74 020BBEA6 3B139B22 514A0879 8E3404DD
    EF9519B3 CD3A431B 302B0A6D F25F1437 4FE1356D 6D51C245 E485B576 625E7EC6 F44C42E9 A637ED6B 0BFF5CB6 F406B7ED
    EE386BFB 5A899FA5 AE9F2411 7C4B1FE6 49286651 ECE45B3D C2007CB8 A163BF05 98DA4836 1C55D39A 69163FA8 FD24CF5F
    83655D23 DCA3AD96 1C62F356 208552BB 9ED52907 7096966D 670C354E 4ABC9804 F1746C08 CA18217C 32905E46 2E36CE3B
    E39E772C 180E8603 9B2783A2 EC07A28F B5C55DF0 6F4C52C9 DE2BCBF6 95581718 3995497C EA956AE5 15D22618 98FA0510
    15728E5A 8AACAA68 FFFFFFFF FFFFFFFF
    """.replace("\n", "").replace(" ", ""),
    16,
)


@dataclass(frozen=True, slots=True)
class Registration:
    """What a user has registered and was given: their keys, and the secret as IBKR knows it."""

    signature_key: rsa.RSAPrivateKey = field(repr=False)
    encryption_key: rsa.RSAPrivateKey = field(repr=False)
    secret: bytes = field(repr=False)
    access_token: str = field(repr=False)
    consumer_key: str = "SANDBOXED"
    prime: int = field(default=PRIME, repr=False)

    @property
    def access_token_secret(self) -> str:
        """Give the secret as the user is given it: it looks another way each time."""
        encrypted = self.encryption_key.public_key().encrypt(self.secret, padding.PKCS1v15())
        return base64.b64encode(encrypted).decode()


def register() -> Registration:
    """Register anew, with new keys."""
    signature_key, encryption_key = (rsa.generate_private_key(65_537, 2048) for _ in range(2))
    return Registration(signature_key, encryption_key, secrets.token_bytes(32), secrets.token_hex(10))


def write_keys(registered: Registration, folder: Path) -> dict[str, str]:
    """Write what the user keeps in files; gives all that a client needs, by the names of its settings."""
    files = {
        "signature_key": ("private_signature.pem", _pem(registered.signature_key)),
        "encryption_key": ("private_encryption.pem", _pem(registered.encryption_key)),
        "dh_prime": ("dhparam.pem", _dhparam(registered.prime)),
    }
    for name, text in files.values():
        (folder / name).touch(mode=0o600)
        (folder / name).write_bytes(text)
    return {
        "consumer_key": registered.consumer_key,
        "access_token": registered.access_token,
        "access_token_secret": registered.access_token_secret,
        **{what: str(folder / name) for what, (name, _) in files.items()},
    }


@dataclass(slots=True)
class OAuth:
    """Who may call, and with what; all time is told."""

    registered: Registration
    faults: Faults
    live: dict[bytes, datetime] = field(default_factory=dict)  # when each live session token is over
    agreed: int = 0
    _nonces: set[str] = field(default_factory=set)
    _latest: float = 0.0
    _refusals: int = 118_000

    def agree(self, asked: Asked, now: datetime) -> dict[str, object]:
        """Answer the request for a live session token."""
        said = self._said(asked, "RSA-SHA256", now)
        if not self._is_signed_by_key(asked, said):
            raise self._refused("invalid signature")
        try:
            challenge = int(said["diffie_hellman_challenge"], 16)
        except (KeyError, ValueError):
            raise self._refused("invalid diffie_hellman_challenge") from None
        own, prime = int.from_bytes(secrets.token_bytes(32)), self.registered.prime
        token = hmac.digest(_as_java_writes(pow(challenge, own, prime)), self.registered.secret, "sha1")
        if self.faults.strikes("one_live_session", asked.path):
            self.live.clear()
        self.live[token] = now + LASTS
        self.agreed += 1
        proved = b"another" if self.faults.strikes("another_live_session", asked.path) else token
        return {
            "diffie_hellman_response": f"{pow(GENERATOR, own, prime):x}",
            "live_session_token_signature": hmac.new(
                proved, self.registered.consumer_key.encode(), hashlib.sha1
            ).hexdigest(),
            "live_session_token_expiration": int((now + LASTS).timestamp() * 1000),
        }

    def admit(self, asked: Asked, now: datetime) -> None:
        """Let a signed call in, or raise `Refused`."""
        said = self._said(asked, "HMAC-SHA256", now)
        if self.faults.strikes("live_session_expired", asked.path):
            raise Refused(401, EXPIRED)
        ends = [ends for token, ends in self.live.items() if self._is_signed_with(token, asked, said)]
        if not ends:
            raise self._refused("invalid signature")
        if ends[0] <= now:
            raise Refused(401, EXPIRED)

    def log_out(self) -> None:
        """End all that was agreed on (undocumented)."""
        self.live.clear()

    def _said(self, asked: Asked, method: str, now: datetime) -> dict[str, str]:
        """Read the header, and look at everything but the signature."""
        said = {name: unquote(value) for name, value in re.findall(r'(\w+)="([^"]*)"', asked.authorization)}
        if missing := [name for name in NEEDED if not said.get(name)]:
            raise self._refused(f"missing {', '.join(missing)}")
        if said["oauth_signature_method"] != method:
            raise self._refused("invalid signature method")
        inactive = self.faults.strikes("consumer_inactive", asked.path)
        if inactive or said["oauth_consumer_key"] != self.registered.consumer_key:
            raise self._refused("invalid consumer")
        revoked = self.faults.strikes("access_token_revoked", asked.path)
        if revoked or said["oauth_token"] != self.registered.access_token:
            raise self._refused(f"LST failed, error: No access secret key found for {said['oauth_token']}")
        self._require_fresh(said, now)
        return said

    def _require_fresh(self, said: dict[str, str], now: datetime) -> None:
        told = said["oauth_timestamp"]
        moment = float(told) if told.isdecimal() else 0.0
        if abs(moment - now.timestamp()) > CLOCKS_APART.total_seconds() or moment < self._latest - BACK.total_seconds():
            raise self._refused("invalid timestamp")
        if said["oauth_nonce"] in self._nonces:
            raise self._refused("nonce used")
        self._nonces.add(said["oauth_nonce"])
        self._latest = max(self._latest, moment)

    def _is_signed_by_key(self, asked: Asked, said: dict[str, str]) -> bool:
        public = self.registered.signature_key.public_key()
        for text in _signed_texts(asked, said):
            try:
                public.verify(
                    _decoded(said["oauth_signature"]),
                    (self.registered.secret.hex() + text).encode(),
                    padding.PKCS1v15(),
                    hashes.SHA256(),
                )
            except InvalidSignature:
                continue
            return True
        return False

    @staticmethod
    def _is_signed_with(token: bytes, asked: Asked, said: dict[str, str]) -> bool:
        given = _decoded(said["oauth_signature"])
        return any(
            hmac.compare_digest(hmac.digest(token, text.encode(), "sha256"), given)
            for text in _signed_texts(asked, said)
        )

    def _refused(self, why: str) -> Refused:
        self._refusals += 1
        return Refused(401, {"error": f"id: {self._refusals}, error: {why}", "statusCode": 401})


def _signed_texts(asked: Asked, said: dict[str, str]) -> Iterator[str]:
    """Give the texts that a good signature of this call may be of."""
    header = {name: value for name, value in said.items() if name not in {"realm", "oauth_signature"}}
    for address in asked.addresses:
        for query in (dict(asked.params), {}):
            pairs = sorted((quote(name, "~"), quote(value, "~")) for name, value in {**query, **header}.items())
            listed = "&".join(f"{name}={value}" for name, value in pairs)
            yield f"{asked.method}&{quote(address, '~')}&{quote(listed, '~')}"


def _decoded(text: str) -> bytes:
    try:
        return base64.b64decode(text, validate=True)
    except ValueError:
        return b""


def _as_java_writes(number: int) -> bytes:
    """Write a number as `BigInteger.toByteArray` does: big-endian, with a bit for the sign."""
    digits = f"{number:x}"
    written = bytes.fromhex("0" * (len(digits) % 2) + digits)
    return b"\x00" + written if written[0] >= 0x80 else written


def _pem(key: rsa.RSAPrivateKey) -> bytes:
    """Write a key as `openssl genrsa` does."""
    encoding, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    return key.private_bytes(encoding, serialization.PrivateFormat.TraditionalOpenSSL, plain)


def _dhparam(prime: int) -> bytes:
    """Write prime and generator as `openssl dhparam` does."""
    inner = b"".join(_der(0x02, _as_java_writes(number)) for number in (prime, GENERATOR))
    text = base64.encodebytes(_der(0x30, inner)).decode()
    return f"-----BEGIN DH PARAMETERS-----\n{text}-----END DH PARAMETERS-----\n".encode()


def _der(tag: int, content: bytes) -> bytes:
    length = len(content)
    told = bytes([length]) if length < 0x80 else bytes([0x82]) + length.to_bytes(2)
    return bytes([tag]) + told + content
