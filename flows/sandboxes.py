"""All sandbox brokers at once, as `fillhouse sandbox` runs them."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from connectors.ibkr_flex import sandbox as flex
from connectors.ibkr_portal import sandbox as portal
from connectors.kraken import sandbox as kraken
from flows.sandbox_books import gateway_of


def there_are() -> frozenset[str]:
    """Name the faults of all brokers."""
    return frozenset({*flex.FAULTS, *portal.FAULTS, *kraken.FAULTS})


@contextmanager
def together(seed: int, faults: set[str], port: int) -> Iterator[dict[str, Any]]:
    """Run them, somebody logged in at the gateway, and yield where they are and what a client needs to be let in.

    They take this port and the next two; for 0, free ones.
    """
    ibkr = flex.FlexBroker(seed=seed, faults=faults & flex.FAULTS.keys())
    gateway = gateway_of(ibkr, portal.Faults.of(*sorted(faults & portal.FAULTS.keys())))
    gateway.log_in()
    spot = kraken.KrakenBroker(seed=seed, faults=kraken.Faults.of(*sorted(faults & kraken.FAULTS.keys())))
    first, second, third = (port + place if port else 0 for place in range(3))
    with (
        flex.running(ibkr, port=first) as url,
        portal.running(gateway, port=second) as where,
        kraken.running(spot, port=third) as kraken_url,
    ):
        yield {
            "kraken": {
                "base_url": kraken_url,
                "api_key": kraken.API_KEY,
                "api_secret": kraken.API_SECRET,
                "book_url": f"{kraken_url}/sandbox/book",
            },
            "ibkr_flex": {"base_url": url + flex.SERVICE_PATH, "token": flex.TOKEN, "query_id": flex.QUERY_ID},
            "ibkr_portal": {
                "base_url": where.base_url,
                "ca_file": str(where.ca_file),
                "accounts": [account.number for account in gateway.accounts],
                "oauth": portal.write_keys(gateway.oauth.registered, where.ca_file.parent),
                "book_url": f"{where.root_url}/sandbox/book",
            },
            "book_url": f"{url}/sandbox/book",
        }
