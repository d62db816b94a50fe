"""A day at the gateway and the morning after: whatever happens to the session, in the end the fills are the broker's book."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from connectors.ibkr_flex.sandbox import QUERY_ID, SERVICE_PATH, TOKEN, FlexBroker
from connectors.ibkr_flex.sandbox import running as flex_running
from connectors.ibkr_portal.sandbox import Clock, Gateway, running
from flows import timing
from flows.sandbox_books import gateway_book
from tests.flows import heard
from tests.flows.desk import ibkr_book_of, ibkr_fills_in
from warehouse import db

OPENING = datetime(2026, 3, 5, 14, 30, tzinfo=UTC)  # a Thursday, 9:30 in New York
FIRST = OPENING - timedelta(days=4)
CHECKED_EVERY = timedelta(minutes=15)
THURSDAY = date(2026, 3, 5)


class Day:
    """Both of IBKR's sandboxes with one history, and a home for data beside them."""

    def __init__(self, home: Path, flex: FlexBroker, gateway: Gateway, clock: Clock) -> None:
        self.home = home
        self.flex = flex
        self.gateway = gateway
        self.clock = clock
        self.checked_at = clock()

    def until(self, hour: int, minute: int = 0, *, day: int = 5) -> None:
        """Let time pass to a moment in New York (UTC-5), with a check every quarter of an hour."""
        while (due := self.checked_at + CHECKED_EVERY) < _in_new_york(day, hour, minute):
            self.clock.advance(max((due - self.clock()).total_seconds(), 0.0))
            self.checked_at = due
            self.check()
        self.unseen_until(hour, minute, day=day)

    def unseen_until(self, hour: int, minute: int = 0, *, day: int) -> None:
        """Let time pass in which nobody looks."""
        self.clock.advance(max((_in_new_york(day, hour, minute) - self.clock()).total_seconds(), 0.0))
        self.checked_at = self.clock()

    def sync(self, *names: str) -> Any:
        from flows.incremental import incremental  # noqa: PLC0415  (Prefect must be set up before)

        return incremental(list(names) or ["ibkr-portal"], return_state=True)

    def check(self) -> Any:
        from flows.reauth_check import reauth_check  # noqa: PLC0415

        return reauth_check(["ibkr-portal"], return_state=True)

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        with db.writer(self.home) as con:
            return con.execute(query).fetchall()

    def calls(self, since: int) -> list[str]:
        return [call.path.rsplit("/", 1)[-1] for call in self.gateway.log[since:]]


def _in_new_york(day: int, hour: int, minute: int) -> datetime:
    return datetime(2026, 3, day, hour, minute, tzinfo=UTC) + timedelta(hours=5)


@pytest.fixture
def day(prefect: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Day]:  # noqa: ARG001
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.chdir(home)
    clock = Clock(OPENING)
    monkeypatch.setattr(timing, "TIME", timing.Time(clock, clock.sleep))
    flex = FlexBroker(now=clock, executions=400, years=1, seed=11, generation_seconds=0.2)
    gateway = Gateway(clock=clock, book=gateway_book(flex))
    with running(gateway) as where, flex_running(flex) as flex_url:
        for name, value in {
            "FILLHOUSE_HOME": str(home),
            "FILLHOUSE_RETRY_DELAYS": "[0]",
            "FILLHOUSE_IBKR_PORTAL_BASE_URL": where.base_url,
            "FILLHOUSE_IBKR_PORTAL_CERTIFICATE": str(where.ca_file),
            "FILLHOUSE_IBKR_FLEX_TOKEN": TOKEN,
            "FILLHOUSE_IBKR_FLEX_QUERY_ID": QUERY_ID,
            "FILLHOUSE_IBKR_FLEX_BASE_URL": flex_url + SERVICE_PATH,
        }.items():
            monkeypatch.setenv(name, value)
        yield Day(home, flex, gateway, clock)


def morning(day: Day) -> None:
    """Open the session and sync it a few times: between syncs it falls asleep and is opened again."""
    day.gateway.log_in()
    day.until(9, 45)
    assert day.sync().name == "Completed"
    assert day.sync("ibkr-flex").name == "Completed"
    for hour, minute in ((10, 0), (10, 15), (11, 0), (12, 0)):
        day.until(hour, minute)
        assert day.sync().name == "Completed"


def another_login_competes(day: Day) -> None:
    day.until(12, 15)
    day.gateway.session.tws_logs_in()
    state = day.sync()
    assert (state.name, state.is_failed()) == ("NeedsReauth", True)
    before = len(day.gateway.log)
    day.until(12, 31)
    assert set(day.calls(before)) == {"status"}
    day.gateway.session.tws_logs_out()
    day.until(12, 45)
    assert day.sync().name == "Completed"


def penalty_box(day: Day) -> None:
    day.gateway.faults.on("http_429", at="/iserver/accounts", calls=1)
    day.until(13)
    assert day.sync().name == "RateLimited"
    before = len(day.gateway.log)
    day.until(13, 5)
    assert day.sync().name == "RateLimited"
    assert day.calls(before) == []
    day.until(13, 30)
    assert day.sync().name == "Completed"


def night(day: Day) -> None:
    """IBKR rests, midnight ends the login, and a person logs in again in the morning."""
    day.unseen_until(16, 0, day=5)
    day.until(16, 30)
    assert day.sync().name == "Completed"
    day.unseen_until(0, 30, day=6)
    day.gateway.faults.on("http_503", at="/iserver/auth/status", calls=3)
    state = day.sync()
    assert state.name == "Degraded"
    assert "maintenance" in state.message
    day.gateway.faults.off("http_503")
    day.unseen_until(2, 0, day=6)
    state = day.sync()
    assert (state.name, state.is_failed()) == ("NeedsReauth", True)
    before = len(day.gateway.log)
    day.unseen_until(6, 30, day=6)
    day.until(7, 0, day=6)
    assert not day.sync().is_failed()
    assert set(day.calls(before)) == {"status"}
    day.gateway.log_in()
    day.until(8, 0, day=6)
    assert day.sync().name == "Completed"


def statement_of_the_day(day: Day) -> tuple[str, str]:
    """Flex tells the day, with one trade corrected and one cancelled; gives the ids of both executions."""
    traded = [row for row in day.flex.history.rows if row.trade_date == THURSDAY and row.exec_id]
    corrected, cancelled = traded[:2]
    day.flex.cancel_and_rebook(
        corrected.transaction_id,
        price=corrected.price + corrected.instrument.tick,
        revise_exec_id=True,
        report_date=THURSDAY + timedelta(days=1),
    )
    day.flex.cancel_and_rebook(cancelled.transaction_id, rebook=False, report_date=THURSDAY + timedelta(days=1))
    day.unseen_until(12, day=7)
    assert day.sync("ibkr-flex").name == "Completed"
    return corrected.exec_id[:-3], cancelled.exec_id[:-3]


def test_a_day_ends_with_the_brokers_book(day: Day) -> None:
    began = time.time()
    morning(day)
    another_login_competes(day)
    penalty_box(day)
    night(day)
    told = dict(day.ask("select exec_id, first_seen_at from fills where status = 'provisional'"))
    evening = day.clock().replace(tzinfo=None)
    corrected, cancelled = statement_of_the_day(day)

    with db.writer(day.home) as con:
        assert ibkr_fills_in(con, FIRST) == ibkr_book_of(day.flex, FIRST)
    confirmed = dict(day.ask("select exec_id, first_seen_at from fills where status = 'final'"))
    assert told.keys() - confirmed.keys() == {cancelled}
    same = told.keys() & confirmed.keys() - {corrected}
    assert {exec_id: confirmed[exec_id] for exec_id in same} == {exec_id: told[exec_id] for exec_id in same}
    was = f"select status from fills_as_of(timestamp '{evening}') where exec_id = '{cancelled}'"
    assert day.ask(was) == [("provisional",)]

    assert day.gateway.pacing.violations == []
    assert day.gateway.pacing.calls_in_box == 0
    assert day.gateway.session.kicked_out == []
    assert heard.changes_since(began, 7) == [
        ("ibkr-portal", "active", "needs_reauth"),
        ("ibkr-portal", "needs_reauth", "active"),
        ("ibkr-portal", "active", "rate_limited"),
        ("ibkr-portal", "rate_limited", "active"),
        ("ibkr-portal", "active", "degraded"),
        ("ibkr-portal", "degraded", "needs_reauth"),
        ("ibkr-portal", "needs_reauth", "active"),
    ]
