"""The trade confirmations of a TCF statement: the trades of `sandbox_trades` in other words, by order and execution."""

from __future__ import annotations

from xml.etree import ElementTree

from connectors.ibkr_flex.sandbox_queries import FlexQuery
from connectors.ibkr_flex.sandbox_rows import Row
from connectors.ibkr_flex.sandbox_trades import average_price, by_order, print_instrument, settles
from connectors.ibkr_flex.sandbox_wire import new_york, plain, total


def print_confirms(section: ElementTree.Element, rows: list[Row], query: FlexQuery) -> None:
    for order in by_order(rows):
        if query.orders:
            ElementTree.SubElement(section, "Order", _order_confirm(order))
        for row in order:
            ElementTree.SubElement(section, "TradeConfirm", _confirm(row))


def _confirm(row: Row) -> dict[str, str]:
    """Print a confirmation: other words than AF, and no transaction id."""
    cancels = row.cancels
    code = [*row.open_close.split(";"), *row.notes.split(";")]
    instrument = print_instrument(row)
    del instrument["fxRateToBase"]
    return {
        **instrument,
        "transactionType": row.kind,
        "tradeID": "" if row.trade_id is None else str(row.trade_id),
        "orderID": str(row.order_id),
        "execID": row.exec_id,
        **dict.fromkeys(("brokerageOrderID", "orderReference", "volatilityOrderLink", "clearingFirmID"), ""),
        "origTradePrice": plain(cancels.price) if cancels else "0",
        "origTradeDate": f"{cancels.trade_date:%Y%m%d}" if cancels else "",
        "origTradeID": str(cancels.trade_id) if cancels else "",
        "extExecID": "",
        "orderTime": new_york(row.when),
        "dateTime": new_york(row.when),
        "reportDate": f"{row.report_date:%Y%m%d}",
        "settleDate": "" if cancels else settles(row),
        "tradeDate": f"{row.trade_date:%Y%m%d}",
        "exchange": row.exchange,
        "buySell": row.side,
        "quantity": plain(row.quantity),
        "price": plain(row.price),
        "amount": plain(row.trade_money),
        "proceeds": plain(row.proceeds),
        "netCash": plain(row.net_cash),
        "commission": plain(row.commission),
        "brokerExecutionCommission": plain(row.commission),
        "brokerClearingCommission": "0",
        "thirdPartyExecutionCommission": "0",
        "thirdPartyClearingCommission": "0",
        "thirdPartyRegulatoryCommission": "0",
        "otherCommission": "0",
        "commissionCurrency": row.commission_currency,
        "tax": plain(row.taxes),
        "code": ";".join(filter(None, code)),
        "orderType": row.order_type,
        "levelOfDetail": "EXECUTION",
        "traderID": "",
        "isAPIOrder": "N",
        "allocatedTo": "",
        "accruedInt": "0",
    }


def _order_confirm(order: list[Row]) -> dict[str, str]:
    commission = total(row.commission for row in order)
    blank = (
        "transactionType",
        "tradeID",
        "execID",
        "origTradePrice",
        "origTradeDate",
        "origTradeID",
        "exchange",
        "code",
    )
    return {
        **_confirm(order[0]),
        **dict.fromkeys(blank, ""),
        "quantity": total(row.quantity for row in order),
        "price": average_price(order),
        "amount": total(row.trade_money for row in order),
        "proceeds": total(row.proceeds for row in order),
        "netCash": total(row.net_cash for row in order),
        "commission": commission,
        "brokerExecutionCommission": commission,
        "tax": total(row.taxes for row in order),
        "levelOfDetail": "ORDER",
        "isAPIOrder": "",
    }
