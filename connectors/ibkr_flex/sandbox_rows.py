"""The rows of the Flex sandbox's history, with what follows from their figures.

Signs are IBKR's: a sale has a negative quantity, a charge is a negative commission.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from connectors.ibkr_flex.sandbox_instruments import Instrument
from connectors.ibkr_flex.sandbox_money import BASE_CURRENCY, ZERO, money


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
        return money(self.quantity * self.price * self.instrument.multiplier)

    @property
    def proceeds(self) -> Decimal:
        return -self.trade_money

    @property
    def mtm(self) -> Decimal:
        """What the position taken made until the close; on futures this is the cash that moves."""
        if self.instrument.category == "CASH":
            return ZERO
        return money(self.quantity * (self.close_price - self.price) * self.instrument.multiplier)

    @property
    def net_cash(self) -> Decimal:
        if self.instrument.category == "CASH":
            return ZERO
        moved = self.mtm if self.instrument.category == "FUT" else self.proceeds
        return moved + self.commission + self.taxes


def standing(rows: Iterable[Row]) -> list[Row]:
    """Leave out what these rows cancel, and the cancels themselves."""
    known = list(rows)
    gone = {row.cancels.transaction_id for row in known if row.cancels}
    return [row for row in known if row.cancels is None and row.transaction_id not in gone]
