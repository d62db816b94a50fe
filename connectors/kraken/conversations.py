"""Kraken's protocols, top to bottom: pages newest first until they add up, or a report that is ordered and fetched."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain, count, repeat
from math import floor
from types import MappingProxyType
from typing import TypeVar

from connectors.checkup import Checkup, Finding, Level, of_clocks, of_error
from connectors.errors import UNREACHABLE, ContractViolation, RateLimited, Rejected, Transient
from connectors.kraken import checkup, endpoints, exports, replies
from connectors.kraken.budget import Budget, cost_of
from connectors.kraken.endpoints import TOKENISED, Credentials
from connectors.wire import Call, Conversation, Exchanging, Pause, Progress, Request, Response, Window, ask

PAGE = 50
WALKED = MappingProxyType({"TradesHistory": "trades", "Ledgers": "ledger entries"})
BACKOFFS = (2.0, 8.0, 30.0)  # the edge is often unwell for seconds; longer trouble, and no edge at all, is the runner's
NONCE_TRIES = 3
LONGEST_PAUSE = 60.0
THROTTLE_TRIES = 5
PUBLIC_PAUSE = 1.0
POLLS = (5.0, 5.0, 10.0, 20.0)  # then every 30 s, for an hour in all
LAST_POLL = 30.0
PATIENCE = 3600.0
EXPORT_LAG = 300.0  # how old a trade is before it must be in an export

Answer = TypeVar("Answer")


def windows(since: datetime, until: datetime) -> list[Window]:
    """Cut a span into quarters of a year, oldest first: few enough to ask for, small enough to begin again."""
    pieces, start = [], since
    while start < until:
        month = 3 * ((start.month - 1) // 3) + 4
        quarter = datetime(start.year + month // 13, (month - 1) % 12 + 1, 1)  # noqa: DTZ001  (windows are naive, in UTC)
        end = min(until, quarter)
        pieces.append(Window(start, end))
        start = end
    return pieces


def reference(credentials: Credentials, recent: Sequence[Call] = ()) -> Conversation:
    """Fetch how assets and pairs are named, in the old style and the new one, tokenised ones too."""
    caller = yield from _caller(credentials, recent)
    for request in (
        endpoints.assets(credentials),
        endpoints.assets(credentials, assetVersion="1"),
        endpoints.assets(credentials, aclass=TOKENISED),
        endpoints.asset_pairs(credentials),
        endpoints.asset_pairs(credentials, assetVersion="1"),
        endpoints.asset_pairs(credentials, aclass_base=TOKENISED),
    ):
        yield Pause(PUBLIC_PAUSE, "Kraken's public endpoints take one request a second")
        try:
            yield from caller.read(request, _result)
        except Rejected:
            if TOKENISED not in request.params.values():  # not every account may see tokenised assets
                raise


def pages(credentials: Credentials, window: Window, recent: Sequence[Call] = ()) -> Conversation:
    """Fetch the trades and ledger entries of one window page by page; each walk ends when its rows add up."""
    caller = yield from _caller(credentials, recent)
    start, end = caller.seconds(window)
    yield from _walk(caller, endpoints.trades_history, start, end)
    yield from _walk(caller, endpoints.ledgers, start, end)


def export(credentials: Credentials, window: Window, recent: Sequence[Call] = ()) -> Conversation:
    """Order the reports of one window, fetch them when they are made, and compare them with the newest pages."""
    caller = yield from _caller(credentials, recent)
    start, end = caller.seconds(window)
    ordered_at = caller.now + caller.ahead
    orders = []
    for report in REPORTS:
        request = endpoints.add_export(credentials, report, start, end)
        orders.append((report, (yield from caller.read(request, _export_id))))
    fetched = {}
    for report, export_id in orders:
        yield from _until_made(caller, report, export_id)
        fetched[report] = yield from caller.read(endpoints.retrieve_export(credentials, export_id), _export)
        yield from caller.read(endpoints.remove_export(credentials, export_id), _result)
    for report, question in REPORTS.items():
        page = yield from caller.read(question(credentials, start, end, 0), replies.read_page)
        require_same(report, exports.rows_of(fetched[report]), page, ordered_at)


def check(credentials: Credentials, recent: Sequence[Call], now: datetime) -> Checkup:
    """Compare the clocks, ask for one second of each thing a sync asks for, and what the key may do besides.

    Nothing is tried that could trade or move money, not even to see it refused.
    """
    caller = yield from _met(credentials, recent)
    yield of_clocks("Kraken's", caller.ahead + floor(caller.now), caller.now)
    second = floor(caller.now + caller.ahead)
    for what, request in (
        ("trades", endpoints.trades_history(credentials, second - 1, second, 0)),
        ("ledger entries", endpoints.ledgers(credentials, second - 1, second, 0)),
        ("export reports", endpoints.export_status(credentials, "trades")),
    ):
        try:
            yield from caller.once(request, _result)
        except Rejected as refusal:
            yield of_error(refusal)
        else:
            yield Finding(Level.OK, f"the key may read {what}")
    try:
        info = yield from caller.once(endpoints.key_info(credentials), _key_info)
    except Rejected:
        yield checkup.UNTOLD
    else:
        yield from checkup.of_key(info, now)


REPORTS: Mapping[str, Callable[[Credentials, int, int, int], Request]] = MappingProxyType(
    {"trades": endpoints.trades_history, "ledgers": endpoints.ledgers}
)


def require_same(report: str, exported: Sequence[Mapping[str, str]], page: replies.Page, ordered_at: float) -> None:
    """Raise `ContractViolation` unless an export tells as many rows as Kraken counts, and every row of the newest page.

    Rows booked about when the export was ordered may be in one and not in the other. Ledger entries that are still
    pending have an id on a page and none in an export.
    """
    late = {row_id for row_id, moment in page.rows.items() if moment > ordered_at - EXPORT_LAG}
    ids = {row["txid"] for row in exported}
    unnamed = sum(not row["txid"] for row in exported)
    missing = page.rows.keys() - late - ids
    short = page.count is not None and len(exported) < page.count - len(late)
    if len(missing) > unnamed or short:
        raise ContractViolation(
            f"Kraken's export tells {len(exported)} {report} where it counts {page.count}, and lacks {len(missing)} of the "
            f"{len(page.rows)} on the newest page.",
            code=replies.GRAIN,
            remedy="Fetch this history by pages: fillhouse backfill --via pages.",
        )


@dataclass(slots=True)
class _Caller:
    """Asks with one key: keeps the counter's balance, and knows which troubles to wait out."""

    credentials: Credentials
    budget: Budget
    now: float  # seconds since 1970 by our clock, as of the last answer
    ahead: float  # by how many seconds Kraken's clock is ahead of ours

    def seconds(self, window: Window) -> tuple[int, int]:
        """Give a window as Kraken's `(start, end]` in whole seconds, ending with this one at the latest.

        What happens in the rest of this second may come or not; the next sync begins before it.
        """
        now = floor(self.now + self.ahead) + 1
        start = floor(window.since.replace(tzinfo=UTC).timestamp()) - 1
        return start, max(min(floor(window.until.replace(tzinfo=UTC).timestamp()), now), start + 1)

    def read(self, request: Request, reader: Callable[[Response, str], Answer]) -> Exchanging[Answer]:
        """Ask and read, inside the budget; short troubles are waited out, the others raised."""
        troubles: Iterator[float] = iter(BACKOFFS)
        nonces = throttles = 0
        while True:
            try:
                return (yield from self.once(request, reader))
            except Transient as trouble:
                if trouble.code == replies.BAD_NONCE:
                    nonces += 1
                    if nonces >= NONCE_TRIES:
                        raise Rejected(trouble.message, code=trouble.code, remedy=trouble.remedy) from trouble
                    continue  # the next one is larger
                seconds = next(troubles, None)
                if seconds is None or trouble.code == UNREACHABLE:
                    raise
                yield from self.pause(seconds, "Kraken is unwell")
            except RateLimited as limit:
                throttles += 1
                seconds = self._patience(limit)
                if seconds > LONGEST_PAUSE or throttles >= THROTTLE_TRIES:
                    raise RateLimited(
                        limit.message, retry_after=seconds, code=limit.code, remedy=limit.remedy
                    ) from limit
                yield from self.pause(seconds, "Kraken asks for fewer requests")

    def once(self, request: Request, reader: Callable[[Response, str], Answer]) -> Exchanging[Answer]:
        """Ask and read, inside the budget; any trouble is raised."""
        yield from self.pause(self.budget.at(self.now).wait_for(cost_of(request.endpoint)), "Kraken's rate counter")
        return reader((yield from self._ask(request)), request.endpoint)

    def _ask(self, request: Request) -> Exchanging[Response]:
        try:
            response = yield from ask(request)
            self.now = max(self.now, response.answered_at.timestamp())
        finally:
            self.budget = self.budget.spent(cost_of(request.endpoint), self.now)
        return response

    def _patience(self, limit: RateLimited) -> float:
        """Say how long to keep still after a refusal: as told, else until the counter is down to half."""
        until = replies.throttled_until(limit)
        if until is not None:
            return max(until - (self.now + self.ahead), 1.0)
        if limit.code.startswith(replies.TOO_MANY):
            self.budget = self.budget.exhausted(self.now)
            return max(self.budget.wait_for_half(), 5.0)
        return limit.retry_after

    def progress(self, endpoint: str, seen: int, of: int, offset: int) -> Progress:
        """Say how far a walk has come, and how long what is left of it takes at the least."""
        pages, pages_of = offset // PAGE + 1, max(-(-of // PAGE), offset // PAGE + 1)
        counter = self.budget.at(self.now)
        return Progress(
            WALKED[endpoint],
            seen,
            of,
            pages,
            pages_of,
            f"Kraken's rate counter at {counter.level:.0f} of {counter.ceiling:.0f}",
            counter.wait_for((pages_of - pages) * cost_of(endpoint)),
        )

    def pause(self, seconds: float, why: str) -> Conversation:
        """Wait, and know that time has passed."""
        if seconds > 0:
            yield Pause(seconds, why)
            self.now += seconds


def _caller(credentials: Credentials, recent: Sequence[Call]) -> Exchanging[_Caller]:
    """Ask the time first: it costs nothing, says how far the clocks are apart, and when the counting begins."""
    for seconds in BACKOFFS:
        try:
            return (yield from _met(credentials, recent))
        except Transient as trouble:
            if trouble.code == UNREACHABLE:
                raise
            yield Pause(seconds, "Kraken is unwell")
    return (yield from _met(credentials, recent))


def _met(credentials: Credentials, recent: Sequence[Call]) -> Exchanging[_Caller]:
    response = yield from ask(endpoints.server_time(credentials))
    theirs = replies.read_time(response)
    ours = response.answered_at.timestamp()
    return _Caller(credentials, Budget.of(credentials.tier, recent, ours), ours, theirs - floor(ours))


def _walk(
    caller: _Caller, question: Callable[[Credentials, int, int, int], Request], start: int, end: int
) -> Conversation:
    """Walk the pages of `(start, end]`; once more if they do not add up, then each half of the window by itself.

    What fits on a page is not halved: there is no paging that could have lost rows, so it is the count that is wrong, and
    smaller windows would be asked without end. What is lacking shows in the coverage.
    """
    brought: set[str] = set()
    for _ in range(2):
        rows, adds_up = yield from _walked(caller, question, start, end)
        if adds_up:
            return
        brought |= rows
    middle = (start + end) // 2
    if len(brought) >= PAGE and start < middle < end:
        yield from _walk(caller, question, start, middle)
        yield from _walk(caller, question, middle, end)


def _walked(
    caller: _Caller, question: Callable[[Credentials, int, int, int], Request], start: int, end: int
) -> Exchanging[tuple[set[str], bool]]:
    """Walk the pages once. Gives the distinct rows, and whether they are as many as the last page counts."""
    seen: set[str] = set()
    for offset in count(step=PAGE):
        request = question(caller.credentials, start, end, offset)
        page = yield from caller.read(request, replies.read_page)
        is_known = seen.issuperset(page.rows)
        seen.update(page.rows)
        if page.count:
            yield caller.progress(request.endpoint, len(seen), page.count, offset)
        if page.count is None:
            if len(page.rows) < PAGE:
                return seen, True
            if is_known:  # and so would be the next
                raise ContractViolation(f"Kraken answered {request.endpoint} with the same page again.")
        elif not page.rows or offset + PAGE >= page.count:
            return seen, len(seen) == page.count
    raise AssertionError


def _until_made(caller: _Caller, report: str, export_id: str) -> Conversation:
    """Poll until a report can be fetched."""
    waited = 0.0
    for seconds in chain(POLLS, repeat(LAST_POLL)):
        if waited > PATIENCE:
            break
        yield from caller.pause(seconds, f"Kraken is making the report of {report}")
        waited += seconds
        request = endpoints.export_status(caller.credentials, report)
        if (yield from caller.read(request, lambda response, _endpoint: replies.export_is_ready(response, export_id))):
            return
    raise Transient(f"Kraken did not finish the report of {report} within an hour.", code="export")


def _result(response: Response, endpoint: str) -> object:
    return replies.result_of(response, endpoint)


def _key_info(response: Response, _endpoint: str) -> replies.KeyInfo:
    return replies.read_key_info(response)


def _export_id(response: Response, _endpoint: str) -> str:
    return replies.read_export_id(response)


def _export(response: Response, _endpoint: str) -> bytes:
    return replies.read_export(response)
