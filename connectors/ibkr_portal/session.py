"""The session: whether both of its tiers are ready, how the upper one is opened, and what is said where it is not.

It is opened once and taken from nobody uninvited; where only a person helps, nothing is asked twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from connectors.errors import UNREACHABLE, AuthRequired, Rejected, Transient
from connectors.ibkr_portal import endpoints, maintenance, replies
from connectors.ibkr_portal.asking import asked, once
from connectors.ibkr_portal.endpoints import Credentials
from connectors.ibkr_portal.lately import Lately
from connectors.ibkr_portal.replies import Session, Tier
from connectors.wire import CERTIFICATE, Call, Conversation, Exchanging, Pause, Remark

SETTLING = (2.0, 3.0, 5.0, 10.0)  # a session that was just opened takes a moment


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
        session = yield from _seen(asked(endpoints.auth_status(credentials)))
    except Transient as trouble:
        raise away(credentials, trouble, now) from trouble
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
        raise replies.needs_login(session, credentials.access)


def _opened(
    credentials: Credentials, session: Session, lately: Lately, now: float, *, takes_over: bool
) -> Exchanging[Session]:
    """Open the brokerage session, once: trying again and again is known to lock people out of their login."""
    is_held = session.tier is Tier.COMPETING
    if is_held and lately.was_taken_back(now):
        raise replies.taken_back()
    if is_held and not takes_over:
        raise _left_to_sync(credentials, session, lately)
    waits = lately.keeps_still_for(now)
    if waits > 0:
        raise _keeping_still(credentials, lately, waits)
    try:
        if credentials.consumer is None and not lately.was_looked_at(
            now
        ):  # else who has just logged in would wait a minute
            login: Session = yield from once(endpoints.sso_validate(credentials))
            if login.tier is Tier.SSO_MISSING:
                return login
        if is_held:
            session = yield from _seen(once(endpoints.ssodh_takeover(credentials)))
        else:
            session = yield from _seen(once(endpoints.ssodh_init(credentials, compete=takes_over)))
    except Transient as trouble:
        if lately.needs_person(more_troubles=1):
            raise replies.not_opened(trouble, credentials.access) from trouble
        raise
    if session.tier in (Tier.BROKERAGE_DOWN, Tier.COMPETING) and credentials.may_compete and not takes_over:
        yield Remark("")  # refused to who competes with nobody, which the sync may do
        raise _left_to_sync(credentials, session, lately)
    return session if session.tier in (Tier.READY, Tier.COMPETING) else (yield from _settled(credentials, session))


def _left_to_sync(credentials: Credentials, session: Session, lately: Lately) -> AuthRequired | Transient:
    """Say of a session that only a takeover brings back who brings it: the next sync, unless that has failed to."""
    if lately.needs_person():
        return replies.needs_login(session, credentials.access)
    return Transient("Only a takeover brings the brokerage session back, and the next sync does that.", code="takeover")


def _keeping_still(credentials: Credentials, lately: Lately, seconds: float) -> AuthRequired | Transient:
    """Say that the session is not opened now, in the state that the last attempt has left."""
    again = f"is tried again in {seconds / 60:.0f} min"
    if lately.needs_person():
        return AuthRequired(
            f"The brokerage session is down; opening it did not help lately and {again}.",
            code="brokerage",
            remedy=credentials.access.brought_down,
        )
    return Transient(f"The brokerage session is down; opening it met trouble and {again}.", code="brokerage")


def _settled(credentials: Credentials, session: Session) -> Exchanging[Session]:
    """Ask a few times how a session is that needs a moment."""
    for seconds in SETTLING:
        if session.tier in (Tier.READY, Tier.COMPETING):
            break
        yield Pause(seconds, "the brokerage session is coming up")
        session = yield from _seen(once(endpoints.auth_status(credentials)))
    return session


def _seen(asking: Exchanging[Session]) -> Exchanging[Session]:
    """Find out how a session is, and leave word of it for those who ask later."""
    try:
        session = yield from asking
    except AuthRequired:
        yield Remark(Tier.SSO_MISSING)
        raise
    yield Remark(session.tier)
    return session


def away(credentials: Credentials, trouble: Transient, now: datetime) -> Transient | Rejected:
    """Say of an answer that does not come, or not sensibly, whether that is to be expected."""
    ends, who = maintenance.ends_at(credentials.maintenance, now), credentials.access.who
    who = who[0].upper() + who[1:]
    if ends is not None and trouble.code != CERTIFICATE:
        return _resting(ends)
    if trouble.code == CERTIFICATE:
        known_by = (
            "its certificate is not the one that is set"
            if credentials.certificate
            else "it has a certificate of its own"
        )
        return Rejected(
            f"{who} at {credentials.base_url} is not trusted: {known_by}.",
            code=trouble.code,
            remedy="Set FILLHOUSE_IBKR_PORTAL_CERTIFICATE to the file (PEM) of the gateway's own certificate.",
        )
    if trouble.code != UNREACHABLE:
        return trouble
    return Transient(
        f"{who} at {credentials.base_url} does not answer.", code=trouble.code, remedy=credentials.access.set_going
    )


def _resting(ends: datetime) -> Transient:
    return Transient(
        f"IBKR's servers are at maintenance until {ends:%H:%M} {ends.tzinfo}; nothing is lost.", code="maintenance"
    )
