"""The part of a reply that a row was read from, found again as it was printed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from connectors.connector import Reply
from connectors.errors import ConnectorError
from connectors.ibkr_flex import printed
from connectors.printed import row_of_json
from connectors.registry import connector

HERE = Path(__file__).parent
BROKERS = ("ibkr_flex", "ibkr_portal", "kraken")
FILES = [(name, file) for name in BROKERS for file in sorted(HERE.glob(f"{name}/recorded/[0-9]*/[0-9]*.*"))]
BY_ITS_ID = pl.col("key_rank") >= 3
OF_THE_ROW = pl.col("row_key").str.replace(r"^[a-z]:", "").str.replace(r"\|.*", "")


def told(name: str, body: bytes) -> Iterator[tuple[int, str | None, str]]:
    """Give each row that a reply tells by an id: its place, its channel, and the id; none for a refused one."""
    broker = connector(name)
    try:
        reply = Reply("exchange", broker.endpoint_of(body, None), body, datetime(2026, 5, 1, tzinfo=UTC), "main")
        said = broker.normalize([reply])
    except ConnectorError:
        return
    by_id = said.reports.filter(BY_ITS_ID, pl.col("source") != "kraken_ledger")
    yield from by_id.select("raw_row", "source", OF_THE_ROW).iter_rows()
    booked = said.ledger.filter(~pl.col("entry_id").str.starts_with("h:"))
    yield from booked.select("raw_row", pl.lit(None), "entry_id").iter_rows()


@pytest.mark.parametrize(
    ("name", "file"), FILES, ids=[f"{name}-{file.parent.name}-{file.name}" for name, file in FILES]
)
def test_a_row_s_place_is_where_it_was_read_from(name: str, file: Path) -> None:
    body = file.read_bytes()
    for place, source, id_ in told(name, body):
        (row,) = connector(name).row_printed(body, place, source)
        assert f'"{id_}' in row


def test_each_broker_s_rows_were_looked_for() -> None:
    assert {name for name, file in FILES if any(told(name, file.read_bytes()))} == {*BROKERS}


def test_elements_of_other_levels_are_not_counted() -> None:
    body = b"""<Trade levelOfDetail='ORDER' n="0"/><Lot/><Trade n="1>0" levelOfDetail="Execution" /><Trade n="2"/>"""
    assert printed.row_of(body, 0, None) == ['<Trade n="1>0" levelOfDetail="Execution" />']
    assert printed.row_of(body, 1, None) == ['<Trade n="2"/>']


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
    assert row_of_json(body, 1) == [row]
    assert row_of_json(body, 2) == []
    assert row_of_json(body[:-3], 1) == []
