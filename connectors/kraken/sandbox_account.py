"""The account at the Kraken sandbox: its trades, its ledger, its positions.

A trade posts its legs when it happens: base and quote, or on margin only profit and fees. A ledger row's balance is the one
before plus its amount less its fee, so the ledger always sums up; rows come in the order of their times. TradesHistory states the
whole fee in the quote currency, whatever it was paid with; the ledger tells what it was paid with. Ledger amounts have the
decimals of their asset, often fewer than the trade's. Quantities of tokenised stocks are kept in base units.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from random import Random
from typing import Generic, TypeVar

from connectors.kraken.sandbox_market import ASSETS, Asset, Pair
from connectors.kraken.sandbox_wire import TICKS

ZERO = Decimal(0)
NO_POSITION = "TKH2SE-M7IF5-CFI7LT"  # Kraken names it on trades without margin, of all customers
BASE32 = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567" * 8  # a byte's letter
KFEE = ASSETS["KFEE"]
MONEY = (
    "USD",
    "EUR",
    "GBP",
    "USDT",
    "BTC",
    "ETH",
)  # of two assets that changed hands, the earlier one here is the price
ROLLOVER_EVERY = 4 * 3600 * TICKS
MOST_ROLLOVERS = 5
TAKER_RATE, MAKER_RATE = Decimal("0.0026"), Decimal("0.0016")
OPENING_RATE = ROLLOVER_RATE = Decimal("0.0002")


@dataclass(frozen=True, slots=True)
class Fee:
    """What a fill cost: kind `trade`, `margin_open`, or `credit` when it was paid with fee credits."""

    asset: Asset
    amount: Decimal
    kind: str = "trade"


@dataclass(slots=True)
class Position:
    """A margin position, named after the trade that opened it; it grows no more, and closes in parts."""

    id: str
    pair: Pair
    side: str
    order_id: str
    at: int
    price: Decimal
    volume: Decimal
    leverage: int
    margin: Decimal
    fee: Decimal
    next_rollover: int
    rollovers: int = 0
    closed_volume: Decimal = ZERO
    closed_cost: Decimal = ZERO
    closed_fee: Decimal = ZERO
    closed_margin: Decimal = ZERO
    net: Decimal = ZERO
    closed_by: list[str] = field(default_factory=list)

    @property
    def still_open(self) -> bool:
        return self.closed_volume < self.volume


@dataclass(frozen=True, slots=True)
class Trade:
    """One execution at the finest grain, or several merged into one as `consolidate_taker` does."""

    id: str
    order_id: str
    pair: Pair
    at: int
    places: int
    side: str
    order_type: str
    price: Decimal
    volume: Decimal
    cost: Decimal
    fee: Decimal
    trade_id: int
    maker: bool
    paid: tuple[Fee, ...]
    ledger_ids: tuple[str, ...] = ()
    margin: Decimal = ZERO
    leverage: int = 0
    misc: str = ""
    position_id: str = NO_POSITION
    opened: Position | None = None


@dataclass(frozen=True, slots=True)
class Entry:
    """One row of the ledger; one still pending has no balance."""

    id: str
    refid: str
    at: int
    places: int
    type: str
    subtype: str
    asset: Asset
    amount: Decimal
    fee: Decimal
    balance: Decimal | None


@dataclass(frozen=True, slots=True)
class Order:
    """What is about to be filled, and what its fees are paid with: quote, base, both, credit, mixed."""

    pair: Pair
    side: str
    order_type: str
    maker: bool = False
    pays: str = "quote"
    leverage: int = 0


@dataclass(frozen=True, slots=True)
class Fill:
    at: int
    places: int
    price: Decimal
    volume: Decimal


Row = TypeVar("Row", Trade, Entry)


class Timeline(Generic[Row]):
    """Rows by time, oldest first; rows of one moment stay in the order they came."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self._times: list[int] = []
        self._places: dict[str, int] = {}

    def add(self, row: Row) -> None:
        assert not self._times or row.at >= self._times[-1], "rows must be added in the order of their times"
        self._times.append(row.at)
        self.rows.append(row)

    def until(self, at: int) -> int:
        """Count the rows up to and including this time."""
        return bisect_right(self._times, at)

    def place(self, row_id: str) -> int | None:
        for place in range(len(self._places), len(self.rows)):
            self._places[self.rows[place].id] = place
        return self._places.get(row_id)

    def get(self, row_id: str) -> Row | None:
        place = self.place(row_id)
        return None if place is None else self.rows[place]

    def __len__(self) -> int:
        return len(self.rows)


class Account:
    """Everything that Kraken's back office holds of one customer."""

    def __init__(self, seed: int) -> None:
        self.trades: Timeline[Trade] = Timeline()
        self.consolidated: Timeline[Trade] = Timeline()
        self.ledger: Timeline[Entry] = Timeline()
        self.open_positions: list[Position] = []
        self.swaps: list[tuple[Entry, ...]] = []
        self.balances: defaultdict[str, Decimal] = defaultdict(Decimal)
        self._chance = Random(f"{seed}/ids")
        self._last_trade_id = self._chance.randrange(20_000_000, 60_000_000)

    def new_id(self, letter: str) -> str:
        text = self._chance.randbytes(16).translate(BASE32).decode()
        return f"{letter}{text[:5]}-{text[5:10]}-{text[10:]}"

    # -- trading -----------------------------------------------------------------------------------------------------

    def execute(self, order: Order, fills: Sequence[Fill], order_id: str = "") -> list[Trade]:
        """Book the fills of an order, and once more merged where a taker's fills share a time."""
        order_id = order_id or self.new_id("O")
        trades = [self._fill(order, order_id, fill) for fill in fills]
        self._record(trades, merge=not order.maker)
        return trades

    def open_position(self, order: Order, fill: Fill) -> Trade:
        """Buy or sell with borrowed money: nothing but fees leaves the account."""
        trade_id, order_id = self.new_id("T"), self.new_id("O")
        cost, fee = self._cost(order, fill), self._fee(order, fill)
        margin = _rounded(cost / order.leverage, order.pair.cost_decimals)
        opening = _rounded(cost * OPENING_RATE, order.pair.cost_decimals)
        position = Position(
            trade_id, order.pair, order.side, order_id, fill.at, fill.price, fill.volume, order.leverage, margin, fee,
            fill.at + ROLLOVER_EVERY,
        )  # fmt: skip
        entry = self.post(fill, trade_id, "margin", order.pair.quote, fee=fee + opening)
        quote = order.pair.quote
        trade = Trade(
            trade_id, order_id, order.pair, fill.at, fill.places, order.side, order.order_type, fill.price, fill.volume,
            cost, fee, self._next_trade_id(), order.maker, (Fee(quote, fee), Fee(quote, opening, "margin_open")),
            (entry.id,), margin, order.leverage, position_id=trade_id, opened=position,
        )  # fmt: skip
        self.open_positions.append(position)
        self._record([trade], merge=False)
        return trade

    def close_position(self, position: Position, order: Order, fill: Fill) -> Trade:
        """Close all or part of a position: the profit moves in the quote currency."""
        cost, fee = self._cost(order, fill), self._fee(order, fill)
        gained = (fill.price - position.price) * fill.volume * (1 if position.side == "buy" else -1)
        profit = _rounded(gained, order.pair.cost_decimals)
        trade_id = self.new_id("T")
        entry = self.post(fill, trade_id, "margin", order.pair.quote, profit, fee)
        return self._closing(position, order, fill, trade_id, cost, fee, profit, (entry.id,))

    def settle_position(self, position: Position, order: Order, fill: Fill) -> Trade:
        """Settle a position in kind, at the price it was opened at: base and quote move, without a fee."""
        cost = self._cost(order, fill)
        toward = 1 if position.side == "buy" else -1
        trade_id = self.new_id("T")
        legs = (
            self.post(fill, trade_id, "settled", order.pair.base, toward * fill.volume),
            self.post(fill, trade_id, "settled", order.pair.quote, -toward * cost),
        )
        return self._closing(position, order, fill, trade_id, cost, ZERO, ZERO, tuple(leg.id for leg in legs))

    def roll_over(self, until: int) -> None:
        """Charge what open positions cost every four hours, up to this time; the sandbox tires of it after a few."""
        due = [p for p in self.open_positions if p.rollovers < MOST_ROLLOVERS and p.next_rollover <= until]
        while due:
            position = min(due, key=lambda each: each.next_rollover)
            quote, fee = position.pair.quote, position.price * position.volume * ROLLOVER_RATE
            at = Fill(position.next_rollover, 4, position.price, position.volume)
            self.post(at, self.new_id("T"), "rollover", quote, fee=fee)
            position.rollovers += 1
            position.next_rollover += ROLLOVER_EVERY
            due = [p for p in due if p.rollovers < MOST_ROLLOVERS and p.next_rollover <= until]

    # -- the ledger --------------------------------------------------------------------------------------------------

    def post(
        self,
        when: Fill | Entry,
        refid: str,
        kind: str,
        asset: Asset,
        amount: Decimal = ZERO,
        fee: Decimal = ZERO,
        *,
        subtype: str = "",
        pending: bool = False,
    ) -> Entry:
        """Write a row of the ledger, at the time given or, should the ledger be later already, with its last row."""
        amount, fee = _rounded(amount, asset.decimals), _rounded(fee, asset.decimals)
        if not pending:
            self.balances[asset.code] += amount - fee
        at, places = when.at, when.places
        if self.ledger.rows and self.ledger.rows[-1].at > at:
            at, places = self.ledger.rows[-1].at, self.ledger.rows[-1].places
        balance = None if pending else self.balances[asset.code]
        entry = Entry(self.new_id("L"), refid, at, places, kind, subtype, asset, amount, fee, balance)
        self.ledger.add(entry)
        return entry

    def settle(self, pending: Entry) -> Entry:
        """Book a row that was pending, where it stands."""
        self.balances[pending.asset.code] += pending.amount - pending.fee
        booked = replace(pending, balance=self.balances[pending.asset.code])
        self.ledger.rows[self.ledger.rows.index(pending)] = booked
        return booked

    def swap(self, *legs: Entry) -> None:
        """Remember rows that are a fill although TradesHistory knows nothing of them."""
        self.swaps.append(legs)

    # -- inside ------------------------------------------------------------------------------------------------------

    def _fill(self, order: Order, order_id: str, fill: Fill) -> Trade:
        trade_id, pair = self.new_id("T"), order.pair
        cost, fee = self._cost(order, fill), self._fee(order, fill)
        paid = tuple(_paid(order, fill, fee))
        toward = 1 if order.side == "buy" else -1
        in_base, in_quote = (sum((f.amount for f in paid if f.asset is a), ZERO) for a in (pair.base, pair.quote))
        when = fill
        if fill.places == 7:  # the ledger is written a few millionths of a second after the trade
            when = replace(fill, at=fill.at + self._chance.randrange(400))
        legs = [
            self.post(when, trade_id, "trade", pair.base, toward * fill.volume, in_base),
            self.post(when, trade_id, "trade", pair.quote, -toward * cost, in_quote),
        ]
        legs += [self.post(when, trade_id, "trade", KFEE, ZERO, f.amount) for f in paid if f.asset is KFEE]
        return Trade(
            trade_id, order_id, pair, fill.at, fill.places, order.side, order.order_type, fill.price, fill.volume, cost,
            fee, self._next_trade_id(), order.maker, paid, tuple(leg.id for leg in legs),
        )  # fmt: skip

    def _closing(
        self, position: Position, order: Order, fill: Fill, trade_id: str, cost: Decimal, fee: Decimal, profit: Decimal,
        ledger_ids: tuple[str, ...],
    ) -> Trade:  # fmt: skip
        margin = _rounded(cost / position.leverage, order.pair.cost_decimals)
        paid = (Fee(order.pair.quote, fee),)
        trade = Trade(
            trade_id, self.new_id("O"), order.pair, fill.at, fill.places, order.side, order.order_type, fill.price,
            fill.volume, cost, fee, self._next_trade_id(), order.maker, paid, ledger_ids, margin, position.leverage,
            "closing", position.id,
        )  # fmt: skip
        position.closed_volume += fill.volume
        position.closed_cost += cost
        position.closed_fee += fee
        position.closed_margin += margin
        position.net += profit
        position.closed_by.append(trade.id)
        if not position.still_open:
            self.open_positions.remove(position)
        self._record([trade], merge=False)
        return trade

    def _record(self, trades: list[Trade], *, merge: bool) -> None:
        for trade in trades:
            self.trades.add(trade)
        for together in _sharing_a_time(trades) if merge else ([trade] for trade in trades):
            self.consolidated.add(_merged(together) if len(together) > 1 else together[0])

    def _next_trade_id(self) -> int:
        self._last_trade_id += self._chance.randrange(1, 900)
        return self._last_trade_id

    @staticmethod
    def _cost(order: Order, fill: Fill) -> Decimal:
        return _rounded(fill.price * fill.volume, order.pair.cost_decimals)

    @staticmethod
    def _fee(order: Order, fill: Fill) -> Decimal:
        rate = MAKER_RATE if order.maker else TAKER_RATE
        return _rounded(fill.price * fill.volume * rate, order.pair.cost_decimals)


def credits_for(pair: Pair, fee: Decimal) -> Decimal:
    """Turn a fee into fee credits, a hundred to the dollar."""
    return _rounded(fee * Decimal(str(pair.quote.usd)) * 100, KFEE.decimals)


def _paid(order: Order, fill: Fill, fee: Decimal) -> Iterator[Fee]:
    pair, pays = order.pair, order.pays
    half = _rounded(fee / 2, min(pair.cost_decimals, pair.quote.decimals))
    if pays in {"both", "mixed"}:
        yield Fee(pair.quote, half)
    elif pays == "quote":
        yield Fee(pair.quote, fee)
    rest = fee - half if pays in {"both", "mixed"} else fee
    if pays in {"base", "both"}:
        yield Fee(pair.base, _rounded(rest / fill.price, pair.base.decimals))
    elif pays in {"credit", "mixed"}:
        yield Fee(KFEE, credits_for(pair, rest), "credit")


def _sharing_a_time(trades: list[Trade]) -> Iterator[list[Trade]]:
    together: list[Trade] = []
    for trade in trades:
        if together and together[0].at != trade.at:
            yield together
            together = []
        together.append(trade)
    if together:
        yield together


def _merged(trades: list[Trade]) -> Trade:
    """Merge fills into one that has the first one's ids, the volume of all and their average price."""
    volume = sum((trade.volume for trade in trades), ZERO)
    cost = sum((trade.cost for trade in trades), ZERO)
    return replace(
        trades[0],
        price=_rounded(cost / volume, trades[0].pair.printed_decimals),
        volume=volume,
        cost=cost,
        fee=sum((trade.fee for trade in trades), ZERO),
        paid=tuple(fee for trade in trades for fee in trade.paid),
        ledger_ids=tuple(entry for trade in trades for entry in trade.ledger_ids),
    )


def _rounded(number: Decimal, decimals: int) -> Decimal:
    return number.quantize(_UNITS[decimals])


_UNITS = [Decimal(1).scaleb(-decimals) for decimals in range(13)]
