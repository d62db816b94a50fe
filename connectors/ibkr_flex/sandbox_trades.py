"""The trades of an activity statement: each order, its executions, and the lots that they closed.

An order is printed above its executions, with their sums and average price, a lot below the execution that closed it.
Instruments, orders and settlement dates are the same in confirmations, which take them from here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date
from decimal import Decimal
from itertools import groupby
from xml.etree import ElementTree

from connectors.ibkr_flex.sandbox_calendar import business_day_after
from connectors.ibkr_flex.sandbox_money import ZERO, rate_to_base
from connectors.ibkr_flex.sandbox_queries import FlexQuery
from connectors.ibkr_flex.sandbox_rows import Row
from connectors.ibkr_flex.sandbox_wire import NINE_PLACES, new_york, plain, total

BLANK_IN_ORDER = {
    "tradeID", "transactionType", "origTradePrice", "origTradeDate", "origTradeID", "origOrderID", "origTransactionID",
    "transactionID", "ibExecID", "brokerageOrderID", "exchOrderId", "extExecID", "exchange", "isAPIOrder",
}  # fmt: skip
KEPT_IN_LOT = {
    "accountId", "currency", "fxRateToBase", "assetCategory", "symbol", "description", "conid", "securityID",
    "securityIDType", "isin", "listingExchange", "underlyingConid", "underlyingSymbol", "multiplier", "strike", "expiry",
    "putCall", "reportDate", "dateTime", "tradeDate", "exchange", "openCloseIndicator", "transactionID", "buySell",
}  # fmt: skip


def print_trades(section: ElementTree.Element, rows: list[Row], query: FlexQuery) -> None:
    for order in by_order(rows):
        printed = [_trade(row) for row in order]
        if query.orders:
            ElementTree.SubElement(section, "Order", _order(order, printed[0]))
        for row, attributes in zip(order, printed, strict=True):
            ElementTree.SubElement(section, "Trade", attributes)
            if query.lots and row.closed_quantity:
                ElementTree.SubElement(section, "Lot", _lot(row, attributes))


def _trade(row: Row) -> dict[str, str]:
    cancels, booked = row.cancels, row.kind == "BookTrade"
    return {
        **print_instrument(row),
        "tradeID": "" if row.trade_id is None else str(row.trade_id),
        "reportDate": f"{row.report_date:%Y%m%d}",
        "dateTime": new_york(row.when),
        "tradeDate": f"{row.trade_date:%Y%m%d}",
        "settleDateTarget": "" if cancels else settles(row),
        "transactionType": row.kind,
        "exchange": row.exchange,
        "quantity": plain(row.quantity),
        "tradePrice": plain(row.price),
        "tradeMoney": plain(row.trade_money),
        "proceeds": plain(row.proceeds),
        "taxes": plain(row.taxes),
        "ibCommission": plain(row.commission),
        "ibCommissionCurrency": row.commission_currency,
        "netCash": plain(row.net_cash),
        "closePrice": plain(row.close_price),
        "openCloseIndicator": row.open_close,
        "notes": row.notes,
        "cost": plain(_cost(row)),
        "fifoPnlRealized": plain(row.realized),
        "mtmPnl": plain(row.mtm),
        "origTradePrice": plain(cancels.price) if cancels else "0",
        "origTradeDate": f"{cancels.trade_date:%Y%m%d}" if cancels else "",
        "origTradeID": str(cancels.trade_id) if cancels else "",
        "origOrderID": str(cancels.order_id) if cancels else "0",
        "origTransactionID": str(cancels.transaction_id) if cancels else "0",
        "clearingFirmID": "",
        "transactionID": str(row.transaction_id),
        "buySell": row.side,
        "ibOrderID": str(row.order_id),
        "ibExecID": row.exec_id,
        "brokerageOrderID": "" if booked or cancels else f"002b1c00.00012d4a.{row.order_id & 0xFFFFFFFF:08x}.0001",
        "orderReference": "",
        "volatilityOrderLink": "",
        "exchOrderId": "N/A",
        "extExecID": "N/A" if booked or cancels else f"{row.trade_id}{row.side[0]}",
        "orderTime": "" if booked or cancels else new_york(row.when),
        **dict.fromkeys(("openDateTime", "holdingPeriodDateTime", "whenRealized", "whenReopened"), ""),
        "levelOfDetail": "EXECUTION",
        "changeInPrice": "0",
        "changeInQuantity": "0",
        "orderType": row.order_type,
        "traderID": "",
        "isAPIOrder": "N",
        "accruedInt": "0",
    }


def _order(order: list[Row], first: dict[str, str]) -> dict[str, str]:
    return {
        **{name: "" if name in BLANK_IN_ORDER else text for name, text in first.items()},
        "quantity": total(row.quantity for row in order),
        "tradePrice": average_price(order),
        "tradeMoney": total(row.trade_money for row in order),
        "proceeds": total(row.proceeds for row in order),
        "taxes": total(row.taxes for row in order),
        "ibCommission": total(row.commission for row in order),
        "netCash": total(row.net_cash for row in order),
        "cost": total(_cost(row) for row in order),
        "fifoPnlRealized": total(row.realized for row in order),
        "mtmPnl": total(row.mtm for row in order),
        "levelOfDetail": "ORDER",
    }


def _lot(row: Row, trade: dict[str, str]) -> dict[str, str]:
    opened = new_york(row.opened) if row.opened else ""
    return {
        **{name: text if name in KEPT_IN_LOT else "" for name, text in trade.items()},
        "quantity": plain(row.closed_quantity),
        "tradePrice": plain((row.closed_basis / row.closed_quantity / row.instrument.multiplier).quantize(NINE_PLACES)),
        "cost": plain(row.closed_basis),
        "fifoPnlRealized": plain(row.realized),
        "openDateTime": opened,
        "holdingPeriodDateTime": opened,
        "notes": "ST",
        "levelOfDetail": "CLOSED_LOT",
    }


def by_order(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """Group the rows of one order, day and side: cancels are grouped apart, so an order's sums equal its rows'."""

    def key(row: Row) -> tuple[str, str, date, int, str]:
        return (row.instrument.category, row.instrument.symbol, row.report_date, row.order_id, row.side)

    for _, group in groupby(sorted(rows, key=lambda row: (*key(row), row.transaction_id)), key):
        yield list(group)


def print_instrument(row: Row) -> dict[str, str]:
    what, under = row.instrument, row.instrument.underlying
    return {
        "accountId": row.account,
        "acctAlias": "",
        "model": "",
        "currency": what.currency,
        "fxRateToBase": plain(rate_to_base(what.currency, row.report_date)),
        "assetCategory": what.category,
        "symbol": what.symbol,
        "description": what.description,
        "conid": str(what.conid),
        "securityID": what.isin,
        "securityIDType": "ISIN" if what.isin else "",
        "cusip": "",
        "isin": what.isin,
        "listingExchange": "" if what.category == "CASH" else what.exchange,
        "underlyingConid": str(under.conid) if under else "",
        "underlyingSymbol": under.symbol if under else "",
        "underlyingSecurityID": under.isin if under else "",
        "underlyingListingExchange": under.exchange if under else "",
        "issuer": "",
        "multiplier": plain(what.multiplier),
        "strike": "" if what.strike is None else plain(what.strike),
        "expiry": f"{what.expiry:%Y%m%d}" if what.expiry else "",
        "putCall": what.put_call,
        "principalAdjustFactor": "",
    }


def average_price(order: list[Row]) -> str:
    quantity = sum((row.quantity for row in order), ZERO)
    return plain((sum((row.quantity * row.price for row in order), ZERO) / quantity).quantize(NINE_PLACES))


def settles(row: Row) -> str:
    """Currencies settle in two days, shares in two until the end of May 2024, everything else the next day."""
    slow = row.instrument.category == "CASH" or (
        row.instrument.category == "STK" and row.trade_date < date(2024, 5, 28)
    )
    return f"{business_day_after(row.trade_date, 2 if slow else 1):%Y%m%d}"


def _cost(row: Row) -> Decimal:
    """Tell what an opening row put into the position, or, negative, what a closing row took out of it."""
    if row.instrument.category == "CASH":
        return ZERO
    return -row.closed_basis if row.closed_quantity else row.trade_money - row.commission - row.taxes
