"""Who may ask Kraken's private methods, and how often: signature, nonce, lockout, second factor, counter, permissions.

The rules, in the order they are looked at; each refusal is an `E...` string inside an HTTP 200:

- a key that asked wrongly three times in a row is locked out for 15 minutes: `EGeneral:Temporary lockout`
- key unknown or absent: `EAPI:Invalid key`
- nonce absent, no whole number, or beyond 64 bits: `EAPI:Invalid nonce`
- signature not that of the very bytes sent: `EAPI:Invalid signature`
- nonce not above the highest so far of this key, less its nonce window, or seen before: `EAPI:Invalid nonce`;
  a forged request uses up no nonce, any other refusal that follows does
- password wrong or absent where the key demands one: `EAPI:Invalid signature` (so Kraken's support says); of an authenticator app
  the code of this half minute serves, or a neighbour's, again and again unless the key takes each once (undocumented)
- counter of the key: its decay since the last call is taken off, the call's cost put on, and what is above the tier's
  maximum is refused: `EAPI:Rate limit exceeded`. **The refused call costs as much as a served one**, so hammering never
  ends (undocumented; the harsher reading was chosen). The counter falls evenly, not in steps.
- permission missing: `EGeneral:Permission denied`

Lockout is kept by the key text presented, so one connection's mistake does not lock out another's (undocumented).
"""

from __future__ import annotations

import hashlib
import hmac
import struct
from base64 import b32decode, b64decode, b64encode
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal

from connectors.kraken.sandbox_faults import Refused

PERMISSIONS = frozenset({"funds", "orders", "trades", "ledgers", "export", "websocket"})
KRAKENS_NAMES = {
    "funds": "query-funds", "orders": "query-open-trades", "trades": "query-closed-trades", "ledgers": "query-ledger",
    "export": "export-data", "websocket": "create-ws-token",
}  # fmt: skip
STRIKES_BEFORE_LOCKOUT = 3
LOCKOUT = timedelta(minutes=15)
LARGEST_NONCE = 2**64 - 1


@dataclass(frozen=True, slots=True)
class Tier:
    maximum: Decimal
    decay_per_second: Decimal


TIERS = {
    "starter": Tier(Decimal(15), Decimal("0.33")),
    "intermediate": Tier(Decimal(20), Decimal("0.5")),
    "pro": Tier(Decimal(20), Decimal(1)),
}


@dataclass(frozen=True, slots=True)
class Key:
    """An API key as its owner set it up; `nonce_window` is in the nonce's own units, times in seconds, 0 for no bound.

    Permissions that no method here needs may be given by Kraken's own names: `withdraw-funds`.
    """

    secret: str
    tier: str = "starter"
    permissions: frozenset[str] = PERMISSIONS
    nonce_window: int = 0
    otp: str = ""
    totp_secret: str = ""
    takes_codes_once: bool = False
    valid_until: int = 0
    query_from: int = 0
    query_to: int = 0


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a request shows of itself."""

    key: str
    signature: str
    path: str
    body: bytes
    nonce: str
    otp: str


@dataclass(slots=True)
class Counter:
    """A key's rate counter; `high_water` is the highest that it ever stood after a call was served."""

    level: Decimal = Decimal(0)
    high_water: Decimal = Decimal(0)
    refused: int = 0
    _at: datetime | None = None

    def at(self, tier: Tier, now: datetime) -> Decimal:
        """Tell the level at this moment."""
        if self._at is None:
            return self.level
        passed = Decimal((now - self._at) // timedelta(microseconds=1)).scaleb(-6)
        return max(Decimal(0), self.level - passed * tier.decay_per_second)

    def charge(self, cost: int, tier: Tier, now: datetime) -> bool:
        """Put a call's cost on, and tell whether the call may be served."""
        self.level = self.at(tier, now) + cost
        self._at = now
        served = self.level <= tier.maximum
        if served:
            self.high_water = max(self.high_water, self.level)
        else:
            self.refused += 1
        return served


@dataclass(slots=True)
class Admission:
    """The door: what every key has done so far."""

    keys: Mapping[str, Key]
    counters: defaultdict[str, Counter] = field(default_factory=lambda: defaultdict(Counter))
    _highest_nonce: dict[str, int] = field(default_factory=dict)
    _recent_nonces: defaultdict[str, set[int]] = field(default_factory=lambda: defaultdict(set))
    _strikes: defaultdict[str, int] = field(default_factory=lambda: defaultdict(int))
    _locked_until: dict[str, datetime] = field(default_factory=dict)
    _used_codes: set[tuple[str, int]] = field(default_factory=set)

    def admit(self, shown: Credentials, cost: int, permissions: frozenset[str], now: datetime) -> None:
        """Let a request in, or raise `Refused` with the first rule that it breaks."""
        key = self._known(shown.key, now)
        nonce = _read_nonce(shown.nonce)
        if not hmac.compare_digest(signature(key.secret, shown.path, shown.nonce, shown.body), shown.signature):
            raise Refused("EAPI:Invalid signature")
        self._use_nonce(shown.key, key.nonce_window, nonce)
        if key.otp and not hmac.compare_digest(key.otp, shown.otp):
            raise Refused("EAPI:Invalid signature")
        if key.totp_secret:
            self._use_code(shown.key, key, shown.otp, int(now.timestamp()) // 30)
        if not self.counters[shown.key].charge(cost, TIERS[key.tier], now):
            raise Refused("EAPI:Rate limit exceeded")
        if not permissions <= key.permissions:
            raise Refused("EGeneral:Permission denied")

    def level(self, name: str, now: datetime) -> Decimal:
        """Tell a key's counter at this moment."""
        return self.counters[name].at(TIERS[self.keys[name].tier], now)

    def _known(self, name: str, now: datetime) -> Key:
        locked_until = self._locked_until.get(name)
        if locked_until is not None and now < locked_until:
            raise Refused("EGeneral:Temporary lockout")
        key = self.keys.get(name)
        if key is None:
            self._strikes[name] += 1
            if self._strikes[name] >= STRIKES_BEFORE_LOCKOUT:
                self._locked_until[name] = now + LOCKOUT
                self._strikes[name] = 0
            raise Refused("EAPI:Invalid key")
        return key

    def _use_nonce(self, name: str, window: int, nonce: int) -> None:
        highest, recent = self._highest_nonce.get(name, -1), self._recent_nonces[name]
        if nonce <= highest - window or nonce in recent:
            raise Refused("EAPI:Invalid nonce")
        self._highest_nonce[name] = highest = max(highest, nonce)
        self._recent_nonces[name] = {used for used in recent if used > highest - window} | {nonce}

    def _use_code(self, name: str, key: Key, code: str, step: int) -> None:
        for each in (step, step - 1, step + 1):
            if one_time_code(key.totp_secret, each) == code and (name, each) not in self._used_codes:
                if key.takes_codes_once:
                    self._used_codes.add((name, each))
                return
        raise Refused("EAPI:Invalid signature")


def tell_key(name: str, key: Key, nonce: int, now: datetime) -> dict[str, object]:
    """Tell of a key what GetApiKeyInfo tells; the bounds are told here and kept by the lists of trades and ledger entries."""
    seconds = str(int(now.timestamp()))
    return {
        "apiKeyName": "sandbox", "apiKey": name, "nonce": str(nonce), "nonceWindow": key.nonce_window,
        "permissions": sorted(KRAKENS_NAMES.get(each, each) for each in key.permissions),
        "iban": "AA88 N84G WOAK NMOI", "validUntil": str(key.valid_until), "queryFrom": str(key.query_from),
        "queryTo": str(key.query_to), "createdTime": seconds, "modifiedTime": seconds, "ipAllowlist": [], "lastUsed": seconds,
    }  # fmt: skip


def signature(secret: str, path: str, nonce: str, body: bytes) -> str:
    """Sign a request as Kraken's guide says: HMAC-SHA512 over the path and the SHA-256 of nonce and body."""
    digest = hashlib.sha256(nonce.encode() + body).digest()
    return b64encode(hmac.new(b64decode(secret), path.encode() + digest, hashlib.sha512).digest()).decode()


def one_time_code(secret: str, step: int) -> str:
    """Count steps of half a minute since 1970 as RFC 4226 says."""
    hashed = hmac.new(b32decode(secret), struct.pack(">Q", step), hashlib.sha1).digest()
    (cut,) = struct.unpack_from(">I", hashed, hashed[19] & 15)
    return str((cut & 0x7FFFFFFF) % 1_000_000).zfill(6)


def _read_nonce(text: str) -> int:
    if not text.isascii() or not text.isdecimal() or int(text) > LARGEST_NONCE:
        raise Refused("EAPI:Invalid nonce")
    return int(text)
