"""One invented history for both of Interactive Brokers' sandboxes: what Flex prints a day later, the gateway tells the same day."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

from connectors.ibkr_flex.sandbox import FlexBroker
from connectors.ibkr_flex.sandbox_book import BASE_CURRENCY, Instrument, Row
from connectors.ibkr_portal.sandbox import Account, Book, Contract, Execution

ALIASES = {"U7350211": "Long term", "U7350211F": "Family"}
AHEAD = timedelta(days=14)


def gateway_book(flex: FlexBroker, ahead: timedelta = AHEAD) -> Book:
    """Give the Flex sandbox's executions to the gateway's, for the past and some days to come.

    Only what happens on a market: bookings have no execution id, and cancels and what is booked again after them only Flex tells.
    """
    history = flex.history
    history.extend_to(flex.today + ahead)
    accounts = [Account(number, ALIASES.get(number, ""), BASE_CURRENCY) for number in history.accounts]
    return Book(accounts, [_execution(row) for row in history.rows if _happened(row)])


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
