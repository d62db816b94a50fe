"""What one answer shows of the set-up: the clocks, and how far the session is."""

from __future__ import annotations

from datetime import datetime
from email.utils import parsedate_to_datetime

from connectors.checkup import Finding, Level, of_clocks, of_error
from connectors.ibkr_portal.access import Access
from connectors.ibkr_portal.replies import Session, Tier, needs_login


def of_date(date: str | None, answered_at: datetime, access: Access) -> Finding:
    """Compare the answer's `Date` with our clock; there may be none."""
    try:
        theirs = parsedate_to_datetime(date or "").timestamp()
    except ValueError:
        return Finding(Level.NOTE, f"{access.who} does not tell its time, so the clocks were not compared")
    return of_clocks(f"{access.who}'s", theirs, answered_at.timestamp())


def of_session(session: Session, access: Access, *, may_compete: bool) -> Finding:
    """Say whether the next sync can ask for trades, and what it would do first."""
    if session.tier is Tier.READY:
        return Finding(Level.OK, f"{access.is_let_in}, and the brokerage session is ready")
    if session.tier is Tier.BROKERAGE_DOWN:
        return Finding(Level.OK, f"{access.is_let_in}; the brokerage session is down, and the next sync opens it")
    if session.tier is Tier.NOT_ESTABLISHED:
        return Finding(
            Level.LOOK, "the brokerage session is there, but its data is not yet", "Wait a minute and look again."
        )
    if session.tier is Tier.COMPETING and may_compete:
        return Finding(
            Level.LOOK,
            "another program holds the brokerage session, and the next sync takes it from there",
            "If it must not, set FILLHOUSE_IBKR_PORTAL_COMPETE=false.",
        )
    return of_error(needs_login(session, access))
