"""Kraken against its sandbox, without Prefect: complete history at the pace of the counter, whatever goes wrong."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, timedelta
from decimal import Decimal
from functools import partial
from pathlib import Path

import pytest

from connectors.errors import BOUNDED, AuthRequired, RateLimited, Rejected, Transient
from connectors.kraken.budget import CEILINGS, DECAYS, cost_of
from connectors.kraken.endpoints import Tier
from connectors.kraken.sandbox import API_KEY, API_SECRET, FAULTS, TRADES_ONLY_KEY
from connectors.kraken.sandbox_account import Fill
from connectors.kraken.sandbox_faults import EDGE_STATUS, ERRORS
from connectors.kraken.sandbox_market import ASSETS
from connectors.kraken.sandbox_wire import ticks
from connectors.wire import Window
from flows.backfill import planner
from flows.connections import kraken
from flows.incremental import planned
from flows.planning import Planner
from flows.policy import State, distrusts_export, ends_sync, state_after
from flows.talk import Way
from tests.connectors.kraken.desk import Desk, Execution, desk
from warehouse import db


@pytest.mark.parametrize("tier", list(Tier))
def test_a_history_that_grows_comes_home_whole_at_the_pace_of_the_counter(tier: Tier, tmp_path: Path) -> None:
    with desk(tmp_path, tier=tier, trades=900, years=1, arrivals_per_second=0.02) as at:
        until = at.now
        at.bring()
        began = at.clock.leapt
        for window in at.windows():
            fetched = at.ask(window)
            assert fetched.error is None
            at.load(fetched)
        assert at.executions() == at.book(until)
        assert at.broker.rate_limit_refusals == []
        costs = sum(cost_of(call.method) for call in at.broker.log)
        least = (costs - CEILINGS[tier]) / DECAYS[tier]
        assert at.clock.leapt - began < least * 1.05


def test_pages_and_export_tell_the_same(tmp_path: Path) -> None:
    with desk(tmp_path / "pages", trades=400, years=1) as at:
        at.bring()
        for window in at.windows():
            at.bring(window)
        by_pages = at.executions()
    with desk(tmp_path / "export", trades=400, years=1) as at:
        at.bring()
        until = at.now
        assert at.ask(Window(until - timedelta(days=400), until), Way.EXPORT).error is None
        at.load(at.fetched[-1])
        assert at.executions().keys() == by_pages.keys()
        assert roughly(at.executions()) == roughly(at.book(until))


def roughly(executions: dict[str, Execution]) -> dict[str, Execution]:
    """Leave out what an export cuts off: the digits of a time behind the fourth."""
    return {
        exec_id: {
            **execution,
            "time": execution["time"].replace(microsecond=execution["time"].microsecond // 100 * 100),
        }
        for exec_id, execution in executions.items()
    }


def test_an_export_of_another_grain_is_not_believed(tmp_path: Path) -> None:
    with desk(tmp_path, trades=400, years=1, export_grain="consolidated") as at:
        assert_distrusted(at)


def test_an_export_that_lacks_rows_is_not_believed(tmp_path: Path) -> None:
    with desk(tmp_path, trades=400, years=1) as at:
        at.broker.faults.on("export_short")
        assert_distrusted(at)


@pytest.mark.parametrize("grain", ["fine", "consolidated"])
def test_an_export_that_was_not_compared_is_not_believed(grain: str, tmp_path: Path) -> None:
    with desk(tmp_path, trades=400, years=1, export_grain=grain) as at:
        at.broker.faults.on("temporary_lockout", at="TradesHistory")
        fetched = at.ask(at.everything(), Way.EXPORT)
        assert isinstance(fetched.error, RateLimited)
        at.load(fetched)
        assert at.executions() == {}
        with db.writer(at.home) as con:
            assert con.execute("select count(*) from gaps").fetchone() == (1,)


def test_the_page_that_an_export_is_compared_with_counts_for_nothing(tmp_path: Path) -> None:
    with desk(tmp_path, trades=100, years=1, export_queued_seconds=0.1, export_processed_seconds=0.2) as at:
        at.bring(at.everything(), Way.EXPORT)
        with db.writer(at.home) as con:
            told = con.execute("select source, row_count from coverage order by source").fetchall()
        account = at.broker.account
        assert told == [("kraken_export", len(account.trades.rows)), ("kraken_ledger", len(account.ledger.rows))]


def test_an_export_that_names_no_pending_entry_is_believed(tmp_path: Path) -> None:
    with desk(tmp_path, trades=60, years=1) as at:  # few enough that the newest page holds one
        assert at.ask(at.everything(), Way.EXPORT).error is None


def assert_distrusted(at: Desk) -> None:
    fetched = at.ask(at.everything(), Way.EXPORT)
    assert fetched.error is not None
    assert fetched.error.code == "grain"
    assert "--via pages" in str(fetched.error)
    at.load(fetched)
    assert at.executions() == {}


CONSEQUENCES = {
    "invalid_key": (AuthRequired, State.NEEDS_REAUTH),
    "invalid_signature": (AuthRequired, State.NEEDS_REAUTH),
    "permission_denied": (Rejected, State.MISCONFIGURED),
    "temporary_lockout": (RateLimited, State.RATE_LIMITED),
    "unavailable": (Transient, State.DEGRADED),
    "busy": (Transient, State.DEGRADED),
    "internal_error": (Transient, State.DEGRADED),
    "http_520": (Transient, State.DEGRADED),
    "html_page": (Transient, State.DEGRADED),
    "empty_body": (Transient, State.DEGRADED),
    "truncated_json": (Transient, State.DEGRADED),
    "invalid_nonce": (Rejected, State.MISCONFIGURED),
}


@pytest.mark.parametrize("fault", CONSEQUENCES)
def test_trouble_has_its_consequence_and_the_next_run_recovers(fault: str, tmp_path: Path) -> None:
    assert fault in FAULTS
    with desk(tmp_path, trades=150, years=1) as at:
        kind, state = CONSEQUENCES[fault]
        at.broker.faults.on(fault, at="TradesHistory")
        error = at.ask(at.everything()).error
        assert type(error) is kind
        assert state_after(error) is state
        if state is State.NEEDS_REAUTH:
            assert (
                len([call for call in at.broker.log if call.error]) == 1
            )  # several wrong keys in a row lock the account
        at.broker.faults.clear()
        at.clock.sleep(1000)
        until = at.now
        at.bring(at.everything())
        assert at.executions() == at.book(until)


STATES = {
    State.NEEDS_REAUTH: "invalid_key invalid_signature account_disabled account_unconfirmed auth_failed",
    State.MISCONFIGURED: """permission_denied invalid_permissions invalid_nonce unknown_pair unknown_asset invalid_arguments
        invalid_arguments_named unknown_method invalid_request bad_request""",
    State.RATE_LIMITED: """rate_limit_exceeded throttled throttled_with_blank temporary_lockout auth_rate_limit_exceeded
        auth_too_many_requests too_many_requests""",
    State.DEGRADED: """unavailable busy deadline_elapsed internal_error internal_error_with_code database_error cancel_only
        post_only unknown_error html_page empty_body truncated_json""",
}


def test_each_error_leads_to_its_state(tmp_path: Path) -> None:
    expected = {fault: state for state, faults in STATES.items() for fault in faults.split()}
    expected |= dict.fromkeys(EDGE_STATUS, State.DEGRADED)
    assert expected.keys() > ERRORS.keys()
    with desk(tmp_path, trades=10, years=1) as at:
        found = {}
        for fault in expected:
            at.broker.faults.on(fault, at="TradesHistory")
            error = at.ask(Window(at.now - timedelta(hours=1), at.now)).error
            assert error is not None, fault
            found[fault] = state_after(error)
            at.broker.faults.clear()
            at.clock.sleep(1000)
        assert found == expected


@pytest.mark.parametrize(
    "fault", ["unavailable", "http_520", "rate_limit_exceeded", "throttled", "throttled_with_blank", "invalid_nonce"]
)
def test_short_trouble_in_the_middle_is_waited_out(fault: str, tmp_path: Path) -> None:
    with desk(tmp_path, trades=300, years=1) as at:
        until = at.now
        at.broker.faults.on(fault, calls=1, after=3)
        assert at.ask(at.everything()).error is None
        at.load(at.fetched[-1])
        assert any(call.fault for call in at.broker.log)
        assert at.executions() == at.book(until)


@pytest.mark.parametrize("fault", ["withheld", "early_empty_page", "count_too_small", "count_too_large"])
def test_pages_that_do_not_add_up_are_walked_again(fault: str, tmp_path: Path) -> None:
    with desk(tmp_path, trades=300, years=1) as at:
        until = at.now
        at.broker.faults.on(fault, at="TradesHistory", calls=2)
        for window in at.windows():
            assert at.ask(window).error is None
            at.load(at.fetched[-1])
        assert at.executions() == at.book(until)


@pytest.mark.parametrize("way", [Way.PAGES, Way.EXPORT])
def test_a_trade_that_only_the_ledger_names_is_asked_for_by_its_id(way: Way, tmp_path: Path) -> None:
    with desk(tmp_path, trades=900, years=1) as at:
        at.bring()
        until, window = at.now, Window(at.now - timedelta(days=300), at.now)
        at.broker.faults.on("hidden", at="TradesHistory")
        at.broker.faults.on("export_hides_trades")
        at.bring(window, way)
        asked = [call for call in at.broker.log if call.method == "QueryTrades"]
        assert 1 <= len(asked) <= 4
        since = window.since.replace(tzinfo=UTC)
        book = {exec_id: trade for exec_id, trade in at.book(until).items() if trade["time"] > since}
        assert roughly(at.executions()) == roughly(book)
        with db.writer(at.home) as con:
            assert con.execute("select count(*) from fills where status = 'provisional'").fetchone() == (0,)
            assert con.execute("select count(*) from gaps").fetchone() == (0,)


def test_an_error_that_nobody_knows_is_no_word_on_a_trade(tmp_path: Path) -> None:
    with desk(tmp_path, trades=60, years=1) as at:
        at.bring()
        at.broker.faults.on("hidden", at="TradesHistory")
        at.broker.faults.on("unknown_error", at="QueryTrades")
        fetched = at.ask(at.everything())
        assert isinstance(fetched.error, Transient)
        assert at.load(fetched).added > 0, "what was told before stands"
        with db.writer(at.home) as con:
            found = con.execute("select distinct status from coverage where source = 'kraken_rest'").fetchall()
        assert found == [("partial",)]
        at.broker.faults.off("unknown_error")
        at.bring(at.everything())
        assert at.executions().keys() == at.book().keys()


def test_a_backfill_asks_again_for_the_last_hour_of_what_is_covered(tmp_path: Path) -> None:
    """What happened just before a backfill, and is listed after it, comes with the next one."""
    with desk(tmp_path, trades=40, years=1, export_queued_seconds=0.1, export_processed_seconds=0.2) as at:
        backfill = partial(carry_out, at, planner(None, None, None))
        at.bring()
        backfill()
        at.clock.sleep(86400)
        at.broker.faults.on("late")
        at.broker.trade_now(3)
        at.clock.sleep(30)
        until = at.now
        backfill()
        assert at.executions().keys() < at.book(until).keys()
        at.clock.sleep(86400)
        backfill()
        assert at.executions().keys() >= at.book(until).keys()


@pytest.mark.parametrize("way", list(Way))
def test_a_purchase_that_was_pending_is_asked_for_until_it_is_booked(way: Way, tmp_path: Path) -> None:
    with desk(tmp_path, trades=40, years=1, export_queued_seconds=0.1, export_processed_seconds=0.2) as at:
        at.bring()
        account = at.broker.account
        when = Fill(at=ticks(at.clock()), places=4, price=Decimal(0), volume=Decimal(0))
        refid = account.new_id("TS")
        legs = [
            account.post(when, refid, "spend", ASSETS["ZUSD"], Decimal(-100), pending=True),
            account.post(when, refid, "receive", ASSETS["XXBT"], Decimal("0.001"), pending=True),
        ]
        at.clock.sleep(600)
        at.bring(at.everything(), way)
        assert refid not in at.executions()
        with db.writer(at.home) as con:
            pending = con.execute("select severity, what from data_health where kind = 'ledger_pending'").fetchall()
            assert con.execute("select * from gaps").fetchall() == []
        assert pending == [("note", f"1 executions of main are not booked yet, such as {refid}")]
        sync = partial(carry_out, at, planned)
        for _ in range(3):
            at.clock.sleep(20_000)
            sync()
            assert refid not in at.executions()
        account.swap(*(account.settle(leg) for leg in legs))
        until = at.now
        at.clock.sleep(900)
        sync()
        assert at.executions().keys() == at.book(until).keys() >= {refid}
        with db.writer(at.home) as con:
            assert con.execute("select * from data_health where kind = 'ledger_pending'").fetchall() == []
        before = len(at.broker.log)
        at.clock.sleep(900)
        sync()
        assert len(at.broker.log) <= before + 2, "what is booked is not asked for any more"


def carry_out(at: Desk, planned: Planner) -> None:
    """Ask what a flow would."""
    connection = kraken(
        "kraken", API_KEY, API_SECRET, otp="", tier="pro", account="main", base_url="http://127.0.0.1:9"
    )
    with db.writer(at.home) as con:
        plan = planned(con, connection, at.clock())
    for question in plan.questions:
        at.bring(question.window, question.way)


def test_nothing_is_asked_for_by_its_id_where_the_lists_are_whole(tmp_path: Path) -> None:
    with desk(tmp_path, trades=900, years=1) as at:
        at.bring(at.everything())
        assert "QueryTrades" not in {call.method for call in at.broker.log}


@pytest.mark.parametrize("fault", ["early_empty_page", "count_too_small", "count_too_large"])
def test_a_count_that_stays_wrong_is_not_chased(fault: str, tmp_path: Path) -> None:
    with desk(tmp_path, trades=150, years=1) as at:
        until, window = at.now, at.everything()
        assert at.ask(window).error is None
        enough = len(at.broker.log)
        at.broker.faults.on(fault)
        assert at.ask(window).error is None
        assert len(at.broker.log) - enough < 15 * enough
        at.load(at.fetched[-1])
        assert at.executions() == at.book(until)
        with db.writer(at.home) as con:
            lacking = con.execute("select distinct source from coverage where status = 'partial'").fetchall()
        assert bool(lacking) == fault.startswith("count")


@pytest.mark.parametrize("way", list(Way))
def test_what_a_bounded_key_cannot_see_is_named_and_the_rest_comes(way: Way, tmp_path: Path) -> None:
    with desk(tmp_path, trades=400, years=1, export_queued_seconds=0.1, export_processed_seconds=0.2) as at:
        until, since = at.now, at.now - timedelta(days=100)
        seconds = int(since.replace(tzinfo=UTC).timestamp())
        at.broker.keys[API_KEY] = replace(at.broker.keys[API_KEY], query_from=seconds)
        at.bring()
        errors = []
        windows = at.windows() if way is Way.PAGES else [at.everything()]
        for window in windows:
            fetched = at.ask(window, way)
            errors.append(fetched.error)
            at.load(fetched)
        told = [error for error in errors if error is not None]
        assert [error.code for error in told] == [BOUNDED] * len(told) != []
        assert f"reads only from {since:%Y-%m-%d} on" in str(told[0])
        assert not any(ends_sync(error, len(told)) for error in told)
        if way is Way.EXPORT:
            assert distrusts_export(told[0])
            assert at.executions() == {}
            return
        book = at.book(until)
        assert at.executions() == {
            exec_id: trade for exec_id, trade in book.items() if trade["time"] >= since.replace(tzinfo=UTC)
        }
        with db.writer(at.home) as con:
            [(first, last)] = con.execute(
                "select min(since), max(until) from coverage where status <> 'complete'"
            ).fetchall()
            [(told_since,)] = con.execute("select min(returned_since) from coverage").fetchall()
            gaps = " ".join(text for (text,) in con.execute("select what from gaps").fetchall())
        assert first == windows[0].since
        assert last > since
        assert told_since == since - timedelta(seconds=1)
        assert f"reads only from {since:%Y-%m-%d} on" in gaps


def test_a_missing_permission_is_named(tmp_path: Path) -> None:
    with desk(tmp_path, key=TRADES_ONLY_KEY, trades=100, years=1) as at:
        error = at.ask(at.everything()).error
        assert isinstance(error, Rejected)
        assert "Query ledger entries" in str(error)


def test_what_another_run_spent_is_counted(tmp_path: Path) -> None:
    with desk(tmp_path, tier=Tier.STARTER, trades=900, years=1) as at:
        window = Window(at.now - timedelta(days=40), at.now)
        for _ in range(6):
            assert at.ask(window).error is None
        assert at.broker.rate_limit_refusals == []
        assert at.broker.high_water(API_KEY) > CEILINGS[Tier.STARTER] - 4


def assert_rebuilt_alike(at: Desk) -> None:
    from flows import steps  # noqa: PLC0415

    assert steps.renormalize(at.home).differences == {}


def test_a_rebuild_from_the_landed_replies_gives_the_same_tables(tmp_path: Path) -> None:
    with desk(tmp_path, trades=300, years=1, arrivals_per_second=0.01) as at:
        at.bring()
        for window in at.windows():
            at.bring(window)
        at.clock.sleep(3000)
        at.bring(Window(at.now - timedelta(hours=2), at.now))
        assert_rebuilt_alike(at)
