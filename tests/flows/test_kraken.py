"""Kraken through the flows, in a real Prefect: first by export, then what is new, and a key that does not work."""

from __future__ import annotations

import base64
import re
import socket
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import get_client

from connectors.kraken.sandbox import API_KEY, API_SECRET, Key, KrakenBroker, own_keys, running
from flows import timing
from flows.talk import Way
from tests.connectors.kraken.desk import LeapingClock, executions_in, executions_of
from warehouse import db

STATE = "select state, reason, remedy, retry_at from connections where connection = 'kraken'"
GAPS = "select what from data_health where kind = 'gap'"
TWICE = "select what from data_health where kind = 'account_twice'"
UNTOLD = "select count(*) from fills where exec_type = 'TRADE' and last_liquidity_ind is null"
FAR = timedelta(days=3650)


class Exchange:
    """A home for data beside a Kraken of its own."""

    def __init__(self, home: Path, broker: KrakenBroker) -> None:
        self.home = home
        self.broker = broker

    def backfill(self, **asked: Any) -> Any:
        from flows.backfill import backfill  # noqa: PLC0415  (Prefect must be set up before)

        return backfill(**{"since": (self.broker.clock() - timedelta(days=400)).date(), **asked}, return_state=True)

    def sync(self) -> Any:
        from flows.incremental import incremental  # noqa: PLC0415

        return incremental(return_state=True)

    def executions(self) -> dict[str, Any]:
        with db.writer(self.home) as con:
            return executions_in(con)

    def book(self) -> dict[str, Any]:
        return executions_of(self.broker, self.broker.clock())

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        with db.writer(self.home) as con:
            return con.execute(query).fetchall()


@pytest.fixture
def exchange(prefect: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Exchange]:  # noqa: ARG001
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.chdir(home)
    clock = LeapingClock()
    monkeypatch.setattr(timing, "TIME", timing.Time(clock, clock.sleep))
    broker = KrakenBroker(clock=clock, trades=60, years=1, keys=own_keys("pro"))
    with running(broker) as address:
        for name, value in {
            "FILLHOUSE_HOME": str(home),
            "FILLHOUSE_RETRY_DELAYS": "[0]",
            "FILLHOUSE_KRAKEN_KEY": API_KEY,
            "FILLHOUSE_KRAKEN_SECRET": API_SECRET,
            "FILLHOUSE_KRAKEN_TIER": "pro",
            "FILLHOUSE_KRAKEN_BASE_URL": address,
        }.items():
            monkeypatch.setenv(name, value)
        yield Exchange(home, broker)


def trades_of(executions: dict[str, Any]) -> dict[str, Any]:
    return {
        exec_id: {**execution, "time": execution["time"].replace(microsecond=0)}
        for exec_id, execution in executions.items()
    }


def test_a_first_backfill_goes_by_export_and_a_sync_brings_what_is_new(exchange: Exchange) -> None:
    state = exchange.backfill()
    assert (state.name, state.is_completed()) == ("Completed", True)
    assert (exchange.broker.requests["AddExport"], exchange.broker.requests["TradesHistory"]) == (2, 1)
    assert trades_of(exchange.executions()) == trades_of(exchange.book())
    assert exchange.ask(STATE)[0][0] == "active"
    assert exchange.ask(GAPS) == []
    assert exchange.ask("select distinct gaps from sync_runs") == [(0,)]

    exchange.broker.trade_now(3)
    assert exchange.sync().name == "Completed"
    assert trades_of(exchange.executions()) == trades_of(exchange.book())
    assert exchange.ask("select count(*) from fills where source = 'kraken_rest'")[0][0] >= 3

    published = (exchange.home / "fillhouse.duckdb").stat().st_mtime_ns
    again = exchange.sync()
    assert again.name == "Completed"
    assert (again.result().worst.totals.added, again.result().worst.totals.revised) == (0, 0)
    assert (exchange.home / "fillhouse.duckdb").stat().st_mtime_ns == published
    assert exchange.broker.rate_limit_refusals == []


def test_a_backfill_after_a_sync_goes_by_export_too(exchange: Exchange) -> None:
    assert exchange.sync().name == "Completed"
    assert exchange.broker.requests["AddExport"] == 0
    assert exchange.backfill().name == "Completed"
    assert exchange.broker.requests["AddExport"] == 2
    assert trades_of(exchange.executions()) == trades_of(exchange.book())
    assert exchange.ask(GAPS) == []


def test_a_backfill_begins_with_krakens_first_day(exchange: Exchange) -> None:
    [asked] = exchange.backfill(since=None, dry_run=True).result().windows["kraken"]
    assert asked.startswith("2013-09-01 00:00:00 to ")


def test_pages_asked_for_by_name_tell_what_an_export_leaves_out(exchange: Exchange) -> None:
    end = (exchange.broker.clock() - timedelta(days=9)).date()
    assert exchange.backfill(until=end).name == "Completed"
    assert exchange.ask(UNTOLD)[0][0] > 0
    assert "Already covered up to" not in exchange.backfill(until=end, via="pages").message
    assert exchange.ask(UNTOLD) == [(0,)]
    assert exchange.ask(GAPS) == []
    before = len(exchange.broker.log)
    assert (
        f"Already covered up to {end} 00:00:00. No fills were asked for."
        in exchange.backfill(until=end, via="pages").message
    )
    assert len(exchange.broker.log) == before


def test_another_name_for_the_account_brings_the_whole_history_and_says_what_stands_twice(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    half = (exchange.broker.clock() - timedelta(days=200)).date()
    assert exchange.backfill(until=half).name == "Completed"
    assert exchange.ask(TWICE) == []
    monkeypatch.setenv("FILLHOUSE_KRAKEN_ACCOUNT", "desk")
    assert exchange.backfill(until=half).name == "Completed"
    [(count, _), (again, _)] = exchange.ask("select count(*), account from fills group by account")
    assert count == again > 0
    assert "in desk and main" in exchange.ask(TWICE)[0][0]


def test_an_export_of_another_grain_makes_the_backfill_read_pages(exchange: Exchange) -> None:
    exchange.broker.exports.grain = "consolidated"
    state = exchange.backfill()
    assert state.name == "Completed"
    assert exchange.broker.requests["TradesHistory"] > 1
    assert exchange.executions() == exchange.book()


def test_a_wrong_key_asks_once_for_a_new_one_and_schedules_leave_it_alone(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    exchange.broker.keys.pop(API_KEY)
    state = exchange.sync()
    assert (state.name, state.is_failed()) == ("NeedsReauth", True)
    assert "Create a key" in state.message
    asked = len(exchange.broker.log)
    assert asked == 1

    monkeypatch.setattr("flows.incremental._was_scheduled", lambda: True)
    scheduled = exchange.sync()
    assert (scheduled.name, scheduled.is_completed()) == ("NeedsReauth", True)
    assert len(exchange.broker.log) == asked
    assert exchange.backfill(via="export").name == "NeedsReauth"
    assert len(exchange.ask(GAPS)) == 2

    secret = base64.b64encode(b"another secret of 64 bytes".ljust(64, b".")).decode()
    exchange.broker.keys["another-key"] = Key(secret, tier="pro")
    monkeypatch.setenv("FILLHOUSE_KRAKEN_KEY", "another-key")
    monkeypatch.setenv("FILLHOUSE_KRAKEN_SECRET", secret)
    assert exchange.sync().name == "Completed"
    assert exchange.ask(STATE)[0][0] == "active"
    assert len(exchange.ask(GAPS)) == 1
    state = exchange.backfill(via="pages")  # in windows of a quarter, where the failed one was the whole
    assert (state.name, state.result().worst.gaps) == ("Completed", ())
    assert exchange.ask(GAPS) == []


def test_a_key_of_another_account_brings_nothing_until_the_account_has_a_name_of_its_own(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert exchange.backfill(via="pages").name == "Completed"
    before = exchange.executions()
    keys = {"another-key": Key(API_SECRET, tier="pro")}
    other = KrakenBroker(clock=exchange.broker.clock, trades=40, years=1, seed=11, keys=keys)
    with running(other) as address:
        monkeypatch.setenv("FILLHOUSE_KRAKEN_KEY", "another-key")
        monkeypatch.setenv("FILLHOUSE_KRAKEN_BASE_URL", address)
        for _ in range(2):
            state = exchange.sync()
            assert (state.name, state.is_failed()) == ("Misconfigured", True)
            assert "it is another account's" in state.message
        assert exchange.executions() == before
        assert {call.method for call in other.log} == {"QueryTrades", "GetApiKeyInfo"}
        monkeypatch.setenv("FILLHOUSE_KRAKEN_ACCOUNT", "second")
        assert exchange.backfill(via="pages").name == "Completed"
        assert len(exchange.ask("select distinct account from fills")) == 2


def test_another_key_of_the_same_account_is_recognised(exchange: Exchange, monkeypatch: pytest.MonkeyPatch) -> None:
    assert exchange.backfill(via="pages").name == "Completed"
    exchange.broker.keys["another-key"] = Key(API_SECRET, tier="pro")
    monkeypatch.setenv("FILLHOUSE_KRAKEN_KEY", "another-key")
    assert exchange.sync().name == "Completed"
    assert exchange.broker.requests["QueryTrades"] == 1
    assert exchange.sync().name == "Completed"
    assert exchange.broker.requests["QueryTrades"] == 1
    assert trades_of(exchange.executions()) == trades_of(exchange.book())


def test_a_broker_that_is_away_is_asked_for_one_window_only(
    exchange: Exchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(timing.TIME, "sleep", lambda _seconds: pytest.fail("a conversation waits for nobody"))
    with socket.create_server(("127.0.0.1", 0)) as taken:
        nobody = f"127.0.0.1:{taken.getsockname()[1]}"
    monkeypatch.setenv("FILLHOUSE_KRAKEN_BASE_URL", f"http://{nobody}")
    state = exchange.backfill(via=Way.PAGES)
    assert (state.name, state.is_completed()) == ("Degraded", True)
    outcome = state.result().worst
    assert outcome.windows > 1
    assert re.fullmatch(rf"{nobody} cannot be reached \(.*Connection refused\)\.", outcome.reason)
    asked = "select endpoint, status from exchanges where kind = 'exchange'"
    # For the listings, for the window, and once again for that after FILLHOUSE_RETRY_DELAYS.
    assert exchange.ask(asked) == [("Time", None)] * 3
    assert exchange.ask("select distinct status from coverage") == [("failed",)]


def test_a_locked_out_key_is_left_alone_until_it_opens(exchange: Exchange) -> None:
    exchange.broker.faults.on("temporary_lockout")
    state = exchange.sync()
    assert (state.name, state.is_completed()) == ("RateLimited", True)
    asked = len(exchange.broker.log)
    exchange.broker.faults.clear()
    assert exchange.sync().name == "RateLimited"
    assert len(exchange.broker.log) == asked


def test_a_run_by_hand_was_not_scheduled(exchange: Exchange) -> None:
    assert exchange.sync().name == "Completed"
    with get_client(sync_client=True) as client:
        runs = client.read_flow_runs()
    assert not any(run.auto_scheduled for run in runs if run.flow_id)


def test_days_in_the_wrong_order_end_the_run_with_a_sentence(exchange: Exchange) -> None:
    state = exchange.backfill(since=date(2026, 1, 10), until=date(2026, 1, 1))
    assert (state.name, state.is_failed()) == ("Misconfigured", True)
    assert state.message.startswith("The first day, 2026-01-10, must be before 2026-01-01")
    assert sum(exchange.broker.requests.values()) == 0
