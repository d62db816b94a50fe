"""A channel with a short memory: what it was not asked in time, only a channel of more authority can tell."""

from __future__ import annotations

import pytest

from tests.warehouse.loading import empty_warehouse

AWAY = """
insert into coverage
    (connection, broker, source, source_rank, account, every_day, exchange_id, since, until, returned_since, returned_until,
    status, beyond_reach, recorded_at)
values
    ('gateway', 'b', 'short', 1, 'U1', true, 'e1', '2026-02-27 15:00', '2026-03-05 15:00', '2026-02-27 15:00',
        '2026-03-05 15:00', 'complete', 'a fuller one', '2026-03-05 15:00'),
    ('gateway', 'b', 'short', 1, 'U1', true, 'e2', '2026-03-14 15:00', '2026-03-20 15:00', '2026-03-14 15:00',
        '2026-03-20 15:00', 'complete', 'a fuller one', '2026-03-20 15:00')
"""
FAILED = """
insert into coverage (connection, every_day, since, until, status, reason, beyond_reach, recorded_at)
values ('gateway', true, '2026-03-05 15:00', '2026-03-14 15:00', 'failed', 'Transient', 'a fuller one', '2026-03-06 15:00')
"""
FULLER = """
insert into coverage
    (connection, broker, source, source_rank, account, every_day, exchange_id, since, until, returned_since, returned_until,
    status, recorded_at)
values ('statements', 'b', 'full', ?, ?, false, 'f', ?, ?, ?, ?, 'complete', '2026-03-21')
"""
GAPS = "select what, remedy from data_health where kind = 'gap' and connection = 'gateway'"
DAYS = ["2026-03-05", "2026-03-17"]  # Saturday's trades are booked on Monday


def test_what_a_channel_no_longer_tells_says_who_does() -> None:
    con = empty_warehouse()
    con.execute(AWAY)
    assert con.execute(GAPS).fetchall() == [
        (
            "2026-03-05 15:00:00 to 2026-03-14 15:00:00 was never asked for for U1",
            "Back-fill or import these days with a fuller one: gateway no longer tells them",
        )
    ]


@pytest.mark.parametrize("asked_in_vain", [False, True])
def test_what_a_channel_of_more_authority_has_told_is_no_gap(*, asked_in_vain: bool) -> None:
    con = empty_warehouse()
    con.execute(AWAY)
    if asked_in_vain:
        con.execute(FAILED)
    assert len(con.execute(GAPS).fetchall()) == 1
    con.execute(FULLER, [2, "U1", *DAYS, *DAYS])
    assert con.execute(GAPS).fetchall() == []


@pytest.mark.parametrize(
    ("rank", "account", "since", "until"),
    [
        (2, "U2", *DAYS),  # another account
        (0, "U1", *DAYS),  # less authority
        (2, "U1", "2026-03-06", "2026-03-17"),  # the first day lacks
        (2, "U1", "2026-03-05", "2026-03-14"),  # the last one does
    ],
)
def test_what_it_told_of_something_else_closes_nothing(rank: int, account: str, since: str, until: str) -> None:
    con = empty_warehouse()
    con.execute(AWAY)
    con.execute(FULLER, [rank, account, since, until, since, until])
    assert len(con.execute(GAPS).fetchall()) == 1
