"""The check of the set-up, against the sandboxes: what it finds, what it leaves alone, and that no table has a trace of it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from connectors.checkup import Finding
from connectors.ibkr_flex.sandbox import QUERY_ID, SERVICE_PATH, TOKEN, FlexBroker
from connectors.ibkr_flex.sandbox import running as flex_running
from connectors.ibkr_portal.sandbox import HARDLY_EVER, Gateway, Running
from connectors.ibkr_portal.sandbox import running as gateway_running
from connectors.ibkr_portal.sandbox_tls import write_certificate
from connectors.kraken.sandbox import API_KEY, API_SECRET, TRADES_ONLY_KEY, Key, KrakenBroker, own_keys
from connectors.kraken.sandbox import running as kraken_running
from flows import doctor, steps, timing
from tests.importing import RECORDED, imported, rows
from warehouse import connections, db

NOWHERE = "127.0.0.1:9"


def a_moment(seconds: float) -> None:
    time.sleep(min(seconds, 0.2))


def found(home: Path, about: str, clock: Callable[[], datetime] = timing.utc_now) -> list[Finding]:
    """Give what the doctor says of one connection."""
    every = list(doctor.examine(home, clock=clock, sleep=a_moment))
    return [finding for finding in every if finding.text.startswith(f"{about}: ")]


def said(findings: list[Finding]) -> str:
    return "\n".join(f"{finding.level} {finding.text}. {finding.remedy}" for finding in findings)


def levels(findings: list[Finding]) -> set[str]:
    return {str(finding.level) for finding in findings}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Give a home, a folder without `.env`, and a Prefect nobody has set up."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "prefect"))
    return tmp_path / "home"


@pytest.fixture
def kraken(monkeypatch: pytest.MonkeyPatch) -> Iterator[KrakenBroker]:
    least = Key(API_SECRET, "pro", frozenset({"trades", "ledgers", "export"}))
    broker = KrakenBroker(trades=30, years=1, keys={**own_keys("pro"), "least": least})
    with kraken_running(broker) as address:
        monkeypatch.setenv("FILLHOUSE_KRAKEN_BASE_URL", address)
        monkeypatch.setenv("FILLHOUSE_KRAKEN_SECRET", API_SECRET)
        monkeypatch.setenv("FILLHOUSE_KRAKEN_KEY", "least")
        yield broker


def test_a_key_with_the_least_permissions_is_all_right(home: Path, kraken: KrakenBroker) -> None:
    findings = found(home, "kraken")
    assert levels(findings) == {"ok"}
    assert "can neither trade nor move money" in said(findings)
    assert kraken.requests.keys() == {"Time", "TradesHistory", "Ledgers", "ExportStatus", "GetApiKeyInfo"}


def test_a_missing_permission_is_named(home: Path, kraken: KrakenBroker, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FILLHOUSE_KRAKEN_KEY", TRADES_ONLY_KEY)
    bad = [finding for finding in found(home, "kraken") if finding.level == "bad"]
    assert [finding.remedy.split("'")[1] for finding in bad] == ["Query ledger entries", "Export data"]
    assert kraken.requests["TradesHistory"] == 1


def test_a_key_that_may_withdraw_is_too_wide(home: Path, kraken: KrakenBroker) -> None:
    wide = own_keys()[API_KEY].permissions | {"withdraw-funds", "modify-trades"}
    ends = int(datetime(2100, 1, 1, tzinfo=UTC).timestamp())
    kraken.keys["least"] = Key(API_SECRET, "pro", wide, valid_until=ends, query_from=ends)
    text = said(found(home, "kraken"))
    assert "look kraken: the key may do more than read: modify-trades, withdraw-funds" in text
    assert "note kraken: the key may also do what a sync does not need: create-ws-token, query-funds" in text
    assert "look kraken: the key reads only from 2100-01-01 on" in text
    assert "ok kraken: the key expires on 2100-01-01" in text


def test_a_kraken_that_does_not_tell_what_a_key_may_do_is_no_fault(home: Path, kraken: KrakenBroker) -> None:
    kraken.faults.on("unknown_method", at="GetApiKeyInfo")
    findings = found(home, "kraken")
    assert levels(findings) == {"ok", "note"}
    assert "cannot be seen without trying, which is not done" in said(findings)


@pytest.mark.parametrize(("seconds", "level"), [(1, "ok"), (20, "look"), (90, "bad"), (-90, "bad")])
def test_a_clock_that_is_wrong_is_told(home: Path, kraken: KrakenBroker, seconds: int, level: str) -> None:
    kraken.clock = lambda: datetime.now(UTC) + timedelta(seconds=seconds)
    (clock,) = [finding for finding in found(home, "kraken") if "clock" in finding.text]
    assert clock.level == level


def test_an_unknown_key_is_shown_once_and_a_silent_broker_is_worth_a_look(
    home: Path, kraken: KrakenBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FILLHOUSE_KRAKEN_KEY", "unknown")
    text = said(found(home, "kraken"))
    assert "bad kraken: Kraken does not know this API key" in text
    assert kraken.requests["TradesHistory"] == 1
    monkeypatch.setenv("FILLHOUSE_KRAKEN_BASE_URL", f"http://{NOWHERE}")
    assert levels(found(home, "kraken")) == {"look"}


@pytest.mark.parametrize("state", ["needs_reauth", "rate_limited"])
def test_a_connection_that_is_to_be_left_alone_is_not_asked(home: Path, kraken: KrakenBroker, state: str) -> None:
    from flows.connections import connections as configured  # noqa: PLC0415

    now = timing.utc_now()
    with db.writer(home) as con:
        connections.record_state(
            con, "kraken", "kraken", configured()[0].key, state, reason="It is so.", remedy="Create a key.",
            moment=now, retry_at=now + timedelta(hours=1), success=False,
        )  # fmt: skip
    text = said(found(home, "kraken"))
    assert "not asked" in text
    assert ("Create a key." in text) is (state == "needs_reauth")
    assert not kraken.requests


def test_a_check_is_landed_and_becomes_neither_fills_nor_coverage(home: Path, kraken: KrakenBroker) -> None:
    kraken.trade_now(3)
    found(home, "kraken")
    with db.writer(home) as con:
        asked = con.execute("select distinct endpoint from exchanges where kind = 'exchange'").fetchall()
        assert {("TradesHistory",), ("GetApiKeyInfo",)} < set(asked)
        for table in ("execution_reports", "ledger_entries", "coverage", "watermarks", "connections"):
            assert con.execute(f"select count(*) from {table}").fetchall() == [(0,)], table
    assert steps.renormalize(home).differences == {}


@pytest.fixture
def gateway() -> Gateway:
    return Gateway()


@pytest.fixture
def served(gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> Iterator[Running]:
    with gateway_running(gateway) as served:
        monkeypatch.setenv("FILLHOUSE_IBKR_PORTAL_BASE_URL", served.base_url)
        monkeypatch.setenv("FILLHOUSE_IBKR_PORTAL_CERTIFICATE", str(served.ca_file))
        monkeypatch.setenv("FILLHOUSE_IBKR_PORTAL_MAINTENANCE", HARDLY_EVER)
        yield served


def test_a_gateway_is_asked_one_thing_and_left_as_it_is(home: Path, gateway: Gateway, served: Running) -> None:
    assert "Log in to the gateway in a browser" in said(found(home, "ibkr-portal"))
    gateway.log_in()
    findings = found(home, "ibkr-portal")
    assert levels(findings) == {"ok"}
    assert "the next sync opens it" in said(findings)
    assert f"the gateway at {served.base_url} answers" in said(findings)
    assert {call.path for call in gateway.log} == {"/iserver/auth/status"}
    assert gateway.session.brokerage(gateway.now()) is None


@pytest.mark.usefixtures("served")
def test_a_session_that_another_program_holds_is_never_taken(
    home: Path,
    gateway: Gateway,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gateway.log_in()
    gateway.session.tws_logs_in()
    assert "bad ibkr-portal: Another program holds the brokerage session" in said(found(home, "ibkr-portal"))
    monkeypatch.setenv("FILLHOUSE_IBKR_PORTAL_COMPETE", "true")
    assert "the next sync takes it from there" in said(found(home, "ibkr-portal"))
    assert gateway.session.tws_holds


@pytest.mark.usefixtures("served")
def test_a_gateway_with_another_certificate_is_not_trusted(
    home: Path, gateway: Gateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "other").mkdir()
    other, _ = write_certificate(tmp_path / "other")
    monkeypatch.setenv("FILLHOUSE_IBKR_PORTAL_CERTIFICATE", str(other))
    assert "its certificate is not the one that is set" in said(found(home, "ibkr-portal"))
    monkeypatch.delenv("FILLHOUSE_IBKR_PORTAL_CERTIFICATE")
    assert "Set FILLHOUSE_IBKR_PORTAL_CERTIFICATE" in said(found(home, "ibkr-portal"))
    assert not gateway.log


@pytest.mark.usefixtures("served")
def test_a_gateway_that_is_away_or_has_another_clock_is_told(
    home: Path,
    gateway: Gateway,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    gateway.log_in()
    text = said(found(home, "ibkr-portal", clock=lambda: datetime.now(UTC) - timedelta(seconds=90)))
    assert "bad ibkr-portal: this machine's clock is" in text
    assert "s behind the gateway's" in text
    monkeypatch.setenv("FILLHOUSE_IBKR_PORTAL_BASE_URL", f"https://{NOWHERE}/v1/api")
    findings = found(home, "ibkr-portal")
    assert levels(findings) == {"look"}
    assert "Start it (bin/run.sh root/conf.yaml)" in said(findings)


@pytest.fixture
def flex(monkeypatch: pytest.MonkeyPatch) -> Iterator[FlexBroker]:
    broker = FlexBroker(years=1, executions=300, generation_seconds=0.0)
    with flex_running(broker) as address:
        monkeypatch.setenv("FILLHOUSE_IBKR_FLEX_TOKEN", TOKEN)
        monkeypatch.setenv("FILLHOUSE_IBKR_FLEX_QUERY_ID", QUERY_ID)
        monkeypatch.setenv("FILLHOUSE_IBKR_FLEX_BASE_URL", address + SERVICE_PATH)
        yield broker


def test_before_the_first_sync_a_statement_shows_what_the_query_prints(home: Path, flex: FlexBroker) -> None:
    text = said(found(home, "ibkr-flex"))
    assert "ok ibkr-flex: token and query are good" in text
    assert "ok ibkr-flex: the query has the section that tells trades" in text
    assert "ok ibkr-flex: executions, mandatory boxes and dates are as they must be" in text
    assert "note ibkr-flex: IBKR does not tell when the token expires" in text
    assert rows(home, "select * from coverage") == []
    asked = sum(flex.requests.values())
    again = said(found(home, "ibkr-flex"))
    assert "judged by the newest statement that is here" in again
    assert "the query has the section" in again
    assert sum(flex.requests.values()) == asked, "the statement that is there is looked at again"


def test_another_query_is_asked_for_and_so_is_one_in_which_boxes_were_ticked(
    home: Path, flex: FlexBroker, monkeypatch: pytest.MonkeyPatch
) -> None:
    good = "executions, mandatory boxes and dates are as they must be"
    assert good in said(found(home, "ibkr-flex"))
    flex.queries["917399"] = replace(flex.queries[QUERY_ID], unticked=frozenset({"quantity"}))
    monkeypatch.setenv("FILLHOUSE_IBKR_FLEX_QUERY_ID", "917399")
    text = said(found(home, "ibkr-flex"))
    assert good not in text
    assert "bad ibkr-flex: " in text
    assert "quantity" in text
    flex.queries["917399"] = flex.queries[QUERY_ID]
    assert good in said(found(home, "ibkr-flex"))
    asked = sum(flex.requests.values())
    assert good in said(found(home, "ibkr-flex"))
    assert sum(flex.requests.values()) == asked


@pytest.mark.usefixtures("flex")
def test_a_token_that_is_no_good_is_told_with_what_to_do(
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("FILLHOUSE_IBKR_FLEX_TOKEN", "123456789012")
    assert "generate a token and store it" in said(found(home, "ibkr-flex"))


@pytest.mark.usefixtures("flex")
@pytest.mark.parametrize(("days", "level"), [(-1, "bad"), (0, "bad"), (20, "look"), (200, "ok")])
def test_the_token_s_end_is_told(
    home: Path,
    monkeypatch: pytest.MonkeyPatch,
    days: int,
    level: str,
) -> None:
    ends = datetime.now(UTC).date() + timedelta(days=days)
    monkeypatch.setenv("FILLHOUSE_IBKR_FLEX_TOKEN_EXPIRES", ends.isoformat())
    (expiry,) = [finding for finding in found(home, "ibkr-flex") if "expire" in finding.text]
    assert expiry.level == level


@pytest.mark.parametrize(
    ("case", "shown"),
    [
        ("31_box_ticked_later/1", "look imported ibkr_flex files: the query does not print"),
        ("30_no_trades_section_and_empty_trades/1", "bad imported ibkr_flex files: the query has no section Trades"),
    ],
)
def test_an_imported_statement_shows_what_its_query_lacks(home: Path, case: str, shown: str) -> None:
    imported(home, [RECORDED / f"{case}.xml"])
    assert shown in said(found(home, "imported ibkr_flex files"))


def test_versions_that_prefect_does_not_work_with_are_named() -> None:
    good = {"prefect": "3.8.8", "fastapi": "0.150.0", "sqlalchemy": "2.0.58"}
    assert levels(list(doctor.versions(good))) == {"ok"}
    broken = list(doctor.versions({**good, "sqlalchemy": "2.1.9", "fastapi": "0.165.0"}))
    assert levels(broken) == {"bad"}
    assert "its scheduler creates no runs" in said(broken)
    assert levels(list(doctor.versions({**good, "prefect": "3.9.1", "sqlalchemy": "2.1.9"}))) == {"ok"}


def test_a_folder_that_cannot_be_written_to_ends_the_check_without_a_request(
    tmp_path: Path, home: Path, kraken: KrakenBroker
) -> None:
    (tmp_path / "file").touch()
    inside = tmp_path / "file" / "home"
    findings = list(doctor.examine(inside, sleep=a_moment))
    assert "Set FILLHOUSE_HOME to a folder that can" in said(findings)
    assert not kraken.requests
    assert not home.exists()
