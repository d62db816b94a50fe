"""Orders that the Flex sandbox's customers place, how they are cut into fills, and what is charged for them."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from itertools import pairwise
from random import Random

from connectors.ibkr_flex.sandbox_instruments import Instrument
from connectors.ibkr_flex.sandbox_money import ZERO, cents, money


@dataclass(frozen=True, slots=True)
class Play:
    """A kind of order that the sandbox's customers place, and what is peculiar about its fills."""

    market: str
    sizes: tuple[str, ...]
    most_fills: int = 1
    one_instant: bool = False  # all fills at the same second and price: only the execution id tells them apart
    rebate: bool = False
    flips: bool = False
    notes: str = ""
    order_type: str = "LMT"


DECK = (
    *(Play("US", ("100", "50", "200", "25", "330"), most_fills=4),) * 4,
    Play("US", ("9",), most_fills=9, one_instant=True, order_type="MKT"),
    Play("US", ("0.3127", "1.25", "0.0481"), notes="FP", order_type="MKT"),
    Play("US", ("400", "250"), most_fills=2, rebate=True),
    Play("RHEIN", ("40", "75"), most_fills=2),
    Play("THAMES", ("300", "120"), most_fills=2),
    Play("TOKYO", ("100", "200"), most_fills=2),
    *(Play("OPT", ("1", "2", "4"), most_fills=2),) * 2,
    *(Play("FUT", ("1", "2", "3"), most_fills=2),) * 2,
    Play("FUT", ("1",), flips=True),
    *(Play("FX", ("20000", "35000.5", "8000")),) * 2,
    Play("FX", ("412.37", "96.05"), notes="AFx", order_type="MKT"),
)
FILLS_AN_ORDER = sum(1 + (play.most_fills - 1) * (1 if play.one_instant else 0.5) for play in DECK) / len(DECK)


def split(size: Decimal, play: Play, rng: Random) -> list[Decimal]:
    """Cut an order into fills, whole units each."""
    fills = play.most_fills if play.one_instant else rng.randrange(1, play.most_fills + 1)
    if size % 1 or abs(size) < fills:
        return [size]
    cuts = sorted(rng.sample(range(1, int(abs(size))), fills - 1)) if not play.one_instant else list(range(1, fills))
    edges = [0, *cuts, int(abs(size))]
    return [Decimal(right - left).copy_sign(size) for left, right in pairwise(edges)]


def commission_of(instrument: Instrument, quantity: Decimal, price: Decimal, *, rebate: bool, first: bool) -> Decimal:
    """Charge as the venue does (negative), the minimum on an order's first fill; a rebate is positive."""
    size = abs(quantity)
    if rebate:
        return money(size * Decimal("0.0012"))
    if instrument.category == "OPT":
        return -money(size * Decimal("0.70255"))
    if instrument.category == "FUT":
        return -size * Decimal("0.62")
    if instrument.category == "CASH":
        return -max(Decimal("1.85"), money(size * Decimal("0.00002")))
    if instrument.currency == "USD":
        return -money(size * Decimal("0.003519") + (Decimal("0.35") if first else ZERO))
    return -cents(size * price * Decimal("0.0005") + (Decimal(1) if first else ZERO))
