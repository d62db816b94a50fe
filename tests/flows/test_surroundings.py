"""What Prefect is told through the environment."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from prefect.settings import Settings

from flows import surroundings


def test_a_first_sync_makes_the_folders_that_prefect_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("PREFECT_HOME", *surroundings.QUIET, *surroundings.RUNS):
        monkeypatch.setenv(name, "")  # so that what is set here is taken back
        monkeypatch.delenv(name)
    surroundings.prefer(tmp_path / "not" / "yet")
    assert (tmp_path / "not" / "yet" / "prefect").is_dir()


def test_prefect_understands_what_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    told = surroundings.QUIET | surroundings.RUNS | surroundings.WORKER | surroundings.SERVER
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    said = Settings()
    assert said.server.events.retention_period == timedelta(days=2)
    assert said.server.services.db_vacuum.retention_period == timedelta(days=30)
    assert said.server.services.db_vacuum.enabled_vacuum_types >= {"events", "flow_runs"}
    assert said.flows.heartbeat_frequency == surroundings.HEARTBEAT_SECONDS
    assert said.worker.query_seconds == 2
    assert not said.server.analytics_enabled
