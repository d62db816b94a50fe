"""The backfill flow, in a real Prefect, against the sandbox broker over loopback."""

from __future__ import annotations

import io
import json
import sqlite3
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest
from prefect.client.orchestration import get_client
from prefect.settings import PREFECT_SERVER_DATABASE_CONNECTION_URL
from pydantic import SecretStr

from connectors.ibkr_flex import endpoints
from connectors.ibkr_flex.sandbox import QUERY_ID, SERVICE_PATH
from connectors.wire import Window
from flows.connections import connections
from tests.flows.conftest import CANARY, House
from warehouse import db

Query = Callable[..., list[tuple[Any, ...]]]
STATE = "select state, reason, remedy, retry_at, last_success_at from connections where connection = ?"


def artifact() -> str:
    """Give the latest report that a backfill left in Prefect."""
    with get_client(sync_client=True) as client:
        found = client.read_artifacts()
    reports = sorted((one for one in found if one.key == "backfill"), key=lambda one: str(one.created))
    return str(reports[-1].data)


def asked(house: House) -> int:
    return house.broker.requests["SendRequest"] + house.broker.requests["GetStatement"]


def assert_equal_to_book(house: House) -> None:
    from flows.demo_books import flex_in, flex_of  # noqa: PLC0415

    with db.writer(house.home) as con:
        assert flex_in(con) == flex_of(house.broker.book()["ibkr_flex"])


def test_a_backfill_brings_the_whole_book_and_a_second_one_asks_nothing(house: House, query: Query) -> None:
    since = house.broker.history.first_day
    state = house.backfill(since=since)
    assert (state.name, state.is_completed()) == ("Completed", True)
    assert_equal_to_book(house)
    assert query(STATE, "ibkr-flex")[0][0] == "active"
    summary = state.result()
    assert summary.worst.totals.added == summary.worst.totals.rows > 0
    assert summary.worst.totals.requests == asked(house)
    assert not summary.worst.gaps
    assert "|  | ibkr-flex |\n| --- | --- |\n| state | active |" in artifact()

    before = asked(house)
    again = house.backfill(since=since)
    assert asked(house) == before
    assert again.name == "Completed"
    assert_equal_to_book(house)
    with db.reader(house.home) as con:
        assert con.execute("select state from connections").fetchall() == [("active",)]


def test_an_expired_token_fails_once_and_then_ends_quietly(house: House, query: Query) -> None:
    house.broker.faults.add("token_expired")
    first = house.backfill(since=house.broker.history.first_day)
    assert house.broker.requests["SendRequest"] == 1  # the other windows are not tried, nothing is retried
    assert (first.name, first.is_failed()) == ("NeedsReauth", True)
    assert "generate a token" in first.message
    assert "generate a token" in artifact()
    state, reason, remedy, _, last_success = query(STATE, "ibkr-flex")[0]
    assert (state, last_success) == ("needs_reauth", None)
    assert "1012" in reason
    assert "generate a token" in remedy
    with db.reader(house.home) as con:
        assert con.execute("select state from connections").fetchall() == [("needs_reauth",)]

    second = house.backfill(since=house.broker.history.first_day)
    assert (second.name, second.is_completed()) == ("NeedsReauth", True)
    assert house.broker.requests["SendRequest"] == 2  # one look whether it is still so

    house.broker.faults.clear()
    third = house.backfill(**house.few_days())
    assert third.name == "Completed"
    assert query(STATE, "ibkr-flex")[0][:3] == ("active", None, None)


def test_heavy_load_degrades_and_the_next_run_catches_up(house: House, query: Query) -> None:
    house.broker.faults.add("heavy_load_1009")
    state = house.backfill(**house.few_days())
    assert (state.name, state.is_completed()) == ("Degraded", True)
    assert house.broker.requests["SendRequest"] == 3  # two delays are set, so three attempts
    assert query("select distinct status from coverage") == [("failed",)]
    assert "1009" in query("select reason from coverage limit 1")[0][0]
    assert query(STATE, "ibkr-flex")[0][0] == "degraded"

    house.broker.faults.clear()
    assert house.backfill(**house.few_days()).name == "Completed"
    assert query(STATE, "ibkr-flex")[0][0] == "active"
    assert query("select count(*) from coverage where status = 'complete'")[0][0] > 0


def test_each_gap_is_shown_to_readers_although_the_connection_is_in_trouble_already(house: House) -> None:
    house.backfill(**house.few_days())
    house.broker.faults.add("heavy_load_1009")
    last = house.few_days()["since"]
    for days in (30, 60):
        house.backfill(since=last - timedelta(days=days), until=last - timedelta(days=days - 9))
        with db.reader(house.home) as con:
            found = con.execute("select what from gaps where connection = 'ibkr-flex' order by since").fetchall()
        assert len(found) == days // 30


def test_nothing_is_asked_before_the_broker_allows_it(house: House, query: Query) -> None:
    house.broker.faults.add("locked_1025")
    first = house.backfill(**house.few_days())
    assert (first.name, first.is_completed()) == ("RateLimited", True)
    retry_at = query(STATE, "ibkr-flex")[0][3].replace(tzinfo=UTC)
    assert retry_at > datetime.now(UTC) + timedelta(minutes=30)

    house.broker.faults.clear()
    second = house.backfill(**house.few_days())
    assert (second.name, second.is_completed()) == ("RateLimited", True)
    assert "Nothing is asked before" in second.message
    assert asked(house) == 1


def test_days_before_the_account_are_asked_for_until_the_broker_says_that_it_has_none(
    house: House, query: Query
) -> None:
    first_day = house.broker.history.first_day
    asked_for = {"since": first_day - timedelta(days=370), "until": first_day + timedelta(days=5)}
    state = house.backfill(**asked_for)
    assert state.name == "Completed"
    assert state.result().worst.gaps
    reasons = query("select reason from coverage where status = 'nothing'")
    assert reasons
    assert all("1003" in reason for (reason,) in reasons)
    assert query("select count(*) from coverage where status = 'partial'")[0][0] > 0
    assert query(STATE, "ibkr-flex")[0][0] == "active"

    assert not house.backfill(**asked_for).result().worst.gaps
    with db.reader(house.home) as con:
        kinds = con.execute(
            "select kind from data_health where severity <> 'note' or kind = 'before_history'"
        ).fetchall()
    assert kinds == [("before_history",)]
    before = asked(house)
    assert house.backfill(**asked_for).name == "Completed"
    assert asked(house) == before


def test_a_wrong_query_is_misconfigured(house: House, query: Query, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FILLHOUSE_IBKR_FLEX_QUERY_ID", "1")
    state = house.backfill(**house.few_days())
    assert (state.name, state.is_failed()) == ("Misconfigured", True)
    assert query(STATE, "ibkr-flex")[0][0] == "misconfigured"
    assert asked(house) == 1


@pytest.fixture
def expired_block(house: House) -> Iterator[str]:
    from flows.blocks import IbkrFlexConnection  # noqa: PLC0415

    name, token = "a-block", f"{CANARY}9"
    house.broker.tokens[token] = datetime(2020, 1, 1, tzinfo=UTC)
    block = IbkrFlexConnection(token=SecretStr(token), query_id=QUERY_ID, base_url=house.address + SERVICE_PATH)
    block.save(name)
    yield name
    IbkrFlexConnection.delete(name)


def test_the_trouble_of_one_connection_does_not_stop_the_other(house: House, query: Query, expired_block: str) -> None:
    state = house.backfill(**house.few_days())
    assert (state.name, state.is_failed()) == ("NeedsReauth", True)
    states: dict[str, str] = dict(query("select connection, state from connections"))
    assert states == {expired_block: "needs_reauth", "ibkr-flex": "active"}
    assert query("select count(*) from coverage where connection = 'ibkr-flex' and status = 'complete'")[0][0] > 0


def test_an_unknown_connection_names_those_there_are(house: House) -> None:
    state = house.backfill(connections=["kraken"], **house.few_days())
    assert "There is no connection kraken; there are: ibkr-flex." in state.message


def test_nothing_configured_says_what_to_set(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FILLHOUSE_IBKR_FLEX_TOKEN")
    monkeypatch.delenv("FILLHOUSE_IBKR_FLEX_QUERY_ID")
    state = house.backfill(**house.few_days())
    assert "Set FILLHOUSE_IBKR_FLEX_TOKEN and FILLHOUSE_IBKR_FLEX_QUERY_ID" in state.message


def test_the_token_shows_nowhere(
    house: House, transcript: io.StringIO, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Look at what all the tests above have left: files, tables, Prefect's database, logs with their tracebacks."""
    house.backfill(**house.few_days())
    house.broker.faults.add("http_503")
    house.backfill(since=house.broker.today - timedelta(days=20))
    everything = tmp_path_factory.getbasetemp()
    found = {text: sorted(_places(everything, transcript.getvalue(), text)) for text in (CANARY, QUERY_ID)}
    assert found[QUERY_ID], "what is landed openly must be found by this search, else it proves nothing"
    assert found[CANARY] == []
    [connection] = connections()
    today = datetime.combine(house.broker.today, time.min)
    request = endpoints.send_request(connection.credentials, Window(today - timedelta(days=1), today))
    assert CANARY not in f"{connection!r} {connection} {connection.credentials!r} {request!r} {request.masked_params()}"


def _places(folder: Path, log: str, text: str) -> Iterator[str]:
    """Name the places where a text is found; compressed files are read by what compressed them."""
    if text in log:
        yield "log"
    for path in folder.rglob("*"):
        if path.is_file() and text.encode() in path.read_bytes():
            yield str(path)
        if path.suffix == ".parquet" and any(text in str(row) for row in pl.read_parquet(path).iter_rows()):
            yield f"rows of {path}"
        if path.name == db.READER:
            with duckdb.connect(path, read_only=True) as con:
                for (table,) in con.execute("select table_name from duckdb_tables()").fetchall():
                    holds = f'select 1 from "{table}" as t where contains(t::varchar, ?) limit 1'
                    if con.execute(holds, [text]).fetchall():
                        yield f"table {table} of {path}"
    yield from _places_in_prefect(text)


def _places_in_prefect(text: str) -> Iterator[str]:
    database = PREFECT_SERVER_DATABASE_CONNECTION_URL.value()
    with sqlite3.connect(f"file:{str(database).partition('///')[2]}?mode=ro", uri=True) as con:
        for (table,) in con.execute("select name from sqlite_master where type = 'table'").fetchall():
            rows = con.execute(f'select * from "{table}"')
            if any(text in json.dumps(row, default=str) for row in rows):
                yield f"Prefect's table {table}"


def test_a_query_that_takes_no_dates_is_asked_once_however_many_parts_are_missing(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    today = house.broker.today
    assert house.backfill(since=today - timedelta(days=25), until=today - timedelta(days=15)).name == "Completed"
    month = today - timedelta(days=40)
    assert len(house.backfill(since=month, dry_run=True).result().windows["ibkr-flex"]) == 2
    monkeypatch.setenv("FILLHOUSE_IBKR_FLEX_ASKS_DATES", "false")
    assert len(house.backfill(since=month, dry_run=True).result().windows["ibkr-flex"]) == 1
