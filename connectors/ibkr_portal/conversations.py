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
from connectors.ibkr_portal.lately import Lately
from connectors.ibkr_portal.replies import Accounts, Session, Tier
from connectors.wire import CERTIFICATE, Call, Conversation, Exchanging, Pause, Remark, Request, Window, ask

PRIMING_PAUSE = 5.5  # the first list of a session is empty; the second may be asked for after five seconds
SETTLING = (2.0, 3.0, 5.0, 10.0)  # a session that was just opened takes a moment
BACKOFFS = (2.0, 8.0)  # one call in fifteen is said to fail by itself


def preflight(credentials: Credentials, recent: Sequence[Call], now: datetime) -> Conversation:
    """Find out whether both session tiers are ready for a sync, and open the brokerage session once if it is not.

    Taken from another program it is only where its user allows that. Raises `AuthRequired` where only a person helps,
    `Transient` where the gateway is away or IBKR is at maintenance.
    """
    return _made_ready(credentials, recent, now, takes_over=credentials.may_compete)


def look(credentials: Credentials, recent: Sequence[Call], now: datetime) -> Conversation:
    """Do the same when nothing is about to be asked for: then the session is taken from nobody, allowed or not."""
    return _made_ready(credentials, recent, now, takes_over=False)


def _made_ready(credentials: Credentials, recent: Sequence[Call], now: datetime, *, takes_over: bool) -> Conversation:
    lately = Lately.at(credentials.base_url, recent)
    try:
        session = yield from _seen(_asked(endpoints.auth_status(credentials)))
    except Transient as trouble:
        raise _away(credentials, trouble, now) from trouble
    if session.tier is Tier.BROKERAGE_DOWN or (session.tier is Tier.COMPETING and credentials.may_compete):
        ends = maintenance.ends_at(credentials.maintenance, now)
        if ends is not None:
            raise _resting(ends)
        session = yield from _opened(credentials, session, lately, now.timestamp(), takes_over=takes_over)
    if session.tier is Tier.NOT_ESTABLISHED:
        session = yield from _settled(credentials, session)
    if session.tier is Tier.NOT_ESTABLISHED:
        raise Transient("The brokerage session is there, but its data is not.", code="not_established")
    if session.tier is not Tier.READY:
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
    is_awake, selected = Lately.at(credentials.base_url, recent).is_awake(), held.selected
    for account in _wanted(credentials, held):
        if account != selected:
            yield from _asked(endpoints.switch_account(credentials, account))
            selected = account
        rows = yield from _listed(credentials, account)
        if not rows or not is_awake:
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


def _opened(
    credentials: Credentials, session: Session, lately: Lately, now: float, *, takes_over: bool
) -> Exchanging[Session]:
    """Open the brokerage session, once: trying again and again is known to lock people out of their login."""
    is_held = session.tier is Tier.COMPETING
    if is_held and lately.was_taken_back(now):
        raise replies.taken_back()
    if is_held and not takes_over:
        raise _left_to_sync(session, lately)
    waits = lately.keeps_still_for(now)
    if waits > 0:
        raise _keeping_still(lately, waits)
    try:
        if not lately.was_looked_at(now):  # else whoever has just logged in would wait a minute
            login: Session = yield from _once(endpoints.sso_validate(credentials))
            if login.tier is Tier.SSO_MISSING:
                return login
        if is_held:
            session = yield from _seen(_once(endpoints.ssodh_takeover(credentials)))
        else:
            session = yield from _seen(_once(endpoints.ssodh_init(credentials, compete=takes_over)))
    except Transient as trouble:
        if lately.needs_person(more_troubles=1):
            raise replies.not_opened(trouble) from trouble
        raise
    if session.tier in (Tier.BROKERAGE_DOWN, Tier.COMPETING) and credentials.may_compete and not takes_over:
        yield Remark("")  # refused to who competes with nobody, which the sync may do
        raise _left_to_sync(session, lately)
    return session if session.tier in (Tier.READY, Tier.COMPETING) else (yield from _settled(credentials, session))


def _left_to_sync(session: Session, lately: Lately) -> AuthRequired | Transient:
    """Say of a session that only a takeover brings back who brings it: the next sync, unless that has failed to."""
    if lately.needs_person():
        return replies.needs_login(session)
    return Transient("Only a takeover brings the brokerage session back, and the next sync does that.", code="takeover")


def _keeping_still(lately: Lately, seconds: float) -> AuthRequired | Transient:
    """Say that the session is not opened now, in the state that the last attempt has left."""
    again = f"is tried again in {seconds / 60:.0f} min"
    if lately.needs_person():
        return AuthRequired(
            f"The brokerage session is down; opening it did not help lately and {again}.",
            code="brokerage",
            remedy=replies.BROUGHT_DOWN,
        )
    return Transient(f"The brokerage session is down; opening it met trouble and {again}.", code="brokerage")


def _settled(credentials: Credentials, session: Session) -> Exchanging[Session]:
    """Ask a few times how a session is that needs a moment."""
    for seconds in SETTLING:
        if session.tier in (Tier.READY, Tier.COMPETING):
            break
        yield Pause(seconds, "the brokerage session is coming up")
        session = yield from _seen(_once(endpoints.auth_status(credentials)))
    return session


def _seen(asking: Exchanging[Session]) -> Exchanging[Session]:
    """Hear how a session is, and leave word of it for those who ask later."""
    try:
        session = yield from asking
    except AuthRequired:
        yield Remark(Tier.SSO_MISSING)
        raise
    yield Remark(session.tier)
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
