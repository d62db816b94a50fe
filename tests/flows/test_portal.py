"""IBKR's Client Portal through the flows, in a real Prefect, against a gateway whose days pass in seconds."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from connectors.ibkr_portal.sandbox import Clock, Gateway, running
from flows import steps
from warehouse import db

MORNING = datetime(2026, 3, 5, 15, 30, tzinfo=UTC)  # a Thursday, 10:30 in New York
QUARTER = timedelta(minutes=15).total_seconds()
STATE = "select state, reason, remedy from connections where connection = 'ibkr-portal'"


class Desk:
    """A home for data beside a gateway of its own, and a clock that both look at."""

    def __init__(self, home: Path, gateway: Gateway, clock: Clock) -> None:
        self.home = home
        self.gateway = gateway
        self.clock = clock

    def sync(self) -> Any:
        from flows.incremental import incremental  # noqa: PLC0415  (Prefect must be set up before)

        return incremental(return_state=True)

    def check(self) -> Any:
        from flows.reauth_check import reauth_check  # noqa: PLC0415

        return reauth_check(return_state=True)

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        with db.writer(self.home) as con:
            return con.execute(query).fetchall()

    def calls(self, since: int = 0) -> list[str]:
        return [call.path for call in self.gateway.log[since:]]

    def fills(self) -> set[tuple[Any, ...]]:
        return set(
            self.ask("select account, exec_id || '.' || lpad(exec_rev::varchar, 2, '0'), signed_qty, last_px from fills")
        )

    def book(self) -> set[tuple[Any, ...]]:
        """What the gateway's book says of the days that it tells."""
        first = self.clock() - timedelta(days=6)
        return {
            (account, row["exec_id"], Decimal(row["quantity"]) * (1 if row["side"] == "BUY" else -1), Decimal(row["price"]))
            for account, rows in self.gateway.tell_book()["ibkr_portal"].items()
            for row in rows
            if datetime.fromisoformat(row["time"]) >= first
        }


@pytest.fixture
def desk(prefect: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:  # noqa: ARG001
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.chdir(home)
    clock = Clock(MORNING)
    monkeypatch.setattr(steps, "TIME", steps.Time(clock, clock.sleep))
    gateway = Gateway(clock=clock)
    with running(gateway) as where:
        for name, value in {
            "FILLHOUSE_HOME": str(home),
            "FILLHOUSE_RETRY_DELAYS": "[0]",
            "FILLHOUSE_IBKR_PORTAL_BASE_URL": where.base_url,
            "FILLHOUSE_IBKR_PORTAL_CERTIFICATE": str(where.ca_file),
        }.items():
            monkeypatch.setenv(name, value)
        yield Desk(home, gateway, clock)


def test_a_sync_brings_the_last_days_of_every_account(desk: Desk) -> None:
    desk.gateway.log_in()
    state = desk.sync()
    assert state.name == "Completed", state.message
    assert desk.fills() >= desk.book()
    assert desk.gateway.pacing.violations == []
    assert desk.gateway.session.kicked_out == []
    assert desk.ask("select count(*) from fills where currency is null or status <> 'provisional'") == [(0,)]
    print(desk.calls()); print(desk.ask("select * from data_health")); print(desk.ask("from coverage"))
