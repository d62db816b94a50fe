"""A consumer of IBKR's OAuth out of what its owner gives: texts, and files that hold keys."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

from connectors.ibkr_portal.oauth import Consumer, realm_of

PARTS = ("consumer_key", "access_token", "access_token_secret", "signature_key", "encryption_key", "dh_prime")
IN_FILES = ("signature_key", "encryption_key", "dh_prime")
REALM = "realm"  # which may be left out
HEXADECIMAL = re.compile(r"[0-9A-Fa-f\s]+")
PEM = re.compile(r"(-----BEGIN [^-]+-----)(.*?)(-----END [^-]+-----)", re.DOTALL)


def consumer_of(given: Mapping[str, str], called: Callable[[str], str]) -> Consumer | None:
    """Make a consumer of its parts; None where none is given. `called` tells what a part is called where it is set.

    Raises `ValueError` for its owner to read.
    """
    parts = {name: given[name].strip() for name in PARTS}
    missing = [called(name) for name, text in parts.items() if not text]
    if len(missing) == len(PARTS):
        return None
    if missing:
        message = f"it is incomplete without {' and '.join(missing)}."
        raise ValueError(message)
    realm = given[REALM].strip() or realm_of(parts["consumer_key"])
    return Consumer(**{name: _in_lines(text) for name, text in parts.items()}, realm=realm)


def read(named: str, called: str) -> str:
    """Give what is in the file that a setting names; a prime or a key may stand there itself. Raises `ValueError`, too."""
    if not named or HEXADECIMAL.fullmatch(named) or PEM.search(named):
        return named
    try:
        return Path(named).expanduser().read_text()
    except (OSError, UnicodeDecodeError) as exc:
        why = exc.strerror if isinstance(exc, OSError) else "it is no text"
        message = f"{called} names the file {named}, which cannot be read: {why}."
        raise ValueError(message) from exc


def _in_lines(text: str) -> str:
    """Give a PEM its lines back, which are lost where it is put into a form."""
    return PEM.sub(lambda found: "\n".join((found[1], "".join(found[2].split()), found[3])), text)
