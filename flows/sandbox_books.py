"""One invented history for both of Interactive Brokers' sandboxes: what Flex prints a day later, the gateway tells the same day.

They share a calendar, too: a day that passes at one passes at the other, and a trade of this second is one of both.
"""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from decimal import Decimal

from connectors.ibkr_flex.sandbox import FlexBroker
from connectors.ibkr_flex.sandbox_calendar import NEW_YORK
from connectors.ibkr_flex.sandbox_instruments import Instrument
from connectors.ibkr_flex.sandbox_money import BASE_CURRENCY
from connectors.ibkr_flex.sandbox_rows import Row
from connectors.ibkr_portal.sandbox import Account, Book, Clock, Contract, Execution, Faults, Gateway

ALIASES = {"U7350211": "Long term", "U7350211F": "Family"}


def gateway_of(flex: FlexBroker, faults: Faults | None = None) -> Gateway:
    """Make the gateway to the accounts of a Flex sandbox."""
    return Gateway(
        clock=Calendar(flex),
        book=gateway_book(flex),
        faults=faults or Faults(),
        trader=lambda _moment, account, _number: _execution(flex.trade_now(account.number)),
    )


def gateway_book(flex: FlexBroker) -> Book:
    """Give the Flex sandbox's executions to the gateway's, as they happen.

    Only what happens on a market: bookings have no execution id, and cancels and what is booked again after them only Flex tells.
    """
    return SharedBook(flex)


class Calendar(Clock):
    """The Flex sandbox's calendar as the gateway's clock; to sleep by it is to wait."""

    def __init__(self, flex: FlexBroker) -> None:
        super().__init__(lambda: flex.business_now)
        self._flex = flex

    def advance(self, seconds: float) -> None:
        """Put both forward."""
        self._flex.put_forward(timedelta(seconds=seconds))

    def sleep(self, seconds: float) -> None:
        """Wait."""
        time.sleep(seconds)


class SharedBook(Book):
    """The Flex sandbox's history as a book, which grows with it."""

    def __init__(self, flex: FlexBroker) -> None:
        accounts = flex.history.accounts
        super().__init__(Account(number, ALIASES.get(number, ""), BASE_CURRENCY) for number in accounts)
        self._flex = flex
        self._taken = 0

    def _extend_to(self, now: datetime) -> None:
        # a trade date begins the evening before: in Tokyo, and in futures
        rows = self._flex.rows_until(now.astimezone(NEW_YORK).date() + timedelta(days=1))
        fresh, self._taken = rows[self._taken :], len(rows)
        for row in filter(_happened, fresh):
            self.add(_execution(row))


def _happened(row: Row) -> bool:
    return bool(row.exec_id) and row.cancels is None and row.family == row.transaction_id


def _execution(row: Row) -> Execution:
    return Execution(
        account=row.account,
        contract=_contract(row.instrument),
        exec_id=row.exec_id,
        order_id=row.order_id,
        side="BUY" if row.quantity > 0 else "SELL",
        quantity=abs(row.quantity),
        price=row.price,
        commission=-row.commission,
        commission_currency=row.commission_currency,
        at=row.when,
    )


def _contract(what: Instrument) -> Contract:
    """Tell an instrument in the gateway's words: the underlying's symbol, and the rest as a description."""
    under = what.underlying
    symbol = under.symbol if under else what.symbol
    description = ""
    if what.category == "OPT":
        right = {"C": "Call", "P": "Put"}[what.put_call]
        description = f"{what.expiry:%b%d'%y} {what.strike:f} {right}"
    elif what.category == "FUT":
        symbol, description = what.symbol[:-2], f"{what.expiry:%b%d'%y}"
    elif what.category == "CASH":
        symbol = what.symbol.partition(".")[0]
    return Contract(
        conid=what.conid,
        sec_type=what.category,
        symbol=symbol,
        name=under.description if under else what.description,
        currency=what.currency,
        listing_exchange="" if what.category == "CASH" else what.exchange,
        exchange=what.exchange,
        local_symbol=what.symbol,
        description=description,
        multiplier=what.multiplier or Decimal(1),
        underlying=under.conid if under else 0,
        strike=what.strike,
        expiry=what.expiry,
        put_call=what.put_call,
    )
