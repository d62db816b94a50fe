"""Over `executions`, quantities, gross and commissions equal the rows of the statement: for every statement there is."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from pathlib import Path
from xml.etree import ElementTree

import pytest

from connectors.errors import ConnectorError
from tests.importing import RECORDED, asked
from tests.warehouse.loading import empty_warehouse, load_statement

CORPUS = Path(__file__).parents[2] / "shared" / "corpus" / "ibkr_flex_xml"
STATEMENTS = sorted([*CORPUS.glob("*.xml"), *RECORDED.glob("[0-9]*/*.xml")])
EXECUTION_LEVELS = (None, "", "EXECUTION")


def printed(path: Path) -> list[dict[str, str]]:
    """Read a statement's execution rows with a parser that shares nothing with ours."""
    root = ElementTree.parse(path).getroot()
    return [
        {**element.attrib, "_account": statement.get("accountId", "")}
        for statement in root.iter("FlexStatement")
        for element in statement.iter()
        if element.tag in ("Trade", "TradeConfirm") and element.get("levelOfDetail") in EXECUTION_LEVELS
    ]


def told(text: str | None) -> str:
    return "" if text in (None, "-", "--", "N/A") else str(text)


def number(text: str | None) -> Decimal:
    return Decimal(told(text).replace(",", "") or "0")


def plain(value: Decimal) -> str:
    return f"{value.normalize():f}" if value else "0"


@pytest.mark.parametrize("path", STATEMENTS, ids=lambda path: f"{path.parent.name}-{path.stem}"[-60:])
def test_sums_over_executions_equal_the_rows_of_the_statement(path: Path) -> None:
    con = empty_warehouse()
    try:
        load_statement(con, path.read_bytes())
    except ConnectorError as refusal:
        pytest.skip(f"the statement is refused: {refusal.message}")
    rejected = {row["raw_row"] for row in asked(con, "select raw_row from quarantine")}
    kept = [row for place, row in enumerate(printed(path)) if place not in rejected]
    quantity: dict[tuple[str, ...], Decimal] = defaultdict(Decimal)
    gross: dict[tuple[str, ...], Decimal] = defaultdict(Decimal)
    commission: dict[tuple[str, ...], Decimal] = defaultdict(Decimal)
    for row in kept:
        account = told(row.get("accountId")) or row["_account"]
        quantity[account, row["symbol"], row["currency"]] += number(row["quantity"])
        gross[account, row["symbol"], row["currency"]] += number(row.get("proceeds"))
        asset = told(row.get("ibCommissionCurrency") or row.get("commissionCurrency"))
        commission[account, asset] -= number(row.get("ibCommission") or row.get("commission"))
    found = asked(
        con,
        """
        select
            account,
            symbol,
            currency,
            sum(signed_qty) as quantity,
            coalesce(sum(gross_trade_amt), 0) as gross
        from executions
        group by all
        """,
    )
    assert {(row["account"], row["symbol"], row["currency"]): row["quantity"] for row in found} == {
        key: plain(value) for key, value in quantity.items()
    }
    assert {(row["account"], row["symbol"], row["currency"]): row["gross"] for row in found} == {
        key: plain(value) for key, value in gross.items()
    }
    fees = asked(con, "select account, coalesce(asset, '') as asset, sum(amount) as amount from fees group by all")
    assert {(row["account"], row["asset"]): row["amount"] for row in fees} == {
        key: plain(value) for key, value in commission.items()
    }
