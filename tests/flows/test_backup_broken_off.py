"""A backup or a restore that is killed, or finds the disk full, leaves what was there."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from flows import backups, steps, timing
from tests.flows.homes import FILLS, PATIENCE_SECONDS, assert_whole, at, files_in
from tests.flows.terminal import PLAIN, ROOT
from tests.importing import imported, rows
from warehouse import backup, db, landing, publish

LARGE = 24_000_000  # bytes that take a while to copy


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
