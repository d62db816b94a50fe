"""A backup, or a rebuild, made while everything goes on loses nothing of it."""

from __future__ import annotations

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from connectors.kraken.sandbox import API_KEY, API_SECRET, KrakenBroker, own_keys, running
from flows import backups, steps, timing
from tests.flows.homes import FILLS, PATIENCE_SECONDS, TOMORROW, assert_all_is_loaded, assert_whole
from tests.flows.terminal import PLAIN, ROOT
from tests.flows.test_kraken_kill import BACKFILL, SPEED
from tests.importing import RECORDED, imported, rows
from warehouse import backup, compact, db, landing, publish

MOST = 6  # backups while others work
WORK = """
import sys, time
from contextlib import suppress
from datetime import date
from pathlib import Path
from connectors.errors import ConnectorError
from flows import importing, steps, timing
from warehouse import compact, landing, publish

home, files = Path(sys.argv[1]), [Path(file) for file in sys.argv[2:]]
for number, file in enumerate(files):
    if number % 3:
        list(importing.import_files(home, "ibkr_flex", [file]))
    else:  # as a long conversation does: landed in parts, without the writer's lock, and loaded at its end
        landed = landing.Conversation(home, "ibkr_flex", "slow", "run", timing.utc_now())
        landed.open({"flow": "incremental"})
        for answer in (file, files[number - 1]):
            landed.exchange(
                endpoint="GetStatement", request={}, status=200, headers={}, body=answer.read_bytes(),
                body_is_secret=False, requested_at=timing.utc_now(), answered_at=timing.utc_now(),
            )
            landed.flush()
            time.sleep(0.05)
        landed.close(timing.utc_now(), {"verdict": "ok"})
        with suppress(ConnectorError):  # some of these cannot be read, and then that is recorded
            steps.load_conversation(home, landed.conversation_id)
    if number % 4 == 0:
        compact.compact(home, today=date(2100, 1, 1))
        publish.publish(home)
"""


def test_backups_made_while_two_processes_work_are_each_whole(tmp_path: Path) -> None:
    home, target, began = tmp_path / "home", tmp_path / "backup", time.time()

    def clock() -> datetime:
        return datetime.fromtimestamp(began + (time.time() - began) * SPEED, UTC)

    broker = KrakenBroker(clock=clock, trades=150, years=1, keys=own_keys("pro"))
    until = clock().replace(microsecond=0, tzinfo=None)
    statements = [str(file) for file in sorted(RECORDED.glob("[0-9]*/*.xml"))[:8]]
    with running(broker) as address:
        fetching = [sys.executable, "-c", BACKFILL, str(home), address, API_KEY, API_SECRET, str(began), str(SPEED)]
        fetching += [(until - timedelta(days=60)).isoformat(), until.isoformat()]
        working = [
            subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL)
            for command in ([sys.executable, "-c", WORK, str(home), *statements], fetching)
        ]
        while not (home / db.WRITER).exists():
            time.sleep(0.01)
        made = 0
        while made < MOST and any(process.poll() is None for process in working):
            backups.back_up(home, target)
            made += 1
            backups.restore(target, tmp_path / f"restored-{made}")
        assert [process.wait(PATIENCE_SECONDS) for process in working] == [0, 0]
    backups.back_up(home, target)
    backups.restore(target, tmp_path / "last")
    assert made >= 3
    for number in range(1, made + 1):
        assert_all_is_loaded(tmp_path / f"restored-{number}")
    assert_whole(tmp_path / f"restored-{(made + 1) // 2}")
    assert_all_is_loaded(tmp_path / "last")
    assert rows(tmp_path / "last", FILLS) == rows(home, FILLS)


def test_rebuilt_again_and_again_while_another_process_works_nothing_is_lost(tmp_path: Path) -> None:
    home, quiet = tmp_path / "home", tmp_path / "quiet"
    statements = [str(file) for file in sorted(RECORDED.glob("[0-9]*/*.xml"))[:8]]
    working = subprocess.Popen([sys.executable, "-c", WORK, str(home), *statements], cwd=ROOT)
    while not (home / db.WRITER).exists():
        time.sleep(0.01)
    made = 0
    while working.poll() is None:
        steps.renormalize(home)
        made += 1
    assert working.wait() == 0
    assert made >= 2
    assert steps.renormalize(home).differences == {}
    publish.publish(home, now=True)
    assert_all_is_loaded(home)
    subprocess.run([sys.executable, "-c", WORK, str(quiet), *statements], cwd=ROOT, check=True)
    keys = "select account, row_key, signed_qty, commission from fills order by all"
    assert rows(home, keys) == rows(quiet, keys) != []


def test_a_conversation_that_went_on_is_loaded_as_far_as_it_was_landed(
    home: Path, target: Path, tmp_path: Path
) -> None:
    going_on = landing.Conversation(home, "ibkr_flex", "slow", "run", timing.utc_now())
    going_on.open({"flow": "incremental"})
    moment = timing.utc_now()
    going_on.exchange(
        endpoint="GetStatement",
        request={},
        status=200,
        headers={},
        body=PLAIN.read_bytes(),
        body_is_secret=False,
        requested_at=moment,
        answered_at=moment,
    )
    going_on.flush()
    backups.back_up(home, target)
    assert backups.restore(target, tmp_path / "restored").recovered == 1
    assert len(assert_whole(tmp_path / "restored")) == len(rows(home, FILLS)) + 4


def test_nothing_is_compacted_away_while_it_is_copied(home: Path) -> None:
    with ThreadPoolExecutor(1) as pool:
        with backup.snapshot(home) as files:
            compacting = pool.submit(compact.compact, home, today=TOMORROW)
            with pytest.raises(TimeoutError):
                compacting.result(timeout=1.0)
            imported(home, [PLAIN])  # others go on
            assert all(path.exists() for path in files.values())
        assert compacting.result(timeout=PATIENCE_SECONDS).files_after < len(files)
