"""Every recorded Flex file of the shared corpus, through the import command's own path, against figures stated by others."""

from __future__ import annotations

import csv
from collections import defaultdict
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from connectors.errors import AuthRequired, RateLimited, Rejected, Transient
from connectors.ibkr_flex import replies
from tests.importing import imported, rows
from tests.test_invariant import printed

CORPUS = Path(__file__).parents[2] / "shared" / "corpus"
STATEMENTS = sorted((CORPUS / "ibkr_flex_xml").glob("*.xml"))

pytestmark = pytest.mark.skipif(not STATEMENTS, reason="the shared corpus is not beside this checkout")


def stated(name: str) -> list[dict[str, str]]:
    """Read the expected figures about Flex files."""
    if not STATEMENTS:
        return []
    with (CORPUS / "expected" / f"{name}.csv").open() as file:
        return [row for row in csv.DictReader(file) if row.get("file", "ibkr_flex").startswith("ibkr_flex")]


def by_file(name: str) -> Iterator[Any]:
    grouped: dict[str, list[dict[str, str]]] = defaultdict(list)
    for row in stated(name):
        grouped[row["file"]].append(row)
    for file, wanted in grouped.items():
        yield pytest.param(CORPUS / file, wanted, id=Path(file).stem[-40:])


@pytest.mark.parametrize("path", STATEMENTS, ids=lambda path: path.stem[-40:])
def test_every_file_loads_or_says_why_not(path: Path, tmp_path: Path) -> None:
    done = imported(tmp_path, [path])[0]
    if ElementTree.parse(path).getroot().tag == "FlexQueryResponse":
        assert done.loaded is not None
        assert done.loaded.added + done.loaded.rejected == len(printed(path))
    else:
        assert "not a statement" in done.refused


@pytest.mark.parametrize(("path", "wanted"), by_file("expected_fills"))
def test_fills_equal_the_sources_own_figures(path: Path, wanted: list[dict[str, str]], tmp_path: Path) -> None:
    imported(tmp_path, [path])
    fills = rows(
        tmp_path,
        """
        select
            exec_id || coalesce('.' || lpad(exec_rev::varchar, 2, '0'), '') as full_exec_id,
            trade_id,
            side,
            last_qty,
            last_px,
            commission,
            currency,
            comm_currency,
            net_money,
            symbol,
            exec_type,
            timezone('America/New_York', timezone('UTC', transact_time)) as told_at,
            book_date
        from fills
        """,
    )
    for figure in wanted:
        alike = [fill for fill in fills if agrees(fill, figure)]
        if figure["row_class"] == "superseded_fill_must_not_survive":
            assert not alike, figure
        else:
            assert len(alike) == 1, figure


def agrees(fill: dict[str, Any], figure: dict[str, str]) -> bool:
    """Compare what the source states; a fill that the source splits at C;O is compared whole."""
    halves = 2 if figure["row_class"] == "fill_if_split" else 1
    pairs: list[tuple[Any, Any]] = [
        (fill["side"], figure["side"]),
        (Decimal(fill["last_qty"]), Decimal(figure["qty"]) * halves),
    ]
    if figure["id_kind"] == "tradeID":
        pairs.append((fill["trade_id"], figure["trade_identifier"]))
    if figure["id_kind"] == "ibExecID":
        pairs.append((fill["full_exec_id"], figure["trade_identifier"].split(" ")[0]))
    for column, name in (("last_px", "price"), ("net_money", "net_amount")):
        if figure[name]:
            pairs.append((Decimal(fill[column]), Decimal(figure[name])))
    if figure["fee"]:
        pairs.append((Decimal(fill["commission"]), Decimal(figure["fee"]) * halves))
    for column, name in (("currency", "currency"), ("comm_currency", "fee_currency")):
        if figure[name]:
            pairs.append((fill[column], figure[name]))
    if figure["datetime"]:
        told = (fill["told_at"] or fill["book_date"]).removesuffix("Z")
        pairs.append((told[: len(figure["datetime"])], figure["datetime"]))
    return all(found == expected for found, expected in pairs)


@pytest.mark.parametrize(("path", "wanted"), by_file("expected_order_totals"))
def test_order_totals_equal_the_brokers_own_order_rows(
    path: Path, wanted: list[dict[str, str]], tmp_path: Path
) -> None:
    imported(tmp_path, [path])
    found = {
        row["order_id"]: row
        for row in rows(
            tmp_path,
            """
            select
                order_id,
                any_value(side) as side,
                any_value(symbol) as symbol,
                sum(signed_qty) as qty_signed,
                sum(commission) as fee,
                any_value(comm_currency) as fee_currency,
                sum(net_money) as net_cash,
                count(*)::varchar as n_executions_in_file
            from executions
            group by order_id
            """,
        )
    }
    for order in wanted:
        for name in ("side", "symbol", "qty_signed", "fee", "fee_currency", "net_cash", "n_executions_in_file"):
            assert found[order["order_id"]][name] == order[name], (order, name)


@pytest.mark.parametrize(("path", "wanted"), by_file("expected_statement_totals"))
def test_cash_legs_equal_the_brokers_cash_report(path: Path, wanted: list[dict[str, str]], tmp_path: Path) -> None:
    imported(tmp_path, [path])
    legs = rows(
        tmp_path,
        """
        select
            currency,
            sum(amount) filter (where kind = 'commission') as commissions,
            sum(amount) filter (where kind = 'trade' and amount > 0) as "netTradesSales",
            sum(amount) filter (where kind = 'trade' and amount < 0) as "netTradesPurchases"
        from cash_legs
        group by currency
        """,
    )
    found = {row["currency"]: row for row in legs}
    for total in wanted:
        assert found[total["currency"]][total["figure"]] == total["ibkr_value"], total


@pytest.mark.parametrize(("path", "wanted"), by_file("expected_counts"))
def test_counts_equal_the_sources_own(path: Path, wanted: list[dict[str, str]], tmp_path: Path) -> None:
    imported(tmp_path, [path])
    assert rows(tmp_path, "select count(*)::varchar as n from executions") == [{"n": wanted[0]["expected"]}]


@pytest.mark.parametrize(("path", "wanted"), by_file("expected_rejections"))
def test_the_unknown_currency_is_rejected_and_the_other_row_loads(
    path: Path, wanted: list[dict[str, str]], tmp_path: Path
) -> None:
    assert "UNKNOWN" in wanted[0]["expectation"]
    imported(tmp_path, [path])
    assert rows(tmp_path, "select rule, raw_row from quarantine") == [{"rule": "currency_unknown", "raw_row": 0}]
    assert rows(tmp_path, "select currency from fills") == [{"currency": "USD"}]


@pytest.mark.parametrize("row", stated("expected_flex_error_retryable"), ids=lambda row: row["error_code"])
def test_what_is_retried_agrees_with_another_client(row: dict[str, str]) -> None:
    kind = type(replies.error_of(row["error_code"]))
    if row["error_code"] == replies.REFERENCE_INVALID:
        assert kind is Transient  # not the same step again: the conversation asks for a new reference
    else:
        assert kind in ((Transient, RateLimited) if row["retryable"] == "yes" else (Rejected, AuthRequired))
