"""The business days of the Flex sandbox, and the zone in which its days are counted."""

from __future__ import annotations

from datetime import date, timedelta
from zoneinfo import ZoneInfo

NEW_YORK = ZoneInfo("America/New_York")


def is_business_day(day: date) -> bool:
    return day.weekday() < 5 and (day.month, day.day) not in {(1, 1), (7, 4), (12, 25)}


def business_day_after(day: date, days: int) -> date:
    for _ in range(days):
        day += timedelta(days=1)
        while not is_business_day(day):
            day += timedelta(days=1)
    return day
