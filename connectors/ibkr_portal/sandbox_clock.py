"""The time of the gateway's sandbox: it can be put forward, so a day passes in as long as a test needs to say so."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta


def wall_clock() -> datetime:
    return datetime.now(UTC)


class Clock:
    """A clock to be given to the sandbox and to its client alike.

    Given a moment it stands still until it is put forward; given another clock it runs along with that one. To sleep is to put
    it forward, but for a clock that shows real time: there a sleeper really waits.
    """

    def __init__(self, start: datetime | Callable[[], datetime] = wall_clock) -> None:
        self._start = start
        self._ahead = timedelta(0)
        self._lock = threading.Lock()

    def __call__(self) -> datetime:
        now = self._start if isinstance(self._start, datetime) else self._start()
        return now + self._ahead

    def advance(self, seconds: float) -> None:
        with self._lock:
            self._ahead += timedelta(seconds=seconds)

    def sleep(self, seconds: float) -> None:
        if self._start is wall_clock:
            time.sleep(seconds)
        else:
            self.advance(seconds)
