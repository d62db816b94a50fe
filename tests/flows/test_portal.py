"""IBKR's Client Portal through the flows, in a real Prefect, against a gateway whose days pass in seconds."""

from __future__ import annotations

import io
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from connectors.ibkr_portal.sandbox import Clock, Gateway, running
from flows import timing
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
            self.ask(
                "select account, exec_id || '.' || lpad(exec_rev::varchar, 2, '0'), signed_qty, last_px from fills"
            )
        )

    def book(self) -> set[tuple[Any, ...]]:
        """Give what the gateway's book says of the days that it tells."""
        first = self.clock() - timedelta(days=6)
        return {
            (
                account,
                row["exec_id"],
                Decimal(str(row["quantity"])) * (1 if row["side"] == "BUY" else -1),
                Decimal(str(row["price"])),
            )
            for account, rows in self.gateway.tell_book()["ibkr_portal"].items()
            for row in rows
            if datetime.fromisoformat(str(row["time"])) >= first
        }


@pytest.fixture
def desk(prefect: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Desk]:  # noqa: ARG001
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.chdir(home)
    clock = Clock(MORNING)
    monkeypatch.setattr(timing, "TIME", timing.Time(clock, clock.sleep))
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


def test_two_empty_lists_mean_that_there_are_none(desk: Desk) -> None:
    desk.gateway.log_in()
    desk.sync()
    before = len(desk.gateway.log)
    desk.clock.advance(60)
    desk.sync()
    assert [path for path in desk.calls(before) if path == "/iserver/account/trades"] == ["/iserver/account/trades"] * 3


def test_without_a_login_a_person_is_called_once_and_nothing_else_is_asked(desk: Desk) -> None:
    first = desk.sync()
    assert (first.name, first.is_failed()) == ("NeedsReauth", True)
    [(state, reason, remedy)] = desk.ask(STATE)
    assert state == "needs_reauth"
    assert "log in" in f"{reason} {remedy}".lower()
    for _ in range(3):
        desk.clock.advance(QUARTER)
        again = desk.sync()
        assert (again.name, again.is_failed()) == ("NeedsReauth", False)
    assert desk.calls() == ["/iserver/auth/status"] * 4
    desk.gateway.log_in()
    desk.clock.advance(QUARTER)
    assert desk.sync().name == "Completed"
    assert desk.fills() >= desk.book()


def test_a_session_that_is_not_ready_is_no_error_in_the_log(desk: Desk, transcript: io.StringIO) -> None:
    desk.sync()
    before = transcript.tell()
    desk.clock.advance(QUARTER)
    assert desk.check().name == "NeedsReauth"
    said = transcript.getvalue()[before:]
    assert "Finished in state NeedsReauth('Nobody is logged in" in said
    assert "Traceback" not in said
    assert " ERROR " not in said


def test_who_logs_in_again_at_once_does_not_wait_a_minute(desk: Desk) -> None:
    desk.gateway.log_in()
    desk.sync()
    began, before = desk.clock(), len(desk.gateway.log)
    desk.gateway.log_in()
    assert desk.sync().name == "Completed"
    assert desk.clock() - began < timedelta(seconds=45)
    assert desk.calls(before)[:2] == ["/iserver/auth/status", "/iserver/auth/ssodh/init"]
    assert desk.gateway.pacing.violations == []


def test_a_session_that_tws_holds_is_not_taken(desk: Desk) -> None:
    desk.gateway.log_in()
    desk.sync()
    desk.gateway.session.tws_logs_in()
    desk.clock.advance(QUARTER)
    before = len(desk.gateway.log)
    state = desk.sync()
    assert state.name == "NeedsReauth"
    assert "TWS" in state.message
    assert desk.calls(before) == ["/iserver/auth/status"]
    assert desk.gateway.session.kicked_out == []


def test_a_session_may_be_taken_where_the_user_says_so(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FILLHOUSE_IBKR_PORTAL_COMPETE", "true")
    desk.gateway.log_in()
    desk.gateway.session.tws_logs_in()
    assert desk.sync().name == "Completed"
    assert len(desk.gateway.session.kicked_out) == 1


def test_a_penalty_box_means_silence_for_all(desk: Desk) -> None:
    desk.gateway.log_in()
    desk.sync()
    desk.gateway.faults.on("http_429", at="/iserver/account/trades", calls=1)
    desk.clock.advance(QUARTER)
    assert desk.sync().name == "RateLimited"
    before = len(desk.gateway.log)
    for _ in range(2):
        desk.clock.advance(300)
        assert desk.sync().name == "RateLimited"
        assert desk.check().name == "RateLimited"
    assert desk.calls(before) == []
    assert desk.gateway.pacing.calls_in_box == 0
    desk.clock.advance(600)
    assert desk.sync().name == "Completed"


def test_maintenance_is_no_failure(desk: Desk) -> None:
    desk.gateway.log_in()
    desk.sync()
    desk.clock.advance((datetime(2026, 3, 6, 5, 30, tzinfo=UTC) - desk.clock()).total_seconds())  # 00:30 in New York
    desk.gateway.log_in()
    desk.gateway.faults.on("http_503", at="/iserver/auth/status", calls=1)
    state = desk.sync()
    assert (state.name, state.is_failed()) == ("Degraded", False)
    assert "maintenance until 01:45" in state.message
    desk.clock.advance(QUARTER)
    before = len(desk.gateway.log)
    assert desk.sync().name == "Degraded"  # the session is down, and is not opened before the servers are back
    assert desk.calls(before) == ["/iserver/auth/status"]
    desk.clock.advance(4 * QUARTER)
    assert desk.sync().name == "Completed"


def test_an_opening_that_does_not_help_is_not_repeated_at_once(desk: Desk) -> None:
    desk.gateway.log_in()
    desk.gateway.faults.on("compete_false_refused", at="/iserver/auth/ssodh/init")
    desk.sync()
    for _ in range(20):
        desk.clock.advance(60)
        desk.check()
    openings = [call.at for call in desk.gateway.log if call.path.endswith("/ssodh/init")]
    waits = [(later - earlier).total_seconds() for earlier, later in pairwise(openings)]
    assert len(openings) <= 6
    assert waits == sorted(waits)


def test_a_fill_is_told_once_whatever_the_server_is_like_that_day(desk: Desk) -> None:
    desk.gateway.log_in()
    assert desk.sync().name == "Completed"
    desk.gateway.faults.on("every_revision")
    for fault in ("older_server", "conid_with_venue"):
        desk.clock.advance(QUARTER)
        desk.gateway.faults.on(fault)
        assert desk.sync().name == "Completed"
        desk.gateway.faults.off(fault)
    assert desk.fills() >= desk.book()
    assert desk.ask("select count(*) - count(distinct (account, exec_id)) from fills") == [(0,)]


def test_a_check_does_not_end_a_trouble_that_a_sync_has_met(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FILLHOUSE_IBKR_PORTAL_ACCOUNTS", "U9999999")
    desk.gateway.log_in()
    first = desk.sync()
    assert (first.name, first.is_failed()) == ("Misconfigured", True)
    for _ in range(3):
        desk.clock.advance(300)
        looked = desk.check()
        assert (looked.name, looked.is_failed()) == ("Misconfigured", False)
    monkeypatch.delenv("FILLHOUSE_IBKR_PORTAL_ACCOUNTS")
    desk.clock.advance(300)
    assert desk.sync().name == "Completed"
    desk.clock.advance(300)
    assert desk.check().name == "Completed"
