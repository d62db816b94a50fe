"""The system that `fillhouse up` runs, and what its user meets in Prefect; each test runs a whole one, so they are few."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from uuid import uuid4

import duckdb
import pytest

from connectors.ibkr_flex.sandbox import QUERY_ID, SERVICE_PATH, TOKEN, FlexBroker
from connectors.ibkr_flex.sandbox import running as flex_running
from connectors.kraken.sandbox import API_KEY, API_SECRET, KrakenBroker, own_keys
from connectors.kraken.sandbox import running as kraken_running
from flows import changes
from flows.demo_books import flex_in, flex_of, kraken_in, kraken_of
from tests.flows.operating import STOP_SECONDS, System, up

pytestmark = pytest.mark.whole_system
NAMES = ["ibkr-flex", "kraken"]
SHORTEST_SILENCE = 10.0
LOST_SECONDS = 120.0  # three heartbeats of thirty seconds are missed first


@pytest.fixture
def brokers() -> Iterator[tuple[FlexBroker, KrakenBroker, dict[str, str]]]:
    """Two brokers with a short history, and the settings that name them."""
    flex, kraken = (
        FlexBroker(years=1, executions=60, generation_seconds=0.2, tokens={TOKEN: None}),
        KrakenBroker(trades=120, years=1, keys=own_keys("pro")),
    )
    with flex_running(flex) as flex_url, kraken_running(kraken) as kraken_url:
        yield (
            flex,
            kraken,
            {
                "FILLHOUSE_IBKR_FLEX_TOKEN": TOKEN,
                "FILLHOUSE_IBKR_FLEX_QUERY_ID": QUERY_ID,
                "FILLHOUSE_IBKR_FLEX_BASE_URL": flex_url + SERVICE_PATH,
                "FILLHOUSE_KRAKEN_KEY": API_KEY,
                "FILLHOUSE_KRAKEN_SECRET": API_SECRET,
                "FILLHOUSE_KRAKEN_BASE_URL": kraken_url,
                "FILLHOUSE_KRAKEN_TIER": "pro",
                "FILLHOUSE_RETRY_DELAYS": "[0, 0]",
                "FILLHOUSE_JITTER": "0",
            },
        )


@contextmanager
def webhook() -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """Run a place that keeps what is sent to it."""
    received: list[dict[str, Any]] = []

    class Place(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            received.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_said: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Place)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/", received
    server.shutdown()
    server.server_close()


def save_notification_block(system: System, url: str) -> None:
    """Save what a person would save in the UI: a webhook, under the name that alarms look for."""
    [kind] = [each for each in system.all("block_types") if each["slug"] == "custom-webhook"]
    [schema] = system.all("block_schemas", block_schemas={"block_type_id": {"any_": [kind["id"]]}})
    said = {"name": "desk", "url": url, "json_data": {"subject": "{{subject}}", "body": "{{body}}"}}
    saved = {"name": "fillhouse", "data": said, "block_type_id": kind["id"], "block_schema_id": schema["id"]}
    assert "id" in system.ask("POST", "/block_documents/", json=saved)


def assert_books(system: System, flex: FlexBroker, kraken: KrakenBroker) -> None:
    """Compare what the reader's file holds with the brokers' own books: every execution, once."""
    with duckdb.connect(system.folder / "data" / "fillhouse.duckdb", read_only=True) as con:
        assert flex_in(con) == flex_of(flex.book()["ibkr_flex"])
        assert kraken_in(con) == kraken_of(kraken.book()["kraken"])
        assert (
            con.execute("select count(*), count(distinct row_key) from fills").fetchall()
            == con.execute("select count(*), count(*) from fills").fetchall()
        )


def artifact(system: System, key: str) -> dict[str, Any]:
    [found] = system.all("artifacts/latest", artifacts={"key": {"any_": [key]}})
    return found


def test_a_system_as_its_user_meets_it(
    tmp_path: Path, brokers: tuple[FlexBroker, KrakenBroker, dict[str, str]]
) -> None:
    flex, kraken, settings = brokers
    folder = tmp_path / "empty"
    with webhook() as (url, received), up(folder, settings) as system:
        _the_form_offers_what_there_is_and_refuses_the_rest(system)
        save_notification_block(system, url)
        _a_first_backfill_shows_how_far_it_is_and_what_it_brought(system, flex)
        assert_books(system, flex, kraken)
        with duckdb.connect(folder / "data" / "fillhouse.duckdb", read_only=True) as analyst:
            before = analyst.execute("select count(*) from fills").fetchall()
            _ten_presses_at_once_are_one_sync(system)
            assert analyst.execute("select count(*) from fills").fetchall() == before
        assert_books(system, flex, kraken)
        _other_commands_find_the_server(system)
        system.read_until("Alarms go to the notification block")
        _a_key_that_ends_is_said_once(system, kraken, received)
        _each_other_alarm_is_heard(system, received)
        _a_new_connection_is_offered(system, settings)
        assert system.stop() < STOP_SECONDS
    assert system.process.returncode == 0
    assert {path.name for path in folder.iterdir()} == {".env", "data"}
    assert (folder / "data" / "prefect" / "encryption.key").stat().st_mode & 0o777 == 0o600
    secret = settings["FILLHOUSE_KRAKEN_SECRET"].encode()
    shown = [path for path in (folder / "data").rglob("*") if path.is_file() and secret in path.read_bytes()]
    assert shown == []


def _the_form_offers_what_there_is_and_refuses_the_rest(system: System) -> None:
    assert {each["name"] for each in system.all("deployments")} == {
        "incremental", "backfill", "reauth-check", "doctor", "renormalize",
    }  # fmt: skip
    form = system.deployment("backfill")["parameter_openapi_schema"]["properties"]
    assert form["connections"]["items"]["enum"] == NAMES
    assert all(field["description"] for field in form.values())
    for wrong, why in (
        ({"connections": ["krakn"]}, "'krakn' is not one of"),
        ({"since": "yesterday"}, "'yesterday' does not match"),
        ({"via": "magic"}, "'magic' is not one of"),
        ({"dry_run": "perhaps"}, "'perhaps' is not of type 'boolean'"),
    ):
        assert why in system.press("backfill", **wrong)["detail"]
    dry = system.end_of(system.press("backfill", dry_run=True, since="2026-01-01"))
    assert (dry["state_name"], dry["state"]["message"][:18]) == ("DryRun", "Nothing was asked.")
    assert "kraken: 20" in artifact(system, "backfill-dry-run")["data"]
    assert not (system.folder / "data" / "landing").exists()


def _a_first_backfill_shows_how_far_it_is_and_what_it_brought(system: System, flex: FlexBroker) -> None:
    ended = system.end_of(system.press("backfill", since=str(flex.history.first_day), via="pages"))
    assert (ended["state_type"], ended["state_name"]) == ("COMPLETED", "Completed")
    assert ended["name"].startswith("backfill all 20")
    assert ended["tags"] == ["fillhouse"]
    page = artifact(system, "backfill")["data"]
    assert "| state | active | active |" in page
    assert "fillhouse explain ID" in page
    assert artifact(system, "backfill-kraken")["data"] == 100


def _ten_presses_at_once_are_one_sync(system: System) -> None:
    runs = [system.press("incremental") for _ in range(10)]
    ends = [system.end_of(run)["state_name"] for run in runs]
    assert "Completed" in ends
    assert set(ends) <= {"Completed", "Cancelled"}


def _other_commands_find_the_server(system: System) -> None:
    told = system.command("sync", "kraken")
    assert (told.returncode, "Prefect starts a server" in told.stderr) == (0, False)
    assert [run["name"][:18] for run in system.all("flow_runs") if run["deployment_id"] is None] == [
        "incremental kraken"
    ]
    second = system.command("up")
    assert (second.returncode, second.stdout) == (2, "")
    assert f"Fillhouse is up already for {system.folder / 'data'}: http://127.0.0.1:{system.port}" in second.stderr


def _a_key_that_ends_is_said_once(system: System, kraken: KrakenBroker, received: list[dict[str, Any]]) -> None:
    kraken.faults.on("invalid_key")
    ends = [system.end_of(system.press("incremental", connections=["kraken"])) for _ in range(2)]
    assert [(run["state_name"], run["state_type"]) for run in ends] == [
        ("NeedsReauth", "FAILED"),
        ("NeedsReauth", "COMPLETED"),
    ]
    assert "create a key" in ends[0]["state"]["message"].lower()
    system.wait_for(lambda: received)
    kraken.faults.off("invalid_key")
    assert [said["subject"] for said in received] == ["kraken needs you"]
    assert "create a key" in received[0]["body"].lower()


ALARMS: dict[str, tuple[dict[str, Any], str]] = {
    changes.MISCONFIGURED: ({"reason": "There is no such query.", "remedy": "Check it."}, "desk is misconfigured"),
    changes.TOKEN_EXPIRES: ({"expires_on": "2027-01-01"}, "The token of desk expires on 2027-01-01"),
    changes.OLD_GAP: ({"gaps": "2 days", "remedy": "Back-fill."}, "desk has had gaps for more than a day"),
    changes.QUARANTINED: ({"rows": 3}, "3 rows of desk are in quarantine"),
    changes.SYNCED: ({}, "desk has not been synced for an hour"),
}


def _each_other_alarm_is_heard(system: System, received: list[dict[str, Any]]) -> None:
    """Tell the server what our flows tell it, with an hour's silence made as short as Prefect allows."""
    [silence] = [each for each in system.all("automations") if each["name"] == "fillhouse: no sync succeeds"]
    silence["trigger"]["within"] = SHORTEST_SILENCE
    fields = ("name", "description", "enabled", "trigger", "actions")
    system.ask("PUT", f"/automations/{silence['id']}", json={field: silence[field] for field in fields})
    del received[:]
    of = {"prefect.resource.id": f"{changes.CONNECTION}.desk", "prefect.resource.name": "desk"}
    for event, (said, _) in ALARMS.items():
        told = {"id": str(uuid4()), "occurred": str(datetime.now(UTC)), "event": event, "resource": of}
        system.ask("POST", "/events", json=[{**told, "payload": {"connection": "desk", **said}}])
    wanted = {subject for _, subject in ALARMS.values()}
    system.wait_for(lambda: wanted <= {each["subject"] for each in received})
    bodies = {each["subject"]: each["body"] for each in received}
    assert bodies["desk is misconfigured"] == "There is no such query.\n\nWhat to do: Check it."
    assert len([each for each in received if each["subject"] in wanted]) == len(ALARMS)


def _a_new_connection_is_offered(system: System, settings: dict[str, str]) -> None:
    fields = ["tier=pro", "account=second", f"base_url={settings['FILLHOUSE_KRAKEN_BASE_URL']}"]
    secrets = [f"api_{name.lower()}={settings[f'FILLHOUSE_KRAKEN_{name}']}" for name in ("KEY", "SECRET")]
    chosen = [word for text in (*fields, *secrets) for word in ("--set", text)]
    assert "no =" in system.command("connect", "kraken", "second", "--set", "tier").stderr
    short = system.command("connect", "kraken", "second", "--set", "api_key=x", "--set", "api_secret=!")
    assert (short.returncode, "The connection second: " in short.stderr) == (2, True)
    told = system.command("connect", "kraken", "second", *chosen)
    assert (told.returncode, told.stderr) == (0, "")
    assert "is a connection second already" in system.command("connect", "kraken", "second", *chosen).stderr

    def offered() -> list[str]:
        form: dict[str, Any] = system.deployment("incremental")["parameter_openapi_schema"]
        return list(form["properties"]["connections"]["items"]["enum"])

    system.wait_for(lambda: offered() == [*NAMES, "second"])


def test_trouble_in_the_engine_room(tmp_path: Path, brokers: tuple[FlexBroker, KrakenBroker, dict[str, str]]) -> None:
    flex, kraken, settings = brokers
    with up(tmp_path / "empty", settings) as system:
        system.end_of(system.press("backfill", since=str(flex.history.first_day), via="pages"))
        _a_schedule_makes_runs_that_begin_in_time(system)
        _many_late_runs_are_one_sync(system)
        _a_server_that_dies_is_started_anew_and_no_run_suffers(system)
        _a_killed_worker_holds_nothing_for_long(system)
        assert_books(system, flex, kraken)
        system.process.kill()  # what it started ends, too
        system.process.wait()
        system.wait_for(lambda: str(system.port) not in _commands())
    with up(tmp_path / "empty", settings) as again:
        assert again.end_of(again.press("incremental"))["state_name"] == "Completed"


def _commands() -> str:
    return subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout  # noqa: S607


def _a_schedule_makes_runs_that_begin_in_time(system: System) -> None:
    """Prefect's scheduler makes none at all with some versions of what it stands on."""
    assert system.wait_for(lambda: _of(system, "incremental", {"SCHEDULED"}))
    path = f"/deployments/{system.deployment('reauth-check')['id']}/schedules"
    [made] = system.ask("POST", path, json=[{"active": True, "schedule": {"interval": 15}}])
    run = system.wait_for(lambda: [r for r in _of(system, "reauth-check", {"COMPLETED"}) if r["auto_scheduled"]])[0]
    system.ask("DELETE", f"{path}/{made['id']}")
    assert run["name"].startswith("reauth-check all 20")


def _of(system: System, name: str, types: set[str]) -> list[dict[str, Any]]:
    """Give the runs of a deployment that are in a state of these types."""
    chosen = {"deployment_id": {"any_": [system.deployment(name)["id"]]}, "state": {"type": {"any_": sorted(types)}}}
    return system.all("flow_runs", flow_runs=chosen, sort="EXPECTED_START_TIME_ASC")


def _many_late_runs_are_one_sync(system: System) -> None:
    """Let the worker stand still while the slots of hours pass, as on a night asleep."""
    worker = system.child("prefect worker")
    os.kill(worker, signal.SIGSTOP)
    now = datetime.now(UTC)
    late = [
        system.ask(
            "POST",
            f"/deployments/{system.deployment('incremental')['id']}/create_flow_run",
            json={"state": {"type": "SCHEDULED", "state_details": {"scheduled_time": str(now - timedelta(minutes=m))}}},
        )
        for m in range(15, 12 * 15, 15)
    ]
    os.kill(worker, signal.SIGCONT)
    ends = [system.end_of(run)["state_name"] for run in late]
    assert ends.count("Completed") in (1, 2)
    assert set(ends) == {"Completed", "Cancelled"}


def _a_server_that_dies_is_started_anew_and_no_run_suffers(system: System) -> None:
    run = system.press("incremental")
    system.wait_for(lambda: system.run(run)["state_type"] == "RUNNING")
    os.kill(system.child("prefect server"), signal.SIGKILL)
    system.read_until("The server has ended (-9)")
    system.wait_for(system.answers)
    assert system.end_of(run)["state_name"] == "Completed"
    assert system.end_of(system.press("incremental"))["state_name"] == "Completed"


def _a_killed_worker_holds_nothing_for_long(system: System) -> None:
    run = system.press("incremental")
    system.wait_for(lambda: system.run(run)["state_type"] == "RUNNING")
    worker = system.child("prefect worker")
    for process in (worker, *system.children(worker)):
        os.kill(process, signal.SIGKILL)
    system.read_until("The worker has ended (-9)")
    assert system.run(run)["state_type"] == "RUNNING"
    assert system.end_of(run, within=LOST_SECONDS)["state_name"] == "Crashed"
    assert system.end_of(system.press("incremental"))["state_name"] == "Completed"
