"""The gateway's protocols, top to bottom: how are things, what was traded, what are these contracts, stay awake."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from connectors.checkup import Checkup, Finding, Level
from connectors.errors import Rejected, Transient
from connectors.ibkr_portal import checkup, endpoints, replies
from connectors.ibkr_portal.asking import asked
from connectors.ibkr_portal.endpoints import Credentials
from connectors.ibkr_portal.lately import Lately
from connectors.ibkr_portal.replies import Accounts, Tier
from connectors.ibkr_portal.session import away
from connectors.wire import Call, Conversation, Exchanging, Pause, Window, ask

PRIMING_PAUSE = 5.5  # the first list of a session is empty; the second may be asked for after five seconds


def check(credentials: Credentials, _recent: Sequence[Call], now: datetime) -> Checkup:
    """Look at the session with one question, and leave it as it is."""
    access = credentials.access
    try:
        response = yield from ask(endpoints.auth_status(credentials))
        yield Finding(Level.OK, f"{access.who} at {credentials.base_url} answers")
        yield checkup.of_date(response.headers.get("date"), response.answered_at, access)
        session = replies.read(response, "auth_status", access)
    except Transient as trouble:
        raise away(credentials, trouble, now) from trouble
    yield checkup.of_session(session, access, may_compete=credentials.may_compete)


def trades(credentials: Credentials, window: Window, recent: Sequence[Call] = ()) -> Conversation:  # noqa: ARG001  (it tells what it tells)
    """Fetch the executions of the last days of each account, one account after the other: the selection is the session's."""
    held: Accounts = yield from asked(endpoints.accounts(credentials))
    is_awake, selected = Lately.at(credentials.base_url, recent).is_awake(), held.selected
    for account in _wanted(credentials, held):
        if account != selected:
            yield from asked(endpoints.switch_account(credentials, account))
            selected = account
        rows = yield from _listed(credentials, account)
        if replies.is_anothers(rows, account):
            yield Pause(PRIMING_PAUSE, "the list of another account came")
            yield from asked(endpoints.switch_account(credentials, account))
            yield from _listed(credentials, account)
        elif not rows or not is_awake:
            yield Pause(PRIMING_PAUSE, "the first list of a session is not to be believed")
            yield from _listed(credentials, account)


def describe(credentials: Credentials, conids: Sequence[str]) -> Conversation:
    """Ask what contracts are: their currency, multiplier and terms. Works without a brokerage session."""
    every = sorted(set(conids))
    for first in range(0, len(every), endpoints.MOST_CONIDS):
        yield from asked(endpoints.secdef(credentials, every[first : first + endpoints.MOST_CONIDS]))


def keep_alive(credentials: Credentials) -> Conversation:
    """Tickle once. Raises `AuthRequired` when there is no session left to keep."""
    session = yield from asked(endpoints.tickle(credentials))
    if session.tier in (Tier.BROKERAGE_DOWN, Tier.COMPETING):
        raise replies.needs_login(session, credentials.access)


def windows(since: datetime, until: datetime) -> list[Window]:
    """Take a span as one question: the portal answers for the same last days whatever it is asked."""
    return [Window(since, until)] if since < until else []


def _wanted(credentials: Credentials, held: Accounts) -> Sequence[str]:
    """Give the accounts to read. One that the login does not have is refused: its rows would be another's."""
    missing = [account for account in credentials.accounts if account not in held.accounts]
    if missing:
        raise Rejected(
            f"The login has no account {', '.join(missing)}; it has {', '.join(held.accounts)}.",
            code="account",
            remedy="Correct FILLHOUSE_IBKR_PORTAL_ACCOUNTS.",
        )
    return credentials.accounts or held.accounts


def _listed(credentials: Credentials, account: str) -> Exchanging[list[Any]]:
    """Ask for an account's executions; a session that says it was not primed is primed."""
    try:
        told: list[Any] = yield from asked(endpoints.trades(credentials, account))
    except Transient as trouble:
        if trouble.code != replies.NOT_PRIMED:
            raise
        yield from asked(endpoints.accounts(credentials))
        yield from asked(endpoints.switch_account(credentials, account))
        told = yield from asked(endpoints.trades(credentials, account))
    return told
