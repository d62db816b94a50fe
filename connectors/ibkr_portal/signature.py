"""What OAuth 1.0 signs of a request, and how a header says it: escaping, base string, `Authorization`.

https://www.rfc-editor.org/rfc/rfc5849, sections 3.4.1, 3.5.1 and 3.6
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from urllib.parse import quote, urlsplit

Pair = tuple[str, str]
USUAL_PORTS = {"http": 80, "https": 443}


def escaped(text: str) -> str:
    """Escape all but letters, digits and the four marks - . _ ~, as UTF-8, with capitals: a blank is %20, never +."""
    return quote(text, safe="")


def base_string(method: str, url: str, pairs: Iterable[Pair]) -> str:
    """Give the text that is signed: method, address without its query, and all pairs, of the query and of the header.

    Neither the realm nor the signature is among the pairs; what a body says is, only where it is a form.
    """
    named = sorted((escaped(name), escaped(value)) for name, value in pairs)
    return "&".join((method.upper(), escaped(_address(url)), escaped("&".join("=".join(pair) for pair in named))))


def authorization(realm: str, said: Mapping[str, str]) -> str:
    """Write the header; every value is escaped within its quotes."""
    named = [("realm", realm), *sorted(said.items())]
    return "OAuth " + ", ".join(f'{escaped(name)}="{escaped(value)}"' for name, value in named)


def _address(url: str) -> str:
    """Write scheme and host small, and a port only where it is not the usual one."""
    split = urlsplit(url)
    host = split.netloc.rpartition("@")[2].lower().removesuffix(f":{USUAL_PORTS.get(split.scheme)}")
    return f"{split.scheme}://{host}{split.path or '/'}"
