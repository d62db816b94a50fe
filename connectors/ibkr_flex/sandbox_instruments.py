"""What is traded at the Flex sandbox, in which session, and when it expires; all of it is made up."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from random import Random
from zoneinfo import ZoneInfo

from connectors.sandbox_expiries import QUARTERS, expiry_after


@dataclass(frozen=True, slots=True)
class Instrument:
    """What is traded; `session` is in hours from the local midnight of the trade date, so a futures day starts at -6."""

    conid: int
    category: str
    symbol: str
    description: str
    currency: str
    exchange: str
    price: Decimal
    tick: Decimal
    zone: str = "America/New_York"
    session: tuple[float, float] = (9.5, 16)
    multiplier: Decimal = Decimal(1)
    isin: str = ""
    underlying: Instrument | None = None
    strike: Decimal | None = None
    expiry: date | None = None
    put_call: str = ""


STOCKS = (
    Instrument(
        910001101,
        "STK",
        "ALDR",
        "ALDER INSTRUMENTS CORP",
        "USD",
        "NASDAQ",
        Decimal("82.40"),
        Decimal("0.01"),
        isin="US0000ALDR01",
    ),
    Instrument(
        910001102,
        "STK",
        "BRKW",
        "BREAKWATER FREIGHT INC",
        "USD",
        "NYSE",
        Decimal("31.75"),
        Decimal("0.01"),
        isin="US0000BRKW02",
    ),
    Instrument(
        910001103,
        "STK",
        "CNDL",
        "CANDLEWICK ENERGY CO",
        "USD",
        "ARCA",
        Decimal("147.10"),
        Decimal("0.01"),
        isin="US0000CNDL03",
    ),
)
RHEIN = Instrument(
    910002201,
    "STK",
    "RHNK",
    "RHEINKONTOR AG & CO",
    "EUR",
    "IBIS",
    Decimal("56.20"),
    Decimal("0.02"),
    zone="Europe/Berlin",
    session=(9, 17.5),
    isin="DE0000RHNK04",
)
THAMES = Instrument(
    910003301,
    "STK",
    "THMW",
    "THAMESWARD PLC",
    "GBP",
    "LSE",
    Decimal("12.44"),
    Decimal("0.005"),
    zone="Europe/London",
    session=(8, 16.5),
    isin="GB0000THMW05",
)
TOKYO = Instrument(
    910004401,
    "STK",
    "9917",
    "KAWASE SEIKI KK",
    "JPY",
    "TSEJ",
    Decimal(2815),
    Decimal(1),
    zone="Asia/Tokyo",
    session=(9, 15),
    isin="JP0000KAWS06",
)
PAIRS = (
    Instrument(
        910005501,
        "CASH",
        "EUR.USD",
        "EUR.USD",
        "USD",
        "IDEALFX",
        Decimal("1.0855"),
        Decimal("0.00005"),
        session=(3, 16),
    ),
    Instrument(
        910005502, "CASH", "EUR.JPY", "EUR.JPY", "JPY", "IDEALFX", Decimal("158.42"), Decimal("0.005"), session=(3, 16)
    ),
    Instrument(
        910005503,
        "CASH",
        "GBP.USD",
        "GBP.USD",
        "USD",
        "IDEALFX",
        Decimal("1.2670"),
        Decimal("0.00005"),
        session=(3, 16),
    ),
)
CALM = frozenset(pair.conid for pair in PAIRS)
INDEX_PRICE = Decimal("4630.25")


def index_future(day: date) -> Instrument:
    expiry = expiry_after(day, 6, QUARTERS)
    symbol = f"MZX{QUARTERS[expiry.month]}{expiry.year % 10}"
    return Instrument(
        920_000_000 + expiry.toordinal() % 100_000, "FUT", symbol, f"MICRO ZX INDEX {expiry:%b%y}".upper(), "USD", "CME",
        INDEX_PRICE, Decimal("0.25"), session=(-6, 17), multiplier=Decimal(5), expiry=expiry,
    )  # fmt: skip


def option_on(underlying: Instrument, expiry: date, strike: Decimal, put_call: str) -> Instrument:
    name = f"{underlying.symbol:<6}{expiry:%y%m%d}{put_call}{int(strike * 1000):08d}"
    return Instrument(
        700_000_000 + expiry.toordinal() % 10_000 * 10_000 + int(strike) * 2 + (put_call == "P"), "OPT", name,
        f"{underlying.symbol} {expiry:%d%b%y} {strike:f} {put_call}".upper(), "USD", "CBOE", Decimal("3.15"),
        Decimal("0.05"), multiplier=Decimal(100), underlying=underlying, strike=strike, expiry=expiry, put_call=put_call,
    )  # fmt: skip


def moment(instrument: Instrument, day: date, rng: Random) -> datetime:
    """Pick a second inside the session of a trade date; Tokyo's morning is the evening before in New York."""
    opens, closes = instrument.session
    seconds = rng.randrange(int(opens * 3600), int(closes * 3600) - 600)
    local = datetime.combine(day, time(0)) + timedelta(seconds=seconds)
    return local.replace(tzinfo=ZoneInfo(instrument.zone)).astimezone(UTC)
