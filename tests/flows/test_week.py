"""A week of the schedules in `prefect.yaml`, as fast as it goes: three brokers in trouble, and in the end every fill once.

Prefect's server is real and makes the runs from our schedules, for a week of March; brokers and flows look at one clock that
leaps from slot to slot. Every sync is run, of the checks one an hour. What goes wrong when is drawn from a seed. Memory, disk and
databases are written to `build/week.txt`. `make week` takes three quarters of an hour.
"""

from __future__ import annotations

import ctypes
import gc
import os
import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from random import Random
from typing import Any
from uuid import UUID

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.filters import (
    DeploymentFilter,
    DeploymentFilterId,
    FlowRunFilter,
    FlowRunFilterExpectedStartTime,
)
from prefect.client.schemas.objects import FlowRun
from prefect.flow_engine import run_flow
from prefect.settings import (
    PREFECT_API_URL,
    PREFECT_FLOWS_HEARTBEAT_FREQUENCY,
    PREFECT_HOME,
    PREFECT_SERVER_ANALYTICS_ENABLED,
    temporary_settings,
)
from prefect.states import Pending

from connectors.ibkr_flex.sandbox import FlexBroker
from connectors.ibkr_flex.sandbox import running as flex_running
from connectors.ibkr_portal.sandbox import Clock, Gateway
from connectors.ibkr_portal.sandbox import running as portal_running
from connectors.kraken.sandbox import KrakenBroker, own_keys
from connectors.kraken.sandbox import running as kraken_running
from flows import server, surroundings, timing
from flows.sandbox_books import gateway_book
from tests.connectors.kraken.desk import executions_in, executions_of
from tests.flows.desk import ibkr_book_of, ibkr_fills_in
from tests.flows.operating import ROOT, settings_of
from warehouse import db

pytestmark = pytest.mark.week

MONDAY = datetime(2026, 3, 2, tzinfo=UTC)  # the week ends with the night in which New York changes its clocks
END = MONDAY + timedelta(days=7)
CALM = END - timedelta(hours=12)  # from here on nothing goes wrong, and whoever must log in has done so
HISTORY = timedelta(days=20)
FIRST = MONDAY - HISTORY + timedelta(days=2)  # a trade date begins the evening before
LOGS_IN_AT = time(12, 40)  # UTC
SEED = 20260302
SCHEDULED = ("incremental", "reauth-check")
CHECKS_AT = 2  # minutes past the hour
SATURDAY = 5
MOST_RUNS = 400  # of one schedule in a day
FLAT = 1.3  # times what was held after the first day

FLEX_TROUBLE = (
    "slow warn_envelope_as_when_available heavy_load_1009 generate_fail_1001 locked_1025 not_ready_1005 token_expired "
    "ip_restricted_1013 html_page http_503 empty_body truncated short_range foreign_url"
).split()
PORTAL_TROUBLE = (
    "http_503 http_500 http_401 http_429 error_in_200 login_page redirect_to_login empty_body truncated_json "
    "unauthorized_empty init_session_first no_bridge_after_init slow_to_establish bare_status accounts_first_500 "
    "all_accounts priming_per_account stale_trades every_revision conid_with_venue trades_in_object older_server "
    "no_commissions"
).split()
KRAKEN_TROUBLE = (
    "rate_limit_exceeded throttled unavailable busy deadline_elapsed internal_error database_error invalid_nonce "
    "temporary_lockout too_many_requests permission_denied auth_failed unknown_error http_502 http_504 http_520 "
    "html_page empty_body truncated_json warning count_too_small count_too_large early_empty_page withheld hidden shuffled "
    "old_fields late"
).split()
STRIKES_AT = {"hidden": "TradesHistory"}  # of what the ledger hides and does not count nobody can know


@dataclass
class Week:
    """Three brokers, a home for data, Prefect's server, and the trouble that is on."""

    home: Path
    clock: Clock
    flex: FlexBroker
    gateway: Gateway
    kraken: KrakenBroker
    serving: int
    chance: Random
    happened: Counter[str] = field(default_factory=Counter)
    endings: Counter[str] = field(default_factory=Counter)
    measured: list[str] = field(default_factory=list)
    memory: dict[str, list[float]] = field(default_factory=lambda: {"ours": [], "the server's": []})
    _over: list[tuple[datetime, Callable[[], object]]] = field(default_factory=list)
    _next_trouble: datetime = MONDAY + timedelta(hours=1)
    _asleep_until: datetime = MONDAY
    _morning_of: date | None = None

    def until(self, moment: datetime) -> None:
        """Let time pass to a slot, with whatever happens in between."""
        while (due := min(self._next_trouble, moment)) < moment:
            self._pass_to(due)
            self._next_trouble = due + timedelta(minutes=self.chance.randint(20, 240))
            if due < CALM:
                self._trouble(due)
        self._pass_to(moment)

    def is_asleep(self) -> bool:
        return self.clock() < self._asleep_until

    def _pass_to(self, moment: datetime) -> None:
        self.clock.advance(max((moment - self.clock()).total_seconds(), 0.0))
        for over in [each for each in self._over if each[0] <= moment or moment >= CALM]:
            over[1]()
            self._over.remove(over)
        if moment.date() != self._morning_of and moment.time() >= LOGS_IN_AT:
            self._morning_of = moment.date()
            self._morning(moment)

    def _morning(self, now: datetime) -> None:
        """Log in, press "sync now"; and have IBKR think again about yesterday."""
        from flows.incremental import incremental  # noqa: PLC0415  (Prefect must be set up before)

        self.gateway.session.tws_logs_out()
        self.gateway.log_in()
        yesterday = now.date() - timedelta(days=1)
        is_reported = now.weekday() < SATURDAY  # there is no statement of a Saturday
        rows = [row for row in self.flex.history.rows if row.trade_date == yesterday and row.exec_id and is_reported]
        for row, again in zip(self.chance.sample(rows, min(2, len(rows))), (True, False), strict=False):
            price = row.price + row.instrument.tick if again else row.price
            self.flex.cancel_and_rebook(
                row.transaction_id, rebook=again, price=price, revise_exec_id=again, report_date=now.date()
            )
            self.happened["corrected" if again else "cancelled"] += 1
        state: Any = incremental(return_state=True)
        self.endings[f"sync now: {state.name}"] += 1
        self.measure(f"{now:%a %H:%M}")

    def _trouble(self, now: datetime) -> None:
        ends = now + timedelta(minutes=self.chance.randint(10, 200))
        match self.chance.choice(("flex", "gateway", "kraken", "kraken", "session", "asleep")):
            case "flex":
                name = self.chance.choice(FLEX_TROUBLE)
                self.flex.faults.add(name)
                self._over.append((ends, lambda: self.flex.faults.discard(name)))
            case "gateway":
                name = self.chance.choice(PORTAL_TROUBLE)
                self.gateway.faults.on(name, after=self.chance.randint(0, 3))
                self._over.append((ends, lambda: self.gateway.faults.off(name)))
            case "kraken":
                name = self.chance.choice(KRAKEN_TROUBLE)
                self.kraken.faults.on(name, at=STRIKES_AT.get(name), after=self.chance.randint(0, 3))
                self._over.append((ends, lambda: self.kraken.faults.off(name)))
            case "session":
                name = self.chance.choice(("tws_logs_in", "log_out"))
                getattr(self.gateway.session, name)()
                self._over.append((ends, self.gateway.session.tws_logs_out))
            case _:
                name, self._asleep_until = "asleep", ends
        self.happened[name] += 1

    def run(self, run_id: str, flow_name: str) -> None:
        """Carry a scheduled run out, as a worker's process does."""
        from flows.incremental import incremental  # noqa: PLC0415  (Prefect must be set up before)
        from flows.reauth_check import reauth_check  # noqa: PLC0415

        flow = {"incremental": incremental, "reauth-check": reauth_check}[flow_name]
        with get_client(sync_client=True) as client:
            client.set_flow_run_state(UUID(run_id), Pending())
            due = client.read_flow_run(UUID(run_id))
        state: Any = run_flow(flow, flow_run=due, return_type="state")
        self.endings[f"{flow.name}: {state.name}"] += 1
        assert state.is_final(), state

    def measure(self, when: str) -> None:
        gc.collect()
        ctypes.CDLL(None).malloc_trim(0)  # what is held, not what the allocator keeps for the next of a thousand runs
        ours, servers = _megabytes_of(os.getpid()), _megabytes_of(self.serving)
        self.memory["ours"].append(ours)
        self.memory["the server's"].append(servers)
        sizes = {
            name: _size(self.home / name) for name in (db.WRITER, f"{db.WRITER}.wal", db.READER, "landing", "prefect")
        }
        self.measured.append(
            f"{when}: memory {ours:.0f} MB, Prefect's server {servers:.0f} MB; "
            + ", ".join(f"{name} {size:.1f} MB" for name, size in sizes.items())
        )

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        with db.writer(self.home) as con:
            return con.execute(query).fetchall()


def _megabytes_of(pid: int) -> float:
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS")) / 1024


def _size(path: Path) -> float:
    return sum(file.stat().st_size for file in (path, *path.rglob("*")) if file.is_file()) / 2**20


@pytest.fixture
def week(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Week]:
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.chdir(home)
    clock = Clock(MONDAY)
    monkeypatch.setattr(timing, "TIME", timing.Time(clock, clock.sleep))
    flex = FlexBroker(now=clock, executions=4000, years=1, seed=11, generation_seconds=0.2)
    gateway = Gateway(clock=clock, book=gateway_book(flex))
    kraken = KrakenBroker(
        clock=clock, trades=300, years=1, arrivals_per_second=0.001, keys=own_keys("pro"), late_seconds=60.0
    )
    with (
        flex_running(flex) as flex_url,
        portal_running(gateway) as portal,
        kraken_running(kraken) as kraken_url,
        _prefect(home, monkeypatch) as serving,
    ):
        own = {"FILLHOUSE_HOME": str(home), "FILLHOUSE_RETRY_DELAYS": "[0, 0]"}
        for name, value in (own | settings_of(flex_url, portal, kraken_url)).items():
            monkeypatch.setenv(name, value)
        yield Week(home, clock, flex, gateway, kraken, serving, Random(SEED))  # noqa: S311  (not for secrets)


@contextmanager
def _prefect(home: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Run the server as `fillhouse up` does, and tell it of our deployments; gives the server's process."""
    from flows import deployments  # noqa: PLC0415  (Prefect must be set up before)

    with socket.socket() as probe:
        probe.bind((server.HOST, 0))
        port = int(probe.getsockname()[1])
    api = server.api_at(port)
    for name, value in (surroundings.QUIET | {"PREFECT_HOME": str(home / "prefect"), "PREFECT_API_URL": api}).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    its = os.environ | {"PREFECT_SERVER_SERVICES_LATE_RUNS_ENABLED": "false"}  # by its clock the whole week is late
    serving = server.at(port, surroundings.of_server(its, api), home / "logs")
    serving.start()
    settings = {
        PREFECT_HOME: home / "prefect",
        PREFECT_API_URL: api,
        PREFECT_SERVER_ANALYTICS_ENABLED: False,
        PREFECT_FLOWS_HEARTBEAT_FREQUENCY: None,
    }
    try:
        server.wait_for(serving, port, threading.Event())
        with temporary_settings(settings):
            deployments.register()
            assert serving.process is not None
            yield serving.process.pid
    finally:
        serving.stop()


def slots(since: datetime, until: datetime) -> list[tuple[datetime, str, str]]:
    """Have Prefect make the runs of a span from our schedules; gives the moment, the id and the flow of each, in order."""
    with get_client(sync_client=True) as client:
        ours = {each.id: each.name for each in client.read_deployments() if each.name in SCHEDULED}
        span = {
            "start_time": since.isoformat(),
            "end_time": until.isoformat(),
            "min_runs": MOST_RUNS,
            "max_runs": MOST_RUNS,
        }
        for each in ours:
            client.request("POST", "/deployments/{id}/schedule", path_params={"id": each}, json=span)
        of = DeploymentFilter(id=DeploymentFilterId(any_=list(ours)))
        wanted = FlowRunFilter(
            expected_start_time=FlowRunFilterExpectedStartTime.model_validate({"after_": since, "before_": until})
        )
        found: list[FlowRun] = []
        while page := client.read_flow_runs(flow_run_filter=wanted, deployment_filter=of, offset=len(found)):
            found += page
    return sorted(
        (run.expected_start_time, str(run.id), ours[run.deployment_id])
        for run in found
        if run.expected_start_time and run.deployment_id and run.expected_start_time < until
    )


def test_a_week_of_schedules(week: Week) -> None:
    from flows.backfill import backfill  # noqa: PLC0415  (Prefect must be set up before)

    since = (MONDAY - HISTORY).date()
    week.gateway.log_in()
    backfilled: Any = backfill(since=since, return_state=True)
    assert backfilled.name == "Completed"
    week.measure("the backfill")
    for day in range(7):
        for due, run_id, flow in slots(MONDAY + timedelta(days=day), MONDAY + timedelta(days=day + 1)):
            week.until(due)
            if not week.is_asleep() and (flow == "incremental" or due.minute == CHECKS_AT):
                week.run(run_id, flow)
    week.measure("the end")
    _write_down(week)

    amiss = {
        "ibkr": _ibkr_differences(week),
        "kraken": _kraken_differences(week),
        "findings": week.ask("select * from data_health where severity = 'error'"),
        "asked too fast": week.gateway.pacing.violations,
        "thrown out of TWS": week.gateway.session.kicked_out,
        "memory": {whose: held for whose, held in week.memory.items() if max(held) > FLAT * held[1]},
    }
    assert {what: those for what, those in amiss.items() if those} == {}


def _ibkr_differences(week: Week) -> list[tuple[Any, ...]]:
    """Give what stands here or in the broker's book alone."""
    with db.writer(week.home) as con:
        here, there = ibkr_fills_in(con, FIRST), ibkr_book_of(week.flex, FIRST)
    return sorted([("here", *row) for row in here - there] + [("there", *row) for row in there - here], key=str)


def _kraken_differences(week: Week) -> list[tuple[Any, ...]]:
    """Give the same up to the moment of the last answer."""
    [(last,)] = week.ask("select max(returned_until) from coverage where connection = 'kraken'")
    with db.writer(week.home) as con:
        here = executions_in(con)
    there = executions_of(week.kraken, last.replace(tzinfo=UTC))
    return [
        (exec_id, here.get(exec_id), there.get(exec_id))
        for exec_id in sorted(here.keys() | there.keys())
        if here.get(exec_id) != there.get(exec_id) and (here.get(exec_id) or there[exec_id])["time"] >= MONDAY - HISTORY
    ]


def _write_down(week: Week) -> None:
    path = ROOT / "build" / "week.txt"
    path.parent.mkdir(exist_ok=True)
    counted = [", ".join(f"{name} {n}" for name, n in sorted(each.items())) for each in (week.happened, week.endings)]
    path.write_text("\n".join([*week.measured, *counted]) + "\n")
