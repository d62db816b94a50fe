"""A backup holds all that is needed and no more, comes back whole, and replaces nothing that it should not."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from flows import backups
from tests.flows.homes import FILLS, TOMORROW, assert_whole, at, files_in
from tests.flows.terminal import ONE_BAD_ROW, PLAIN
from tests.importing import imported, rows
from warehouse import backup, compact


def without_ages(status: str) -> list[str]:
    return [line for line in status.splitlines() if "published" not in line]


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
