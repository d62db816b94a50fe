"""A flow run by hand: our lines are on the screen, Prefect's are for its server."""

from __future__ import annotations

import re
import time

import pytest
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_API_URL

from tests.flows.conftest import House
from tests.flows.test_stopping import PATIENCE_SECONDS, typed

NOBODY = "http://127.0.0.1:9"
OURS = re.compile(r"\d\d:\d\d:\d\d ibkr-flex |ibkr-flex: degraded\.|127\.0\.0\.1:9 cannot be reached \(")


def _logged() -> str:
    with get_client(sync_client=True) as client:
        return "\n".join(log.message for log in client.read_logs(limit=200))


def test_a_broker_that_is_away_is_told_in_our_lines_and_the_server_has_the_rest(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FILLHOUSE_IBKR_FLEX_BASE_URL", NOBODY)
    with typed(house.home, "sync", PREFECT_API_URL=str(PREFECT_API_URL.value())) as terminal:
        assert terminal.end(within=PATIENCE_SECONDS) == 0
    lines = terminal.text.splitlines()
    assert [line for line in lines if not OURS.match(line)] == []
    assert sum("Again in 0 s." in line for line in lines) == 2
    deadline = time.monotonic() + PATIENCE_SECONDS
    while "Retries are exhausted" not in _logged():
        assert time.monotonic() < deadline
        time.sleep(0.2)
