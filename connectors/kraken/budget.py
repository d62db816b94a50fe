"""Kraken's counter of private requests, as arithmetic: each adds its cost, time takes it away, and it has a ceiling.

https://docs.kraken.com/api/docs/guides/spot-rest-ratelimits
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from connectors.kraken.endpoints import Tier
from connectors.wire import REMEMBERED_SECONDS, Call

CEILINGS: Mapping[Tier, float] = MappingProxyType({Tier.STARTER: 15.0, Tier.INTERMEDIATE: 20.0, Tier.PRO: 20.0})
DECAYS: Mapping[Tier, float] = MappingProxyType({Tier.STARTER: 0.33, Tier.INTERMEDIATE: 0.5, Tier.PRO: 1.0})
COSTS: Mapping[str, float] = MappingProxyType(
    {"TradesHistory": 2.0, "Ledgers": 2.0, "QueryTrades": 2.0, "QueryLedgers": 2.0}  # QueryTrades: not documented
)
COST = 1.0
PUBLIC = frozenset({"Time", "Assets", "AssetPairs", "SystemStatus"})
RESERVE = 1.0  # Kraken may take away in whole steps, and its clock is not ours


def cost_of(endpoint: str) -> float:
    """Give what a request adds to the counter."""
    return 0.0 if endpoint in PUBLIC else COSTS.get(endpoint, COST)


@dataclass(frozen=True, slots=True)
class Budget:
    """The counter of one key as it stood at `moment` (seconds since 1970)."""

    ceiling: float
    decay: float  # per second
    level: float = 0.0
    moment: float = 0.0

    @classmethod
    def of(cls, tier: Tier, recent: Sequence[Call], moment: float) -> Budget:
        """Reckon how a key's counter stands now, from what was asked with it a short while ago.

        Where the oldest call that is remembered was not preceded by a silence in which the counter empties, it may have
        been at its ceiling then.
        """
        budget = cls(CEILINGS[tier], DECAYS[tier])
        oldest = min((call.moment for call in recent), default=moment)
        silence = REMEMBERED_SECONDS - (moment - oldest)
        if recent and silence < budget.ceiling / budget.decay:
            budget = budget.exhausted(oldest)
        for call in sorted(recent, key=lambda call: call.moment):
            budget = budget.spent(cost_of(call.endpoint), call.moment)
        return budget.at(moment)

    def at(self, moment: float) -> Budget:
        """Let time pass; it never goes back."""
        passed = max(moment - self.moment, 0.0)
        return replace(self, level=max(self.level - passed * self.decay, 0.0), moment=max(moment, self.moment))

    def wait_for(self, cost: float) -> float:
        """Give the seconds until so much more fits under the ceiling, 0 if it does now."""
        return max(self.level + cost - (self.ceiling - RESERVE), 0.0) / self.decay

    def spent(self, cost: float, moment: float) -> Budget:
        """Add a request's cost at the moment of its answer: that is when it can have been counted at the latest."""
        later = self.at(moment)
        return replace(later, level=later.level + cost)

    def exhausted(self, moment: float) -> Budget:
        """Take Kraken's word that the counter is at its ceiling, whatever was reckoned."""
        later = self.at(moment)
        return replace(later, level=max(later.level, self.ceiling))

    def wait_for_half(self) -> float:
        """Give the seconds until the counter is down to half its ceiling: what Kraken advises after a refusal."""
        return max(self.level - self.ceiling / 2, 0.0) / self.decay
