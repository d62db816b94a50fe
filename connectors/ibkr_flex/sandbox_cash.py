"""The cash report of an activity statement: what the rows before and inside its days came to, in each currency."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from decimal import Decimal
from xml.etree import ElementTree

from connectors.ibkr_flex.sandbox_money import ZERO, rate_to_base
from connectors.ibkr_flex.sandbox_queries import Generating
from connectors.ibkr_flex.sandbox_rows import Row
from connectors.ibkr_flex.sandbox_wire import NINE_PLACES, plain


def print_cash_report(section: ElementTree.Element, account: str, rows: list[Row], asked: Generating) -> None:
    """Print the totals of every currency the account ever touched, and their sum in the base currency."""
    started: defaultdict[str, Decimal] = defaultdict(Decimal)
    totals: defaultdict[str, defaultdict[str, Decimal]] = defaultdict(lambda: defaultdict(Decimal))
    for row in rows:
        for currency, line, amount in _cash_lines(row):
            if row.report_date < asked.first:
                started[currency] += amount
            else:
                totals[currency][line] += amount
                in_base = amount * rate_to_base(currency, row.report_date)
                totals["BASE_SUMMARY"][line] += in_base.quantize(NINE_PLACES)
    for currency in sorted({*started, *(totals.keys() - {"BASE_SUMMARY"})}):
        started["BASE_SUMMARY"] += (started[currency] * rate_to_base(currency, asked.first)).quantize(NINE_PLACES)
    for currency in sorted({*started, *totals, "BASE_SUMMARY"}, key=lambda name: (name != "BASE_SUMMARY", name)):
        lines = totals[currency]
        ElementTree.SubElement(
            section, "CashReportCurrency", accountId=account, acctAlias="", model="", currency=currency,
            levelOfDetail="BaseCurrency" if currency == "BASE_SUMMARY" else "Currency",
            fromDate=f"{asked.first:%Y%m%d}", toDate=f"{asked.last:%Y%m%d}", startingCash=plain(started[currency]),
            commissions=plain(lines["commissions"]), cashSettlingMtm=plain(lines["cashSettlingMtm"]),
            netTradesSales=plain(lines["netTradesSales"]), netTradesPurchases=plain(lines["netTradesPurchases"]),
            transactionTax=plain(lines["transactionTax"]),
            endingCash=plain(started[currency] + sum(lines.values(), ZERO)),
        )  # fmt: skip


def _cash_lines(row: Row) -> Iterator[tuple[str, str, Decimal]]:
    """Tell the cash a row moves: futures by their mark to market, a conversion in both currencies, others by proceeds.

    Sales is what came in, purchases what went out; so a cancelled purchase counts as a sale.
    """
    what = row.instrument
    yield row.commission_currency, "commissions", row.commission
    yield what.currency, "transactionTax", row.taxes
    if what.category == "FUT":
        yield what.currency, "cashSettlingMtm", row.mtm
        return
    yield what.currency, "netTradesSales" if row.proceeds > 0 else "netTradesPurchases", row.proceeds
    if what.category == "CASH":
        bought = what.symbol.partition(".")[0]
        yield bought, "netTradesSales" if row.quantity > 0 else "netTradesPurchases", row.quantity
