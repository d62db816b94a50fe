"""IBKR's Client Portal through the flows, in a real Prefect, against a gateway whose days pass in seconds."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest

from flows import questions
from tests.flows.desk import Desk
from warehouse import db

QUARTER = timedelta(minutes=15).total_seconds()
STATE = "select state, reason, remedy from connections where connection = 'ibkr-portal'"


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
    desk.gateway.faults.on("http_503", at="/iserver/auth/status", calls=3)
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


def test_one_stumble_when_asked_for_the_session_costs_no_sync(desk: Desk) -> None:
    desk.gateway.log_in()
    desk.sync()
    desk.clock.advance(QUARTER)
    desk.gateway.faults.on("http_503", at="/iserver/auth/status", calls=1)
    assert desk.sync().name == "Completed"


def test_a_check_ends_a_trouble_that_a_check_has_met(desk: Desk) -> None:
    desk.gateway.log_in()
    desk.sync()
    desk.clock.advance(300)
    desk.gateway.faults.on("http_503", at="/iserver/auth/status", calls=3)
    assert desk.check().name == "Degraded"
    desk.clock.advance(300)
    assert desk.check().name == "Completed"


def test_a_check_ends_a_silence_that_is_over(desk: Desk) -> None:
    desk.gateway.log_in()
    desk.sync()
    desk.clock.advance(300)
    desk.gateway.faults.on("http_429", at="/iserver/auth/status", calls=1)
    assert desk.check().name == "RateLimited"
    desk.clock.advance(QUARTER + 60)
    assert desk.check().name == "Completed"


def test_trouble_of_a_sync_is_not_a_checks_because_a_check_met_the_like(desk: Desk) -> None:
    desk.gateway.log_in()
    desk.gateway.faults.on("http_500", at="/iserver/accounts")
    assert desk.sync().name == "Degraded"
    desk.clock.advance(300)
    desk.gateway.faults.on("http_503", at="/iserver/auth/status", calls=3)
    assert desk.check().name == "Degraded"
    desk.clock.advance(300)
    assert desk.check().name == "Degraded"
    desk.gateway.faults.off("http_500")
    assert desk.sync().name == "Completed"


def test_an_account_that_is_no_longer_asked_for_does_not_stay_stale(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.gateway.log_in()
    desk.sync()
    [first, *others] = [account for (account,) in desk.ask("select account from watermarks order by account")]
    assert others
    monkeypatch.setenv("FILLHOUSE_IBKR_PORTAL_ACCOUNTS", first)
    desk.clock.advance(2 * 3600)
    assert desk.sync().name == "Completed"
    with db.writer(desk.home) as con:
        [channel] = questions.status(con, questions.newest(con), desk.clock()).channels
    assert (channel.accounts, channel.stale_since) == ((first,), None)


def test_an_account_that_could_not_be_asked_for_stays_stale(desk: Desk) -> None:
    desk.gateway.log_in()
    desk.sync()
    told = [account for (account,) in desk.ask("select account from watermarks order by account")]
    desk.clock.advance(2 * 3600)
    desk.gateway.faults.on("http_500", at="/iserver/account/trades", after=1)
    assert desk.sync().name == "Degraded"
    with db.writer(desk.home) as con:
        [channel] = questions.status(con, questions.newest(con), desk.clock()).channels
    assert channel.accounts == tuple(told)
    assert channel.stale_since is not None


def test_what_the_gateway_no_longer_tells_is_flexs_to_tell(desk: Desk) -> None:
    desk.gateway.log_in()
    desk.sync()
    desk.clock.advance(10 * 24 * 3600)
    desk.gateway.log_in()
    assert desk.sync().name == "Completed"
    remedies = [remedy for (remedy,) in desk.ask("select remedy from data_health where kind = 'gap'")]
    assert remedies
    assert all("a Flex query" in remedy for remedy in remedies)
