"""The Flex sandbox over loopback HTTP, and a client that knows nothing of its inside."""

from collections.abc import Iterator

import pytest

from connectors.ibkr_flex.sandbox import FlexBroker, running
from tests.connectors.ibkr_flex.caller import Caller
from tests.connectors.standing import Clock


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def broker(clock: Clock) -> FlexBroker:
    return FlexBroker(now=clock, executions=300)


@pytest.fixture
def base(broker: FlexBroker) -> Iterator[str]:
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
    with running(FlexBroker(now=clock, executions=300)) as url:
        calling = Caller(url, clock)
        yield calling
        calling.http.close()
