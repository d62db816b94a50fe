"""Read the Diffie-Hellman prime and its generator out of what `openssl dhparam` writes: PEM around two integers in DER.

The structure is that of PKCS #3, section 9. The library that reads the other keys gives this kind up.
"""

from __future__ import annotations

import base64
import re

SEQUENCE, INTEGER = 0x30, 0x02
LONG = 0x80  # a length that takes several bytes, so many as the other bits say
PEM = re.compile(r"-----BEGIN DH PARAMETERS-----(.*?)-----END DH PARAMETERS-----", re.DOTALL)


def read(text: str) -> tuple[int, int]:
    """Give prime and generator. Raises `ValueError` for any other text."""
    found = PEM.search(text)
    if found is None:
        message = "There are no DH parameters in the form PEM."
        raise ValueError(message)
    numbers, _ = _taken(base64.b64decode("".join(found[1].split()), validate=True), SEQUENCE)
    prime, rest = _taken(numbers, INTEGER)
    generator, _ = _taken(rest, INTEGER)
    return int.from_bytes(prime), int.from_bytes(generator)


def _taken(der: bytes, tag: int) -> tuple[bytes, bytes]:
    """Take a value of this kind from the front: gives its content, and what follows."""
    if len(der) < 2 or der[0] != tag:  # noqa: PLR2004  (tag and length)
        message = "The DH parameters are not what they seem."
        raise ValueError(message)
    start = 2 + (der[1] & ~LONG if der[1] & LONG else 0)
    length = int.from_bytes(der[2:start]) if der[1] & LONG else der[1]
    content = der[start : start + length]
    if len(content) != length:
        message = "The DH parameters are cut off."
        raise ValueError(message)
    return content, der[start + length :]
