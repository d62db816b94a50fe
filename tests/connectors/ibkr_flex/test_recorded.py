"""Recorded statements give exactly the fills that were worked out by hand, in whatever order they are imported."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.importing import imported, other_orders, rows

RECORDED = Path(__file__).with_name("recorded")
CASES = sorted(path for path in RECORDED.iterdir() if path.is_dir() and path.name != "envelopes")
TOTALS = """
select
    account,
    currency,
    sum(gross_trade_amt) as gross_trade_amt
from executions
group by all
"""


def expectation(case: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((case / "expected.json").read_text())
    return found


def statements(case: Path) -> list[Path]:
    return sorted(case.glob("*.xml"), key=lambda path: int(path.stem))


def fills_like(home: Path, expected: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Give the fills in the order and with the columns of the expected ones."""
    found = rows(home, "select * from fills order by transact_time nulls last, exec_id nulls last, row_key")
    names = [list(fill) for fill in expected]
    return [{name: fill[name] for name in wanted} for fill, wanted in zip(found, names, strict=False)]


def by_terms(fills: list[dict[str, Any]]) -> list[str]:
    return sorted(json.dumps(fill, sort_keys=True) for fill in fills)


def assert_sums_equal_the_statement(home: Path, expected: dict[str, Any]) -> None:
    for total in expected.get("totals", ()):
        found = rows(home, f"from ({TOTALS}) where account = ? and currency = ?", [total["account"], total["currency"]])
        if "gross_trade_amt" in total:
            assert [row["gross_trade_amt"] for row in found] == [total["gross_trade_amt"]]
        for symbol, quantity in total.get("signed_qty", {}).items():
            assert rows(
                home,
                "select sum(signed_qty) as q from executions where account = ? and currency = ? and symbol = ?",
                [total["account"], total["currency"], symbol],
            ) == [{"q": quantity}]


def assert_counts_after(home: Path, expected: dict[str, Any], number: int) -> None:
    """Compare the counts that hold after so many of the files, where the case tells them."""
    query = "select (select count(*) from fills) as fills, (select count(*) from executions) as executions"
    if str(number) in expected.get("after", {}):
        wanted = expected["after"][str(number)]
        assert rows(home, query) == [{"fills": wanted["fills"], "executions": wanted["executions"]}]


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_statements_give_the_expected_fills(case: Path, tmp_path: Path) -> None:
    expected = expectation(case)
    done = []
    for number, path in enumerate(statements(case), start=1):
        done += imported(tmp_path, [path])
        assert_counts_after(tmp_path, expected, number)
    if "refused" in expected:
        assert all(expected["refused"] in each.refused for each in done)
        assert all(name in each.refused for name in expected.get("refused_names", ()) for each in done)
        return
    assert not any(each.refused for each in done)
    assert rows(tmp_path, "select count(*) as n from fills") == [{"n": len(expected["fills"])}]
    assert by_terms(fills_like(tmp_path, expected["fills"])) == by_terms(expected["fills"])
    assert rows(tmp_path, "select count(*) as n from executions") == [{"n": expected["executions"]}]
    if "execution_reports" in expected:
        assert rows(tmp_path, "select count(*) as n from execution_reports") == [{"n": expected["execution_reports"]}]
    rejected = rows(tmp_path, "select rule, raw_row from quarantine order by raw_row")
    assert rejected == sorted(expected["quarantine"], key=lambda row: row["raw_row"])
    assert_sums_equal_the_statement(tmp_path, expected)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_any_order_gives_the_same_fills(case: Path, tmp_path: Path) -> None:
    expected = expectation(case)
    if "refused" in expected or not expected["any_order"]:
        pytest.skip("the case is refused, or its order matters")
    for number, order in enumerate(other_orders(statements(case))):
        home = tmp_path / str(number)
        imported(home, [*order, order[0]])
        assert rows(home, "select count(*) as n from fills") == [{"n": len(expected["fills"])}]
        assert by_terms(fills_like(home, expected["fills"])) == by_terms(expected["fills"])
