"""How IBKR prints numbers and moments."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from decimal import Decimal

from connectors.ibkr_flex.sandbox_calendar import NEW_YORK
from connectors.ibkr_flex.sandbox_money import ZERO

NINE_PLACES = Decimal("1e-9")


def plain(number: Decimal) -> str:
    """Print a number as IBKR does: no exponent, no trailing zeros, no thousands mark."""
    text = f"{number:f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text in {"", "-0"} else text


def total(numbers: Iterable[Decimal]) -> str:
    return plain(sum(numbers, ZERO))


def new_york(moment: datetime) -> str:
    return moment.astimezone(NEW_YORK).strftime("%Y%m%d;%H%M%S")
