from collections.abc import Iterator

import pytest

from connectors.kraken.sandbox import KrakenBroker, running
from tests.connectors.kraken.caller import Caller
from tests.connectors.standing import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def broker(clock: Clock) -> KrakenBroker:
    return KrakenBroker(clock=clock, trades=300)


@pytest.fixture
def base(broker: KrakenBroker) -> Iterator[str]:
    with running(broker) as url:
        yield url


@pytest.fixture
def caller(base: str, clock: Clock) -> Iterator[Caller]:
    calling = Caller(base, clock)
    yield calling
    calling.http.close()


@pytest.fixture(scope="module")
def quiet() -> Iterator[Caller]:
    """Give a caller of a broker that no test changes, shared because a server takes a moment to stop."""
    clock = Clock()
    with running(KrakenBroker(clock=clock, trades=800)) as url:
        calling = Caller(url, clock)
        yield calling
        calling.http.close()
