"""The gateway's protocols, top to bottom: is the session ready, what was traded, what are these contracts, stay awake.

None of them takes a session from a person uninvited, and none asks twice for what only a person can give.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from connectors.checkup import Checkup, Finding, Level
from connectors.errors import UNREACHABLE, AuthRequired, Rejected, Transient
from connectors.ibkr_portal import checkup, endpoints, maintenance, replies
from connectors.ibkr_portal.endpoints import Credentials
from connectors.ibkr_portal.replies import Accounts, Session, Tier
from connectors.wire import CERTIFICATE, Call, Conversation, Exchanging, Pause, Request, Window, ask

PRIMING_PAUSE = 5.5  # the first list of a session is empty; the second may be asked for after five seconds
SETTLING = (2.0, 3.0, 5.0, 10.0)  # a session that was just opened takes a moment
BACKOFFS = (2.0, 8.0)  # one call in fifteen is said to fail by itself
FIRST_BACKOFF, LONGEST_BACKOFF = 60.0, 1800.0
LOOK_SECONDS = 61.0  # between two looks at the login
AWAKE_SECONDS = 300.0  # a session that nobody used for so long may be another one now


def preflight(credentials: Credentials, recent: Sequence[Call], now: datetime) -> Conversation:
    """Find out whether both session tiers are ready, and open the brokerage session once if that takes nothing from anybody.

    Raises `AuthRequired` where only a person helps, `Transient` where the gateway is away or IBKR is at maintenance.
    """
    try:
        session = yield from _asked(endpoints.auth_status(credentials))
    except Transient as trouble:
        raise _away(credentials, trouble, now) from trouble
    if session.tier is Tier.BROKERAGE_DOWN or (session.tier is Tier.COMPETING and credentials.may_compete):
        session = yield from _opened(credentials, recent, now)
    if session.tier is Tier.NOT_ESTABLISHED:
        session = yield from _settled(credentials, session)
    if session.tier is Tier.NOT_ESTABLISHED:
        raise Transient("The brokerage session is there, but its data is not.", code="not_established")
    if session.tier is not Tier.READY:
        ends = maintenance.ends_at(credentials.maintenance, now)
        if ends is not None and session.tier is Tier.BROKERAGE_DOWN:
            raise _resting(ends)
        raise replies.needs_login(session)


def check(credentials: Credentials, _recent: Sequence[Call], now: datetime) -> Checkup:
    """Look at gateway and session with one question, and leave both as they are."""
    try:
        response = yield from ask(endpoints.auth_status(credentials))
        yield Finding(Level.OK, f"the gateway at {credentials.base_url} answers")
        yield checkup.of_date(response.headers.get("date"), response.answered_at)
        session = replies.read(response, "auth_status")
    except Transient as trouble:
        raise _away(credentials, trouble, now) from trouble
    yield checkup.of_session(session, may_compete=credentials.may_compete)


def trades(credentials: Credentials, window: Window, recent: Sequence[Call] = ()) -> Conversation:  # noqa: ARG001  (it tells what it tells)
    """Fetch the executions of the last days of each account, one account after the other: the selection is the session's."""
    held: Accounts = yield from _asked(endpoints.accounts(credentials))
    selected = held.selected
    for account in _wanted(credentials, held):
        if account != selected:
            yield from _asked(endpoints.switch_account(credentials, account))
            selected = account
        rows = yield from _listed(credentials, account)
        if not rows or not _is_awake(recent):
            yield Pause(PRIMING_PAUSE, "the first list of a session is not to be believed")
            yield from _listed(credentials, account)


def describe(credentials: Credentials, conids: Sequence[str]) -> Conversation:
    """Ask what contracts are: their currency, multiplier and terms. Works without a brokerage session."""
    every = sorted(set(conids))
    for first in range(0, len(every), endpoints.MOST_CONIDS):
        yield from _asked(endpoints.secdef(credentials, every[first : first + endpoints.MOST_CONIDS]))


def keep_alive(credentials: Credentials) -> Conversation:
    """Tickle once. Raises `AuthRequired` when there is no session left to keep."""
    session = yield from _asked(endpoints.tickle(credentials))
    if session.tier in (Tier.BROKERAGE_DOWN, Tier.COMPETING):
        raise replies.needs_login(session)


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
        told: list[Any] = yield from _asked(endpoints.trades(credentials, account))
    except Transient as trouble:
        if trouble.code != replies.NOT_PRIMED:
            raise
        yield from _asked(endpoints.accounts(credentials))
        yield from _asked(endpoints.switch_account(credentials, account))
        told = yield from _asked(endpoints.trades(credentials, account))
    return told


def _is_awake(recent: Sequence[Call]) -> bool:
    """Tell whether the session was asked for trades so lately that it must be the same one still, and none was opened since."""
    asked = max((call.moment for call in recent if call.endpoint == "trades"), default=0.0)
    opened = max((call.moment for call in recent if call.endpoint == "ssodh_init"), default=0.0)
    latest = max((call.moment for call in recent), default=0.0)
    return asked > opened and latest - asked < AWAKE_SECONDS


def _opened(credentials: Credentials, recent: Sequence[Call], now: datetime) -> Exchanging[Session]:
    """Open the brokerage session, once: trying again and again is known to lock people out of their login."""
    waits = _backoff(recent, now.timestamp())
    if waits > 0:
        raise AuthRequired(
            f"The brokerage session is down; opening it did not help lately and is tried again in {waits / 60:.0f} min.",
            code="brokerage",
            remedy=replies.BROUGHT_DOWN,
        )
    if not _looked_lately(recent, now.timestamp()):  # else whoever has just logged in would wait a minute
        login: Session = yield from _once(endpoints.sso_validate(credentials))
        if login.tier is Tier.SSO_MISSING:
            return login
    session: Session = yield from _once(endpoints.ssodh_init(credentials, compete=credentials.may_compete))
    return session if session.tier in (Tier.READY, Tier.COMPETING) else (yield from _settled(credentials, session))


def _looked_lately(recent: Sequence[Call], now: float) -> bool:
    """Tell whether the login was looked at so lately that it may not be again; without one, an opening is refused as well."""
    return any(call.endpoint == "sso_validate" and call.moment > now - LOOK_SECONDS for call in recent)


def _backoff(recent: Sequence[Call], now: float) -> float:
    """Give the seconds to keep still: doubled with each opening since trades were last told, up to half an hour."""
    told = max((call.moment for call in recent if call.endpoint == "trades"), default=0.0)
    tries = [call.moment for call in recent if call.endpoint == "ssodh_init" and call.moment > told]
    if not tries:
        return 0.0
    return max(tries) + min(FIRST_BACKOFF * 2.0 ** (len(tries) - 1), LONGEST_BACKOFF) - now


def _settled(credentials: Credentials, session: Session) -> Exchanging[Session]:
    """Ask a few times how a session is that needs a moment."""
    for seconds in SETTLING:
        if session.tier in (Tier.READY, Tier.COMPETING):
            break
        yield Pause(seconds, "the brokerage session is coming up")
        session = yield from _once(endpoints.auth_status(credentials))
    return session


def _asked(request: Request) -> Exchanging[Any]:
    """Ask, and again where the gateway stumbled; a question that only priming helps is not repeated."""
    for seconds in BACKOFFS:
        try:
            return (yield from _once(request))
        except Transient as trouble:
            if trouble.code in (replies.NOT_PRIMED, UNREACHABLE, CERTIFICATE):
                raise
        yield Pause(seconds, "the gateway stumbled")
    return (yield from _once(request))


def _once(request: Request) -> Exchanging[Any]:
    response = yield from ask(request)
    return replies.read(response, request.endpoint)


def _away(credentials: Credentials, trouble: Transient, now: datetime) -> Transient | Rejected:
    """Say of a gateway that does not answer, or not sensibly, whether that is to be expected."""
    ends = maintenance.ends_at(credentials.maintenance, now)
    if ends is not None and trouble.code != CERTIFICATE:
        return _resting(ends)
    if trouble.code == CERTIFICATE:
        known_by = (
            "its certificate is not the one that is set"
            if credentials.certificate
            else "it has a certificate of its own"
        )
        return Rejected(
            f"The gateway at {credentials.base_url} is not trusted: {known_by}.",
            code=trouble.code,
            remedy="Set FILLHOUSE_IBKR_PORTAL_CERTIFICATE to the file (PEM) of the gateway's own certificate.",
        )
    if trouble.code != UNREACHABLE:
        return trouble
    return Transient(
        f"The gateway at {credentials.base_url} does not answer.",
        code=trouble.code,
        remedy="Start it (bin/run.sh root/conf.yaml); the next run goes on by itself once somebody has logged in.",
    )


def _resting(ends: datetime) -> Transient:
    return Transient(
        f"IBKR's servers are at maintenance until {ends:%H:%M} {ends.tzinfo}; nothing is lost.", code="maintenance"
    )
