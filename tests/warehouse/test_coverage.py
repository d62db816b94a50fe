from __future__ import annotations

from datetime import datetime

import pytest

from tests.warehouse.loading import empty_warehouse
from warehouse.coverage import Asked, lacks, missing_windows, verdict_on

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
