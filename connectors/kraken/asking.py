"""How Kraken is asked with one key: inside the counter's budget, and again where trouble is short."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC
from math import floor
from types import MappingProxyType
from typing import TypeVar

from connectors.errors import UNREACHABLE, AuthRequired, RateLimited, Rejected, Transient
from connectors.kraken import endpoints, replies, totp
from connectors.kraken.budget import Budget, cost_of
from connectors.kraken.endpoints import Credentials
from connectors.wire import Call, Conversation, Exchanging, Pause, Progress, Request, Response, Window, ask

PAGE = 50
WALKED = MappingProxyType({"TradesHistory": "trades", "Ledgers": "ledger entries"})
BACKOFFS = (2.0, 8.0, 30.0)  # the edge is often unwell for seconds; longer trouble, and no edge at all, is the runner's
NONCE_TRIES = 3
LONGEST_PAUSE = 60.0
THROTTLE_TRIES = 5

Answer = TypeVar("Answer")


@dataclass(slots=True)
class Caller:
    """Asks with one key: keeps the counter's balance, and knows which troubles to wait out."""

    credentials: Credentials
    budget: Budget
    now: float  # seconds since 1970 by our clock, as of the last answer
    ahead: float  # by how many seconds Kraken's clock is ahead of ours
    takes_codes_once: bool = False  # whether each request needs a one-time code that no other has used

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
        """Ask and read, inside the budget; any trouble is raised, unless it may be that of a one-time code: that is tried anew."""
        try:
            return reader((yield from self._in_turn(request)), request.endpoint)
        except AuthRequired as refusal:
            may_be_the_code = bool(self.credentials.totp_secret) and refusal.code == replies.BAD_SIGNATURE
            if self.takes_codes_once or not may_be_the_code:
                raise
        self.takes_codes_once = True
        return reader((yield from self._in_turn(request)), request.endpoint)

    def _in_turn(self, request: Request) -> Exchanging[Response]:
        yield from self.pause(self.budget.at(self.now).wait_for(cost_of(request.endpoint)), "Kraken's rate counter")
        if self.takes_codes_once:
            yield from self.pause(totp.seconds_left(self.now + self.ahead), "the next one-time code")
        return (yield from self._ask(request))

    def _ask(self, request: Request) -> Exchanging[Response]:
        signed = request.signed
        if signed is not None:  # by Kraken's clock
            request = replace(request, signed=lambda nonce, moment: signed(nonce, moment + self.ahead))
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


def calling(credentials: Credentials, recent: Sequence[Call]) -> Exchanging[Caller]:
    """Ask the time first: it costs nothing, says how far the clocks are apart, and when the counting begins."""
    for seconds in BACKOFFS:
        try:
            return (yield from met(credentials, recent))
        except Transient as trouble:
            if trouble.code == UNREACHABLE:
                raise
            yield Pause(seconds, "Kraken is unwell")
    return (yield from met(credentials, recent))


def met(credentials: Credentials, recent: Sequence[Call]) -> Exchanging[Caller]:
    """Ask the time once."""
    response = yield from ask(endpoints.server_time(credentials))
    theirs = replies.read_time(response)
    ours = response.answered_at.timestamp()
    return Caller(credentials, Budget.of(credentials.tier, recent, ours), ours, theirs - floor(ours))
