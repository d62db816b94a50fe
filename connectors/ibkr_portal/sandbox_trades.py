"""Which trades /iserver/account/trades lists: its quirks, as they were measured on the real gateway.

- the first list of a brokerage session is empty, whatever there is
- without `accountId`, or with another account than the one selected, it is empty
- `days=1` and `days=2` give nothing; none, or 7 and more, give today and the six days before, as New York counts days;
  3 to 6 give as many days
- the latest revision of an execution stands in the list, those before only with the fault `every_revision`; newest first
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, time, timedelta

from connectors.ibkr_portal.sandbox_book import NEW_YORK, Book
from connectors.ibkr_portal.sandbox_faults import Faults
from connectors.ibkr_portal.sandbox_rows import Row, as_older_server, commission_is_late, print_trade, with_venue
from connectors.ibkr_portal.sandbox_session import Brokerage, bad_request

PATH = "/iserver/account/trades"
MOST_DAYS = 7
FEWEST_DAYS = 3  # fewer give nothing


def list_trades(
    book: Book, session: Brokerage, params: Mapping[str, str], now: datetime, faults: Faults, refresh: timedelta
) -> list[Row]:
    """List the selected account's trades, and mark the session as primed."""
    days = _read_days(params.get("days"))
    primed, session.primed = session.primed, True
    if not primed or params.get("accountId") != session.selected or days < FEWEST_DAYS:
        return []
    known_at = _known_at(session, now, faults, refresh)
    since = _midnight(known_at) - timedelta(days=days - 1)
    alias = next(account.alias or account.number for account in book.accounts if account.number == session.selected)
    untold = faults.strikes("no_commissions", PATH)
    older = faults.strikes("older_server", PATH)
    routed = faults.strikes("conid_with_venue", PATH)
    told = book.revisions(known_at) if faults.strikes("every_revision", PATH) else book.standing(known_at)
    rows = []
    for trade in reversed(told):
        if trade.account == session.selected and trade.at >= since.astimezone(UTC):
            row = print_trade(trade, alias, with_commission=not untold and not commission_is_late(trade, known_at))
            row = as_older_server(row, trade.price) if older else row
            rows.append(with_venue(row) if routed else row)
    return rows


def _known_at(session: Brokerage, now: datetime, faults: Faults, refresh: timedelta) -> datetime:
    """Tell of when the list is: now, or when it was last made anew."""
    made = session.listed_at.get(session.selected)
    if "stale_trades" in faults and made is not None and now - made < refresh:
        return made
    session.listed_at[session.selected] = now
    return now


def _midnight(moment: datetime) -> datetime:
    return datetime.combine(moment.astimezone(NEW_YORK).date(), time(0), NEW_YORK)


def _read_days(text: str | None) -> int:
    if text is None:
        return MOST_DAYS
    if not text.isdecimal():
        raise bad_request("Bad Request: days must be a number")
    return min(int(text), MOST_DAYS)
