"""When the sandboxes' options and futures expire: on third Fridays, as they do on real exchanges."""

from __future__ import annotations

from collections.abc import Container, Iterator
from datetime import date, timedelta

ANY_MONTH = range(1, 13)
QUARTERS = {3: "H", 6: "M", 9: "U", 12: "Z"}  # by the letter that the name of a future has for it


def expiry_after(day: date, days: int, months: Container[int] = ANY_MONTH) -> date:
    """Give the first expiry in one of these months that is at least so many days ahead."""
    return next(third for third in _third_fridays(day) if third.month in months and (third - day).days >= days)


def _third_fridays(day: date) -> Iterator[date]:
    year, month = day.year, day.month
    while True:
        first = date(year, month, 1)
        yield first + timedelta(days=(4 - first.weekday()) % 7 + 14)
        year, month = year + month // 12, month % 12 + 1
