"""Statements as other programs save them: what XML allows changes nothing, what is not understood is said."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import polars as pl
import pytest

from connectors.connector import Reply
from connectors.contract import Normalized
from connectors.errors import ContractViolation
from connectors.ibkr_flex.normalize import normalize
from tests.warehouse.test_channels import AF_IDS, confirm, statement, trade

TWO = (trade(**AF_IDS), trade(**{**AF_IDS, "transactionID": "2"}, quantity="-3", buySell="SELL"))
PLAIN = statement(*TWO).decode()
LATIN = PLAIN.replace('symbol="AAA"', 'symbol="AAA" description="Nestl\u00e9"')


def read(body: bytes) -> Normalized:
    return normalize([Reply("reply", "GetStatement", body, datetime(2026, 6, 1, 12, tzinfo=UTC))])


def levelled(element: str, level: str) -> str:
    return trade(**AF_IDS, levelOfDetail=level).replace("<Trade ", f"<{element} ")


WRITTEN = {
    "a byte order mark": b"\xef\xbb\xbf" + PLAIN.encode(),
    "UTF-16": ('<?xml version="1.0" encoding="UTF-16"?>' + PLAIN).encode("utf-16"),
    "UTF-16 that says nothing of itself": b"\xfe\xff" + PLAIN.encode("utf-16-be"),
    "Latin-1": ('<?xml version="1.0" encoding="ISO-8859-1"?>' + LATIN).encode("latin-1"),
    "lines": PLAIN.replace("><", ">\r\n<").encode(),
    "attributes a line each": PLAIN.replace('" ', '"\n   ').encode(),
    "single quotes": PLAIN.replace('"', "'").encode(),
    "spaces around the equals sign": PLAIN.replace("=", " = ").encode(),
    "closing tags": PLAIN.replace(" />", "></Trade>").encode(),
    "comments": PLAIN.replace("<Trades>", '<!-- <Trade symbol="X"/> --><?seen by="me"?><Trades>').encode() + b"<!---->",
    "character data": PLAIN.replace("<Trades>", '<Trades><![CDATA[ <Trade symbol="X"/> ]]>').encode(),
    "a namespace": PLAIN.replace(' type="AF"', ' type="AF" xmlns="urn:flex"').encode(),
    "a greater-than sign": PLAIN.replace('symbol="AAA"', 'symbol="AAA" description="A > B"').encode(),
    "no count": PLAIN.replace(' count="1"', "").encode(),
    "a section again": PLAIN.replace(TWO[1], f"</Trades><Trades>{TWO[1]}").encode(),
}


@pytest.mark.parametrize("body", WRITTEN.values(), ids=WRITTEN.keys())
def test_the_same_statement_written_otherwise_says_the_same(body: bytes) -> None:
    found, plain = read(body), read(PLAIN.encode())
    assert found.reports.equals(plain.reports)
    assert found.statements.equals(plain.statements)


def test_orders_lots_and_summaries_between_executions_are_none() -> None:
    others = [("SymbolSummary", "SYMBOL_SUMMARY"), ("Order", "ORDER"), ("Lot", "CLOSED_LOT"), ("WashSale", "WASH_SALE")]
    between = "".join(levelled(element, level) for element, level in others)
    as_trades = "".join(levelled("Trade", level) for _, level in others)
    found = read(statement(between + TWO[0] + between + as_trades + TWO[1]))
    assert found.reports["signed_qty"].to_list() == [10, -3]
    assert found.drift.filter(kind="levelOfDetail").is_empty()


@pytest.mark.parametrize("row", [trade(**AF_IDS, levelOfDetail="PARTIAL"), confirm(levelOfDetail="Partial")])
def test_a_level_nobody_knows_is_told(row: str) -> None:
    found = read(statement(row))
    assert found.drift.filter(kind="levelOfDetail")["field"].to_list() == ["PARTIAL"]


def test_statements_where_none_belong_are_refused() -> None:
    bare = re.sub(r"</?FlexStatements[^>]*>", "", PLAIN)
    with pytest.raises(ContractViolation, match="holds 1 statements, 0 of them where statements belong"):
        read(bare.encode())


def test_an_ambiguous_time_is_called_by_the_brokers_own_name() -> None:
    with pytest.raises(ContractViolation, match="dateTime='01/05/2026;100000'"):
        read(PLAIN.replace("20260105;100000", "01/05/2026;100000").encode())


@pytest.mark.parametrize("printed", [
    "2026-01-05;10:00:00", "2026-01-05, 10:00:00", "2026-01-05T10:00:00-05:00", "20260105 100000", "20260105100000",
    "2026-01-05;10:00:00 EST", "05-JAN-26;100000", "2026-01-05T15:00:00Z",
])  # fmt: skip
def test_each_unambiguous_format_is_the_same_instant(printed: str) -> None:
    found = read(PLAIN.replace("20260105;100000", printed).encode()).reports
    assert found["transact_time"].unique().to_list() == [datetime(2026, 1, 5, 15)]
    assert found.schema["transact_time"] == pl.Datetime("us")
