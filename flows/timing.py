"""Where the time comes from: this machine's clock, unless told otherwise."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(slots=True)
class Time:
    """Where the time comes from, and how it is waited for: this machine's clock, unless told otherwise."""

    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    sleep: Callable[[float], None] = time.sleep


TIME = Time()


def utc_now() -> datetime:
    """Give the time, aware."""
    return TIME.now()


def wait(seconds: float) -> None:
    """Let time pass."""
    TIME.sleep(seconds)
