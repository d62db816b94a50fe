"""How often the gateway may be asked, and the box that a caller sits in who asks more often.

- all paths together: ten calls in any second; fifty where they are signed, for there is no gateway between then
- some paths: one call in so many seconds, whoever else is asked meanwhile
- a call above a limit: 429, and for 15 minutes every call from that address, to whatever path, is answered 429 too

IBKR's pages say 15 minutes and 10; the longer one was chosen. Whether calls out of the box lengthen the stay is not told; here
they do not, but each is counted. A call refused by a limit takes no place in it. Times are those of the given clock.
"""

from __future__ import annotations

from collections import defaultdict, deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta

CALLS_A_SECOND = 10
SIGNED_CALLS_A_SECOND = 50
PENALTY = timedelta(minutes=15)
SECONDS_BETWEEN = {
    "/iserver/account/trades": 5,
    "/iserver/account/orders": 5,
    "/iserver/account/pnl/partitioned": 5,
    "/portfolio/accounts": 5,
    "/portfolio/subaccounts": 5,
    "/tickle": 1,
    "/sso/validate": 60,
    "/pa/performance": 900,
    "/pa/summary": 900,
    "/pa/transactions": 900,
}


@dataclass(frozen=True, slots=True)
class Violation:
    """A call above a limit: the path asked, and the limit it broke, a path's own or `all`."""

    at: datetime
    address: str
    path: str
    limit: str


@dataclass(slots=True)
class Pacing:
    """The limits of each address, and who sits in the box until when."""

    violations: list[Violation] = field(default_factory=list)
    calls_in_box: int = 0
    _boxed_until: dict[str, datetime] = field(default_factory=dict)
    _recent: defaultdict[str, deque[datetime]] = field(default_factory=lambda: defaultdict(deque))
    _last: dict[tuple[str, str], datetime] = field(default_factory=dict)

    def admits(self, address: str, path: str, now: datetime, *, is_signed: bool = False) -> bool:
        """Let a call in, or put the caller into the box."""
        most = SIGNED_CALLS_A_SECOND if is_signed else CALLS_A_SECOND
        if self.boxed_until(address, now) is not None:
            self.calls_in_box += 1
            return False
        recent = self._recent[address]
        while recent and now - recent[0] >= timedelta(seconds=1):
            recent.popleft()
        before = self._last.get((address, path))
        pause = timedelta(seconds=SECONDS_BETWEEN.get(path, 0))
        too_soon = before is not None and now - before < pause
        if too_soon or len(recent) >= most:
            self.violations.append(Violation(now, address, path, path if too_soon else "all"))
            self.box(address, now)
            return False
        recent.append(now)
        self._last[address, path] = now
        return True

    def box(self, address: str, now: datetime) -> None:
        self._boxed_until[address] = now + PENALTY

    def boxed_until(self, address: str, now: datetime) -> datetime | None:
        """Tell until when an address sits in the box, if it does."""
        until = self._boxed_until.get(address)
        return until if until is not None and now < until else None
