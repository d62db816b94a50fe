"""When IBKR rests: whole windows in local time, also over midnight and the change of the clock."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from connectors.ibkr_portal import maintenance
from connectors.ibkr_portal.maintenance import EUROPE, NORTH_AMERICA


@pytest.mark.parametrize(
    ("moment", "ends"),
    [
        ("2026-03-05T05:14:59", None),  # Thursday 00:14:59 in New York
        ("2026-03-05T05:15:00", "01:45"),
        ("2026-03-05T06:44:59", "01:45"),
        ("2026-03-05T06:45:00", None),
        ("2026-07-02T04:15:00", "01:45"),  # in summer an hour earlier by UTC
        ("2026-03-07T05:30:00", "03:00"),  # the night to Saturday: the weekend's window only
        ("2026-03-07T04:00:00", "03:00"),
        ("2026-03-08T05:30:00", "01:45"),  # Sunday
    ],
)
def test_a_moment_is_inside_a_window_or_not(moment: str, ends: str | None) -> None:
    found = maintenance.ends_at(NORTH_AMERICA, datetime.fromisoformat(moment).replace(tzinfo=UTC))
    assert (found and f"{found:%H:%M}") == ends


def test_regions_rest_at_other_hours() -> None:
    moment = datetime(2026, 3, 5, 5, 30, tzinfo=UTC)
    assert maintenance.ends_at(NORTH_AMERICA, moment) is not None
    assert maintenance.ends_at(EUROPE, moment) is not None  # 06:30 in Zurich
    assert maintenance.ends_at(EUROPE, moment.replace(hour=8)) is None


@pytest.mark.parametrize(
    "written", ["daily 00:15-01:45 America/New_York", "mon 0:15-1:45 UTC", "mon-fre 00:15-01:45 UTC"]
)
def test_what_is_no_window_is_refused(written: str) -> None:
    with pytest.raises(ValueError, match="write it like"):
        maintenance.of(written)


def test_an_unknown_zone_is_refused() -> None:
    with pytest.raises(ValueError, match="no time zone"):
        maintenance.of("mon 00:15-01:45 America/Newyork")
