"""A home that was restored goes on towards its brokers where the former one was."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest

from connectors.connector import Limit
from connectors.errors import RateLimited
from connectors.nonces import Nonces
from connectors.pace import Pace
from flows import backups
from tests.flows.conftest import House
from tests.flows.test_backfill import assert_equal_to_book
from tests.flows.test_incremental import synced
from tests.importing import rows


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
