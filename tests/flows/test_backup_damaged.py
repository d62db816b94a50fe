"""A backup that is damaged is refused in one line, and not taken for the former of the next."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from flows import backups
from tests.flows.homes import at
from warehouse import backup, db, landing


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
