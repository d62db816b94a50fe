"""The time at which sandboxes are tested: a Friday evening, until it is moved."""

from datetime import UTC, datetime, timedelta

FRIDAY_EVENING = datetime(2026, 3, 6, 22, 30, tzinfo=UTC)  # 17:30 in New York


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.moment = FRIDAY_EVENING

    def __call__(self) -> datetime:
        return self.moment

    def pass_seconds(self, seconds: float) -> None:
        self.moment += timedelta(seconds=seconds)
