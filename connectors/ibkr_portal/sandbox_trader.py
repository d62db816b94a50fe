"""Three invented accounts and what they trade, day by day from a seed: each day has its own random stream.

On business days each account trades something: shares, also fractions of them, an option, a future, a currency, a coin; coins also
at weekends. Some orders are filled in several executions of one second and one price, which only their ids tell apart. One
execution a day is corrected: a while later it has another price, under the next revision of its id. Instruments are made up.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from random import Random

from connectors.ibkr_portal.sandbox_book import NEW_YORK, Account, Book, Contract, Execution
from connectors.sandbox_expiries import QUARTERS, expiry_after

ACCOUNTS = (
    Account("U2810451", "Long term"),
    Account("U2810452", "Options desk"),
    Account("U2810453", "Euro money", "EUR"),
)
CORRECTED_AFTER = timedelta(minutes=25)
TICK = Decimal("0.01")


@dataclass(frozen=True, slots=True)
class Play:
    """A kind of order: what, at which price about, how much, in how many executions, at which hours of New York."""

    contract: str
    price: Decimal
    tick: Decimal
    sizes: tuple[str, ...]
    most_fills: int = 1
    one_instant: bool = False
    hours: tuple[float, float] = (9.5, 15.9)


ASTER = Contract(930001101, "STK", "ASTR", "ASTER MACHINES INC", "USD", "NASDAQ.NMS", "ISLAND", "ASTR")
BOREAL = Contract(930001102, "STK", "BORL", "BOREAL TIMBER CORP", "USD", "NYSE", "NYSE", "BORL")
EURO = Contract(930005501, "CASH", "EUR", "European Monetary Union Euro", "USD", "", "IDEALPRO", "EUR.USD")
COIN = Contract(930007701, "CRYPTO", "BTC", "Bitcoin cryptocurrency", "USD", "PAXOS", "PAXOS", "BTC.USD")

AROUND_THE_CLOCK = (0.1, 23.6)
DECK = (
    Play("ASTR", Decimal("84.30"), TICK, ("100", "50", "220"), most_fills=3),
    Play("BORL", Decimal("31.15"), TICK, ("300", "75"), most_fills=2),
    Play("ASTR", Decimal("84.30"), TICK, ("3",), most_fills=3, one_instant=True),
    Play("BORL", Decimal("31.15"), TICK, ("0.5", "1.2731", "0.0842")),
    Play("OPT", Decimal("3.10"), Decimal("0.05"), ("1", "2", "4"), most_fills=2),
    Play("FUT", Decimal("4630.25"), Decimal("0.25"), ("1", "2"), most_fills=2, hours=(0.1, 16.9)),
    Play("EUR", Decimal("1.0855"), Decimal("0.00005"), ("20000", "35000.5"), hours=(0.1, 16.9)),
    Play("BTC", Decimal(61250), Decimal("0.25"), ("0.015", "0.00731204"), hours=AROUND_THE_CLOCK),
)
WEEKEND = (DECK[-1], DECK[-1])


def invented_book(seed: int, first_day: date) -> Book:
    """Give a book that goes on for ever, beginning with a day."""
    return Book(ACCOUNTS, days=lambda day: trading_day(seed, day), first_day=first_day)


def trading_day(seed: int, day: date) -> list[Execution]:
    """Invent what happens on a day of New York: the same whenever it is asked for."""
    rng = Random(f"{seed}/{day}")
    deck = list(DECK if day.weekday() < 5 else WEEKEND)
    rng.shuffle(deck)
    trades: list[Execution] = []
    for nth, play in enumerate(deck):
        trades += _order(play, ACCOUNTS[nth % len(ACCOUNTS)], day, len(trades), rng)
    wrong = rng.choice(trades)
    right = replace(wrong, exec_id=f"{wrong.root}.02", price=wrong.price + TICK, known_from=wrong.at + CORRECTED_AFTER)
    return [*trades, right]


def trade_at(moment: datetime, account: Account, number: int) -> Execution:
    """Buy or sell a few shares at this very second."""
    moment = moment.astimezone(UTC).replace(microsecond=0)
    rng = Random(f"{moment}/{number}")
    return Execution(
        account.number, ASTER, f"0001d0b5.{0x6A000000 + number:08x}.01.01", 1_870_000_000 + number,
        rng.choice(("BUY", "SELL")), Decimal(rng.randrange(1, 200)), Decimal("84.30") + TICK * rng.randrange(-99, 99),
        Decimal("1.00"), "USD", moment,
    )  # fmt: skip


def _order(play: Play, account: Account, day: date, number: int, rng: Random) -> Iterator[Execution]:
    contract = _contract(play.contract, day, rng)
    opens, closes = play.hours
    local = datetime.combine(day, time(0), NEW_YORK) + timedelta(
        seconds=rng.randrange(int(opens * 3600), int(closes * 3600))
    )
    side = rng.choice(("BUY", "SELL"))
    limit = play.price + play.tick * rng.randrange(-40, 41)
    reference = f"{rng.getrandbits(64):016x}" if rng.random() < 0.4 else ""
    for nth, quantity in enumerate(_split(Decimal(rng.choice(play.sizes)), play, rng)):
        serial = day.toordinal() % 65_536 * 256 + number + nth
        apart = 0 if play.one_instant else nth
        yield Execution(
            account.number, contract, f"{0x1C000 + day.month:08x}.{0x60000000 + serial:08x}.01.01",
            1_700_000_000 + day.toordinal() % 65_536 * 100 + number, side, quantity, limit + play.tick * apart,
            _commission(contract, quantity, limit, first=nth == 0),
            account.currency if contract.sec_type == "CASH" else contract.currency,
            local.astimezone(UTC) + timedelta(seconds=apart * 7), reference, "trader77" if reference else "",
        )  # fmt: skip


def _split(size: Decimal, play: Play, rng: Random) -> list[Decimal]:
    """Cut an order into executions, whole units each."""
    fills = play.most_fills if play.one_instant else rng.randrange(1, play.most_fills + 1)
    if size % 1 or size < fills:
        return [size]
    each = Decimal(int(size / fills))
    return [*[each] * (fills - 1), size - each * (fills - 1)]


def _commission(contract: Contract, quantity: Decimal, price: Decimal, *, first: bool) -> Decimal:
    if contract.sec_type == "OPT":
        return quantity * Decimal("0.70255")
    if contract.sec_type == "FUT":
        return quantity * Decimal("0.62")
    if contract.sec_type == "CASH":
        return Decimal("2.00")
    if contract.sec_type == "CRYPTO":
        return max(Decimal("1.75"), (quantity * price * Decimal("0.0018")).quantize(TICK))
    return (quantity * Decimal("0.005")).quantize(Decimal("0.0001")) + (Decimal(1) if first else 0)


def _contract(name: str, day: date, rng: Random) -> Contract:
    if name == "FUT":
        return index_future(day)
    if name == "OPT":
        return option_on(ASTER, expiry_after(day, 20), Decimal(80 + 5 * rng.randrange(3)), rng.choice("CP"))
    return {"ASTR": ASTER, "BORL": BOREAL, "EUR": EURO, "BTC": COIN}[name]


def index_future(day: date) -> Contract:
    expiry = expiry_after(day, 6, QUARTERS)
    letter = QUARTERS[expiry.month]
    return Contract(
        935_000_000 + expiry.toordinal() % 100_000, "FUT", "MQX", "MICRO Q INDEX", "USD", "CME", "CME",
        f"MQX{letter}{expiry.year % 10}", f"{expiry:%b%d'%y}".upper(), Decimal(5), 930009901, expiry=expiry,
    )  # fmt: skip


def option_on(share: Contract, expiry: date, strike: Decimal, put_call: str) -> Contract:
    right = {"C": "Call", "P": "Put"}[put_call]
    return Contract(
        740_000_000 + expiry.toordinal() % 10_000 * 1_000 + int(strike) * 2 + (put_call == "P"), "OPT", share.symbol,
        share.name, share.currency, "CBOE", "CBOE", f"{share.symbol:<6}{expiry:%y%m%d}{put_call}{int(strike * 1000):08d}",
        f"{expiry:%b%d'%y} {strike:f} {right}".upper().replace(right.upper(), right), Decimal(100), share.conid,
        strike, expiry, put_call,
    )  # fmt: skip
