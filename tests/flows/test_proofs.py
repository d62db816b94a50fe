"""The part of a reply that a row was read from, as it was printed."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from connectors.connector import Reply
from connectors.errors import ConnectorError
from connectors.registry import connector
from flows.proofs import raw_elements
from tests.importing import RECORDED


@pytest.mark.parametrize("file", sorted(RECORDED.glob("[0-9]*/*.xml")), ids=lambda file: file.parent.name)
def test_the_element_of_a_row_is_the_one_it_was_read_from(file: Path) -> None:
    """Compare ids: `raw_row` counts the same elements here as where rows are read."""
    reply = Reply("exchange", "GetStatement", file.read_bytes(), datetime(2026, 5, 1, tzinfo=UTC))
    try:
        said = connector("ibkr_flex").normalize([reply])
    except ConnectorError:
        return  # a refused file has no rows
    told = said.reports.filter(pl.col("key_rank") > 2)
    for key, raw_row, source in told.select("row_key", "raw_row", "source").iter_rows():
        (element,) = raw_elements(reply.body, raw_row, source)
        assert f'="{key[2:].partition("|")[0]}"' in element


def test_elements_of_other_levels_are_not_counted() -> None:
    body = b"""<Trade levelOfDetail='ORDER' n="0"/><Lot/><Trade n="1>0" levelOfDetail="EXECUTION" /><Trade n="2"/>"""
    assert raw_elements(body, 0) == ['<Trade n="1>0" levelOfDetail="EXECUTION" />']
    assert raw_elements(body, 1) == ['<Trade n="2"/>']


@pytest.mark.parametrize(
    ("body", "row"),
    [
        (b'[{"price": "1"}, {"price": 2.50, "size": 1e-7}]', '{"price": 2.50, "size": 1e-7}'),
        (b'{"trades": [{"a": 1}, {"a": null}]}', '{"a": null}'),
        (
            b'{"error": [], "result": {"count": 2, "trades": {"T1": {"vol": "1"}, "T2": {"vol": "2.0"}}}}',
            '{"T2": {"vol": "2.0"}}',
        ),
        (b'{"error": [], "result": {"T1": {"vol": "1"}, "T2": {"misc": [true]}}}', '{"T2": {"misc": [true]}}'),
    ],
)
def test_a_row_of_json_is_shown_as_it_was_printed(body: bytes, row: str) -> None:
    assert raw_elements(body, 1) == [row]
    assert raw_elements(body, 2) == []
    assert raw_elements(body[:-3], 1) == []
