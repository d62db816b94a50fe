"""Sign in with OAuth: agree on the token that signs all else for a day. Through a gateway a person has logged in already."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from connectors.connector import SignedIn
from connectors.errors import Rejected, Transient
from connectors.ibkr_portal import endpoints, oauth
from connectors.ibkr_portal.asking import asked
from connectors.ibkr_portal.endpoints import Credentials
from connectors.ibkr_portal.oauth import Agreement
from connectors.ibkr_portal.session import away
from connectors.wire import Exchanging


def sign_in(credentials: Credentials, chance: bytes, now: datetime) -> Exchanging[SignedIn]:
    """Give the credentials with a live session token. Raises `AuthRequired` where IBKR knows the consumer or its keys not.

    Raises `Rejected` before anything is asked where what is set makes no credentials.

    Each process may agree on a token of its own. Nothing says that an earlier one stays good then, so one that is refused is
    agreed on anew, by whoever holds it.
    """
    if credentials.unusable:
        raise Rejected(credentials.unusable, code="settings", remedy="Correct it, then run fillhouse doctor.")
    consumer = credentials.consumer
    if consumer is None:
        return SignedIn(credentials)
    exponent = int.from_bytes(chance)
    try:
        told: Agreement = yield from asked(endpoints.live_session_token(credentials, consumer, exponent))
    except Transient as trouble:
        raise away(credentials, trouble, now) from trouble
    session = oauth.agreed(consumer, exponent, told)
    if session is None:
        raise Rejected(
            "IBKR and Fillhouse came to different live session tokens.",
            code="dh_prime",
            remedy="The Diffie-Hellman prime must be that of the dhparam.pem which was uploaded to IBKR's OAuth page.",
        )
    return SignedIn(replace(credentials, session=session), session.ends_at)
