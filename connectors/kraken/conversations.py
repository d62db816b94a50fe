"""Kraken's protocols, top to bottom: pages newest first until they add up, or a report that is ordered and fetched.

Either way the ledger is asked for too, and a trade that it alone names is asked for by its id.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from itertools import chain, count, repeat
from math import floor
from types import MappingProxyType

from connectors.checkup import Checkup, Finding, Level, of_clocks, of_error
from connectors.errors import GRAIN, ContractViolation, Rejected, Transient
from connectors.kraken import checkup, endpoints, exports, replies
from connectors.kraken.asking import PAGE, Caller, calling, met
from connectors.kraken.bounds import is_bounded, readable
from connectors.kraken.endpoints import TOKENISED, Credentials
from connectors.wire import Call, Conversation, Exchanging, Pause, Request, Response, Window

PUBLIC_PAUSE = 1.0
POLLS = (5.0, 5.0, 10.0, 20.0)  # then every 30 s, for an hour in all
LAST_POLL = 30.0
PATIENCE = 3600.0
EXPORT_LAG = 300.0  # how old a trade is before it must be in an export
MOST_IDS = 20  # that Kraken looks up at once


def windows(since: datetime, until: datetime) -> list[Window]:
    """Cut a span into quarters of a year, oldest first: few enough to ask for, small enough to begin again.

    What is more than five years old, and for most accounts empty, is cut into years.
    """
    pieces, start = [], since
    while start < until:
        is_old = start.year < until.year - 5
        month = 13 if is_old else 3 * ((start.month - 1) // 3) + 4
        ends = datetime(start.year + month // 13, (month - 1) % 12 + 1, 1)  # noqa: DTZ001  (windows are naive, in UTC)
        end = min(until, ends)
        pieces.append(Window(start, end))
        start = end
    return pieces


def reference(credentials: Credentials, recent: Sequence[Call] = ()) -> Conversation:
    """Fetch how assets and pairs are named, in the old style and the new one, tokenised ones too."""
    caller = yield from calling(credentials, recent)
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
    caller = yield from calling(credentials, recent)
    part = yield from readable(caller, *caller.seconds(window))
    listed = yield from _walk(caller, endpoints.trades_history, part.start, part.end)
    booked = yield from _walk(caller, endpoints.ledgers, part.start, part.end)
    yield from _confirm(caller, booked - listed)
    if part.refusal is not None:
        raise part.refusal


def export(credentials: Credentials, window: Window, recent: Sequence[Call] = ()) -> Conversation:
    """Order the reports of one window, fetch them when they are made, and compare them with the newest pages."""
    caller = yield from calling(credentials, recent)
    part = yield from readable(caller, *caller.seconds(window))
    if part.refusal is not None:  # a report is believed as a whole
        raise part.refusal
    start, end = part.start, part.end
    ordered_at = caller.now + caller.ahead
    orders = []
    for report in REPORTS:
        request = endpoints.add_export(credentials, report, start, end)
        orders.append((report, (yield from caller.read(request, _export_id))))
    fetched = {}
    for report, export_id in orders:
        yield from _until_made(caller, report, export_id)
        archive = yield from caller.read(endpoints.retrieve_export(credentials, export_id), _export)
        fetched[report] = list(exports.rows_of(archive))
        yield from caller.read(endpoints.remove_export(credentials, export_id), _result)
    for report, question in REPORTS.items():
        page = yield from caller.read(question(credentials, start, end, 0), replies.read_page)
        require_same(report, fetched[report], page, ordered_at)
    listed = {row["txid"] for row in fetched["trades"]}
    if not (yield from _confirm(caller, replies.trades_named(fetched["ledgers"]) - listed)):
        raise ContractViolation(
            "Kraken's export of ledger entries names trades that its export of trades lacks.",
            code=GRAIN,
            remedy=BY_PAGES,
        )


def recognise(credentials: Credentials, txids: Sequence[str], recent: Sequence[Call] = ()) -> Conversation:
    """Look trades up one by one until Kraken knows one with this key. Raises `Rejected` where it knows none of them.

    What a key with bounded queries does not know says nothing.
    """
    caller = yield from calling(credentials, recent)
    for txid in txids:
        try:
            found = yield from caller.read(endpoints.query_trades(credentials, (txid,)), replies.read_trades)
        except Rejected as refusal:
            if not replies.is_about_the_question(refusal):
                raise
            continue
        if txid in found:
            return
    if txids and not (yield from is_bounded(caller)):
        raise Rejected(
            f"The key does not know trades that the one before it has told, such as {txids[0]}: it is another account's.",
            code=replies.STRANGER,
            remedy="Give the other account a name of its own (the field Account, FILLHOUSE_KRAKEN_ACCOUNT), or use a key of the "
            f"account {credentials.account}.",
        )


def check(credentials: Credentials, recent: Sequence[Call], now: datetime) -> Checkup:
    """Compare the clocks, ask for one second of each thing a sync asks for, and what the key may do besides.

    Nothing is tried that could trade or move money, not even to see it refused.
    """
    caller = yield from met(credentials, recent)
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


BY_PAGES = "Fetch this history by pages: fillhouse backfill --via pages."
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
            code=GRAIN,
            remedy=BY_PAGES,
        )


def _walk(
    caller: Caller, question: Callable[[Credentials, int, int, int], Request], start: int, end: int
) -> Exchanging[frozenset[str]]:
    """Walk the pages of `(start, end]`; once more if they do not add up, then each half of the window by itself.

    What fits on a page is not halved: there is no paging that could have lost rows, so it is the count that is wrong, and
    smaller windows would be asked without end. What is lacking shows in the coverage. Gives the trades that were named.
    """
    rows, trades = frozenset[str](), frozenset[str]()
    for _ in range(2):
        brought, named, adds_up = yield from _walked(caller, question, start, end)
        rows, trades = rows | brought, trades | named
        if adds_up:
            return trades
    middle = (start + end) // 2
    if len(rows) >= PAGE and start < middle < end:
        trades |= yield from _walk(caller, question, start, middle)
        trades |= yield from _walk(caller, question, middle, end)
    return trades


def _walked(
    caller: Caller, question: Callable[[Credentials, int, int, int], Request], start: int, end: int
) -> Exchanging[tuple[set[str], set[str], bool]]:
    """Walk the pages once. Gives the distinct rows, the trades they name, and whether as many came as the last page counts."""
    seen, trades = set[str](), set[str]()
    for offset in count(step=PAGE):
        request = question(caller.credentials, start, end, offset)
        page = yield from caller.read(request, replies.read_page)
        is_known = seen.issuperset(page.rows)
        seen.update(page.rows)
        trades.update(page.trades)
        if page.count:
            yield caller.progress(request.endpoint, len(seen), page.count, offset)
        if page.count is None:
            if len(page.rows) < PAGE:
                return seen, trades, True
            if is_known:  # and so would be the next
                raise ContractViolation(f"Kraken answered {request.endpoint} with the same page again.")
        elif not page.rows or offset + PAGE >= page.count:
            return seen, trades, len(seen) == page.count
    raise AssertionError


def _confirm(caller: Caller, txids: Collection[str]) -> Exchanging[bool]:
    """Ask by their ids for trades that the ledger has and no list of trades. Tells whether each was answered for.

    A refusal of many is looked into: one unknown id may spoil it for the others. Where that brought nothing, the next
    refusal is taken as it is, so that a Kraken that refuses them all is not asked for each.
    """
    wanted = sorted(txids)
    is_answered = is_worth_it = True
    for first in range(0, len(wanted), MOST_IDS):
        batch = tuple(wanted[first : first + MOST_IDS])
        if is_worth_it:
            is_worth_it = yield from _are_any_known(caller, batch)
        else:
            is_worth_it = yield from _looked_up(caller, batch)
            is_answered &= is_worth_it
    return is_answered


def _are_any_known(caller: Caller, txids: tuple[str, ...]) -> Exchanging[bool]:
    """Look trades up, and where that is refused each half of them by itself."""
    if (yield from _looked_up(caller, txids)):
        return True
    if len(txids) == 1:
        return False
    middle = len(txids) // 2
    former = yield from _are_any_known(caller, txids[:middle])
    latter = yield from _are_any_known(caller, txids[middle:])
    return former or latter


def _looked_up(caller: Caller, txids: tuple[str, ...]) -> Exchanging[bool]:
    try:
        yield from caller.read(endpoints.query_trades(caller.credentials, txids), _result)
    except Rejected as refusal:
        if not replies.is_about_the_question(refusal):
            raise
        return False
    except ContractViolation as strange:  # no word on these trades, and none against all that was told before
        raise Transient(strange.message, code=strange.code) from strange
    return True


def _until_made(caller: Caller, report: str, export_id: str) -> Conversation:
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
