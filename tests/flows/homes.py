"""Homes for data that are backed up and restored: what is in them, and whether that is whole."""

from __future__ import annotations

import hashlib
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl

from flows import steps
from tests.flows.terminal import Terminal
from tests.importing import asked, rows
from warehouse import db, landing

TOMORROW = date(2100, 1, 1)
PATIENCE_SECONDS = 40.0
FILLS = "select * from fills order by all"
OF_SECRETS = ("GetApiKeyInfo",)  # endpoints whose bodies are landed as hashes


def at(home: Path) -> Terminal:
    return Terminal(home)


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
    exchanges = rows(
        home, "select conversation_id, kind, endpoint, exchange_id, landed_file, body_sha256 from exchanges"
    )
    assert landed == {row["conversation_id"] for row in exchanges}
    for row in exchanges:
        if row["kind"] == "exchange" and row["endpoint"] not in OF_SECRETS:
            body = landing.read_body(home, row["landed_file"], row["exchange_id"])
            assert body is not None
            assert hashlib.sha256(body).hexdigest() == row["body_sha256"]
