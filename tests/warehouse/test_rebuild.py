from __future__ import annotations

import json
import shutil
import time
from datetime import date, timedelta
from pathlib import Path

import duckdb
import polars as pl
import pytest

from flows import steps, timing
from tests.importing import RECORDED, imported, imported_cases, rows
from tests.warehouse.loading import load_statement
from warehouse import compact, db, landing, publish
from warehouse.compact import CorruptLanding

CASES = ("05_cancel_keeps_commission_then_rebook", "17_trade_confirmations_then_activity", "24_one_bad_row_among_good")
TOMORROW = date(2100, 1, 1)


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fill one warehouse for this module; each test copies it."""
    return imported_cases(tmp_path_factory.mktemp("filled"), CASES)


@pytest.fixture
def home(filled: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(filled, tmp_path / "home"))


def test_a_rebuild_gives_the_same_tables_row_for_row(home: Path) -> None:
    rebuilt = steps.renormalize(home)
    assert rebuilt.conversations == 5
    assert rebuilt.differences == {}


def test_a_rebuild_after_compacting_gives_the_same_tables(home: Path) -> None:
    fills = rows(home, "select * from fills order by all")
    done = compact.compact(home, today=TOMORROW)
    assert (done.files_before, done.files_after) == (5, 1)
    assert steps.renormalize(home).differences == {}
    assert rows(home, "select * from fills order by all") == fills


def test_a_warehouse_that_was_lost_is_made_anew_from_gathered_files(home: Path) -> None:
    fills = rows(home, "select * from fills order by all")
    compact.compact(home, today=TOMORROW)
    imported(home, [RECORDED / "01_plain_stock_buys_and_sells" / "1.xml"])
    more = rows(home, "select * from fills order by all")
    assert len(more) > len(fills)
    for file in home.glob("*.duckdb*"):
        file.unlink()
    assert steps.renormalize(home).conversations == 6
    assert rows(home, "select * from fills order by all") == more


def test_a_warehouse_of_an_older_shape_is_brought_to_that_of_today_first(home: Path) -> None:
    compact.compact(home, today=TOMORROW)
    with db.writer(home) as con:
        con.execute("alter table quarantine drop column exec_id")
        con.execute("delete from schema_migrations where name >= '0006'")
    assert steps.renormalize(home).differences.keys() <= {"quarantine"}
    with db.writer(home) as con:
        assert con.execute("select count(*) = count(distinct name) from schema_migrations").fetchall() == [(True,)]


def test_what_nobody_foresaw_in_one_reply_keeps_no_other_from_being_loaded(home: Path) -> None:
    moment = timing.utc_now()
    until = moment.replace(tzinfo=None)
    for name, trades in (("broken", '{"TAAAAA-AAAAA-AAAAA1":null}'), ("whole", "{}")):
        died = landing.Conversation(home, "kraken", name, "run", moment)
        died.open({"flow": "incremental", "account": "main", "since": until - timedelta(days=1), "until": until})
        died.exchange(
            endpoint="TradesHistory", request={"params": {"start": "1", "end": "2"}}, status=200, headers={},
            body=f'{{"error":[],"result":{{"count":0,"trades":{trades}}}}}'.encode(), body_is_secret=False,
            requested_at=moment, answered_at=moment,
        )  # fmt: skip
        died.close(moment, {"verdict": "ok"})
    assert steps.recover(home) == 2
    assert steps.recover(home) == 0
    told = rows(home, "select connection, verdict from sync_runs where flow = 'incremental' order by all")
    assert [row["connection"] for row in told] == ["broken", "whole"]
    assert told[0]["verdict"].startswith("ContractViolation")
    assert told[1]["verdict"] == "ok"


def test_a_day_of_many_bytes_is_not_gathered_however_few_they_are_on_the_disk(home: Path) -> None:
    moment = timing.utc_now()
    for _ in range(2):
        large = landing.Conversation(home, "kraken", "large", "run", moment)
        large.open({"flow": "incremental", "account": "main"})
        large.exchange(
            endpoint="Time", request={}, status=200, headers={}, body=b" " * (140 << 20), body_is_secret=False,
            requested_at=moment, answered_at=moment,
        )  # fmt: skip
        large.close(moment, {"verdict": "ok"})
    steps.recover(home)
    files = sorted((home / "landing").glob("*/connection=large/*/*.parquet"))
    assert sum(file.stat().st_size for file in files) < 1 << 20
    compact.compact(home, today=TOMORROW)
    assert sorted((home / "landing").glob("*/connection=large/*/*.parquet")) == files


def test_a_rebuild_says_where_the_old_tables_were_different(home: Path) -> None:
    with db.writer(home) as con:
        con.execute(
            "update execution_reports set last_px = last_px + 1 where row_key = (select min(row_key) from fills)"
        )
        con.execute("insert into drift values ('ibkr', 'ibkr_flex', 'notes', 'invented', 'none', now()::timestamp)")
    assert steps.renormalize(home).differences == {"execution_reports": (1, 1), "drift": (1, 0)}
    assert steps.renormalize(home).differences == {}


def test_connections_survive_a_rebuild(home: Path) -> None:
    with db.writer(home) as con:
        con.execute(
            "insert into connections (connection, state, remedy) values ('ibkr', 'needs_reauth', 'a new token')"
        )
    steps.renormalize(home)
    assert rows(home, "select state, remedy from connections") == [{"state": "needs_reauth", "remedy": "a new token"}]


def test_compacting_leaves_what_is_not_loaded_yet(home: Path) -> None:
    waiting = landing.Conversation(home, "ibkr_flex", "slow", "run", timing.utc_now())
    waiting.open({"flow": "backfill"})
    waiting.flush()
    compact.compact(home, today=TOMORROW)
    assert len(list((home / "landing").glob("*/connection=slow/*/*.parquet"))) == 1


def test_compacting_twice_and_adding_a_day_keeps_every_exchange_once(home: Path) -> None:
    before = rows(home, "select exchange_id, body_sha256 from exchanges order by all")
    compact.compact(home, today=TOMORROW)
    imported(home, [RECORDED / "01_plain_stock_buys_and_sells" / "1.xml"])
    compact.compact(home, today=TOMORROW)
    publish.publish(home, now=True)
    with db.reader(home) as con:
        assert con.execute("select count(*), count(distinct exchange_id) from raw_exchanges").fetchall() == [
            (len(before) + 3, len(before) + 3)
        ]
        missing = con.execute(
            """
            select count(*)
            from exchanges
            anti join raw_exchanges using (exchange_id, body_sha256)
            where kind = 'exchange'
            """
        ).fetchall()
    assert missing == [(0,)]


def test_a_corrupt_body_stops_compacting_before_anything_is_removed(home: Path) -> None:
    victim = landing.landed_files(home)[0]
    frame = pl.read_parquet(victim, hive_partitioning=False)
    frame.with_columns(body=pl.when(pl.col("body").is_not_null()).then(pl.lit(b"other"))).write_parquet(victim)
    count = len(landing.landed_files(home))
    with pytest.raises(CorruptLanding):
        compact.compact(home, today=TOMORROW)
    assert len(landing.landed_files(home)) >= count


def test_every_row_leads_to_the_bytes_it_came_from(home: Path) -> None:
    compact.compact(home, today=TOMORROW)
    for row in rows(home, "select exchange_id, landed_file, body_sha256 from exchanges where kind = 'exchange'"):
        body = landing.read_body(home, row["landed_file"], row["exchange_id"])
        assert body is not None
    orphans = rows(home, "select count(*) as n from executions anti join exchanges using (exchange_id)")
    assert orphans == [{"n": 0}]


def test_an_open_reader_neither_waits_nor_is_waited_for(home: Path) -> None:
    reader = duckdb.connect(home / db.READER, read_only=True)
    before = reader.execute("select count(*) from fills").fetchall()
    imported(home, [RECORDED / "01_plain_stock_buys_and_sells" / "1.xml"])
    assert publish.publish(home, now=True)
    assert reader.execute("select count(*) from fills").fetchall() == before
    reader.close()
    with db.reader(home) as con:
        assert con.execute("select count(*) from fills").fetchall() > before


def test_nothing_new_publishes_nothing(home: Path) -> None:
    stamp = (home / db.READER).stat().st_mtime_ns
    imported(home, [RECORDED / CASES[0] / "1.xml"])
    assert not publish.publish(home, now=True)
    assert (home / db.READER).stat().st_mtime_ns == stamp


def test_what_a_process_committed_before_it_died_is_published_by_the_next(home: Path) -> None:
    body = (RECORDED / "01_plain_stock_buys_and_sells" / "1.xml").read_bytes()
    with db.writer(home) as con:
        assert load_statement(con, body).changed
    assert publish.publish(home, now=True)
    with db.writer(home) as con:
        assert not load_statement(con, body, hour=1).changed
    assert not publish.publish(home, now=True)


def test_a_published_file_that_was_removed_is_published_again(home: Path) -> None:
    (home / db.READER).unlink()
    assert publish.publish(home, now=True)
    assert (home / db.READER).exists()


def test_a_rebuild_is_published(home: Path) -> None:
    steps.renormalize(home)
    assert publish.publish(home, now=True)


def test_publishing_soon_after_publishing_waits_for_its_turn(home: Path) -> None:
    imported(home, [RECORDED / "01_plain_stock_buys_and_sells" / "1.xml"])
    assert not publish.publish(home)
    assert publish.publish(home, now=True)


def test_a_clock_that_was_ahead_does_not_keep_anything_from_being_published(home: Path) -> None:
    record = home / publish.RECORD
    record.write_text(json.dumps({**json.loads(record.read_text()), "at": time.time() + 86400}))
    imported(home, [RECORDED / "01_plain_stock_buys_and_sells" / "1.xml"])
    assert publish.publish(home)


def test_the_published_file_works_before_anything_was_landed(tmp_path: Path) -> None:
    with db.writer(tmp_path):
        pass
    publish.publish(tmp_path, now=True)
    with db.reader(tmp_path) as con:
        assert con.execute("select count(*) from raw_exchanges").fetchall() == [(0,)]
        assert con.execute("select count(*) from fills").fetchall() == [(0,)]
