"""The invented customer of the Kraken sandbox: what happened in the account's past, and what goes on happening.

The past is planned whole, from a seed: plays are drawn from a shuffled deck until they hold the trades wanted, then spread over the
years at random times, some of them at the very second, some in the same second as the one before, and one at the first instant of
each month, where windows meet. What arrives later comes from a stream of its own, so the same seed and start give the same arrivals
however often anybody looks. A customer short of something deposits it first; no balance is ever negative.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from itertools import pairwise
from random import Random

from connectors.kraken.sandbox_account import KFEE, Account, Entry, Fill, Order, Position, credits_for
from connectors.kraken.sandbox_market import ASSETS, PAIRS, TOKENIZED, Asset, Pair
from connectors.kraken.sandbox_wire import TICKS, moment_of, ticks

SPOT = tuple(pair for pair in PAIRS.values() if pair.listed and pair.base.aclass != TOKENIZED)
TOKENS = tuple(pair for pair in PAIRS.values() if pair.base.aclass == TOKENIZED)
DELISTED = tuple(pair for pair in PAIRS.values() if not pair.listed)
LEVERED = tuple(pair for pair in SPOT if pair.leverage)
CALM = {"ZUSD", "ZEUR", "ZGBP", "USDT"}
BUYS_WITH = ("ZEUR", "EUR.HOLD", "ZUSD", "USD.M", "ZGBP")
BUYS = ("XXBT", "XETH", "SOL", "XBT.M", "XXDG", "ETH.F")
DELISTED_AFTER = 0.4  # of the past
TAKER_ORDERS = ("market", "market", "market", "market", "limit", "stop-loss", "take-profit-limit")
AVALANCHE = 130  # fills of one order at one instant: more than two pages that no window can part
FEWEST_FOR_AVALANCHE = 600


@dataclass(frozen=True, slots=True)
class Play:
    """Something the customer does; `pays` is what the fees of an order are paid with."""

    what: str
    fewest: int = 1
    most: int = 1
    pays: str = "quote"


LIMIT = Play("limit", 1, 4)
MARKET = Play("market")
SWEEP = Play("market", 2, 6)
NO_TRADES = (
    "buy_now sell_now convert token_app deposit withdraw pending nameless stake earn reward dust delisting dividend"
).split()  # what only the ledger tells
DECK = (
    *(LIMIT,) * 8, *(MARKET,) * 6, *(SWEEP,) * 4,
    Play("limit", 1, 2, "credit"), Play("market", pays="mixed"), Play("market", pays="base"), Play("limit", pays="both"),
    *(Play("token"),) * 2, Play("delisted"),
    *(Play("open"),) * 2, Play("close"), Play("close"), Play("settle"),
    *(Play(what, 0, 0) for what in NO_TRADES),
)  # fmt: skip
LIVE_DECK = (
    *(MARKET,) * 5,
    *(Play("limit"),) * 3,
    Play("market", 2, 3),
    Play("open"),
    Play("close"),
    Play("buy_now", 0, 0),
)


class Trader:
    """Does things in an account, each at its time."""

    def __init__(self, account: Account, seed: int) -> None:
        self._account = account
        self._chance = Random(f"{seed}/past")
        self._prices = {code: asset.usd for code, asset in ASSETS.items()}
        self._deck: list[Play] = []
        self._arrivals = Random(f"{seed}/arrivals")
        self._next_arrival: int | None = None
        self._delisted_at = 0
        self._bought = 0

    # -- when --------------------------------------------------------------------------------------------------------

    def live_through(self, first: datetime, last: datetime, trades: int) -> None:
        """Fill the past between two moments with this many trades, and with all else that happens."""
        plan = self._plan(trades)
        moments = self._moments(ticks(first), ticks(last), len(plan))
        self._delisted_at = ticks(first) + int(DELISTED_AFTER * (ticks(last) - ticks(first)))
        for (play, fills), (at, until) in zip(plan, pairwise([*moments, ticks(last)]), strict=True):
            self._account.roll_over(at)
            self._act(play, fills, at, until)
        self._account.roll_over(ticks(last))

    def go_on(self, since: datetime, now: datetime, per_second: float) -> None:
        """Let everything arrive that is due by now, in a random rhythm of so many orders a second."""
        if per_second <= 0:
            self._next_arrival = None
            return
        if self._next_arrival is None:
            self._next_arrival = ticks(since) + self._pause(per_second)
        while self._next_arrival <= ticks(now):
            at = self._next_arrival
            self._next_arrival += self._pause(per_second)
            self._account.roll_over(at)
            play = self._arrivals.choice(LIVE_DECK)
            self._act(play, self._arrivals.randint(play.fewest, play.most), at, at)
        self._account.roll_over(ticks(now))

    def trade_now(self, now: datetime, trades: int) -> None:
        """Trade at once, so many times, all in this instant."""
        for _ in range(trades):
            self._act(MARKET, 1, ticks(now), ticks(now))

    def _pause(self, per_second: float) -> int:
        return max(1, int(self._arrivals.expovariate(per_second) * TICKS))

    def _plan(self, trades: int) -> list[tuple[Play, int]]:
        plan: list[tuple[Play, int]] = []
        left = trades
        if trades >= FEWEST_FOR_AVALANCHE:
            left -= AVALANCHE
        while left:
            if not self._deck:
                self._deck = self._chance.sample(DECK, len(DECK))
            play = self._deck.pop()
            fills = min(left, self._chance.randint(play.fewest, play.most))
            plan.append((play, fills))
            left -= fills
        if trades >= FEWEST_FOR_AVALANCHE:
            plan.insert(len(plan) // 3, (MARKET, AVALANCHE))
        return plan

    def _moments(self, first: int, last: int, count: int) -> list[int]:
        drawn = sorted(self._chance.randrange(first, last) for _ in range(count))
        moments: list[int] = []
        before, month = first, moment_of(first).month
        for draw in drawn:
            at, luck = draw, self._chance.random()
            if moment_of(at).month != month:
                month = moment_of(at).month
                at = ticks(moment_of(at).replace(day=1, hour=0, minute=0, second=0, microsecond=0))
            elif luck < 0.05:
                at -= at % TICKS
            elif luck < 0.1:
                at = before + self._chance.randrange(TICKS)
                at = min(at, draw)
            before = max(before, at)
            moments.append(before)
        return moments

    # -- what --------------------------------------------------------------------------------------------------------

    def _act(self, play: Play, fills: int, at: int, until: int) -> None:
        doing: dict[str, Callable[[Fill], None]] = {
            "open": self._open,
            "close": self._close,
            "settle": self._settle,
            "buy_now": self._buy_now,
            "sell_now": self._sell_now,
            "convert": self._convert,
            "token_app": self._sell_token_in_the_app,
            "deposit": self._receive_money,
            "withdraw": self._withdraw,
            "pending": self._pending,
            "nameless": self._nameless,
            "stake": self._stake,
            "earn": self._earn,
            "reward": self._reward,
            "dust": self._sweep_dust,
            "delisting": self._lose_to_delisting,
            "dividend": self._dividend,
        }
        if play.what in doing:
            doing[play.what](self._instant(at))
            return
        pairs = {"token": TOKENS, "delisted": DELISTED}.get(play.what, SPOT)
        if pairs is DELISTED and at > self._delisted_at:
            pairs = SPOT
        self._order(self._chance.choice(pairs), play, fills, at, until)

    def _order(self, pair: Pair, play: Play, count: int, at: int, until: int) -> None:
        """Buy or sell: a market order all at one instant, a limit order as the market comes to it."""
        price, maker = self._price(pair), play.what == "limit"
        usd = self._usd() / count
        step = 0 if not maker else min(self._chance.randrange(1, 90 * TICKS), (until - at) // (count + 1))
        fills: list[Fill] = []
        for number in range(count):
            shift = Decimal(0) if maker else Decimal(number).scaleb(-pair.price_decimals)
            volume = self._volume(pair.base, usd * (0.5 + self._chance.random()))
            when = fills[-1] if fills and not step else self._instant(at + number * step, *fills[-1:])
            fills.append(Fill(when.at, when.places, price + shift, volume))
        cost = sum((fill.price * fill.volume for fill in fills), Decimal(0)) * Decimal("1.01")
        volume = sum((fill.volume for fill in fills), Decimal(0)) * Decimal("1.01")
        side = self._chance.choice(("buy", "sell"))
        held = self._account.balances
        short = held[pair.quote.code] < cost if side == "buy" else held[pair.base.code] < volume
        side = {"buy": "sell", "sell": "buy"}[side] if short else side
        self._have(*((pair.quote, cost) if side == "buy" else (pair.base, volume)), fills[0])
        if play.pays in {"credit", "mixed"}:
            self._have(KFEE, credits_for(pair, cost / 100), fills[0])
        elif side == "sell" and play.pays in {"base", "both"}:
            self._have(pair.base, volume * 2, fills[0])
        kind = "limit" if maker else self._chance.choice(TAKER_ORDERS)
        order = Order(pair, side, kind, maker, play.pays)
        self._account.execute(order, fills)

    def _open(self, when: Fill) -> None:
        pair = self._chance.choice(LEVERED)
        order = Order(pair, self._chance.choice(("buy", "sell")), "limit", leverage=self._chance.choice(pair.leverage))
        fill = Fill(when.at, when.places, self._price(pair), self._volume(pair.base, self._usd() * order.leverage))
        self._have(pair.quote, fill.price * fill.volume, when)
        self._account.open_position(order, fill)

    def _close(self, when: Fill) -> None:
        position = self._oldest_position()
        if position is None:
            self._open(when)
            return
        rest = position.volume - position.closed_volume
        part = (position.volume / 2).quantize(Decimal("1e-8"))
        volume = part if rest == position.volume and self._chance.random() < 0.5 else rest
        fill = Fill(when.at, when.places, self._price(position.pair), volume)
        self._have(position.pair.quote, fill.price * volume + position.price * volume, when)
        self._account.close_position(position, Order(position.pair, _against(position), "market"), fill)

    def _settle(self, when: Fill) -> None:
        position = self._oldest_position()
        if position is None:
            self._open(when)
            return
        volume = position.volume - position.closed_volume
        fill = Fill(when.at, when.places, position.price, volume)
        gives, much = (position.pair.quote, fill.price * volume), (position.pair.base, volume)
        self._have(*(gives if position.side == "buy" else much), when)
        self._account.settle_position(position, Order(position.pair, _against(position), "settle-position"), fill)

    def _oldest_position(self) -> Position | None:
        return next(iter(self._account.open_positions), None)

    # -- fills that only the ledger tells ----------------------------------------------------------------------------

    def _buy_now(self, when: Fill) -> None:
        """Press "Buy crypto": sometimes with money on hold, sometimes into the variant that earns."""
        gave = ASSETS[BUYS_WITH[self._bought % len(BUYS_WITH)]]
        got = ASSETS[BUYS[self._bought % len(BUYS)]]
        self._bought += 1
        self._swap(gave, got, when, fee_rate=Decimal("0.015"))

    def _sell_now(self, when: Fill) -> None:
        gave = ASSETS[self._chance.choice(("XXBT", "XETH", "SOL", "XXRP"))]
        self._swap(gave, ASSETS[self._chance.choice(("ZEUR", "ZUSD"))], when, fee_rate=Decimal("0.01"))

    def _convert(self, when: Fill) -> None:
        gave, got = self._chance.sample(("XXBT", "XETH", "SOL", "DOT", "XTZ", "USDT"), 2)
        self._swap(ASSETS[gave], ASSETS[got], when, fee_rate=Decimal(0))

    def _sell_token_in_the_app(self, when: Fill) -> None:
        """Sell a tokenised stock for euros: four legs, of which two in dollars cancel out."""
        token, refid = self._chance.choice(TOKENS).base, self._account.new_id("T")
        volume = self._volume(token, self._usd())
        dollars = volume * Decimal(f"{self._usd_price(token):.4f}")
        euros = dollars / Decimal(f"{self._usd_price(ASSETS['ZEUR']):.5f}")
        self._have(token, volume, when)
        self._have(ASSETS["ZUSD"], dollars, when)
        post, usd = self._account.post, ASSETS["ZUSD"]
        self._account.swap(
            post(when, refid, "spend", token, -volume),
            post(when, refid, "receive", ASSETS["ZEUR"], euros, euros / 100),
            post(when, refid, "spend", usd, -dollars),
            post(when, refid, "receive", usd, dollars),
        )

    def _swap(self, gave: Asset, got: Asset, when: Fill, fee_rate: Decimal) -> None:
        given = self._volume(gave, self._usd())
        received = self._volume(got, float(given) * self._usd_price(gave))
        self._have(gave, given * 2, when)
        refid = self._account.new_id("Q")
        self._account.swap(
            self._account.post(when, refid, "spend", gave, -given, given * fee_rate),
            self._account.post(when, refid, "receive", got, received),
        )

    # -- what is no fill ---------------------------------------------------------------------------------------------

    def _receive_money(self, when: Fill) -> None:
        self._deposit(self._any_money(), Decimal(f"{self._usd():.2f}"), when)

    def _withdraw(self, when: Fill) -> None:
        asset = self._any_money()
        amount = Decimal(f"{self._usd():.2f}")
        self._have(asset, amount * 2, when)
        self._account.post(when, self._account.new_id("F"), "withdrawal", asset, -amount, Decimal("0.09"))

    def _pending(self, when: Fill) -> None:
        """Wait for money: a row without reference and balance first, then the one that counts."""
        asset, amount = self._any_money(), Decimal(f"{self._usd():.2f}")
        refid = self._chance.choice(("", "Unknown"))
        self._account.post(when, refid, "deposit", asset, amount, pending=True)
        self._deposit(asset, amount, when)

    def _nameless(self, when: Fill) -> None:
        """Receive two unrelated rows that share the reference `Unknown` and look like a fill, but are none."""
        self._have(ASSETS["ZUSD"], Decimal(100), when)
        self._account.post(when, "Unknown", "spend", ASSETS["ZUSD"], Decimal("-12.34"))
        self._account.post(when, "Unknown", "receive", ASSETS["SOL"], Decimal("0.087"))

    def _stake(self, when: Fill) -> None:
        amount = self._volume(ASSETS["DOT"], self._usd())
        self._have(ASSETS["DOT"], amount, when)
        new_id, post = self._account.new_id, self._account.post
        post(when, new_id("B"), "transfer", ASSETS["DOT"], -amount, subtype="spottostaking")
        post(when, new_id("R"), "transfer", ASSETS["DOT.S"], amount, subtype="stakingfromspot")

    def _earn(self, when: Fill) -> None:
        """Move coins into their bonded variant: two rows of one asset under one reference."""
        amount, refid = self._volume(ASSETS["DOT"], self._usd()), self._account.new_id("E")
        self._have(ASSETS["DOT"], amount, when)
        self._account.post(when, refid, "earn", ASSETS["DOT"], -amount, subtype="allocation")
        self._account.post(when, refid, "earn", ASSETS["DOT.B"], amount, subtype="allocation")

    def _reward(self, when: Fill) -> None:
        code, kind, subtype = self._chance.choice(
            (
                ("DOT.S", "staking", ""),
                ("XTZ.S", "staking", ""),
                ("ETH.F", "earn", "reward"),
                ("USD.M", "earn", "reward"),
            )
        )
        amount = self._volume(ASSETS[code], self._usd() / 500)
        self._account.post(when, self._account.new_id("S"), kind, ASSETS[code], amount, amount / 10, subtype=subtype)

    def _sweep_dust(self, when: Fill) -> None:
        """Turn crumbs of several coins into dollars under one reference: no fill, for it has no one price."""
        refid = self._account.new_id("Q")
        crumbs = [ASSETS[code] for code in ("XTZ", "ZRX", "DOT")]
        for asset in crumbs:
            self._have(asset, Decimal("0.1"), when)
            self._account.post(when, refid, "spend", asset, Decimal("-0.0317"), subtype="dustsweeping")
        self._account.post(when, refid, "receive", ASSETS["ZUSD"], Decimal("0.2451"), subtype="dustsweeping")

    def _lose_to_delisting(self, when: Fill) -> None:
        """Have a delisted coin converted by force."""
        held = self._account.balances["NANO"]
        if when.at <= self._delisted_at or held <= 0:
            self._reward(when)
            return
        refid = self._account.new_id("R")
        self._account.post(when, refid, "transfer", ASSETS["NANO"], -held, subtype="delistingconversion")
        self._account.post(when, refid, "transfer", ASSETS["ZUSD"], held, subtype="delistingconversion")

    def _dividend(self, when: Fill) -> None:
        self._account.post(when, self._account.new_id("D"), "dividend", ASSETS["ZUSD"], Decimal("1.27"))

    # -- means -------------------------------------------------------------------------------------------------------

    def _deposit(self, asset: Asset, amount: Decimal, when: Fill) -> Entry:
        kind = "credit" if asset is KFEE else "deposit"
        return self._account.post(when, self._account.new_id("F"), kind, asset, amount)

    def _have(self, asset: Asset, amount: Decimal, when: Fill) -> None:
        if self._account.balances[asset.code] < amount:
            self._deposit(asset, amount * 8, when)

    def _any_money(self) -> Asset:
        return ASSETS[self._chance.choice(("ZEUR", "ZUSD", "ZGBP"))]

    def _usd(self) -> float:
        return min(25_000.0, max(12.0, self._chance.lognormvariate(5.6, 1.1)))

    def _usd_price(self, asset: Asset) -> float:
        root = next((a for a in (asset, *ASSETS.values()) if a.name == asset.plain), asset)
        return self._prices[root.code]

    def _price(self, pair: Pair) -> Decimal:
        """Let the base asset's price wander a little, and quote it in the pair's currency."""
        code = pair.base.code
        swing = 0.0004 if code in CALM else 0.006
        level = self._prices[code] * (1 + self._chance.gauss(0, swing))
        self._prices[code] = min(max(level, pair.base.usd / 4), pair.base.usd * 4)
        return Decimal(f"{self._prices[code] / self._prices[pair.quote.code]:.{pair.price_decimals}f}")

    def _volume(self, asset: Asset, usd: float) -> Decimal:
        decimals = min(8, asset.decimals)
        volume = Decimal(f"{usd / self._usd_price(asset):.{decimals}f}")
        return volume or Decimal(1).scaleb(-decimals)

    def _instant(self, at: int, *before: Fill) -> Fill:
        """Print a time with four to seven decimals, most often four; the clock never goes back for it."""
        earlier = before or self._account.trades.rows[-1:]
        places = 4 if at % TICKS == 0 else self._chance.choice((4, 4, 4, 4, 5, 6, 7))
        cut = at - at % 10 ** (7 - places)
        if earlier and cut < earlier[0].at:
            cut, places = earlier[0].at, earlier[0].places
        return Fill(cut, places, Decimal(0), Decimal(0))


def _against(position: Position) -> str:
    return "sell" if position.side == "buy" else "buy"
