"""Prefect's database is backed up only when asked for, since it holds credentials."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from flows import backups
from tests.flows.homes import at
from warehouse import backup


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
