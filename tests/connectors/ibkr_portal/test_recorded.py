"""Recorded answers of the portal, alone and beside Flex statements, give exactly the fills that were worked out by hand."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import duckdb
import pytest

from connectors import errors
from connectors.errors import ConnectorError, RateLimited
from connectors.ibkr_portal import replies
from connectors.wire import Response
from flows import importing
from flows.policy import state_after
from tests.importing import asked as rows
from tests.importing import other_orders
from tests.warehouse.loading import prepared
from warehouse import db

RECORDED = Path(__file__).with_name("recorded")
CASES = sorted(path for path in RECORDED.iterdir() if path.is_dir() and path.name != "envelopes")
ENVELOPES = RECORDED / "envelopes"
# What data_health may hold beside the findings of a case.
BESIDE = frozenset({"quarantine", "drift", "not_printed", "gap", "before_history", "fee_currency_unknown"})
Import = dict[str, Any]


def expectation(case: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((case / "expected.json").read_text(encoding="utf-8"))
    return found


def cases_with(name: str) -> list[Path]:
    return [case for case in CASES if name in expectation(case)]


def imported(home: Path, case: Path, imports: Sequence[Import]) -> list[importing.Imported]:
    """Import the files of a case one by one, as its user would."""
    return [
        done
        for each in imports
        for done in importing.import_files(
            prepared(home),
            each.get("broker", "ibkr_portal"),
            [case / each["file"]],
            endpoint=each["endpoint"],
            account=each.get("account"),
        )
    ]


def in_order(fills: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(
        fills,
        key=lambda fill: (str(fill["transact_time"]), str(fill.get("exec_id")), fill["account"], fill["last_qty"]),
    )


def assert_as_expected(con: duckdb.DuckDBPyConnection, expected: dict[str, Any]) -> None:
    found = in_order(rows(con, "select * from fills"))
    wanted = in_order(expected["fills"])
    assert [{name: fill[name] for name in like} for fill, like in zip(found, wanted, strict=False)] == wanted
    assert len(found) == len(wanted)
    if "distinct_instruments" in expected:
        assert len({fill["instrument_id"] for fill in found}) == expected["distinct_instruments"]
    assert_findings(rows(con, "select kind, what from data_health"), expected["findings"])


def assert_findings(found: list[dict[str, Any]], wanted: list[dict[str, str]]) -> None:
    def tells(row: dict[str, Any], finding: dict[str, str]) -> bool:
        return row["kind"] == finding.get("kind", row["kind"]) and finding["about"].lower() in row["what"].lower()

    for finding in wanted:
        assert any(tells(row, finding) for row in found), finding
    others = [row for row in found if row["kind"] not in BESIDE and not any(tells(row, each) for each in wanted)]
    assert others == []


def assert_counts(con: duckdb.DuckDBPyConnection, expected: dict[str, Any]) -> None:
    for table in ("executions", "execution_reports"):
        if table in expected:
            assert rows(con, f"select count(*) as n from {table}") == [{"n": expected[table]}]
    rejected = rows(con, "select rule, detail, raw_row from quarantine order by raw_row")
    assert [row["raw_row"] for row in rejected] == [row["raw_row"] for row in expected["quarantine"]]
    for row, wanted in zip(rejected, expected["quarantine"], strict=True):
        assert wanted["rule"] in (None, row["rule"])
        assert wanted.get("detail", "") in row["detail"]


def assert_counts_after(con: duckdb.DuckDBPyConnection, expected: dict[str, Any], number: int) -> None:
    """Compare the counts that hold after so many of the files, where the case tells them."""
    query = "select (select count(*) from fills) as fills, (select count(*) from executions) as executions"
    if str(number) in expected.get("after", {}):
        assert rows(con, query) == [expected["after"][str(number)]]


def assert_first_seen(con: duckdb.DuckDBPyConnection, expected: dict[str, Any]) -> None:
    for told in expected.get("first_seen", ()):
        [fill] = rows(con, "select first_seen_at from fills where exec_id = ?", [told["exec_id"]])
        assert [fill] == rows(
            con,
            """
            select answered_at as first_seen_at
            from exchanges
            where kind = 'exchange'
                and (request ->> 'file') = ?
            """,
            [told["file"]],
        )


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_answers_give_the_expected_fills(case: Path, tmp_path: Path) -> None:
    expected = expectation(case)
    refused = []
    for number, each in enumerate(expected["imports"], start=1):
        refused += [done.refused for done in imported(tmp_path, case, [each])]
        with db.writer(tmp_path) as con:
            assert_counts_after(con, expected, number)
    if "refused" in expected:
        assert all(expected["refused"].lower() in (why or "").lower() for why in refused)
        return
    assert not any(refused)
    with db.writer(tmp_path) as con:
        assert_as_expected(con, expected)
        assert_counts(con, expected)
        assert_first_seen(con, expected)
        told = rows(con, "select field from drift where source = 'ibkr_portal' order by field")
    assert [row["field"] for row in told] == sorted(expected.get("drift", ()))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_any_order_gives_the_same_fills(case: Path, tmp_path: Path) -> None:
    expected = expectation(case)
    imports = expected["imports"]
    if "refused" in expected or not expected["any_order"] or len(imports) == 1:
        pytest.skip("the case is refused, or has one file, or its order matters")
    for number, order in enumerate(other_orders(imports)):
        home = tmp_path / str(number)
        imported(home, case, [*order, order[0]])
        with db.writer(home) as con:
            assert_as_expected(con, expected)


def test_what_flex_passed_over_stays_readable(tmp_path: Path) -> None:
    case = next(case for case in CASES if case.name.endswith("passed_over_by_two_business_days"))
    imported(tmp_path, case, expectation(case)["imports"])
    with db.writer(tmp_path) as con:
        told = rows(con, "select last_qty from execution_reports where source = 'ibkr_portal' and symbol = 'KSTL'")
    assert told == [{"last_qty": "100"}]


SAID = json.loads((ENVELOPES / "expected.json").read_text(encoding="utf-8"))


def answer(name: str) -> Response:
    return Response(SAID[name]["status"], SAID[name].get("headers", {}), (ENVELOPES / name).read_bytes())


@pytest.mark.parametrize("name", [name for name in SAID if SAID[name]["class"] == "ok"])
def test_an_answer_is_read(name: str) -> None:
    said = SAID[name]
    value = replies.read(answer(name), said["endpoint"])
    if "tier" in said:
        assert value.tier == said["tier"]
    if "tier_is_not" in said:
        assert value.tier not in said["tier_is_not"]
    if "accounts" in said:
        assert list(value.accounts) == said["accounts"]


@pytest.mark.parametrize("name", [name for name in SAID if SAID[name]["class"] != "ok"])
def test_a_refusal_leads_to_its_consequence(name: str) -> None:
    said = SAID[name]
    with pytest.raises(ConnectorError) as caught:
        replies.read(answer(name), said["endpoint"])
    assert type(caught.value) is getattr(errors, said["class"])
    assert state_after(caught.value) == said["state"]
    for words in said.get("remedy_mentions", ()):
        assert words.lower() in str(caught.value).lower()
    if isinstance(caught.value, RateLimited):
        assert caught.value.retry_after == said["retry_after"]


def test_every_answer_stands_in_the_table() -> None:
    assert {path.name for path in ENVELOPES.iterdir()} == {"expected.json", *SAID}
