"""How fresh a channel is: judged by the newest moment it told, at a given moment."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from flows.freshness import Freshness, Promise, Reach, judge

LIVE = Promise(timedelta(hours=1))
DAILY = Promise(None)
KRAKEN = Promise(timedelta(hours=1), (frozenset({"kraken_rest", "kraken_export"}), frozenset({"kraken_ledger"})))
FRIDAY = datetime(2026, 11, 20)


def reach(newest: datetime, source: str = "channel", account: str = "U1") -> Reach:
    return Reach("mine", source, account, datetime(2026, 1, 1), newest, newest)


def judged(promise: Promise, now: datetime, *reaches: Reach) -> dict[str, Freshness]:
    return {told.source: told for told in judge(reaches, {"mine": promise}, now.replace(tzinfo=UTC))}


def stale_since(promise: Promise, newest: datetime, now: datetime) -> datetime | None:
    since = judged(promise, now, reach(newest))["channel"].stale_since
    return since.replace(tzinfo=None) if since else None


def test_a_live_channel_is_stale_an_hour_after_the_newest_moment_it_told() -> None:
    told = datetime(2026, 11, 22, 10, 0)
    assert stale_since(LIVE, told, datetime(2026, 11, 22, 11, 0)) is None
    assert stale_since(LIVE, told, datetime(2026, 11, 22, 11, 1)) == datetime(2026, 11, 22, 11, 0)


@pytest.mark.parametrize(
    ("told_until", "now", "since"),
    [
        (FRIDAY, datetime(2026, 11, 21, 16, 59), None),  # Friday's statement is due on Saturday, noon in New York
        (FRIDAY, datetime(2026, 11, 21, 17, 1), datetime(2026, 11, 21, 17, 0)),
        (FRIDAY + timedelta(days=1), datetime(2026, 11, 24, 16, 59), None),  # nothing is due for a weekend
        (FRIDAY + timedelta(days=1), datetime(2026, 11, 24, 17, 1), datetime(2026, 11, 24, 17, 0)),
        (datetime(2026, 7, 1), datetime(2026, 7, 2, 16, 1), datetime(2026, 7, 2, 16, 0)),  # in summer
    ],
)
def test_a_daily_channel_is_stale_when_a_weekday_is_missing_past_the_next_noon(
    told_until: datetime, now: datetime, since: datetime | None
) -> None:
    assert stale_since(DAILY, told_until, now) == since


def test_the_account_that_reaches_least_far_speaks_for_a_channel() -> None:
    now = datetime(2026, 11, 22, 12)
    told = judged(LIVE, now, reach(now), reach(now - timedelta(days=3), account="U2"))["channel"]
    assert (told.accounts, told.stale_since) == (("U1", "U2"), datetime(2026, 11, 19, 13, tzinfo=UTC))


def test_an_account_that_is_no_longer_read_speaks_for_nothing() -> None:
    now = datetime(2026, 11, 22, 12)
    gone = replace(reach(now - timedelta(days=3), account="U2"), is_read=False)
    told = judged(LIVE, now, reach(now), gone)["channel"]
    assert (told.accounts, told.stale_since) == (("U1",), None)


def test_a_channel_that_another_has_overtaken_promises_nothing_more() -> None:
    now = datetime(2026, 11, 22, 12)
    old = now - timedelta(days=30)
    told = judged(KRAKEN, now, reach(now, "kraken_rest"), reach(old, "kraken_export"), reach(old, "kraken_ledger"))
    assert {source: (each.promises, each.stale_since is None) for source, each in told.items()} == {
        "kraken_rest": (True, True),
        "kraken_export": (False, True),
        "kraken_ledger": (True, False),
    }


def test_files_promise_nothing() -> None:
    (told,) = judge([reach(datetime(2020, 1, 1))], {}, datetime(2026, 11, 22, tzinfo=UTC))
    assert (told.promises, told.stale_since) == (False, None)
