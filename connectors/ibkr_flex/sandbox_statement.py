"""A Flex statement: one document, in it each account of the query, in it the sections that the query asks for.

An activity statement (AF) holds cash report and trades, a trade confirmation (TCF) what was at least five minutes old when it was
asked for, bookings excepted.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from xml.etree import ElementTree

from connectors.ibkr_flex.sandbox_cash import print_cash_report
from connectors.ibkr_flex.sandbox_confirms import print_confirms
from connectors.ibkr_flex.sandbox_queries import Generating
from connectors.ibkr_flex.sandbox_rows import Row
from connectors.ibkr_flex.sandbox_trades import print_trades
from connectors.ibkr_flex.sandbox_wire import new_york

ROWS = frozenset({"Trade", "Order", "Lot", "TradeConfirm"})
CONFIRM_LAG = timedelta(minutes=5)


def print_statement(rows: Iterable[Row], asked: Generating, generated_at: datetime) -> bytes:
    query = asked.query
    root = ElementTree.Element("FlexQueryResponse", queryName=query.name, type=query.kind)
    statements = ElementTree.SubElement(root, "FlexStatements", count=str(len(query.accounts)))
    known = [row for row in rows if row.report_date <= asked.last]
    for account in query.accounts:
        statement = ElementTree.SubElement(
            statements, "FlexStatement", accountId=account, fromDate=f"{asked.first:%Y%m%d}",
            toDate=f"{asked.last:%Y%m%d}", period=asked.period, whenGenerated=new_york(generated_at),
        )  # fmt: skip
        mine = [row for row in known if row.account == account]
        inside = [row for row in mine if row.report_date >= asked.first]
        if query.kind == "TCF":
            old_enough = asked.asked_at - CONFIRM_LAG
            shown = [row for row in inside if row.kind != "BookTrade" and row.when <= old_enough]
            print_confirms(ElementTree.SubElement(statement, "TradeConfirms"), shown, query)
            continue
        if query.cash_report:
            print_cash_report(ElementTree.SubElement(statement, "CashReport"), account, mine, asked)
        print_trades(ElementTree.SubElement(statement, "Trades"), inside, query)
    for row in root.iter():
        if row.tag in ROWS:
            row.attrib = {name: value for name, value in row.attrib.items() if name not in query.unticked}
    ElementTree.indent(root, "")
    return ElementTree.tostring(root)
