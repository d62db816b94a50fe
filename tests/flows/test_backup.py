"""A backup made while everything goes on is one moment of it; it comes back whole, or not at all."""

from __future__ import annotations

import hashlib
import json
import os
import resource
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from connectors.connector import Limit
from connectors.errors import RateLimited
from connectors.kraken.sandbox import API_KEY, API_SECRET, KrakenBroker, own_keys, running
from connectors.nonces import Nonces
from connectors.pace import Pace
from flows import backups, steps, timing
from tests.flows.conftest import House
from tests.flows.terminal import ONE_BAD_ROW, PLAIN, ROOT, Terminal
from tests.flows.test_backfill import assert_equal_to_book
from tests.flows.test_incremental import synced
from tests.flows.test_kraken_kill import BACKFILL, SPEED
from tests.importing import RECORDED, asked, imported, imported_cases, rows
from warehouse import backup, compact, db, landing, publish

CASES = ("05_cancel_keeps_commission_then_rebook", "17_trade_confirmations_then_activity")
TOMORROW = date(2100, 1, 1)
PATIENCE_SECONDS = 40.0
MOST = 6  # backups while others work
LARGE = 24_000_000  # bytes that take a while to copy
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
FILLS = "select * from fills order by all"


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Fill one home for this module; each test copies it."""
    return imported_cases(tmp_path_factory.mktemp("filled"), CASES)


@pytest.fixture
def home(filled: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(filled, tmp_path / "home"))


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "backup"


def at(home: Path) -> Terminal:
    return Terminal(home)


def without_ages(status: str) -> list[str]:
    return [line for line in status.splitlines() if "published" not in line]


def files_in(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}


def assert_whole(home: Path) -> list[dict[str, Any]]:
    """Check that a home is one moment of another, and comes out the same from what is landed; gives its fills."""
    assert_all_is_loaded(home)
    fills = rows(home, FILLS)
    assert steps.renormalize(home).differences == {}
    assert rows(home, FILLS) == fills
    return fills


def assert_all_is_loaded(home: Path) -> None:
    """Check that all that is landed is loaded and published, and all that is loaded is landed."""
    with db.reader(home) as con:
        assert asked(con, FILLS) == rows(home, FILLS)
    landed = {name for path in landing.landed_files(home) for name in pl.read_parquet(path)["conversation_id"]}
    exchanges = rows(home, "select conversation_id, kind, exchange_id, landed_file, body_sha256 from exchanges")
    assert landed == {row["conversation_id"] for row in exchanges}
    for row in exchanges:
        if row["kind"] == "exchange":
            body = landing.read_body(home, row["landed_file"], row["exchange_id"])
            assert body is not None
            assert hashlib.sha256(body).hexdigest() == row["body_sha256"]


def test_what_is_restored_is_whole_and_can_be_asked_at_once(home: Path, target: Path, tmp_path: Path) -> None:
    made = at(home).run("backup", target)
    assert (made.exit_code, made.stderr) == (0, "")
    assert f"{target}: 5 files" in made.stdout
    assert "Not in it, since they hold credentials: .env" in made.stdout
    other = at(tmp_path / "elsewhere" / "home")
    done = other.run("restore", target)
    assert (done.exit_code, done.stderr) == (0, "")
    assert "5 files" in done.stdout
    assert json.loads(other.run("sql", "--format", "json", "select count(*) as n from fills").stdout) == [{"n": 4}]
    bodies = other.run("sql", "--format", "json", "select count(body) as n from raw_exchanges").stdout
    assert json.loads(bodies) == [{"n": 4}]
    assert without_ages(other.run("status").stdout) == without_ages(at(home).run("status").stdout)
    assert assert_whole(other.home) == rows(home, FILLS)


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


def test_only_what_is_new_is_copied_and_what_was_compacted_away_goes(home: Path, target: Path, tmp_path: Path) -> None:
    assert backups.back_up(home, target)[1] == 5
    first = (target / "landing").stat().st_mtime_ns
    imported(home, [PLAIN])
    assert backups.back_up(home, target)[1] == 2  # the new file, and the warehouse
    compact.compact(home, today=TOMORROW)
    done, copied = backups.back_up(home, target)
    assert copied == 2
    assert files_in(target / "landing") == files_in(home / "landing")
    assert files_in(target) == {
        backup.LIST,
        *(done.place_of(path).relative_to(target).as_posix() for path in done.files),
    }
    assert (target / "landing").stat().st_mtime_ns == first
    backups.restore(target, tmp_path / "restored")
    assert_whole(tmp_path / "restored")


def test_nothing_is_compacted_away_while_it_is_copied(home: Path) -> None:
    with ThreadPoolExecutor(1) as pool:
        with backup.snapshot(home) as files:
            compacting = pool.submit(compact.compact, home, today=TOMORROW)
            with pytest.raises(TimeoutError):
                compacting.result(timeout=1.0)
            imported(home, [PLAIN])  # others go on
            assert all(path.exists() for path in files.values())
        assert compacting.result(timeout=PATIENCE_SECONDS).files_after < len(files)


def test_a_home_that_has_lost_something_does_not_replace_its_backup(home: Path, target: Path, tmp_path: Path) -> None:
    backups.back_up(home, target)
    before = files_in(target)
    other = at(tmp_path / "other")
    other.run("import", ONE_BAD_ROW)
    assert "exchanges that this home does not know" in other.fails(2, "backup", target)
    assert files_in(target) == before
    restored = tmp_path / "restored"
    backups.restore(target, restored)
    imported(restored, [PLAIN])
    backups.back_up(restored, target)  # it goes on where the lost home was


def test_a_home_that_has_lost_landed_files_does_not_replace_its_backup(
    home: Path, target: Path, tmp_path: Path
) -> None:
    backups.back_up(home, target)
    shutil.rmtree(home / "landing")
    assert "4 landed files are missing" in at(home).fails(2, "backup", target)
    backups.restore(target, tmp_path / "restored")
    assert_whole(tmp_path / "restored")


def test_nothing_is_overwritten(home: Path, target: Path, tmp_path: Path) -> None:
    backups.back_up(home, target)
    before = files_in(home)
    assert "is not empty" in at(home).fails(2, "restore", target)
    assert files_in(home) == before
    notes = tmp_path / "documents"
    notes.mkdir()
    (notes / "letter.txt").write_text("Dear")
    assert "letter.txt" in at(notes).fails(2, "restore", target)
    assert "is no backup" in at(home).fails(2, "backup", notes)
    assert files_in(notes) == {"letter.txt"}


def test_a_home_with_locks_and_a_young_prefect_counts_as_empty(home: Path, target: Path, tmp_path: Path) -> None:
    backups.back_up(home, target)
    fresh = tmp_path / "fresh"
    (fresh / "prefect").mkdir(parents=True)
    (fresh / "locks").mkdir()
    backups.restore(target, fresh)
    assert_whole(fresh)


def test_a_target_that_will_not_do_is_one_line(home: Path, target: Path, tmp_path: Path) -> None:
    assert "name a folder elsewhere" in at(home).fails(2, "backup", home / "backup")
    assert "name a folder elsewhere" in at(home).fails(2, "backup", home / "a" / ".." / "b")
    target.write_text("a file")
    assert f"{target}" in at(home).fails(1, "backup", target)
    assert f"{target}" in at(home).fails(1, "backup", target / "below")
    assert "import" in at(tmp_path / "nobody").fails(2, "backup", tmp_path / "x")
    assert "is no backup" in at(tmp_path / "nobody").fails(2, "restore", tmp_path / "x")
    assert not (tmp_path / "nobody").exists()


def land_large(home: Path, count: int = 3) -> None:
    """Land some large replies of a check of the set-up, which never become fills."""
    landed = landing.Conversation(home, "ibkr_flex", "large", "run", timing.utc_now())
    landed.open({"flow": "doctor", "is_check": True})
    for _ in range(count):
        moment = timing.utc_now()
        landed.exchange(
            endpoint="GetStatement",
            request={},
            status=200,
            headers={},
            body=os.urandom(LARGE),
            body_is_secret=False,
            requested_at=moment,
            answered_at=moment,
        )
        landed.flush()
    landed.close(timing.utc_now(), {"verdict": "ok"})
    steps.load_conversation(home, landed.conversation_id)


def command(home: Path, *arguments: object) -> list[str]:
    return [sys.executable, "-m", "flows.cli", "--home", str(home), *map(str, arguments)]


def limited(home: Path, *arguments: object) -> str:
    """Run a command that may write no large file, as on a disk that is full; gives the line it fails with."""
    done = subprocess.run(
        command(home, *arguments),
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (LARGE // 2, LARGE // 2)),
    )
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1), done.stderr
    return done.stderr


def test_a_full_disk_is_one_line_and_leaves_what_was_there(home: Path, target: Path, tmp_path: Path) -> None:
    backups.back_up(home, target)
    fills, before = rows(home, FILLS), files_in(home)
    land_large(home, 1)
    assert str(target / "landing") in limited(home, "backup", target)
    backups.restore(target, tmp_path / "former")
    assert assert_whole(tmp_path / "former") == fills
    assert files_in(home) - before == {path for path in files_in(home) if "connection=large" in path}
    backups.back_up(home, target)
    assert str(tmp_path / "full") in limited(tmp_path / "full", "restore", target)
    assert not (tmp_path / "full").exists()


def killed(started: list[str], has_come: Callable[[], bool]) -> bool:
    """Start a command and kill it at a moment; tells whether that came before the end."""
    with subprocess.Popen(started, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as run:
        deadline = time.monotonic() + PATIENCE_SECONDS
        while run.poll() is None and not has_come():
            assert time.monotonic() < deadline, "the moment never came"
            time.sleep(0.0005)
        run.kill()
    return run.returncode != 0


def backup_moments(home: Path, target: Path) -> Iterator[Callable[[], bool]]:
    yield (home / f".{db.WRITER}.backup").exists
    yield lambda: len(list(target.glob(f"{backup.MOMENT}*"))) > 1
    yield lambda: any(path.suffix == ".tmp" for path in (target / "landing").rglob("*"))
    copied = len(landing.landed_files(target))
    yield lambda: len(landing.landed_files(target)) > copied + 1
    listed = (target / backup.LIST).read_bytes()
    yield lambda: (target / backup.LIST).read_bytes() != listed


def test_a_backup_that_is_killed_leaves_the_former_or_is_done(home: Path, target: Path, tmp_path: Path) -> None:
    deaths = int(killed(command(home, "backup", target), (target / backup.LIST).exists))
    if backup.read(target).made_at is None:
        assert "never finished" in at(tmp_path / "nothing").fails(2, "restore", target)
    backups.back_up(home, target)
    fills = rows(home, FILLS)
    imported(home, [PLAIN])
    land_large(home)
    later = rows(home, FILLS)
    for number, has_come in enumerate(backup_moments(home, target)):
        deaths += killed(command(home, "backup", target), has_come)
        restored = tmp_path / f"restored-{number}"
        backups.restore(target, restored)
        assert rows(restored, FILLS) in (fills, later)
        shutil.rmtree(restored)
    assert deaths >= 3
    done, _ = backups.back_up(home, target)
    assert len(files_in(target)) == len(done.files) + 1, "what the dead left is still there"
    assert not (home / f".{db.WRITER}.backup").exists()
    backups.restore(target, tmp_path / "last")
    assert assert_whole(tmp_path / "last") == later


def restore_moments(home: Path) -> Iterator[Callable[[], bool]]:
    staging = home / db.RESTORING
    yield staging.exists
    yield lambda: len(landing.landed_files(staging)) > 3
    yield (home / "landing").exists
    yield (home / db.WRITER).exists
    yield (home / db.READER).exists
    yield (home / publish.RECORD).exists


def test_a_restore_that_is_killed_is_nothing_until_it_is_run_again(home: Path, target: Path, tmp_path: Path) -> None:
    land_large(home)
    backups.back_up(home, target)
    fills, deaths = rows(home, FILLS), 0
    restored = tmp_path / "restored"
    for has_come in restore_moments(restored):
        deaths += killed(command(restored, "restore", target), has_come)
        if (restored / db.RESTORING).exists():
            for asking in (
                ["sql", "from fills"],
                ["status"],
                ["import", PLAIN],
                ["renormalize"],
                ["backup", tmp_path / "b"],
            ):
                assert "has not come to its end" in at(restored).fails(1, *asking)
            backups.restore(target, restored)
        elif not (restored / db.READER).exists():
            assert not restored.exists() or {path.name for path in restored.iterdir()} <= backups.NOTHING
            backups.restore(target, restored)
        assert rows(restored, FILLS) == fills
        assert not any(path.name.endswith(".tmp") for path in restored.iterdir())
        shutil.rmtree(restored)
    assert deaths >= 3


def damage_a_byte(path: Path) -> None:
    body = bytearray(path.read_bytes())
    body[len(body) // 2] ^= 1
    path.write_bytes(body)


def rewrite(target: Path, **said: Any) -> None:
    path = target / backup.LIST
    path.write_text(json.dumps({**json.loads(path.read_text()), **said}))


def a_landed(target: Path) -> Path:
    return landing.landed_files(target)[1]


def the_warehouse(target: Path) -> Path:
    return next(target.glob(f"{backup.MOMENT}*/{db.WRITER}"))


DAMAGES: dict[str, tuple[Callable[[Path], object], str]] = {
    "a byte of a landed file": (lambda target: damage_a_byte(a_landed(target)), "sha256 differs"),
    "a byte of the warehouse": (lambda target: damage_a_byte(the_warehouse(target)), "sha256 differs"),
    "a landed file cut off": (lambda target: os.truncate(a_landed(target), 100), "another size"),
    "a landed file gone": (lambda target: a_landed(target).unlink(), "is missing"),
    "the warehouse gone": (lambda target: the_warehouse(target).unlink(), "is missing"),
    "the list gone": (lambda target: (target / backup.LIST).unlink(), "is no backup"),
    "the list cut off": (lambda target: os.truncate(target / backup.LIST, 300), "is damaged"),
    "a list of nothing": (lambda target: rewrite(target, files={}), "is missing"),
    "a list of something else": (lambda target: rewrite(target, files=[1]), "is damaged"),
    "another format": (lambda target: rewrite(target, format=2), "another version"),
    "a file outside": (lambda target: rewrite(target, files={"landing/../../../x": [1, "0"]}), "is damaged"),
}


@pytest.mark.parametrize("what", DAMAGES)
def test_a_damaged_backup_is_refused_in_one_line(home: Path, target: Path, tmp_path: Path, what: str) -> None:
    backups.back_up(home, target)
    damage, said = DAMAGES[what]
    damage(target)
    assert said in at(tmp_path / "restored").fails(2, "restore", target)
    assert not (tmp_path / "restored").exists()


def test_a_warehouse_that_is_damaged_in_the_backup_is_not_taken_for_its_former(home: Path, target: Path) -> None:
    backups.back_up(home, target)
    os.truncate(the_warehouse(target), 100)
    assert "Back up into another folder" in at(home).fails(2, "backup", target)


def nonce_of(home: Path, clock: Callable[[], float] = time.time) -> int:
    with Nonces(home / "pace" / "key.nonce", clock).following() as nonce:
        return nonce


@pytest.mark.parametrize("ahead", [0.0, 86400.0])
def test_a_nonce_never_goes_back(home: Path, target: Path, tmp_path: Path, ahead: float) -> None:
    """Use some ahead of the clock, as on a machine whose clock was wrong for a while."""
    nonce_of(home, lambda: time.time() + ahead)
    backups.back_up(home, target)
    used = [nonce_of(home) for _ in range(50)]
    backups.restore(target, tmp_path / "restored")
    assert nonce_of(tmp_path / "restored") > max(used)


def test_silence_that_a_broker_asked_for_holds_after_a_restore(home: Path, target: Path, tmp_path: Path) -> None:
    def pace(home: Path) -> Pace:
        return Pace(home / "pace" / "key.json", (Limit(calls=1, seconds=1.0),), time.time, time.sleep)

    pace(home).shut_for(3600)
    backups.back_up(home, target)
    backups.restore(target, tmp_path / "restored")
    with pytest.raises(RateLimited):
        pace(tmp_path / "restored").take_turn("TradesHistory")
    assert not (tmp_path / "restored" / "locks").exists()


@pytest.fixture
def prefect_database(home: Path) -> Path:
    """Make a database as Prefect's server keeps it, with a credential in it."""
    path = home / "prefect" / "prefect.db"
    path.parent.mkdir()
    with closing(sqlite3.connect(path)) as con:
        con.execute("pragma journal_mode = wal")
        con.execute("create table block_document (data text)")
        con.execute("insert into block_document values ('a-secret-of-mine')")
        con.commit()
    return path


def test_prefects_database_is_left_out_unless_asked_for(home: Path, target: Path, prefect_database: Path) -> None:
    assert prefect_database.exists()
    assert at(home).run("backup", target).exit_code == 0
    assert not any(b"a-secret-of-mine" in path.read_bytes() for path in target.rglob("*") if path.is_file())
    done = at(home).run("backup", "--with-prefect", target)
    assert "keep it as safe" in done.stdout
    assert backup.read(target).place_of(backups.PREFECT).stat().st_mode & 0o777 == 0o600
    assert at(home).run("backup", target).exit_code == 0
    assert not any(b"a-secret-of-mine" in path.read_bytes() for path in target.rglob("*") if path.is_file())


def test_prefects_database_comes_back_beside_a_server_at_work(
    home: Path, target: Path, tmp_path: Path, prefect_database: Path
) -> None:
    with closing(sqlite3.connect(prefect_database)) as server:
        server.execute("insert into block_document values ('never committed')")
        backups.back_up(home, target, with_prefect=True)
        server.rollback()
    restored = tmp_path / "restored"
    assert "its credentials" in at(restored).run("restore", target).stdout
    assert (restored / backups.PREFECT).stat().st_mode & 0o777 == 0o600
    with closing(sqlite3.connect(restored / backups.PREFECT)) as con:
        assert con.execute("select data from block_document").fetchall() == [("a-secret-of-mine",)]


def test_a_prefect_database_that_is_there_stays(
    home: Path, target: Path, tmp_path: Path, prefect_database: Path
) -> None:
    assert prefect_database.exists()
    backups.back_up(home, target, with_prefect=True)
    kept = tmp_path / "restored" / backups.PREFECT
    kept.parent.mkdir(parents=True)
    kept.write_text("newer")
    assert "left as it is" in at(tmp_path / "restored").run("restore", target).stdout
    assert kept.read_text() == "newer"


def test_a_prefect_that_lives_elsewhere_is_told(home: Path, target: Path) -> None:
    assert "PREFECT_HOME" in at(home).fails(2, "backup", "--with-prefect", target)
    (home / "prefect").mkdir()
    (home / "prefect" / "prefect.db").write_bytes(os.urandom(5000))
    assert "not a database" in at(home).fails(2, "backup", "--with-prefect", target)
    assert not target.exists()


def test_after_a_restore_the_next_sync_goes_on_from_the_watermark(
    house: House, target: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, until = house.broker.history.first_day, house.broker.today - timedelta(days=4)
    assert house.backfill(since=first, until=until).name == "Completed"
    backups.back_up(house.home, target)
    restored = House(tmp_path / "restored", house.broker, house.address)
    backups.restore(target, restored.home)
    monkeypatch.setenv("FILLHOUSE_HOME", str(restored.home))
    before = house.broker.requests["SendRequest"]
    assert synced().name == "Completed"
    assert house.broker.requests["SendRequest"] == before + 1
    assert_equal_to_book(restored)
    assert rows(restored.home, f"select max(since) >= date '{until}' - 8 as follows from coverage") == [
        {"follows": True}
    ]
