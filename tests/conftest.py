"""How many processes `make test` takes: one more than there are cores, as some tests mostly wait."""

from __future__ import annotations

import os

MOST_PROCESSES = 4


def pytest_xdist_auto_num_workers() -> int:
    """Answer xdist, which asks for `-n auto`."""
    return min((os.cpu_count() or 1) + 1, MOST_PROCESSES)
