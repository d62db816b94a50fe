"""The Flex service of the sandbox, without the wire: what a call is answered with, and why.

A sick edge (faults `http_503`, `html_page`, `empty_body`) answers before the service sees anything. The rules, each refused with
IBKR's code inside an HTTP 200, in the order they are looked at:

- the retired `/Universal/servlet/` addresses: 1001 whatever is asked
- no User-Agent, or a blank one: 1020
- token blank: 1020, unknown: 1015, expired: 1012; called from a forbidden address: 1013
- more than one call a second or ten a minute with one token, both endpoints and all queries together: 1018
  (a refused call does not count; IBKR does not say whether it does)
- `v` absent (the service then assumes 2) or not 3: 1001
- a fault that refuses by code: 1009, 1001, 1025 at SendRequest, 1005 at GetStatement (`sandbox_faults`)
- query unknown: 1014; its days not to be had: 1020 or 1003 (`sandbox_queries`)
- reference unknown, or another token's: 1017; statement still being generated: 1019, which is a `Warn`
"""

from __future__ import annotations

import threading
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from xml.etree import ElementTree

from connectors.ibkr_flex.sandbox_book import History
from connectors.ibkr_flex.sandbox_calendar import NEW_YORK, business_day_after, is_business_day
from connectors.ibkr_flex.sandbox_faults import (
    ERRORS,
    FOREIGN_URL,
    HTML,
    REFUSED_BY_FAULT,
    SLOW_FACTOR,
    WARNINGS,
    Refused,
)
from connectors.ibkr_flex.sandbox_queries import ACCOUNTS, FlexQuery, Generating, stored_queries, window
from connectors.ibkr_flex.sandbox_rows import Row, standing
from connectors.ibkr_flex.sandbox_statement import print_statement
from connectors.ibkr_flex.sandbox_wire import NINE_PLACES, plain

TOKEN = "104729550318842907361"
EXPIRED_TOKEN = "104729550318842900000"


@dataclass(frozen=True, slots=True)
class Answer:
    body: bytes
    status: int = 200
    content_type: str = "text/xml;charset=utf-8"
    after_seconds: float = 0.0


def wall_clock() -> datetime:
    return datetime.now(UTC)


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

    def rows_until(self, day: date) -> list[Row]:
        """Give every row up to a day, which may be one to come."""
        with self._lock:
            self._history.extend_to(day)
            return list(self._history.rows)

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
        first, last, period = window(query, params, today=self.today, history_begins=self._history.first_day)
        if "short_range" in self.faults:
            first = last - (last - first) // 2
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
        body = print_statement(self.history.rows, asked, self.business_now)
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

    def trade_now(self, account: str) -> Row:
        """Let a customer trade at this very second; the activity statement tells it when the day is over."""
        with self._lock:
            moment = self.business_now.replace(microsecond=0)
            day = self.today if is_business_day(self.today) else business_day_after(self.today, 1)
            self._history.extend_to(day)
            return self._history.trade(account, moment, day)

    def put_forward(self, span: timedelta) -> None:
        """Let time pass in the calendar."""
        with self._lock:
            self._ahead += span
            self._history.extend_to(self.today)

    def advance(self, days: int = 1) -> None:
        """Move the calendar on until this many more business days are complete and so visible in AF statements."""
        with self._lock:
            if not self._corrected:
                self._corrected = True
                due = self.today if is_business_day(self.today) else business_day_after(self.today, 1)
                self.cancel_and_rebook(report_date=due)
            while days > 0:
                days -= is_business_day(self.today)
                self.put_forward(timedelta(days=1))

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
                    "quantity": plain(abs(row.quantity)),
                    "price": plain(row.price),
                    "commission": plain(paid[row.family]),
                    "commission_currency": row.commission_currency,
                    "time": row.when.isoformat(),
                    "status": "final",
                }
            )
        return {"ibkr_flex": accounts}
