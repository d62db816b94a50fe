"""How Kraken prints: JSON whose numbers are exact, fractional seconds, decimals of fixed length.

Times are counted in ticks of a ten millionth of a second, since no float holds seconds with seven decimals.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal

TICKS = 10_000_000
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Exact(str):
    """A JSON number, printed with just these characters."""

    __slots__ = ()


def to_json(value: object) -> str:
    """Print JSON as `json.dumps` would, but for exact numbers."""
    if isinstance(value, Exact):
        return value
    if isinstance(value, Mapping):
        return "{" + ",".join(f"{json.dumps(name)}:{to_json(item)}" for name, item in value.items()) + "}"
    if isinstance(value, (list, tuple)):
        return "[" + ",".join(map(to_json, value)) + "]"
    return json.dumps(value)


def ticks(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(microseconds=1) * 10


def moment_of(at: int) -> datetime:
    """Turn ticks into a moment; the seventh decimal is dropped."""
    return EPOCH + timedelta(microseconds=at // 10)


def seconds_text(at: int, places: int) -> Exact:
    """Print ticks as seconds; beyond `places` decimals nothing may be left."""
    whole, fraction = divmod(at, TICKS)
    return Exact(f"{whole}.{f'{fraction:07d}'[:places]}")


def fixed(number: Decimal, decimals: int) -> str:
    return f"{number:.{decimals}f}"


def plain(number: Decimal) -> str:
    """Print a number without exponent and without zeros at its end."""
    text = f"{number:f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text in {"", "-0"} else text
