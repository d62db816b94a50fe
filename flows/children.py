"""Processes that are kept running: started anew when they end by themselves, and ended in good order."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

RESTARTS = (1.0, 5.0, 15.0, 60.0)  # seconds before it is started anew, the longer the oftener it ends
STEADY_SECONDS = 300.0  # whoever ran for so long has not ended often
PATIENCE = 20.0
LOG_BYTES = 10_000_000
PR_SET_PDEATHSIG = 1  # of Linux's prctl: the signal a child gets when its parent dies


@dataclass(slots=True)
class Child:
    """A process we keep running, and what it says in a file."""

    name: str
    arguments: tuple[str, ...]
    environment: Mapping[str, str]
    logs: Path
    folder: Path | None = None  # it works in; else in ours
    process: subprocess.Popen[bytes] | None = None
    started_at: float = 0.0
    failures: int = 0  # in a row, each soon after its start
    start_at: float = 0.0

    def start(self) -> None:
        """Start it in a group of its own: Ctrl-C is for us, and we tell whom it concerns, one after the other."""
        self.logs.mkdir(parents=True, exist_ok=True)
        if self.log.exists() and self.log.stat().st_size > LOG_BYTES:
            self.log.replace(self.log.with_suffix(".log.1"))
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(  # noqa: S603  (our own commands)
                [sys.executable, "-m", *self.arguments],
                cwd=self.folder,
                env=dict(self.environment),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                process_group=0,
                preexec_fn=_hear_signals_and_die_with_us,  # noqa: PLW1509  (no other thread of ours holds a lock it needs)
            )
        self.started_at = time.monotonic()

    @property
    def log(self) -> Path:
        """Tell where what it says is written."""
        return self.logs / f"{self.name}.log"

    @property
    def is_running(self) -> bool:
        """Tell whether it runs."""
        return self.process is not None and self.process.poll() is None

    def keep(self, say: Callable[[str], None]) -> None:
        """Start it anew if it has ended by itself; each time in a row after a longer while."""
        if self.is_running:
            return
        now = time.monotonic()
        if self.process is None:
            if now >= self.start_at:
                self.start()
            return
        self.failures = 0 if now - self.started_at > STEADY_SECONDS else self.failures + 1
        delay = RESTARTS[min(self.failures, len(RESTARTS) - 1)]
        say(
            f"The {self.name} has ended ({self.process.returncode}); it is started anew in {delay:.0f} s. See {self.log}."
        )
        self.process, self.start_at = None, now + delay

    def stop(self) -> None:
        """End it and what it has started: first asked, then made to."""
        if self.process is None:
            return
        group = self.process.pid
        with suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGINT)
        with suppress(subprocess.TimeoutExpired):
            self.process.wait(timeout=PATIENCE)
        with suppress(ProcessLookupError):
            os.killpg(group, signal.SIGKILL)
        self.process.wait()
        self.process = None


def _hear_signals_and_die_with_us() -> None:
    """Undo what a shell may have told its background jobs to ignore; and on Linux end when this process is killed."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_DFL)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)
