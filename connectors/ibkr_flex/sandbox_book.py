"""The invented trading history of the Flex sandbox: five years of fills, bookings and corrections from a seed.

Days are generated in order and once, each from its own random stream, so the same seed and first day give the same rows whenever
they are asked for. Signs are IBKR's: a sale has a negative quantity, a charge is a negative commission. Instruments are made up.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from itertools import count, pairwise
from random import Random
from zoneinfo import ZoneInfo

NEW_YORK = ZoneInfo("America/New_York")
BASE_CURRENCY = "EUR"
ZERO = Decimal(0)


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


@dataclass(frozen=True, slots=True)
class Row:
    """One execution-level line of a statement. `family` is the transaction id of the first line of the same fill."""

    account: str
    instrument: Instrument
    transaction_id: int
    family: int
    trade_id: int | None  # a TradeCancel has none
    exec_id: str
    order_id: int
    when: datetime
    trade_date: date
    report_date: date
    kind: str
    side: str
    quantity: Decimal
    price: Decimal
    close_price: Decimal
    commission: Decimal
    taxes: Decimal
    exchange: str
    order_type: str
    open_close: str = ""
    notes: str = ""
    closed_quantity: Decimal = ZERO
    closed_basis: Decimal = ZERO
    realized: Decimal = ZERO
    opened: datetime | None = None
    cancels: Row | None = None

    @property
    def commission_currency(self) -> str:
        """Currency conversions are charged in the account's base currency, everything else in its own."""
        return BASE_CURRENCY if self.instrument.category == "CASH" else self.instrument.currency

    @property
    def trade_money(self) -> Decimal:
        return _money(self.quantity * self.price * self.instrument.multiplier)

    @property
    def proceeds(self) -> Decimal:
        return -self.trade_money

    @property
    def mtm(self) -> Decimal:
        """What the position taken made until the close; on futures this is the cash that moves."""
        if self.instrument.category == "CASH":
            return ZERO
        return _money(self.quantity * (self.close_price - self.price) * self.instrument.multiplier)

    @property
    def net_cash(self) -> Decimal:
        if self.instrument.category == "CASH":
            return ZERO
        moved = self.mtm if self.instrument.category == "FUT" else self.proceeds
        return moved + self.commission + self.taxes


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


@dataclass(slots=True)
class Position:
    instrument: Instrument
    quantity: Decimal = ZERO
    basis: Decimal = ZERO
    opened: datetime | None = None


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
QUARTERS = {3: "H", 6: "M", 9: "U", 12: "Z"}
BASE_RATES = {"EUR": 1.0, "USD": 0.9212, "GBP": 1.1672, "JPY": 0.00631}

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
ORDERS_BETWEEN_CORRECTIONS = 30


class History:
    """Rows of all accounts, grown day by day; from `live_from` on every business day trades."""

    def __init__(self, seed: int, accounts: Sequence[str], first_day: date, live_from: date, executions: int) -> None:
        self.accounts = tuple(accounts)
        self.first_day = first_day
        self.rows: list[Row] = []
        self._seed = seed
        self._next_day = first_day
        self._live_from = live_from
        self._orders_a_day = executions / FILLS_AN_ORDER / max(1, (live_from - first_day).days * 5 / 7)
        self._prices: dict[int, Decimal] = {}
        self._positions: dict[tuple[str, int], Position] = {}
        self._deck: list[Play] = []
        self._to_correct: list[tuple[Row, int]] = []
        self._orders = 0
        stem = Random(f"{seed}/ids").randrange(10_000, 99_999)
        self._transaction_ids = count(stem * 100_000, 3)
        self._trade_ids = count(stem * 10_000, 2)
        self._order_ids = count(stem * 1_000, 7)
        self._exec_serials = count(0x5E000000 + stem * 16, 5)

    def extend_to(self, day: date) -> None:
        """Generate every day up to and including this one that does not exist yet."""
        while self._next_day <= day:
            if is_business_day(self._next_day):
                self._trade(self._next_day, Random(f"{self._seed}/{self._next_day}"))
            self._next_day += timedelta(days=1)

    def trade(self, account: str, when: datetime, day: date) -> Row:
        """Fill an order for shares at a moment, on a trade date."""
        rng = Random(f"{self._seed}/{when}/{len(self.rows)}")
        share, quantity = rng.choice(STOCKS), Decimal(rng.randrange(1, 200) * rng.choice((1, -1)))
        price = self._price(share) + share.tick * rng.randrange(-9, 10)
        return self._fill(
            account, share, day, quantity, price, when=when, order_id=next(self._order_ids), order_type="MKT",
            commission=_commission(share, quantity, price, rebate=False, first=True),
        )  # fmt: skip

    def cancel(self, row: Row, report_date: date, *, refund: bool) -> Row:
        """Book the line that takes a fill back; without a refund its commission stays charged."""
        cancelled = replace(
            row, transaction_id=next(self._transaction_ids), trade_id=None, exec_id="", report_date=report_date,
            kind="TradeCancel", side=f"{row.side} (Ca.)", quantity=-row.quantity, taxes=-row.taxes, notes="Ca",
            commission=-row.commission if refund else ZERO, exchange="--", open_close="", cancels=row,
            closed_quantity=ZERO, closed_basis=ZERO, realized=-row.realized,
        )  # fmt: skip
        return self._record(cancelled)

    def rebook(self, cancelled: Row, price: Decimal, quantity: Decimal, commission: Decimal, *, revised: bool) -> Row:
        """Book a cancelled fill again: same trade id; same execution id, or its next revision when `revised`."""
        row = cancelled.cancels
        assert row is not None
        revision = f"{int(row.exec_id[-2:]) + 1:02d}" if revised else row.exec_id[-2:]
        ratio = price * quantity / (row.price * row.quantity)
        again = replace(
            row, transaction_id=next(self._transaction_ids), exec_id=row.exec_id[:-2] + revision, quantity=quantity,
            price=price, commission=commission, taxes=_money(row.taxes * ratio), report_date=cancelled.report_date,
        )  # fmt: skip
        if row.open_close not in {"", "O"}:
            again = replace(again, realized=row.realized + again.net_cash - row.net_cash)
        return self._record(again)

    def _record(self, row: Row) -> Row:
        self._position(row.account, row.instrument).quantity += row.quantity
        self.rows.append(row)
        return row

    def _position(self, account: str, instrument: Instrument) -> Position:
        return self._positions.setdefault((account, instrument.conid), Position(instrument))

    def _price(self, instrument: Instrument) -> Decimal:
        return self._prices.setdefault(instrument.conid, instrument.price)

    def _trade(self, day: date, rng: Random) -> None:
        for conid, price in self._prices.items():
            swing = 0.001 if conid in CALM else 0.008
            self._prices[conid] = (price * Decimal(str(round(1 + rng.gauss(0.0001, swing), 6)))).quantize(price)
        self._correct(day)
        wanted = self._orders_a_day if day < self._live_from else rng.randrange(3, 6)
        for _ in range(math.floor(wanted + rng.random())):
            self._order(day, rng)
        self._settle_expiries(day, rng)

    def _order(self, day: date, rng: Random) -> None:
        if not self._deck:
            self._deck = list(DECK)
            rng.shuffle(self._deck)
        play = self._deck.pop()
        account = rng.choice(self.accounts)
        instrument = self._instrument(play.market, day, rng)
        size = self._size(play, self._position(account, instrument), rng)
        sent = _moment(instrument, day, rng)
        limit = instrument.tick * (
            (self._price(instrument) / instrument.tick).quantize(Decimal(1)) + rng.randrange(-9, 10)
        )
        order_id = next(self._order_ids)
        parts = _split(size, play, rng)
        for nth, quantity in enumerate(parts):
            apart = 0 if play.one_instant else nth * rng.randrange(1, 40)
            better = 0 if play.one_instant else rng.randrange(0, 3)
            price = max(limit - instrument.tick * better, instrument.tick)
            row = self._fill(
                account, instrument, day, quantity, price, order_id=order_id, when=sent + timedelta(seconds=apart),
                commission=_commission(instrument, quantity, price, rebate=play.rebate, first=nth == 0),
                notes=";".join(filter(None, [play.notes, "P" if len(parts) > 1 else ""])), order_type=play.order_type,
            )  # fmt: skip
        self._orders += 1
        if self._orders % ORDERS_BETWEEN_CORRECTIONS == 0:
            self._to_correct.append((row, self._orders // ORDERS_BETWEEN_CORRECTIONS))

    def _fill(
        self, account: str, instrument: Instrument, day: date, quantity: Decimal, price: Decimal, *, when: datetime,
        commission: Decimal = ZERO, notes: str = "", order_type: str = "", order_id: int | None = None,
    ) -> Row:  # fmt: skip
        """Add one line; without an order it is a booking: no execution id, exchange `--`, reported a business day later."""
        transaction_id = next(self._transaction_ids)
        booked = order_id is None
        taxed = instrument is THAMES and quantity > 0 and not booked
        row = Row(
            account=account, instrument=instrument, transaction_id=transaction_id, family=transaction_id,
            trade_id=next(self._trade_ids), order_id=transaction_id if order_id is None else order_id, when=when,
            exec_id="" if booked else f"{0x1A2B0 + day.month:08x}.{next(self._exec_serials):08x}.01.01",
            trade_date=day, report_date=business_day_after(day, 1) if booked else day,
            kind="BookTrade" if booked else "ExchTrade", side="BUY" if quantity > 0 else "SELL", quantity=quantity,
            price=price, close_price=ZERO if instrument.category == "CASH" else self._price(instrument),
            commission=commission, taxes=-_cents(quantity * price / 200) if taxed else ZERO,
            exchange="--" if booked else instrument.exchange, order_type=order_type, notes=notes,
        )  # fmt: skip
        return self._record(self._with_profit(row))

    def _with_profit(self, row: Row) -> Row:
        """Tell opening from closing, and realise profit at average cost."""
        if row.instrument.category == "CASH":
            return row
        position = self._position(row.account, row.instrument)
        held = position.quantity
        value = row.proceeds + row.commission + row.taxes
        if held == 0 or (held > 0) == (row.quantity > 0):
            position.basis = (position.basis if held else ZERO) - value
            position.opened = position.opened if held else row.when
            return replace(row, open_close="O")
        closed = min(abs(held), abs(row.quantity))
        share = closed / abs(row.quantity)
        basis = _money(position.basis * closed / abs(held))
        opened, flipped = position.opened, abs(row.quantity) > abs(held)
        position.basis = _money(-value * (1 - share)) if flipped else position.basis - basis
        position.opened = row.when if flipped else opened
        return replace(
            row, open_close="C;O" if flipped else "C", closed_quantity=closed.copy_sign(held), closed_basis=basis,
            realized=_money(value * share) - basis, opened=opened,
        )  # fmt: skip

    def _correct(self, day: date) -> None:
        """Carry out the corrections due: in turn a new price, a new quantity under the next revision, a plain cancel."""
        gone = {row.cancels.transaction_id for row in self.rows if row.cancels} if self._to_correct else set()
        for row, turn in self._to_correct:
            if row.transaction_id in gone:
                continue  # somebody cancelled it by hand
            cancelled = self.cancel(row, day, refund=turn % 3 != 2)
            if turn % 3 == 1:
                self.rebook(cancelled, row.price + row.instrument.tick, row.quantity, row.commission, revised=False)
            elif turn % 3 == 2:
                fewer = row.quantity if row.quantity % 2 else row.quantity / 2
                self.rebook(cancelled, row.price, fewer, _money(-row.commission / 4), revised=True)
        self._to_correct.clear()

    def _settle_expiries(self, day: date, rng: Random) -> None:
        """Close what expires: futures at the market, options worthless or, written ones in part, by assignment."""
        when = datetime.combine(day, time(16, 20), NEW_YORK).astimezone(UTC)
        expiring = [
            (account, position) for (account, _), position in self._positions.items()
            if position.quantity and position.instrument.expiry and position.instrument.expiry <= day
        ]  # fmt: skip
        for account, position in expiring:
            option, held = position.instrument, position.quantity
            if option.category == "FUT":
                self._fill(account, option, day, -held, self._price(option), when=when, notes="Ep")
                continue
            assigned = held < 0 and rng.random() < 0.6
            self._fill(account, option, day, -held, ZERO, when=when, notes="A" if assigned else "Ep")
            if assigned and option.underlying and option.strike:
                shares = held * option.multiplier * (1 if option.put_call == "C" else -1)
                self._fill(account, option.underlying, day, shares, option.strike, when=when, notes="A")

    def _instrument(self, market: str, day: date, rng: Random) -> Instrument:
        if market == "US":
            return rng.choice(STOCKS)
        if market == "FX":
            return rng.choice(PAIRS)
        if market == "FUT":
            return index_future(day)
        if market == "OPT":
            strike = (self._price(STOCKS[0]) / 5).quantize(Decimal(1)) * 5 + 5 * rng.randrange(-1, 2)
            return option_on(STOCKS[0], _expiry_after(day, rng.choice((20, 50))), strike, rng.choice("CP"))
        return {"RHEIN": RHEIN, "THAMES": THAMES, "TOKYO": TOKYO}[market]

    def _size(self, play: Play, position: Position, rng: Random) -> Decimal:
        size = Decimal(rng.choice(play.sizes))
        if play.flips and position.quantity:
            return -position.quantity - size.copy_sign(position.quantity)
        against = rng.random() < 0.62  # customers lean against what they hold, so positions stay near flat
        return size if (position.quantity <= 0) == against else -size


def standing(rows: Iterable[Row]) -> list[Row]:
    """Leave out what these rows cancel, and the cancels themselves."""
    known = list(rows)
    gone = {row.cancels.transaction_id for row in known if row.cancels}
    return [row for row in known if row.cancels is None and row.transaction_id not in gone]


def is_business_day(day: date) -> bool:
    return day.weekday() < 5 and (day.month, day.day) not in {(1, 1), (7, 4), (12, 25)}


def business_day_after(day: date, days: int) -> date:
    for _ in range(days):
        day += timedelta(days=1)
        while not is_business_day(day):
            day += timedelta(days=1)
    return day


def rate_to_base(currency: str, day: date) -> Decimal:
    """Print the exchange rate of a day: a slow wave around one level is enough for a sandbox."""
    if currency == BASE_CURRENCY:
        return Decimal(1)
    return Decimal(f"{BASE_RATES[currency] * (1 + 0.02 * math.sin(day.toordinal() / 90)):.6g}")


def index_future(day: date) -> Instrument:
    expiry = next(third for third in _third_fridays(day) if third.month in QUARTERS and (third - day).days > 5)
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


def _expiry_after(day: date, days: int) -> date:
    return next(third for third in _third_fridays(day) if (third - day).days >= days)


def _third_fridays(day: date) -> Iterator[date]:
    year, month = day.year, day.month
    while True:
        first = date(year, month, 1)
        yield first + timedelta(days=(4 - first.weekday()) % 7 + 14)
        year, month = year + month // 12, month % 12 + 1


def _moment(instrument: Instrument, day: date, rng: Random) -> datetime:
    """Pick a second inside the session of a trade date; Tokyo's morning is the evening before in New York."""
    opens, closes = instrument.session
    seconds = rng.randrange(int(opens * 3600), int(closes * 3600) - 600)
    local = datetime.combine(day, time(0)) + timedelta(seconds=seconds)
    return local.replace(tzinfo=ZoneInfo(instrument.zone)).astimezone(UTC)


def _split(size: Decimal, play: Play, rng: Random) -> list[Decimal]:
    """Cut an order into fills, whole units each."""
    fills = play.most_fills if play.one_instant else rng.randrange(1, play.most_fills + 1)
    if size % 1 or abs(size) < fills:
        return [size]
    cuts = sorted(rng.sample(range(1, int(abs(size))), fills - 1)) if not play.one_instant else list(range(1, fills))
    edges = [0, *cuts, int(abs(size))]
    return [Decimal(right - left).copy_sign(size) for left, right in pairwise(edges)]


def _commission(instrument: Instrument, quantity: Decimal, price: Decimal, *, rebate: bool, first: bool) -> Decimal:
    """Charge as the venue does (negative), the minimum on an order's first fill; a rebate is positive."""
    size = abs(quantity)
    if rebate:
        return _money(size * Decimal("0.0012"))
    if instrument.category == "OPT":
        return -_money(size * Decimal("0.70255"))
    if instrument.category == "FUT":
        return -size * Decimal("0.62")
    if instrument.category == "CASH":
        return -max(Decimal("1.85"), _money(size * Decimal("0.00002")))
    if instrument.currency == "USD":
        return -_money(size * Decimal("0.003519") + (Decimal("0.35") if first else ZERO))
    return -_cents(size * price * Decimal("0.0005") + (Decimal(1) if first else ZERO))


def _money(value: Decimal) -> Decimal:
    return value.quantize(Decimal("0.000000001"))


def _cents(value: Decimal) -> Decimal:
    return value.quantize(Decimal("0.01"))
