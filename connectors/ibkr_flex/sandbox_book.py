"""The invented trading history of the Flex sandbox: five years of fills, bookings and corrections from a seed.

Days are generated in order and once, each from its own random stream, so the same seed and first day give the same rows whenever
they are asked for.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from itertools import count
from random import Random

from connectors.ibkr_flex.sandbox_calendar import NEW_YORK, business_day_after, is_business_day
from connectors.ibkr_flex.sandbox_instruments import (
    CALM,
    PAIRS,
    RHEIN,
    STOCKS,
    THAMES,
    TOKYO,
    Instrument,
    index_future,
    moment,
    option_on,
)
from connectors.ibkr_flex.sandbox_money import ZERO, cents, money
from connectors.ibkr_flex.sandbox_orders import DECK, FILLS_AN_ORDER, Play, commission_of, split
from connectors.ibkr_flex.sandbox_rows import Row
from connectors.sandbox_expiries import expiry_after


@dataclass(slots=True)
class Position:
    instrument: Instrument
    quantity: Decimal = ZERO
    basis: Decimal = ZERO
    opened: datetime | None = None


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
            commission=commission_of(share, quantity, price, rebate=False, first=True),
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
            price=price, commission=commission, taxes=money(row.taxes * ratio), report_date=cancelled.report_date,
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
        sent = moment(instrument, day, rng)
        limit = instrument.tick * (
            (self._price(instrument) / instrument.tick).quantize(Decimal(1)) + rng.randrange(-9, 10)
        )
        order_id = next(self._order_ids)
        parts = split(size, play, rng)
        for nth, quantity in enumerate(parts):
            apart = 0 if play.one_instant else nth * rng.randrange(1, 40)
            better = 0 if play.one_instant else rng.randrange(0, 3)
            price = max(limit - instrument.tick * better, instrument.tick)
            row = self._fill(
                account, instrument, day, quantity, price, order_id=order_id, when=sent + timedelta(seconds=apart),
                commission=commission_of(instrument, quantity, price, rebate=play.rebate, first=nth == 0),
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
            commission=commission, taxes=-cents(quantity * price / 200) if taxed else ZERO,
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
        basis = money(position.basis * closed / abs(held))
        opened, flipped = position.opened, abs(row.quantity) > abs(held)
        position.basis = money(-value * (1 - share)) if flipped else position.basis - basis
        position.opened = row.when if flipped else opened
        return replace(
            row, open_close="C;O" if flipped else "C", closed_quantity=closed.copy_sign(held), closed_basis=basis,
            realized=money(value * share) - basis, opened=opened,
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
                self.rebook(cancelled, row.price, fewer, money(-row.commission / 4), revised=True)
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
            return option_on(STOCKS[0], expiry_after(day, rng.choice((20, 50))), strike, rng.choice("CP"))
        return {"RHEIN": RHEIN, "THAMES": THAMES, "TOKYO": TOKYO}[market]

    def _size(self, play: Play, position: Position, rng: Random) -> Decimal:
        size = Decimal(rng.choice(play.sizes))
        if play.flips and position.quantity:
            return -position.quantity - size.copy_sign(position.quantity)
        against = rng.random() < 0.62  # customers lean against what they hold, so positions stay near flat
        return size if (position.quantity <= 0) == against else -size
