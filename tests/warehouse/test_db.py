"""The writer's file, as each of many short transactions finds it."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

from warehouse import db
from warehouse.load import note_change


def test_what_each_opening_replays_stays_short_through_a_night_without_publishing(tmp_path: Path) -> None:
    log = tmp_path / f"{db.WRITER}.wal"
    lengths = []
    for _ in range(250):
        with db.writer(tmp_path) as con:
            note_change(con)
        lengths.append(log.stat().st_size if log.exists() else 0)
    assert sum(later < before for before, later in pairwise(lengths)) > 1
    assert max(lengths[1:]) < 2 * db.MOST_LOG_BYTES


def test_what_was_committed_is_there_whoever_writes_the_log_down(tmp_path: Path) -> None:
    with db.writer(tmp_path) as con:
        con.execute("create table kept as select range as number from range(20000)")
    with db.writer(tmp_path) as con:
        assert con.execute("select count(*), max(number) from kept").fetchall() == [(20000, 19999)]
    with db.writer(tmp_path) as con:
        assert con.execute("select count(*) from kept").fetchall() == [(20000,)]
