"""Which connectors there are: one line each, imported when asked for."""

from __future__ import annotations

from importlib import import_module
from typing import NamedTuple

from connectors.connector import Connector


class Entry(NamedTuple):
    """Where a connector is, and what files of its broker are called where nobody says whose they are."""

    module: str
    file_suffixes: frozenset[str] = frozenset()


CONNECTORS = {
    "ibkr_flex": Entry("connectors.ibkr_flex", frozenset({".xml"})),
    "ibkr_portal": Entry("connectors.ibkr_portal"),
    "kraken": Entry("connectors.kraken", frozenset({".csv", ".tsv", ".zip", ".json"})),
}


def connector(name: str) -> Connector:
    """Load a connector by name; a `KeyError` names the ones there are."""
    if name not in CONNECTORS:
        message = f"There is no connector {name!r}; there are: {', '.join(sorted(CONNECTORS))}."
        raise KeyError(message)
    module = CONNECTORS[name].module
    found = import_module(module).CONNECTOR
    if not isinstance(found, Connector):
        message = f"{module}.CONNECTOR is not a Connector."
        raise TypeError(message)
    return found
