"""Which connectors there are: one line each, imported when asked for."""

from __future__ import annotations

from importlib import import_module

from connectors.connector import Connector

CONNECTORS = {
    "ibkr_flex": "connectors.ibkr_flex",
    "ibkr_portal": "connectors.ibkr_portal",
    "kraken": "connectors.kraken",
}


def connector(name: str) -> Connector:
    """Load a connector by name; a `KeyError` names the ones there are."""
    if name not in CONNECTORS:
        message = f"There is no connector {name!r}; there are: {', '.join(sorted(CONNECTORS))}."
        raise KeyError(message)
    found = import_module(CONNECTORS[name]).CONNECTOR
    if not isinstance(found, Connector):
        message = f"{CONNECTORS[name]}.CONNECTOR is not a Connector."
        raise TypeError(message)
    return found
