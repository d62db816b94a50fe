"""Recorded replies and exports give exactly the fills that were worked out by hand, in whatever order they are imported."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pytest

from connectors import errors
from connectors.errors import ConnectorError, RateLimited
from connectors.kraken import replies
from connectors.wire import Response
from flows import importing
from tests.importing import asked as rows
from tests.warehouse.loading import prepared
from warehouse import db

RECORDED = Path(__file__).with_name("recorded")
CASES = sorted(path for path in RECORDED.iterdir() if path.is_dir() and path.name != "envelopes")
ENVELOPES = RECORDED / "envelopes"
Import = dict[str, Any]


def expectation(case: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((case / "expected.json").read_text(encoding="utf-8"))
    return found


def imported(home: Path, case: Path, imports: Sequence[Import]) -> list[importing.Imported]:
    """Import the files of a case one by one, as its user would."""
    return [
        done
        for each in imports
        for done in importing.import_files(prepared(home), "kraken", [case / each["file"]], endpoint=each["endpoint"])
    ]


def in_order(fills: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(fills, key=lambda fill: (str(fill["transact_time"]), str(fill["exec_id"])))


def assert_as_expected(con: duckdb.DuckDBPyConnection, expected: dict[str, Any]) -> None:
    found = in_order(rows(con, "select * from fills"))
    wanted = in_order(expected["fills"])
    assert [{name: fill[name] for name in like} for fill, like in zip(found, wanted, strict=False)] == wanted
    assert len(found) == len(wanted)
    assert rows(con, "select * from instruments where instrument_id is null") == []
    for fee in {entry["exec_id"] for entry in expected.get("fees", ())}:
        wanted = [entry for entry in expected["fees"] if entry["exec_id"] == fee]
        charged = rows(
            con, "select exec_id, asset, amount, kind from fees where exec_id = ? order by asset, kind", [fee]
        )
        assert charged == sorted(wanted, key=lambda entry: (entry["asset"], entry["kind"]))
    for pair in expected.get("instruments", ()):
        [instrument] = rows(
            con,
            """
            select distinct fills.symbol, canonical_symbol, base_asset, quote_asset
            from fills inner join instruments using (instrument_id)
            where fills.symbol = ?
            """,
            [pair["symbol"]],
        )
        assert instrument == pair
    for finding in expected["findings"]:
        assert rows(con, "select 1 as n from data_health where contains(what, ?) limit 1", [finding["about"]])
    if not expected["findings"]:
        assert rows(con, "select * from data_health where kind not in ('quarantine', 'drift', 'ledger_only')") == []


def assert_counts(con: duckdb.DuckDBPyConnection, expected: dict[str, Any]) -> None:
    [counts] = rows(
        con,
        """
        select
            (select count(*) from executions) as executions,
            (select count(*) from execution_reports) as execution_reports,
            (select count(*) from ledger_entries) as ledger_entries
        """,
    )
    assert counts == {name: expected[name] for name in counts}
    rejected = rows(con, "select rule, raw_row from quarantine order by raw_row, rule")
    wanted = [{"rule": row["rule"], "raw_row": row["raw_row"]} for row in expected["quarantine"]]
    assert rejected == sorted(wanted, key=lambda row: (row["raw_row"], row["rule"]))


def assert_counts_after(home: Path, expected: dict[str, Any], number: int) -> None:
    """Compare the counts that hold after so many of the files, where the case tells them."""
    query = "select (select count(*) from fills) as fills, (select count(*) from executions) as executions"
    if str(number) in expected.get("after", {}):
        with db.writer(home) as con:
            assert rows(con, query) == [expected["after"][str(number)]]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_files_give_the_expected_fills(case: Path, tmp_path: Path) -> None:
    expected = expectation(case)
    done = []
    for number, each in enumerate(expected["imports"], start=1):
        done += imported(tmp_path, case, [each])
        assert_counts_after(tmp_path, expected, number)
    if "refused" in expected:
        assert all(expected["refused"].lower() in each.refused.lower() for each in done)
        return
    assert [each.refused for each in done if each.refused] == []
    with db.writer(tmp_path) as con:
        assert_as_expected(con, expected)
        assert_counts(con, expected)
        told = {row["field"] for row in rows(con, "select distinct field from drift")}
    assert told == set(expected.get("drift", ()))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_any_order_gives_the_same_fills(case: Path, tmp_path: Path) -> None:
    expected = expectation(case)
    imports = expected["imports"]
    if "refused" in expected or not expected["any_order"] or len(imports) == 1:
        pytest.skip("the case is refused, or has one file, or its order matters")
    imported(tmp_path, case, [*imports[::-1], imports[-1]])
    with db.writer(tmp_path) as con:
        assert_as_expected(con, expected)


SAID = json.loads((ENVELOPES / "expected.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("name", SAID)
def test_each_answer_leads_to_its_consequence(name: str) -> None:
    said = SAID[name]
    answered_at = datetime.fromisoformat(said.get("answered_at", "2026-03-02T10:00:00Z")).astimezone(UTC)
    response = Response(said["status"], {}, (ENVELOPES / name).read_bytes(), answered_at)
    read: Callable[[Response, str], Any] = {
        "TradesHistory": replies.read_page,
        "Ledgers": replies.read_page,
        "RetrieveExport": lambda answer, _endpoint: replies.read_export(answer),
    }.get(said["endpoint"], replies.result_of)
    if said["class"] == "ok":
        read(response, said["endpoint"])
        return
    with pytest.raises(ConnectorError) as caught:
        read(response, said["endpoint"])
    assert type(caught.value) is getattr(errors, said["class"])
    if "then" not in said:
        for word in said.get("remedy", ()):
            assert word.lower() in str(caught.value).lower()
    if isinstance(caught.value, RateLimited) and "retry_after" in said:
        least, most = said["retry_after"]
        until = replies.throttled_until(caught.value)
        wait = caught.value.retry_after if until is None else max(until - answered_at.timestamp(), 0.0)
        assert least <= wait <= most
