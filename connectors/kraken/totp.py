"""Make the one-time code of a key whose second factor is an authenticator app: RFC 6238, six digits, SHA-1, new every 30 s.

https://support.kraken.com/articles/360000714526-how-does-two-factor-authentication-2fa-for-api-keys-work- says that each
call needs a code. Whether Kraken takes one twice is not documented: clients in the field send one with call after call,
the RFC (5.2) forbids it. So a code serves as long as it is taken; `asking` waits for the next where one is refused.
"""

from __future__ import annotations

import base64
import hmac

STEP = 30  # seconds
DIGITS = 6


def key_of(secret: str) -> bytes:
    """Read the secret as Kraken shows it beside the picture: base32, in any case, blanks and padding as one likes.

    Raises `ValueError` for anything else.
    """
    letters = "".join(secret.split()).rstrip("=").upper()
    try:
        key = base64.b32decode(letters + "=" * (-len(letters) % 8))
    except ValueError:
        key = b""
    if not key:
        message = "The TOTP secret is not whole: it is base32, the letters A to Z and the digits 2 to 7."
        raise ValueError(message) from None
    return key


def code_at(secret: str, moment: float) -> str:
    """Give the code of a moment (seconds since 1970)."""
    digest = hmac.digest(key_of(secret), (int(moment) // STEP).to_bytes(8, "big"), "sha1")
    place = digest[-1] & 0xF
    number = int.from_bytes(digest[place : place + 4], "big") & 0x7FFFFFFF
    return f"{number % 10**DIGITS:0{DIGITS}}"


def seconds_left(moment: float) -> float:
    """Give for how long the code of a moment is the code."""
    return STEP - moment % STEP
