"""Nonces only ever grow: when the clock goes back, after a restart, and between processes."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from connectors.nonces import Nonces

ANOTHER_PROCESS = """
import sys, time
from pathlib import Path
from connectors.nonces import Nonces
nonces = Nonces(Path(sys.argv[1]), time.time)
for _ in range(50):
    with nonces.following() as nonce:
        print(nonce)
"""


def one(nonces: Nonces) -> int:
    with nonces.following() as nonce:
        return nonce


def test_a_nonce_is_the_time_in_nanoseconds(tmp_path: Path) -> None:
    assert one(Nonces(tmp_path / "nonce", lambda: 1_700_000_000.0)) == 1_700_000_000_000_000_000


def test_a_clock_that_goes_back_changes_nothing(tmp_path: Path) -> None:
    before = one(Nonces(tmp_path / "nonce", lambda: 1_700_000_000.0))
    after = one(Nonces(tmp_path / "nonce", lambda: 1_600_000_000.0))  # a machine that started with the wrong time
    assert after == before + 1


def test_what_others_can_have_used_meanwhile_is_left_out(tmp_path: Path) -> None:
    nonces = Nonces(tmp_path / "nonce", lambda: 1_700_000_000.0)
    (tmp_path / "nonce").write_text("1800000000000000000")  # as of a machine whose clock was wrong for a while
    nonces.leave_out(60)
    assert one(nonces) == 1_800_000_060_000_000_001


def test_threads_never_share_one(tmp_path: Path) -> None:
    nonces = Nonces(tmp_path / "nonce", lambda: 1.0)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda _: one(nonces), range(200)))
    assert len(set(found)) == 200


def test_processes_never_share_one(tmp_path: Path) -> None:
    started = [
        subprocess.Popen(
            [sys.executable, "-c", ANOTHER_PROCESS, str(tmp_path / "nonce")], stdout=subprocess.PIPE, text=True
        )
        for _ in range(3)
    ]
    found = [int(line) for each in started for line in each.communicate(timeout=60)[0].split()]
    assert len(set(found)) == 150
