"""What is known of a connection: since when it is in its state."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from flows import steps
from tests.importing import imported
from warehouse import connections, db, untold
from warehouse.untold import Untold

PLAIN = Path(__file__).parents[1] / "connectors" / "ibkr_flex" / "recorded" / "01_plain_stock_buys_and_sells" / "1.xml"
NEWS = Untold("ibkr-flex", "token_expires", {"days": 30})
START = datetime(2026, 5, 1, 12, tzinfo=UTC)


def record(home: Path, state: str, minutes: int, reason: str | None = None) -> None:
    with db.writer(home) as con:
        connections.record_state(
            con, "kraken", "kraken", "key", state, reason=reason, remedy=None,
            moment=START + timedelta(minutes=minutes), retry_at=None, success=state == "active",
        )  # fmt: skip


def since(home: Path) -> datetime | None:
    with db.writer(home) as con:
        known = connections.state_of(con, "kraken")
    assert known is not None
    return known.state_since


def test_a_state_lasts_since_it_was_entered_whatever_its_reason(tmp_path: Path) -> None:
    record(tmp_path, "active", 0)
    record(tmp_path, "active", 15)
    assert since(tmp_path) == START
    record(tmp_path, "degraded", 30, "unwell")
    record(tmp_path, "degraded", 45, "unwell in another way")
    assert since(tmp_path) == START + timedelta(minutes=30)
    record(tmp_path, "active", 60)
    assert since(tmp_path) == START + timedelta(minutes=60)


def test_a_state_that_was_recorded_before_has_no_beginning_until_it_changes(tmp_path: Path) -> None:
    record(tmp_path, "active", 0)
    with db.writer(tmp_path) as con:
        con.execute("update connections set state_since = null")
    record(tmp_path, "active", 15)
    assert since(tmp_path) is None


def test_a_rebuild_keeps_since_when_what_was_said_of_tokens_and_what_is_still_to_be_told(tmp_path: Path) -> None:
    imported(tmp_path, [PLAIN])
    record(tmp_path, "active", 0)
    with db.writer(tmp_path) as con:
        connections.note_expiry(con, "ibkr-flex", date(2026, 6, 1), 30, START, NEWS)
    steps.renormalize(tmp_path)
    assert since(tmp_path) == START
    with db.writer(tmp_path) as con:
        assert untold.waiting(con) == [NEWS]
        assert not connections.note_expiry(con, "ibkr-flex", date(2026, 6, 1), 30, START, NEWS)


def test_gaps_are_told_of_once_when_they_have_been_there_for_a_day(tmp_path: Path) -> None:
    def told(gaps: list[str], hours: int) -> int:
        news = Untold("kraken", "old_gap", {"gaps": ", ".join(gaps)})
        with db.writer(tmp_path) as con:
            moment = START + timedelta(hours=hours)
            connections.note_gaps(con, "kraken", gaps, moment, timedelta(days=1), news)
            waiting = untold.waiting(con)
            for each in waiting:
                untold.clear(con, each)
        return len(waiting)

    assert [told(["one"], 0), told(["another"], 24), told(["another"], 25), told(["one"], 50)] == [0, 0, 1, 0]
    assert [told([], 51), told(["one"], 52), told(["one"], 60), told(["one"], 77)] == [0, 0, 0, 1]
