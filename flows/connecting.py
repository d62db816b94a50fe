"""Store a connection as a block of Prefect's from the command line: asked for in words, checked before it is kept."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import httpx
from pydantic import SecretStr, ValidationError

from flows import surroundings
from flows.blocks import BLOCKS, Stored, known_names
from flows.connections import Connection
from flows.questions import BadInput

NO_SERVER = (
    "There is no Prefect server to keep a block. Start fillhouse up in another terminal, or name yours in "
    "PREFECT_API_URL; a file .env needs neither."
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """A value that a person must give."""

    name: str
    title: str
    description: str
    is_secret: bool


def block_of(kind: str) -> type[Stored]:
    """Give the type of block for a kind of connection: ibkr_flex, ibkr_portal or kraken."""
    slug = f"{kind.replace('_', '-')}-connection"
    found = {str(block._block_type_slug): block for block in BLOCKS}  # noqa: SLF001  (so Prefect keeps it)
    if slug not in found:
        there_are = ", ".join(sorted(name.removesuffix("-connection").replace("-", "_") for name in found))
        raise BadInput(f"There is no kind of connection {kind!r}; there are: {there_are}.")
    return found[slug]


def require_free(name: str, *, may_replace: bool) -> None:
    """See to it that there is a server, and no connection of this name, unless it is to be replaced."""
    if surroundings.configured_api() is None:
        raise BadInput(NO_SERVER)
    if not may_replace and name in known_names():
        raise BadInput(f"There is a connection {name} already; --replace stores another in its place.")


def require_gone(name: str) -> None:
    """See to it that a connection is configured nowhere: neither in the environment nor as a block."""
    try:
        there_are = known_names()
    except (httpx.HTTPError, RuntimeError) as exc:
        message = (
            f"Prefect's server does not answer ({type(exc).__name__}), so it cannot say whether {name} is a block."
        )
        raise BadInput(message) from None
    if name in there_are:
        raise BadInput(f"{name} is still configured: take it out of .env, or delete its block in Prefect, first.")


def wanted(kind: str, given: Mapping[str, str]) -> Iterator[Wanted]:
    """Give what must still be asked for."""
    fields = block_of(kind).model_fields
    if unknown := sorted(given.keys() - fields.keys()):
        raise BadInput(f"A connection of this kind has no {', '.join(unknown)}; it has: {', '.join(fields)}.")
    for name, field in fields.items():
        if field.is_required() and name not in given:
            yield Wanted(name, field.title or name, field.description or "", field.annotation is SecretStr)


def save(kind: str, name: str, given: Mapping[str, Any], *, may_replace: bool) -> Connection:
    """Store the block, once what it holds makes a connection. Raises `BadInput` or `NotConfigured` with the reason."""
    try:
        block = block_of(kind)(**given)
    except ValidationError as exc:
        wrong = "; ".join(f"{error['loc'][0]}: {error['msg']}" for error in exc.errors())
        raise BadInput(f"That is no connection. {wrong}.") from None
    connection = block.connection(name)
    block.save(name, overwrite=may_replace)
    return connection
