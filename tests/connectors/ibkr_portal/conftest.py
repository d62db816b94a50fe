import os
from collections.abc import Iterator

import pytest

from connectors.ibkr_portal.sandbox import Clock, Gateway, running
from tests.connectors.ibkr_portal.caller import THURSDAY_EVENING, Caller

os.environ.setdefault("IBIND_LOG_TO_FILE", "false")  # it is read when ibind is imported


@pytest.fixture
def clock() -> Clock:
    return Clock(THURSDAY_EVENING)


@pytest.fixture
def gateway(clock: Clock) -> Gateway:
    return Gateway(clock=clock)


@pytest.fixture
def caller(gateway: Gateway, clock: Clock) -> Iterator[Caller]:
    with running(gateway) as where:
        calling = Caller(where, clock)
        yield calling
        calling.http.close()


@pytest.fixture
def ready(caller: Caller) -> Caller:
    """Give a caller whose sessions are open and whose list of trades is primed."""
    caller.get_ready()
    return caller
