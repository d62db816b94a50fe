"""The recorded cases are whole: each parses, says why, and its expected figures agree with its own rows."""

import json
import re
from collections import defaultdict
from decimal import Decimal
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

RECORDED = Path(__file__).parent / "recorded"
CASES = sorted(folder for folder in RECORDED.iterdir() if re.match(r"\d\d_", folder.name))
ENVELOPES = RECORDED / "envelopes"
KEYS = {
    *(
        "why",
        "fills",
        "executions",
        "execution_reports",
        "quarantine",
        "refused",
        "refused_names",
        "totals",
        "any_order",
    ),
    *("after", "drift", "row_count"),
}
RULES = {
    *("decimal_loss", "not_a_number", "side_contradicts_quantity", "currency_unknown", "time_unreadable"),
    *("quantity_missing", "symbol_missing"),
}
DECIMAL = re.compile(r"-?(0|[1-9]\d*)(\.\d*[1-9])?")
DECIMAL_COLUMNS = {
    *("last_qty", "signed_qty", "last_px", "gross_trade_amt", "net_money", "commission", "taxes", "realized_pnl"),
    *("fx_rate_to_base", "contract_multiplier"),
}

each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def expected(case: Path) -> dict[str, Any]:
    """Read what the case must give."""
    found: dict[str, Any] = json.loads((case / "expected.json").read_text(encoding="utf-8"))
    return found


SUMMED = [case for case in CASES if "totals" in expected(case) and expected(case)["row_count"] == "exact"]


def executions(file: Path) -> list[tuple[str, dict[str, str]]]:
    """List the execution-level rows of a statement as (account, attributes), in the file's order."""
    rows = []
    for statement in ElementTree.parse(file).getroot().iter("FlexStatement"):
        for row in statement.iter():
            if row.tag in {"Trade", "TradeConfirm"} and row.get("levelOfDetail", "EXECUTION") == "EXECUTION":
                told = {name: text for name, text in row.attrib.items() if text not in {"", "-", "--", "N/A"}}
                rows.append((told.get("accountId", statement.get("accountId", "")), told))
    return rows


def number(row: dict[str, str], *names: str) -> Decimal:
    """Give the first of these attributes that the row tells, without its thousands commas, else 0."""
    return Decimal(next((row[name] for name in names if name in row), "0").replace(",", ""))


def in_order(fill: dict[str, Any]) -> tuple[str, str]:
    """Sort by time, null last, then by execution id."""
    return fill["transact_time"] or "9999", fill.get("exec_id", "")


def test_there_are_cases() -> None:
    assert len(CASES) >= 36
    assert [case.name[:2] for case in CASES] == [f"{n:02}" for n in range(1, len(CASES) + 1)]


@each_case
def test_a_case_has_its_files_and_nothing_else(case: Path) -> None:
    statements = sorted(case.glob("*.xml"))
    assert {file.name for file in case.iterdir()} == {"expected.json"} | {file.name for file in statements}
    assert [file.name for file in statements] == [f"{n}.xml" for n in range(1, len(statements) + 1)] != []
    for file in statements:
        root = ElementTree.parse(file).getroot()
        assert root.tag == "FlexQueryResponse"
        assert [int(group.get("count", "")) for group in root] == [len(root.findall(".//FlexStatement"))]


@each_case
def test_the_expectation_is_well_written(case: Path) -> None:
    want = expected(case)
    assert set(want) <= KEYS
    assert {row["rule"] for row in want["quarantine"]} <= RULES
    assert want["fills"] == sorted(want["fills"], key=in_order)
    for fill in want["fills"]:
        for column in DECIMAL_COLUMNS & set(fill):
            assert fill[column] is None or DECIMAL.fullmatch(fill[column]), (column, fill[column])
        assert fill["transact_time"] is None or re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", fill["transact_time"])


@each_case
def test_each_row_is_an_execution_or_in_quarantine(case: Path) -> None:
    want = expected(case)
    rows = sum(len(executions(file)) for file in case.glob("*.xml"))
    assert want["row_count"] in {"exact", "any"}
    if want["row_count"] == "exact":
        assert rows == want["executions"] + len(want["quarantine"])
    else:
        assert "refused" in want or rows > want["executions"]


@pytest.mark.parametrize("case", SUMMED, ids=lambda case: case.name)
def test_the_totals_are_those_of_the_rows(case: Path) -> None:
    want = expected(case)
    bad = {row["raw_row"] for row in want["quarantine"]}
    quantity: dict[tuple[str, str, str], Decimal] = defaultdict(Decimal)
    gross: dict[tuple[str, str], Decimal] = defaultdict(Decimal)
    paid: dict[tuple[str, str, str], Decimal] = defaultdict(Decimal)
    for file in case.glob("*.xml"):
        for index, (account, row) in enumerate(executions(file)):
            if index not in bad:
                quantity[account, row["currency"], row["symbol"]] += number(row, "quantity")
                gross[account, row["currency"]] += number(row, "proceeds")
                fee_currency = row.get("ibCommissionCurrency", row.get("commissionCurrency", ""))
                paid[account, row["currency"], fee_currency] -= number(row, "ibCommission", "commission")
    assert len(want["totals"]) == len(gross)
    for total in want["totals"]:
        key = (total["account"], total["currency"])
        assert gross[key] == Decimal(total["gross_trade_amt"])
        assert {s: Decimal(q) for s, q in total["signed_qty"].items()} == {
            k[2]: q for k, q in quantity.items() if k[:2] == key
        }
        assert {c: Decimal(a) for c, a in total["commission"].items()} == {
            k[2]: a for k, a in paid.items() if k[:2] == key
        }


@each_case
def test_each_fill_with_an_id_is_a_row_of_the_files(case: Path) -> None:
    rows = [row for file in case.glob("*.xml") for row in executions(file)]
    for fill in expected(case)["fills"]:
        told = [
            (row["symbol"], abs(number(row, "quantity")), number(row, "tradePrice", "price"), number(row, "proceeds"))
            for account, row in rows
            if account == fill["account"]
            and str(row.get("ibExecID", row.get("execID", ""))).startswith(fill.get("exec_id", ""))
        ]
        columns = ("last_qty", "last_px", "gross_trade_amt")
        assert (fill["symbol"], *(Decimal(fill[column]) for column in columns)) in told


def test_every_envelope_is_expected_and_parses_unless_it_says_otherwise() -> None:
    want = json.loads((ENVELOPES / "expected.json").read_text(encoding="utf-8"))
    assert {file.name for file in ENVELOPES.iterdir()} == {"expected.json", *want}
    for name, told in want.items():
        body = (ENVELOPES / name).read_bytes()
        if told.get("well_formed", True):
            ElementTree.fromstring(body)
        else:
            with pytest.raises(ElementTree.ParseError):
                ElementTree.fromstring(body)
