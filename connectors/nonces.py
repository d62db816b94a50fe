"""Hand out a key's nonces: each larger than all before it, whatever process or clock asked, and used in that order.

The lock is held until the request that carries the nonce has been answered: a broker that reads two requests in the
other order would refuse one of them.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

NANOSECONDS = 1_000_000_000  # a key that was used with milliseconds can go on with these, but never back


@dataclass(frozen=True, slots=True)
class Nonces:
    """The nonces of one key, the last one in a file. `clock` gives seconds since 1970."""

    file: Path
    clock: Callable[[], float]

    @contextmanager
    def following(self) -> Iterator[int]:
        """Give the next nonce; whoever wants another waits until the block ends."""
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{self.file}.lock"):
            nonce = max(int(self.clock() * NANOSECONDS), self._last() + 1)
            self._keep(nonce)
            yield nonce

    def leave_out(self, seconds: float) -> None:
        """Leave as many out as can have been used in so many seconds without being written here: one a nanosecond."""
        with FileLock(f"{self.file}.lock"):
            self._keep(self._last() + int(seconds * NANOSECONDS))

    def _last(self) -> int:
        try:
            return int(self.file.read_text())
        except (FileNotFoundError, ValueError):  # none yet, or a machine died while writing it
            return 0

    def _keep(self, nonce: int) -> None:
        """Write it down before it is used: whole or not at all, and on the disk."""
        temporary = self.file.with_suffix(".tmp")
        with temporary.open("w") as file:
            file.write(str(nonce))
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(self.file)
