"""Money at the Flex sandbox: its base currency, the rates of a day, and how far amounts are rounded."""

from __future__ import annotations

import math
from datetime import date
from decimal import Decimal

BASE_CURRENCY = "EUR"
ZERO = Decimal(0)
BASE_RATES = {"EUR": 1.0, "USD": 0.9212, "GBP": 1.1672, "JPY": 0.00631}


def rate_to_base(currency: str, day: date) -> Decimal:
    """Print the exchange rate of a day: a slow wave around one level is enough for a sandbox."""
    if currency == BASE_CURRENCY:
        return Decimal(1)
    return Decimal(f"{BASE_RATES[currency] * (1 + 0.02 * math.sin(day.toordinal() / 90)):.6g}")


def money(value: Decimal) -> Decimal:
    return value.quantize(Decimal("0.000000001"))


def cents(value: Decimal) -> Decimal:
    return value.quantize(Decimal("0.01"))
