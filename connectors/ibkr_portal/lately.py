"""What a gateway was asked lately and what came of it: whether its session may be opened, or taken over, again.

A login that is healthy is opened several times an hour, so only what failed counts, and only until the session is seen ready.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from connectors.ibkr_portal.replies import Tier
from connectors.wire import Call, origin_of

OPENINGS = frozenset({"ssodh_init", "ssodh_takeover"})
FIRST_BACKOFF, LONGEST_BACKOFF = 60.0, 1800.0
MOST_TROUBLES = 4  # openings without a sensible answer before a person is called
LOOK_SECONDS = 61.0  # between two looks at the login
AWAKE_SECONDS = 300.0  # a session that nobody used for so long may be another one now
SOON = 3600.0  # who takes a session back within so long after a takeover is at work with it


@dataclass(frozen=True, slots=True)
class Lately:
    """The calls to one gateway that are remembered, oldest first; other gateways at this address count for the pace only."""

    calls: tuple[Call, ...]

    @classmethod
    def at(cls, base_url: str, recent: Sequence[Call]) -> Lately:
        """Pick the calls to a gateway out of all that were made from this address."""
        return cls(tuple(call for call in recent if call.origin == origin_of(base_url)))

    def is_awake(self) -> bool:
        """Tell whether the session was asked for trades so lately that it must be the same one still, and none was opened since."""
        asked = max((call.moment for call in self.calls if call.endpoint == "trades"), default=0.0)
        opened = max((call.moment for call in self.calls if call.endpoint in OPENINGS), default=0.0)
        latest = max((call.moment for call in self.calls), default=0.0)
        return asked > opened and latest - asked < AWAKE_SECONDS

    def was_looked_at(self, now: float) -> bool:
        """Tell whether the login was looked at so lately that it may not be again; without one, an opening is refused as well."""
        return any(call.endpoint == "sso_validate" and call.moment > now - LOOK_SECONDS for call in self.calls)

    def keeps_still_for(self, now: float) -> float:
        """Give the seconds to keep still: doubled with each opening that failed, up to half an hour."""
        failed = self._failed()
        if not failed:
            return 0.0
        return failed[-1].moment + min(FIRST_BACKOFF * 2.0 ** (len(failed) - 1), LONGEST_BACKOFF) - now

    def needs_person(self, *, more_troubles: int = 0) -> bool:
        """Tell whether only a person helps: an opening was refused, or so many met trouble; and so it stays until one is ready."""
        failed = self._failed()
        return any(call.came_to for call in failed) or len(failed) + more_troubles >= MOST_TROUBLES

    def was_taken_back(self, now: float) -> bool:
        """Tell whether who holds the session now took it soon after a takeover; that stands as long as it is held."""
        held_since = now
        for call in reversed([call for call in self.calls if call.came_to]):
            if call.came_to != Tier.COMPETING:
                break
            held_since = call.moment
        return any(
            call.endpoint == "ssodh_takeover" and held_since - SOON < call.moment <= held_since for call in self.calls
        )

    def _failed(self) -> list[Call]:
        """List the openings since the session was last ready. One without a word of what it came to met trouble."""
        ready = max((call.moment for call in self.calls if call.came_to == Tier.READY), default=0.0)
        return [call for call in self.calls if call.endpoint in OPENINGS and call.moment > ready]
