"""Interactive Brokers' Flex Web Service, version 3, from the other side of the wire, over loopback HTTP.

The rules, each refused with IBKR's code inside an HTTP 200, in the order they are looked at:

- no User-Agent, or a blank one: 1020; the retired `/Universal/servlet/` addresses: 1001 whatever is asked
- token blank: 1020, unknown: 1015, expired: 1012
- more than one call a second or ten a minute with one token, both endpoints and all queries together: 1018
  (a refused call does not count; IBKR does not say whether it does)
- `v` absent (the service then assumes 2) or not 3: 1001
- query unknown: 1014; `fd`/`td`/`p` malformed, alone, reversed, or over 365 days counting both ends: 1020;
  a window outside the history, for an activity statement also one that begins today: 1003
- reference unknown, or another token's: 1017; statement still being generated: 1019, which is a `Warn`

An activity statement (AF) ends yesterday, New York time; a trade confirmation (TCF) shows what is five minutes old.
It shares no code with the connector: it is a second reading of the same protocol. Sources: brokers.md part B.
"""

from __future__ import annotations

import asyncio
import socket
import threading
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import groupby
from xml.etree import ElementTree

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from connectors.ibkr_flex.sandbox_book import (
    NEW_YORK,
    ZERO,
    History,
    Row,
    business_day_after,
    is_business_day,
    rate_to_base,
    standing,
)

TOKEN = "104729550318842907361"
EXPIRED_TOKEN = "104729550318842900000"
QUERY_ID = "917301"
ONE_ACCOUNT_QUERY_ID = "917302"
CONFIRMS_QUERY_ID = "917303"
ACCOUNTS = ("U7350211", "U7350211F")

SERVICE_PATH = "/AccountManagement/FlexWebService"
LEGACY_PATH = "/Universal/servlet/FlexStatementService"
FOREIGN_URL = "https://flex.example.net/AccountManagement/FlexWebService/GetStatement"
LONGEST_SPAN = 365
SLOW_FACTOR = 10
CONFIRM_LAG = timedelta(minutes=5)
NINE_PLACES = Decimal("1e-9")

ERRORS = {
    "1001": "Statement could not be generated at this time. Please try again shortly.",
    "1003": "Statement is not available.",
    "1005": "Settlement data is not ready at this time. Please try again shortly.",
    "1009": "The server is under heavy load. Statement could not be generated at this time. Please try again shortly.",
    "1012": "Token has expired.",
    "1013": "IP restriction.",
    "1014": "Query is invalid.",
    "1015": "Token is invalid.",
    "1017": "Reference code is invalid.",
    "1018": "Too many requests have been made from this token. Please try again shortly.",
    "1019": "Statement generation in progress. Please try again shortly.",
    "1020": "Invalid request or unable to validate request.",
    "1025": "Query is locked after too many failed attempts. Please try again later.",
}
WARNINGS = frozenset({"1019", "1025"})

FAULTS = {
    "slow": f"a statement takes {SLOW_FACTOR} times as long to generate, answering 1019 until then",
    "warn_envelope_as_when_available": "the 1019 envelope carries Status WhenAvailable instead of Warn",
    "heavy_load_1009": "SendRequest fails with 1009",
    "generate_fail_1001": "SendRequest fails with 1001",
    "locked_1025": "SendRequest warns with 1025, query locked",
    "not_ready_1005": "GetStatement fails with 1005, settlement data not ready",
    "token_expired": "every token has expired: 1012",
    "ip_restricted_1013": "every call comes from a forbidden address: 1013",
    "html_page": "every call answers 200 with an HTML page",
    "http_503": "every call answers 503 with an HTML page",
    "empty_body": "every call answers 200 with nothing",
    "hang": "every call answers only after `hang_seconds`",
    "truncated": "a statement is cut in the middle",
    "short_range": "a statement covers only the later half of the days it should, and says so in fromDate",
    "foreign_url": "SendRequest's Url points to another host",
}
REFUSED_BY_FAULT = {
    "heavy_load_1009": "1009", "generate_fail_1001": "1001", "locked_1025": "1025", "not_ready_1005": "1005",
}  # fmt: skip
HTML = b"<!DOCTYPE html><html><head><title>Interactive Brokers</title></head><body>Scheduled maintenance</body></html>"


@dataclass(frozen=True, slots=True)
class FlexQuery:
    """A stored query: what it prints, for whom, and over which days when the caller names none."""

    name: str
    kind: str = "AF"  # or "TCF"
    accounts: tuple[str, ...] = ACCOUNTS
    period: str = "Last365CalendarDays"
    days: int = 365
    orders: bool = True
    lots: bool = True
    cash_report: bool = True


@dataclass(frozen=True, slots=True)
class Answer:
    body: bytes
    status: int = 200
    content_type: str = "text/xml;charset=utf-8"
    after_seconds: float = 0.0


@dataclass(frozen=True, slots=True)
class Generating:
    """A statement that was asked for, with the window and the moment that its content is frozen at."""

    token: str
    query: FlexQuery
    first: date
    last: date
    period: str
    asked_at: datetime
    ready_at: datetime


class Refused(Exception):
    """A rule of the service said no, with this code."""

    def __init__(self, code: str) -> None:
        super().__init__(f"{code} {ERRORS[code]}")
        self.code = code


def wall_clock() -> datetime:
    return datetime.now(UTC)


def stored_queries() -> dict[str, FlexQuery]:
    return {
        QUERY_ID: FlexQuery("Fillhouse activity"),
        ONE_ACCOUNT_QUERY_ID: FlexQuery(
            "Master only, executions only", accounts=ACCOUNTS[:1], orders=False, lots=False
        ),
        CONFIRMS_QUERY_ID: FlexQuery("Fillhouse confirms", kind="TCF", period="Last30CalendarDays", days=30),
    }


@dataclass
class FlexBroker:
    """The broker: accounts, tokens (with their expiry), queries, history, and the faults that are on."""

    now: Callable[[], datetime] = wall_clock
    seed: int = 7
    executions: int = 1000
    years: int = 5
    generation_seconds: float = 2.0
    hang_seconds: float = 30.0
    tokens: dict[str, datetime | None] = field(
        default_factory=lambda: {TOKEN: None, EXPIRED_TOKEN: datetime(2020, 1, 1, tzinfo=UTC)}
    )
    queries: dict[str, FlexQuery] = field(default_factory=stored_queries)
    faults: set[str] = field(default_factory=set)
    requests: Counter[str] = field(default_factory=Counter)

    def __post_init__(self) -> None:
        self._ahead = timedelta(0)
        self._corrected = False
        self._lock = threading.RLock()
        self._calls: defaultdict[str, deque[datetime]] = defaultdict(deque)
        self._generating: dict[str, Generating] = {}
        last_full_day = self.today - timedelta(days=1)
        while not is_business_day(last_full_day):
            last_full_day -= timedelta(days=1)
        first_day = self.today - timedelta(days=self.years * 365 + 1)
        self._history = History(self.seed, ACCOUNTS, first_day, last_full_day, self.executions)

    @property
    def business_now(self) -> datetime:
        """The broker's calendar: the injected clock plus the days it was advanced by. Pacing uses the injected clock."""
        return self.now() + self._ahead

    @property
    def today(self) -> date:
        return self.business_now.astimezone(NEW_YORK).date()

    @property
    def history(self) -> History:
        with self._lock:
            self._history.extend_to(self.today)
            return self._history

    # -- the two endpoints -------------------------------------------------------------------------------------------

    def send_request(self, params: Mapping[str, str], user_agent: str | None, statement_url: str) -> Answer:
        """Start a statement; the answer names the reference to fetch it with."""
        return self._answer("SendRequest", lambda: self._start_statement(params, user_agent, statement_url))

    def get_statement(self, params: Mapping[str, str], user_agent: str | None) -> Answer:
        """Hand over a statement once it is ready."""
        return self._answer("GetStatement", lambda: self._finished_statement(params, user_agent))

    def legacy(self) -> Answer:
        """Answer the retired addresses, which fail for good since 2026."""
        return self._answer("legacy", lambda: self._envelope_of("1001"))

    def _answer(self, endpoint: str, judge: Callable[[], bytes]) -> Answer:
        with self._lock:
            self.requests[endpoint] += 1
            after = self.hang_seconds if "hang" in self.faults else 0.0
            if "http_503" in self.faults:
                return Answer(HTML, 503, "text/html", after)
            if "html_page" in self.faults:
                return Answer(HTML, 200, "text/html", after)
            if "empty_body" in self.faults:
                return Answer(b"", after_seconds=after)
            try:
                return Answer(judge(), after_seconds=after)
            except Refused as refused:
                self.requests["refused_1018"] += refused.code == "1018"
                return Answer(self._envelope_of(refused.code), after_seconds=after)

    def _start_statement(self, params: Mapping[str, str], user_agent: str | None, statement_url: str) -> bytes:
        token = self._admitted(params, user_agent)
        self._refuse_by_fault("heavy_load_1009", "generate_fail_1001", "locked_1025")
        query = self.queries.get(params.get("q", "").strip())
        if query is None:
            raise Refused("1014")
        first, last, period = self._window(query, params)
        seconds = self.generation_seconds * (SLOW_FACTOR if "slow" in self.faults else 1)
        reference = str(3_120_450_000 + len(self._generating) * 17 + self.seed)
        self._generating[reference] = Generating(
            token, query, first, last, period, self.business_now, self.now() + timedelta(seconds=seconds)
        )
        url = FOREIGN_URL if "foreign_url" in self.faults else statement_url
        return self._envelope(Status="Success", ReferenceCode=reference, Url=url)

    def _finished_statement(self, params: Mapping[str, str], user_agent: str | None) -> bytes:
        token = self._admitted(params, user_agent)
        self._refuse_by_fault("not_ready_1005")
        asked = self._generating.get(params.get("q", "").strip())
        if asked is None or asked.token != token:
            raise Refused("1017")
        if self.now() < asked.ready_at:
            raise Refused("1019")
        body = _statement(self.history.rows, asked, self.business_now)
        return body[: len(body) // 2] if "truncated" in self.faults else body

    # -- the rules ---------------------------------------------------------------------------------------------------

    def _admitted(self, params: Mapping[str, str], user_agent: str | None) -> str:
        token = params.get("t", "").strip()
        if not (user_agent or "").strip() or not token:
            raise Refused("1020")
        if token not in self.tokens:
            raise Refused("1015")
        expires = self.tokens[token]
        if "token_expired" in self.faults or (expires is not None and expires <= self.business_now):
            raise Refused("1012")
        if "ip_restricted_1013" in self.faults:
            raise Refused("1013")
        self._pace(token)
        if params.get("v") != "3":
            raise Refused("1001")
        return token

    def _pace(self, token: str) -> None:
        calls, now = self._calls[token], self.now()
        while calls and now - calls[0] >= timedelta(minutes=1):
            calls.popleft()
        if len(calls) >= 10 or (calls and now - calls[-1] < timedelta(seconds=1)):
            raise Refused("1018")
        calls.append(now)

    def _refuse_by_fault(self, *names: str) -> None:
        for name in names:
            if name in self.faults:
                raise Refused(REFUSED_BY_FAULT[name])

    def _window(self, query: FlexQuery, params: Mapping[str, str]) -> tuple[date, date, str]:
        """Decide the days a statement covers: those asked for, cut to those that exist."""
        last_known = self.today - timedelta(days=0 if query.kind == "TCF" else 1)
        first, last, period = last_known - timedelta(days=query.days - 1), last_known, query.period
        if "fd" in params or "td" in params:
            first, last, period = _flex_date(params.get("fd", "")), _flex_date(params.get("td", "")), ""
        elif "p" in params:
            if not params["p"].isdecimal() or not 1 <= int(params["p"]) <= LONGEST_SPAN:
                raise Refused("1020")
            first, period = last_known - timedelta(days=int(params["p"]) - 1), ""
        if not 1 <= (last - first).days + 1 <= LONGEST_SPAN:
            raise Refused("1020")
        first, last = max(first, self._history.first_day), min(last, last_known)
        if first > last:
            raise Refused("1003")
        if "short_range" in self.faults:
            first = last - (last - first) // 2
        return first, last, period

    # -- what the envelopes say --------------------------------------------------------------------------------------

    def _envelope_of(self, code: str) -> bytes:
        status = "Warn" if code in WARNINGS else "Fail"
        if code == "1019" and "warn_envelope_as_when_available" in self.faults:
            status = "WhenAvailable"
        return self._envelope(Status=status, ErrorCode=code, ErrorMessage=ERRORS[code])

    def _envelope(self, **elements: str) -> bytes:
        stamp = self.business_now.astimezone(NEW_YORK).strftime("%d %B, %Y %I:%M %p %Z")
        root = ElementTree.Element("FlexStatementResponse", timestamp=stamp)
        for name, text in elements.items():
            ElementTree.SubElement(root, name).text = text
        ElementTree.indent(root, "")
        return ElementTree.tostring(root)

    # -- what happens to the accounts --------------------------------------------------------------------------------

    def visible(self) -> list[Row]:
        """All rows that an activity statement may show now: reported before today, New York time."""
        return [row for row in self.history.rows if row.report_date < self.today]

    def cancel_and_rebook(
        self,
        transaction_id: int | None = None,
        *,
        price: Decimal | None = None,
        quantity: Decimal | None = None,
        refund: bool = True,
        revise_exec_id: bool = False,
        rebook: bool = True,
        report_date: date | None = None,
    ) -> tuple[Row, Row | None]:
        """Take back a fill (the latest visible one unless named) and book it again, reported today unless told.

        Without `refund` the cancelled row's commission stays charged and the new row gives a quarter of it back.
        """
        with self._lock:
            fills = [row for row in standing(self.history.rows) if row.exec_id and row.report_date < self.today]
            wanted = [row for row in fills if transaction_id in {None, row.transaction_id}]
            if not wanted:
                raise LookupError(f"no standing execution with transaction id {transaction_id}")
            row = max(wanted, key=lambda fill: (fill.report_date, fill.transaction_id))
            cancelled = self._history.cancel(row, report_date or self.today, refund=refund)
            if not rebook:
                return cancelled, None
            changed_price = price if price is not None else row.price + row.instrument.tick
            commission = row.commission if refund else (-row.commission / 4).quantize(NINE_PLACES)
            return cancelled, self._history.rebook(
                cancelled, changed_price, quantity or row.quantity, commission, revised=revise_exec_id
            )

    def advance(self, days: int = 1) -> None:
        """Move the calendar on until this many more business days are complete and so visible in AF statements."""
        with self._lock:
            if not self._corrected:
                self._corrected = True
                due = self.today if is_business_day(self.today) else business_day_after(self.today, 1)
                self.cancel_and_rebook(report_date=due)
            while days > 0:
                days -= is_business_day(self.today)
                self._ahead += timedelta(days=1)
            self._history.extend_to(self.today)

    def book(self) -> dict[str, dict[str, list[dict[str, str]]]]:
        """Tell every execution that stands, by account; a commission is its family's total, positive = paid."""
        visible = self.visible()
        paid: defaultdict[int, Decimal] = defaultdict(Decimal)
        for row in visible:
            paid[row.family] -= row.commission
        accounts: dict[str, list[dict[str, str]]] = {account: [] for account in ACCOUNTS}
        for row in standing(visible):
            accounts[row.account].append(
                {
                    "exec_id": row.exec_id,
                    "trade_id": str(row.trade_id),
                    "transaction_id": str(row.transaction_id),
                    "symbol": row.instrument.symbol,
                    "side": row.side,
                    "quantity": _text(abs(row.quantity)),
                    "price": _text(row.price),
                    "commission": _text(paid[row.family]),
                    "commission_currency": row.commission_currency,
                    "time": row.when.isoformat(),
                    "status": "final",
                }
            )
        return {"ibkr_flex": accounts}


# -- statements ------------------------------------------------------------------------------------------------------

BLANK_IN_ORDER = {
    "tradeID", "transactionType", "origTradePrice", "origTradeDate", "origTradeID", "origOrderID", "origTransactionID",
    "transactionID", "ibExecID", "brokerageOrderID", "exchOrderId", "extExecID", "exchange", "isAPIOrder",
}  # fmt: skip
KEPT_IN_LOT = {
    "accountId", "currency", "fxRateToBase", "assetCategory", "symbol", "description", "conid", "securityID",
    "securityIDType", "isin", "listingExchange", "underlyingConid", "underlyingSymbol", "multiplier", "strike", "expiry",
    "putCall", "reportDate", "dateTime", "tradeDate", "exchange", "openCloseIndicator", "transactionID", "buySell",
}  # fmt: skip


def _statement(rows: Iterable[Row], asked: Generating, generated_at: datetime) -> bytes:
    query = asked.query
    root = ElementTree.Element("FlexQueryResponse", queryName=query.name, type=query.kind)
    statements = ElementTree.SubElement(root, "FlexStatements", count=str(len(query.accounts)))
    known = [row for row in rows if row.report_date <= asked.last]
    for account in query.accounts:
        statement = ElementTree.SubElement(
            statements, "FlexStatement", accountId=account, fromDate=f"{asked.first:%Y%m%d}",
            toDate=f"{asked.last:%Y%m%d}", period=asked.period, whenGenerated=_new_york(generated_at),
        )  # fmt: skip
        mine = [row for row in known if row.account == account]
        inside = [row for row in mine if row.report_date >= asked.first]
        if query.kind == "TCF":
            old_enough = asked.asked_at - CONFIRM_LAG
            shown = [row for row in inside if row.kind != "BookTrade" and row.when <= old_enough]
            _confirms(ElementTree.SubElement(statement, "TradeConfirms"), shown, query)
            continue
        if query.cash_report:
            _cash_report(ElementTree.SubElement(statement, "CashReport"), account, mine, asked)
        _trades(ElementTree.SubElement(statement, "Trades"), inside, query)
    ElementTree.indent(root, "")
    return ElementTree.tostring(root)


def _by_order(rows: Iterable[Row]) -> Iterator[list[Row]]:
    """Group the rows of one order, day and side: cancels are grouped apart, so an order's sums equal its rows'."""

    def key(row: Row) -> tuple[str, str, date, int, str]:
        return (row.instrument.category, row.instrument.symbol, row.report_date, row.order_id, row.side)

    for _, group in groupby(sorted(rows, key=lambda row: (*key(row), row.transaction_id)), key):
        yield list(group)


def _trades(section: ElementTree.Element, rows: list[Row], query: FlexQuery) -> None:
    for order in _by_order(rows):
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
        **_instrument(row),
        "tradeID": "" if row.trade_id is None else str(row.trade_id),
        "reportDate": f"{row.report_date:%Y%m%d}",
        "dateTime": _new_york(row.when),
        "tradeDate": f"{row.trade_date:%Y%m%d}",
        "settleDateTarget": "" if cancels else _settles(row),
        "transactionType": row.kind,
        "exchange": row.exchange,
        "quantity": _text(row.quantity),
        "tradePrice": _text(row.price),
        "tradeMoney": _text(row.trade_money),
        "proceeds": _text(row.proceeds),
        "taxes": _text(row.taxes),
        "ibCommission": _text(row.commission),
        "ibCommissionCurrency": row.commission_currency,
        "netCash": _text(row.net_cash),
        "closePrice": _text(row.close_price),
        "openCloseIndicator": row.open_close,
        "notes": row.notes,
        "cost": _text(_cost(row)),
        "fifoPnlRealized": _text(row.realized),
        "mtmPnl": _text(row.mtm),
        "origTradePrice": _text(cancels.price) if cancels else "0",
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
        "orderTime": "" if booked or cancels else _new_york(row.when),
        **dict.fromkeys(("openDateTime", "holdingPeriodDateTime", "whenRealized", "whenReopened"), ""),
        "levelOfDetail": "EXECUTION",
        "changeInPrice": "0",
        "changeInQuantity": "0",
        "orderType": row.order_type,
        "traderID": "",
        "isAPIOrder": "N",
        "accruedInt": "0",
    }


def _instrument(row: Row) -> dict[str, str]:
    what, under = row.instrument, row.instrument.underlying
    return {
        "accountId": row.account,
        "acctAlias": "",
        "model": "",
        "currency": what.currency,
        "fxRateToBase": _text(rate_to_base(what.currency, row.report_date)),
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
        "multiplier": _text(what.multiplier),
        "strike": "" if what.strike is None else _text(what.strike),
        "expiry": f"{what.expiry:%Y%m%d}" if what.expiry else "",
        "putCall": what.put_call,
        "principalAdjustFactor": "",
    }


def _order(order: list[Row], first: dict[str, str]) -> dict[str, str]:
    return {
        **{name: "" if name in BLANK_IN_ORDER else text for name, text in first.items()},
        "quantity": _total(row.quantity for row in order),
        "tradePrice": _average_price(order),
        "tradeMoney": _total(row.trade_money for row in order),
        "proceeds": _total(row.proceeds for row in order),
        "taxes": _total(row.taxes for row in order),
        "ibCommission": _total(row.commission for row in order),
        "netCash": _total(row.net_cash for row in order),
        "cost": _total(_cost(row) for row in order),
        "fifoPnlRealized": _total(row.realized for row in order),
        "mtmPnl": _total(row.mtm for row in order),
        "levelOfDetail": "ORDER",
    }


def _lot(row: Row, trade: dict[str, str]) -> dict[str, str]:
    opened = _new_york(row.opened) if row.opened else ""
    return {
        **{name: text if name in KEPT_IN_LOT else "" for name, text in trade.items()},
        "quantity": _text(row.closed_quantity),
        "tradePrice": _text((row.closed_basis / row.closed_quantity / row.instrument.multiplier).quantize(NINE_PLACES)),
        "cost": _text(row.closed_basis),
        "fifoPnlRealized": _text(row.realized),
        "openDateTime": opened,
        "holdingPeriodDateTime": opened,
        "notes": "ST",
        "levelOfDetail": "CLOSED_LOT",
    }


def _confirms(section: ElementTree.Element, rows: list[Row], query: FlexQuery) -> None:
    for order in _by_order(rows):
        if query.orders:
            ElementTree.SubElement(section, "Order", _order_confirm(order))
        for row in order:
            ElementTree.SubElement(section, "TradeConfirm", _confirm(row))


def _confirm(row: Row) -> dict[str, str]:
    """Print a confirmation: other words than AF, and no transaction id."""
    cancels = row.cancels
    code = [*row.open_close.split(";"), *row.notes.split(";")]
    instrument = _instrument(row)
    del instrument["fxRateToBase"]
    return {
        **instrument,
        "transactionType": row.kind,
        "tradeID": "" if row.trade_id is None else str(row.trade_id),
        "orderID": str(row.order_id),
        "execID": row.exec_id,
        **dict.fromkeys(("brokerageOrderID", "orderReference", "volatilityOrderLink", "clearingFirmID"), ""),
        "origTradePrice": _text(cancels.price) if cancels else "0",
        "origTradeDate": f"{cancels.trade_date:%Y%m%d}" if cancels else "",
        "origTradeID": str(cancels.trade_id) if cancels else "",
        "extExecID": "",
        "orderTime": _new_york(row.when),
        "dateTime": _new_york(row.when),
        "reportDate": f"{row.report_date:%Y%m%d}",
        "settleDate": "" if cancels else _settles(row),
        "tradeDate": f"{row.trade_date:%Y%m%d}",
        "exchange": row.exchange,
        "buySell": row.side,
        "quantity": _text(row.quantity),
        "price": _text(row.price),
        "amount": _text(row.trade_money),
        "proceeds": _text(row.proceeds),
        "netCash": _text(row.net_cash),
        "commission": _text(row.commission),
        "brokerExecutionCommission": _text(row.commission),
        "brokerClearingCommission": "0",
        "thirdPartyExecutionCommission": "0",
        "thirdPartyClearingCommission": "0",
        "thirdPartyRegulatoryCommission": "0",
        "otherCommission": "0",
        "commissionCurrency": row.commission_currency,
        "tax": _text(row.taxes),
        "code": ";".join(filter(None, code)),
        "orderType": row.order_type,
        "levelOfDetail": "EXECUTION",
        "traderID": "",
        "isAPIOrder": "N",
        "allocatedTo": "",
        "accruedInt": "0",
    }


def _order_confirm(order: list[Row]) -> dict[str, str]:
    commission = _total(row.commission for row in order)
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
        "quantity": _total(row.quantity for row in order),
        "price": _average_price(order),
        "amount": _total(row.trade_money for row in order),
        "proceeds": _total(row.proceeds for row in order),
        "netCash": _total(row.net_cash for row in order),
        "commission": commission,
        "brokerExecutionCommission": commission,
        "tax": _total(row.taxes for row in order),
        "levelOfDetail": "ORDER",
        "isAPIOrder": "",
    }


# -- cash report -----------------------------------------------------------------------------------------------------


def _cash_report(section: ElementTree.Element, account: str, rows: list[Row], asked: Generating) -> None:
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
            fromDate=f"{asked.first:%Y%m%d}", toDate=f"{asked.last:%Y%m%d}", startingCash=_text(started[currency]),
            commissions=_text(lines["commissions"]), cashSettlingMtm=_text(lines["cashSettlingMtm"]),
            netTradesSales=_text(lines["netTradesSales"]), netTradesPurchases=_text(lines["netTradesPurchases"]),
            transactionTax=_text(lines["transactionTax"]),
            endingCash=_text(started[currency] + sum(lines.values(), ZERO)),
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


# -- formats ---------------------------------------------------------------------------------------------------------


def _text(number: Decimal) -> str:
    """Print a number as IBKR does: no exponent, no trailing zeros, no thousands mark."""
    plain = f"{number:f}"
    plain = plain.rstrip("0").rstrip(".") if "." in plain else plain
    return "0" if plain in {"", "-0"} else plain


def _new_york(moment: datetime) -> str:
    return moment.astimezone(NEW_YORK).strftime("%Y%m%d;%H%M%S")


def _flex_date(text: str) -> date:
    try:
        if len(text) != 8 or not text.isdecimal():
            raise Refused("1020")
        return date(int(text[:4]), int(text[4:6]), int(text[6:]))
    except ValueError:
        raise Refused("1020") from None


def _total(numbers: Iterable[Decimal]) -> str:
    return _text(sum(numbers, ZERO))


def _average_price(order: list[Row]) -> str:
    quantity = sum((row.quantity for row in order), ZERO)
    return _text((sum((row.quantity * row.price for row in order), ZERO) / quantity).quantize(NINE_PLACES))


def _cost(row: Row) -> Decimal:
    """Tell what an opening row put into the position, or, negative, what a closing row took out of it."""
    if row.instrument.category == "CASH":
        return ZERO
    return -row.closed_basis if row.closed_quantity else row.trade_money - row.commission - row.taxes


def _settles(row: Row) -> str:
    """Currencies settle in two days, shares in two until the end of May 2024, everything else the next day."""
    slow = row.instrument.category == "CASH" or (
        row.instrument.category == "STK" and row.trade_date < date(2024, 5, 28)
    )
    return f"{business_day_after(row.trade_date, 2 if slow else 1):%Y%m%d}"


# -- the server ------------------------------------------------------------------------------------------------------


def create_app(broker: FlexBroker) -> Starlette:
    """Serve a broker under IBKR's own paths, and its controls under /sandbox/."""

    async def respond(answer: Answer) -> Response:
        await asyncio.sleep(answer.after_seconds)
        return Response(answer.body, answer.status, {"content-type": answer.content_type})

    async def send_request(request: Request) -> Response:
        url = str(request.base_url).rstrip("/") + f"{SERVICE_PATH}/GetStatement"
        return await respond(broker.send_request(request.query_params, request.headers.get("user-agent"), url))

    async def get_statement(request: Request) -> Response:
        return await respond(broker.get_statement(request.query_params, request.headers.get("user-agent")))

    async def legacy(_: Request) -> Response:
        return await respond(broker.legacy())

    async def book(_: Request) -> Response:
        return JSONResponse(broker.book())

    async def advance(request: Request) -> Response:
        days = request.query_params.get("days", "1")
        if not days.isdecimal() or not 1 <= int(days) <= 366:
            return JSONResponse({"error": "days must be a number from 1 to 366"}, 400)
        broker.advance(int(days))
        return JSONResponse({"today": broker.today.isoformat(), "visible_rows": len(broker.visible())})

    async def fault(request: Request) -> Response:
        name, switch = request.query_params.get("name", ""), request.query_params.get("on", "1")
        if name not in FAULTS or switch not in {"0", "1"}:
            return JSONResponse({"error": "unknown fault, or `on` is not 0 or 1", "faults": FAULTS}, 400)
        (broker.faults.add if switch == "1" else broker.faults.discard)(name)
        return JSONResponse({"on": sorted(broker.faults)})

    async def requests(_: Request) -> Response:
        endpoints = ("SendRequest", "GetStatement", "legacy", "refused_1018")
        return JSONResponse({name: broker.requests[name] for name in endpoints})

    return Starlette(
        routes=[
            Route(f"{SERVICE_PATH}/SendRequest", send_request),
            Route(f"{SERVICE_PATH}/GetStatement", get_statement),
            Route(f"{LEGACY_PATH}.SendRequest", legacy),
            Route(f"{LEGACY_PATH}.GetStatement", legacy),
            Route("/sandbox/book", book),
            Route("/sandbox/requests", requests),
            Route("/sandbox/advance", advance, methods=["POST"]),
            Route("/sandbox/fault", fault, methods=["POST"]),
        ]
    )


@contextmanager
def running(broker: FlexBroker, host: str = "127.0.0.1", port: int = 0) -> Iterator[str]:
    """Serve in a thread and yield the base URL; port 0 takes a free one."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        server = uvicorn.Server(
            uvicorn.Config(create_app(broker), lifespan="off", log_level="warning", timeout_graceful_shutdown=1)
        )
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        listener.listen(128)  # connections queue from here on, so there is nothing to wait for
        thread.start()
        try:
            yield f"http://{host}:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(timeout=10)
