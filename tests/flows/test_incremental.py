"""The incremental sync of a broker that reports whole days: it asks for the days that are missing, and then is quiet."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

from tests.flows.conftest import House
from tests.flows.test_backfill import asked, assert_equal_to_book

Query = Callable[..., list[tuple[Any, ...]]]


def synced() -> Any:
    from flows.incremental import incremental  # noqa: PLC0415  (Prefect must be set up before)

    return incremental(return_state=True)


def test_a_sync_asks_for_the_missing_days_with_an_overlap_and_then_for_nothing(house: House, query: Query) -> None:
    first, until = house.broker.history.first_day, house.broker.today - timedelta(days=4)
    assert house.backfill(since=first, until=until).name == "Completed"
    before = asked(house)
    assert synced().name == "Completed"
    assert asked(house) > before
    assert query("select max(since) <= ?::date - 7 from coverage where returned_until > ?", until, until) == [(True,)]
    assert_equal_to_book(house)

    before = asked(house)
    again = synced()
    assert (again.name, asked(house)) == ("Completed", before)


def test_a_sync_of_a_new_connection_brings_the_last_days(house: House, query: Query) -> None:
    assert synced().name == "Completed"
    [(first,)] = query("select min(since)::date from coverage")
    assert timedelta(days=6) <= house.broker.today - first <= timedelta(days=9)


def test_a_day_that_is_not_ready_is_not_asked_for_again_at_once(house: House) -> None:
    house.broker.faults.add("short_range")
    house.backfill(since=house.broker.today - timedelta(days=20), until=house.broker.today - timedelta(days=8))
    house.broker.faults.clear()
    house.broker.faults.add("not_ready_1005")
    assert synced().name == "Degraded"
    before = asked(house)
    assert synced().result().worst.windows <= 1
    assert asked(house) <= before + 3
