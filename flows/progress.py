"""How far a run has come with a connection: its artifact in Prefect, and now and then a line in its log."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import cast
from uuid import UUID

from prefect.artifacts import create_progress_artifact, update_progress_artifact
from prefect.runtime import flow_run

from connectors.wire import Progress

SHOWN_EVERY = 1.0  # seconds: each time costs the server a request
SAID_EVERY = 15.0


@dataclass(slots=True)
class Shown:
    """The progress of one connection: questions answered, and how far the present one has come."""

    connection: str
    artifact: UUID
    remaining: int  # questions, the present one included
    answered: int = 0
    shown_at: float = float("-inf")
    said_at: float = float("-inf")

    @classmethod
    def of(cls, connection: str, questions: int) -> Shown:
        """Begin at nothing."""
        key = f"{flow_run.flow_name}-{connection}"
        artifact = create_progress_artifact(0.0, key=key, description=f"0 of {questions} windows")
        return cls(connection, cast("UUID", artifact), questions)

    def after(self, remaining: int) -> None:
        """Show that one more question was dealt with, and how many remain."""
        self.answered, self.remaining = self.answered + 1, remaining
        self._show(0.0, f"{self.answered} of {self.answered + remaining} windows")

    def within(self, question: str, progress: Progress, say: Callable[[str], None]) -> None:
        """Show how far the present question has come, not more often than anybody reads."""
        now = time.monotonic()
        if now - self.shown_at >= SHOWN_EVERY:
            self.shown_at = now
            self._show(min(progress.done / progress.of, 1.0), f"{progress}; {question}")
        if now - self.said_at >= SAID_EVERY:
            self.said_at = now
            say(f"{self.connection} {question}: {progress}")

    def _show(self, part: float, text: str) -> None:
        """Update the artifact, whose key names the connection; what matters is said first, as its card has a short line."""
        share = 100.0 * (self.answered + part) / (self.answered + self.remaining)
        update_progress_artifact(self.artifact, share, text)
