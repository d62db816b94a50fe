"""The counter as arithmetic: never over its ceiling, never slower than it must be."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.kraken.budget import CEILINGS, DECAYS, RESERVE, Budget, cost_of
from connectors.kraken.endpoints import Tier
from connectors.wire import REMEMBERED_SECONDS, Call

NOW = 1_772_836_200.0


@pytest.mark.parametrize(("tier", "pages"), [(Tier.STARTER, 7), (Tier.INTERMEDIATE, 9), (Tier.PRO, 9)])
def test_a_rested_key_bursts_to_the_edge(tier: Tier, pages: int) -> None:
    budget = Budget.of(tier, [], NOW)
    asked = 0
    while budget.wait_for(cost_of("TradesHistory")) == 0:
        budget, asked = budget.spent(cost_of("TradesHistory"), NOW), asked + 1
    assert asked == pages


@pytest.mark.parametrize(("tier", "seconds"), [(Tier.STARTER, 2 / 0.33), (Tier.INTERMEDIATE, 4.0), (Tier.PRO, 2.0)])
def test_at_the_edge_a_page_costs_what_the_decay_gives(tier: Tier, seconds: float) -> None:
    budget = Budget(CEILINGS[tier], DECAYS[tier], CEILINGS[tier] - RESERVE, NOW)
    assert budget.wait_for(2.0) == pytest.approx(seconds)


@given(
    tier=st.sampled_from(list(Tier)),
    gaps=st.lists(st.floats(0, 30), max_size=120),
    latency=st.floats(0, 3),
)
def test_the_true_counter_is_never_above_what_is_reckoned(tier: Tier, gaps: list[float], latency: float) -> None:
    """Ask again and again, each conversation knowing only what is remembered; Kraken counts when a request arrives."""
    true, counted_at = 0.0, NOW
    moment = NOW
    calls: list[Call] = []
    for gap in gaps:
        moment += gap
        recent = [call for call in calls if call.moment > moment - REMEMBERED_SECONDS]
        budget = Budget.of(tier, recent, moment)
        moment += budget.wait_for(2.0)
        true = max(true - (moment - counted_at) * DECAYS[tier], 0.0) + 2.0
        counted_at = moment
        assert true <= CEILINGS[tier] + 1e-6
        moment += latency
        calls.append(Call("TradesHistory", moment))


def test_public_questions_cost_nothing() -> None:
    calls = [Call("Time", NOW - second) for second in range(60)]
    assert Budget.of(Tier.STARTER, calls, NOW).level == 0
