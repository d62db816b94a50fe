"""A consumer of IBKR's OAuth as a user of the sandbox has it: keys in files, named by the settings."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

from connectors.ibkr_portal.endpoints import Credentials
from connectors.ibkr_portal.oauth import Consumer
from connectors.ibkr_portal.sandbox import Gateway, Running
from connectors.ibkr_portal.sandbox_oauth import Registration, register, write_keys
from flows.consumers import IN_FILES, REALM, consumer_of, read


@cache
def keys() -> Registration:
    """Make keys once for all tests: it takes a while."""
    return register()


def consumer(registered: Registration, folder: Path) -> Consumer:
    """Give what a user makes of a registration."""
    given = write_keys(registered, folder)
    texts = given | {part: read(given[part], part) for part in IN_FILES} | {REALM: ""}
    made = consumer_of(texts, lambda part: part)
    assert made is not None
    return made


def signing(gateway: Gateway, where: Running) -> Credentials:
    """Give the credentials of who has registered at a gateway's sandbox, whatever the hour is there."""
    made = consumer(gateway.oauth.registered, where.ca_file.parent)
    return replace(Credentials(where.base_url, certificate=where.ca_file, consumer=made), maintenance=())
