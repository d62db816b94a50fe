from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import duckdb
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.contract import STATEMENT
from tests.warehouse.loading import empty_warehouse
from warehouse.coverage import Asked, lacks, record, verdict_on
from warehouse.gaps import missing_windows

YEAR = Asked(datetime(2025, 1, 1), datetime(2026, 1, 1))


def answer(since: datetime | None, until: datetime | None, *, holds_section: bool = True) -> dict[str, object]:
    counted = {"row_count": 0, "broker_count": None}
    return {"returned_since": since, "returned_until": until, "holds_section": holds_section, **counted}


def test_an_answer_to_the_whole_question_is_complete() -> None:
    assert verdict_on(YEAR, answer(YEAR.since, YEAR.until), every_day=False) == ("complete", None)


def test_a_weekend_at_either_end_is_no_gap() -> None:
    asked = Asked(datetime(2026, 4, 4), datetime(2026, 4, 13))  # a Saturday, up to a Sunday
    assert verdict_on(asked, answer(datetime(2026, 4, 6), datetime(2026, 4, 11)), every_day=False) == ("complete", None)


@pytest.mark.parametrize(
    ("since", "until", "missing"),
    [
        (datetime(2025, 12, 31), datetime(2026, 1, 1), "2025-01-01 to 2025-12-30"),
        (datetime(2025, 1, 1), datetime(2025, 12, 1), "2025-12-01 to 2025-12-31"),
        (datetime(2025, 3, 3), datetime(2025, 12, 1), "2025-01-01 to 2025-03-02, 2025-12-01 to 2025-12-31"),
    ],
)
def test_a_short_answer_is_partial_and_names_the_days_that_are_missing(
    since: datetime, until: datetime, missing: str
) -> None:
    assert verdict_on(YEAR, answer(since, until), every_day=False) == ("partial", f"not returned: {missing}")


def test_an_answer_without_days_is_partial() -> None:
    status, reason = verdict_on(YEAR, answer(None, None), every_day=False)
    assert status == "partial"
    assert reason is not None


def test_what_a_short_answer_did_return_is_not_asked_again() -> None:
    con = empty_warehouse()
    con.execute(
        """
        insert into coverage (connection, source, source_rank, exchange_id, since, until, returned_since, returned_until, status)
        values
            ('c', 's', 1, 'e1', date '2025-01-01', date '2026-01-01', date '2025-03-03', date '2025-06-02', 'partial'),
            ('c', null, null, null, date '2026-01-01', date '2026-02-01', null, null, 'failed'),
            ('o', 's', 1, 'e2', date '2025-01-01', date '2026-01-01', date '2025-01-01', date '2026-01-01', 'complete')
        """
    )
    missing = missing_windows(con, "c", Asked(datetime(2025, 1, 1), datetime(2026, 2, 1)))
    assert missing == [
        Asked(datetime(2025, 1, 1), datetime(2025, 3, 3)),
        Asked(datetime(2025, 6, 2), datetime(2026, 2, 1)),
    ]


def test_an_answer_that_is_short_for_one_account_is_asked_again_for_what_that_one_lacks() -> None:
    con = empty_warehouse()
    con.execute(
        """
        insert into coverage (connection, source, source_rank, exchange_id, account, returned_since, returned_until, status)
        values
            ('c', 'better', 2, 'e1', 'U1', date '2026-01-05', date '2026-01-10', 'complete'),
            ('c', 'better', 2, 'e1', 'U2', date '2026-01-05', date '2026-01-07', 'partial'),
            ('c', 'lesser', 1, 'e2', 'U1', date '2026-01-05', date '2026-01-17', 'complete')
        """
    )
    week = Asked(datetime(2026, 1, 5), datetime(2026, 1, 10))
    assert missing_windows(con, "c", week) == [Asked(datetime(2026, 1, 7), datetime(2026, 1, 10))]


@pytest.mark.parametrize(
    ("first_told", "second_told", "begin"),
    [
        (datetime(2026, 1, 9), datetime(2026, 1, 10), datetime(2026, 1, 3)),
        (datetime(2026, 1, 14), datetime(2026, 1, 16), datetime(2026, 1, 7)),
        (datetime(2026, 1, 14), datetime(2026, 1, 17), datetime(2026, 1, 10)),
        (datetime(2026, 1, 13), datetime(2026, 1, 17), datetime(2026, 1, 3)),
    ],
)
def test_what_was_told_long_after_its_end_is_not_asked_again_with_what_follows(
    first_told: datetime, second_told: datetime, begin: datetime
) -> None:
    con = empty_warehouse()
    con.execute(
        """
        insert into coverage (connection, source, source_rank, exchange_id, returned_since, returned_until, recorded_at)
        values
            ('c', 's', 1, 'e1', date '2026-01-01', date '2026-01-07', ?),
            ('c', 's', 1, 'e2', date '2026-01-07', date '2026-01-10', ?)
        """,
        [first_told, second_told],
    )
    before = Asked(datetime(2026, 1, 3), datetime(2026, 1, 10))
    for channels in ([], [frozenset({"s"})]):
        unsure = missing_windows(con, "c", before, channels=channels, every_day=True, told_after=timedelta(days=7))
        assert min([gap.since for gap in unsure], default=before.until) == begin


def test_weekends_are_no_gap_unless_the_broker_trades_on_them() -> None:
    saturday, monday = datetime(2026, 4, 4), datetime(2026, 4, 6)
    assert not lacks(saturday, monday, every_day=False)
    assert lacks(saturday, monday, every_day=True)
    assert lacks(datetime(2026, 4, 3), monday, every_day=False)
    assert lacks(monday, datetime(2026, 4, 6, 0, 0, 1), every_day=False)
    assert not lacks(monday, saturday, every_day=True)


ACCOUNT_OPENED_LATER = """
insert into coverage
    (connection, source, source_rank, account, exchange_id, since, until, returned_since, returned_until, status)
values
    ('c', null, null, null, null, date '2023-01-02', date '2024-01-01', null, null, 'nothing'),
    ('c', 's', 1, 'U1', 'e1', date '2024-01-01', date '2025-01-01', date '2024-03-04', date '2025-01-01', 'partial'),
    ('c', 's', 1, 'U1', 'e2', date '2025-01-01', date '2026-01-01', date '2025-01-01', date '2026-01-01', 'complete')
"""
SILENCE = """
insert into coverage (connection, since, until, status, recorded_at)
values ('c', ?::date, ?::date, 'nothing', timestamp '2026-01-02')
"""
FINDINGS = "select kind, what from data_health where connection = 'c' order by kind, what"


def test_days_before_the_account_that_the_broker_says_it_has_not_are_no_gap() -> None:
    con = empty_warehouse()
    con.execute(ACCOUNT_OPENED_LATER)
    whole = Asked(datetime(2023, 1, 2), datetime(2026, 1, 1))
    assert missing_windows(con, "c", whole) == [Asked(datetime(2024, 1, 1), datetime(2024, 3, 4))]
    assert [kind for kind, _ in con.execute(FINDINGS).fetchall()] == ["before_history", "gap"]
    con.execute(SILENCE, ["2024-01-01", "2024-03-04"])
    assert missing_windows(con, "c", whole) == []
    assert con.execute(FINDINGS).fetchall() == [
        ("before_history", "2023-01-02 to 2024-03-01 is before the account: the broker has no statement for it")
    ]


def test_a_day_in_the_middle_stays_a_gap_whatever_the_broker_says() -> None:
    con = empty_warehouse()
    con.execute(ACCOUNT_OPENED_LATER)
    con.execute(SILENCE, ["2024-01-01", "2024-03-04"])
    con.execute(SILENCE, ["2026-01-01", "2026-01-06"])
    con.execute(
        "insert into coverage (connection, source, source_rank, account, exchange_id, since, until, returned_since, returned_until,"
        " status) values ('c', 's', 1, 'U1', 'e0', '2022-12-01', '2022-12-31', '2022-12-01', '2022-12-31', 'complete')"
    )
    assert [what[:24] for kind, what in con.execute(FINDINGS).fetchall() if kind == "gap"] == [
        "2023-01-02 to 2023-12-29",
        "2024-01-01 to 2024-03-01",
        "2024-01-01 to 2024-03-01",
        "2026-01-01 to 2026-01-05",
    ]
    assert missing_windows(con, "c", Asked(datetime(2023, 1, 2), datetime(2024, 2, 1))) == [
        Asked(datetime(2023, 1, 2), datetime(2024, 2, 1))
    ]


def test_an_account_opened_after_the_logins_other_one_has_no_gap_before_it() -> None:
    con = empty_warehouse()
    con.execute(
        """
        insert into coverage
            (connection, source, source_rank, account, exchange_id, since, until, returned_since, returned_until, status)
        values
            ('c', 's', 1, 'U1', 'e', date '2024-01-01', date '2025-01-01', date '2024-01-01', date '2025-01-01', 'complete'),
            ('c', 's', 1, 'U2', 'e', date '2024-01-01', date '2025-01-01', date '2024-03-04', date '2025-01-01', 'partial')
        """
    )
    assert [kind for kind, _ in con.execute(FINDINGS).fetchall()] == ["before_history"]


def test_two_answers_together_mend_what_was_missing_at_both_ends() -> None:
    con = empty_warehouse()
    con.execute(
        """
        insert into coverage
            (connection, source, source_rank, account, exchange_id, since, until, returned_since, returned_until, status)
        values
            ('c', 's', 1, 'U1', 'e1', date '2024-01-01', date '2025-01-01', date '2024-03-04', date '2024-06-03', 'partial'),
            ('c', 's', 1, 'U1', 'e2', date '2024-01-01', date '2024-03-04', date '2024-01-01', date '2024-03-04', 'complete'),
            ('c', 's', 1, 'U1', 'e3', date '2024-06-03', date '2025-01-01', date '2024-06-03', date '2025-01-01', 'complete')
        """
    )
    assert con.execute(FINDINGS).fetchall() == []


TRADES, LEDGER = frozenset({"pages", "export"}), frozenset({"ledger"})
NOON = datetime(2026, 3, 2, 12)
HOUR = Asked(datetime(2026, 3, 2, 11), NOON)


def told(source: str, asked: Asked, *, count: int | None = None) -> dict[str, object]:
    """Say that a channel told a window; in full, unless it counts other rows than it told."""
    span = {"returned_since": asked.since, "returned_until": asked.until} if count is None else {}
    counted = {"row_count": 50, "broker_count": count, "holds_section": True}
    return {"broker": "b", "source": source, "source_rank": 1, "account": "A", "exchange_id": source, **span, **counted}


def answered(con: duckdb.DuckDBPyConnection, asked: Asked, *said: dict[str, object], minute: int = 0) -> list[str]:
    """Record what was told of a window of which both sets of channels are wanted."""
    return record(
        con, pl.DataFrame(said, schema=STATEMENT), "c", asked, "run", "AuthRequired", NOON + timedelta(minutes=minute),
        every_day=True, asked_account="A", channels=(TRADES, LEDGER),
    )  # fmt: skip


def test_a_page_read_for_comparison_is_no_gap_beside_the_export_it_confirms() -> None:
    con = empty_warehouse()
    gaps = answered(con, HOUR, told("export", HOUR), told("pages", HOUR, count=1000), told("ledger", HOUR))
    assert gaps == []
    assert con.execute(FINDINGS).fetchall() == []


def test_a_page_that_stands_alone_is_a_gap() -> None:
    con = empty_warehouse()
    assert len(answered(con, HOUR, told("pages", HOUR, count=1000), told("ledger", HOUR))) == 1
    assert [kind for kind, _ in con.execute(FINDINGS).fetchall()] == ["gap"]


def test_a_window_that_failed_is_mended_when_both_channels_have_told_all_of_it_in_pieces() -> None:
    con = empty_warehouse()
    middle = HOUR.since + timedelta(minutes=20)
    halves = (Asked(HOUR.since, middle), Asked(middle, HOUR.until - timedelta(minutes=4)))
    answered(con, halves[0], told("export", halves[0]), told("ledger", halves[0]))
    assert len(answered(con, HOUR, minute=1)) == 1
    answered(con, halves[1], told("pages", halves[1]), minute=2)
    assert con.execute(FINDINGS).fetchall() == [
        ("gap", f"{halves[1]} for A is failed: AuthRequired"),
        ("gap", f"{Asked(middle, HOUR.until)} for A is failed: AuthRequired"),
    ]
    answered(con, halves[1], told("ledger", halves[1]), minute=3)
    assert con.execute(FINDINGS).fetchall() == []


@dataclass(frozen=True, slots=True)
class House:
    """A way in which a broker answers: on which moments, and by which channels."""

    every_day: bool
    channels: tuple[frozenset[str], ...]
    step: timedelta

    def moment(self, place: int) -> datetime:
        return datetime(2026, 3, 2) + place * self.step

    def places(self, spans: Sequence[tuple[datetime, datetime]]) -> set[int]:
        """Give the steps within some spans on which there may be trades."""
        return {
            place
            for place in range(PLACES)
            if any(since <= self.moment(place) < until for since, until in spans)
            and lacks(self.moment(place), self.moment(place + 1), every_day=self.every_day)
        }


PLACES = 20
HOUSES = [
    House(every_day, channels, timedelta(minutes=3) if every_day else timedelta(days=1))
    for every_day in (True, False)
    for channels in ((TRADES, LEDGER), ())
]


@st.composite
def histories(draw: st.DrawFn) -> tuple[House, list[dict[str, Any]]]:
    """Invent what was asked of a connection and what came back."""
    house = draw(st.sampled_from(HOUSES))
    sources = ("pages", "export", "ledger") if house.channels else ("pages",)
    statuses = ("complete", "partial", "short", "failed", "nothing")
    rows = []
    for minute in range(draw(st.integers(1, 8))):
        start, end = sorted(draw(st.lists(st.integers(0, PLACES), min_size=2, max_size=2, unique=True)))
        status = draw(st.sampled_from(statuses if not (house.channels or house.every_day) else statuses[:4]))
        source = draw(st.sampled_from(sources)) if status in ("complete", "partial", "short") else None
        lacking = draw(st.lists(st.sampled_from(house.channels), min_size=1, unique=True)) if house.channels else []
        groups = [group for group in house.channels if source in group] if source else lacking
        returned = {"complete": (start, end), "short": (start, draw(st.integers(start + 1, end)))}.get(status)
        rows.append(
            {
                "connection": "c",
                "source": source,
                "source_rank": 1 if source else None,
                "account": "A" if source or house.channels else None,
                "every_day": house.every_day,
                "since": house.moment(start),
                "until": house.moment(end),
                "returned_since": house.moment(returned[0]) if returned else None,
                "returned_until": house.moment(returned[1]) if returned else None,
                "status": "partial" if status == "short" else status,
                "exchange_id": f"e{minute}" if source else None,
                "recorded_at": NOON + timedelta(minutes=minute),
                "channels": [sorted(group) for group in groups] or None,
            }
        )
    return house, rows


QUIET = settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture(scope="module")
def con() -> duckdb.DuckDBPyConnection:
    return empty_warehouse()


def remember(con: duckdb.DuckDBPyConnection, rows: Iterable[dict[str, Any]]) -> None:
    con.execute("delete from coverage")
    for row in rows:
        con.execute("insert into coverage by name select unnest(?)", [row])


def gaps_named(con: duckdb.DuckDBPyConnection, said: str) -> int:
    row = con.execute("select count(*) from data_health where kind = 'gap' and what like ?", [f"%{said}%"]).fetchall()
    return int(row[0][0])


@given(history=histories())
@QUIET
def test_what_is_shown_as_a_gap_is_what_would_be_asked_again(
    con: duckdb.DuckDBPyConnection, history: tuple[House, list[dict[str, Any]]]
) -> None:
    house, rows = history
    remember(con, rows)
    is_late = timedelta(minutes=5) if house.every_day else timedelta(0)
    is_open = False
    missing: set[int] = set()
    for row in rows:
        since, until = row["since"], row["until"]
        if row["status"] != "complete":
            channels = [frozenset(group) for group in row["channels"] or ()]
            in_time = Asked(since, max(since, until - is_late))
            is_open |= bool(missing_windows(con, "c", in_time, channels=channels, every_day=house.every_day))
            lacking = missing_windows(con, "c", Asked(since, until), channels=channels, every_day=house.every_day)
            missing |= house.places([(gap.since, gap.until) for gap in lacking])
    shown = (
        con.execute("select open_since, open_until from open_spans").fetchall()
        if house.every_day
        else con.execute("select day, day + interval 1 day from missing_days where not is_before_account").fetchall()
    )
    spans = [(datetime.fromisoformat(str(since)), until) for since, until in shown]
    assert house.places(spans) == missing
    assert (gaps_named(con, " is ") > 0) == is_open


@given(history=histories())
@QUIET
def test_a_hole_between_answers_is_shown_as_what_was_never_asked_for(
    con: duckdb.DuckDBPyConnection, history: tuple[House, list[dict[str, Any]]]
) -> None:
    house, rows = history
    told = [row for row in rows if row["status"] == "complete"]
    remember(con, told)
    missing: list[Asked] = []
    for group in house.channels or (frozenset({"pages"}),):
        spans = [(row["since"], row["until"]) for row in told if row["source"] in group]
        if spans:
            whole = Asked(min(since for since, _ in spans), max(until for _, until in spans))
            missing += missing_windows(con, "c", whole, channels=[group], every_day=house.every_day)
    assert (gaps_named(con, "was never asked for") > 0) == bool(missing)
