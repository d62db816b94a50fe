"""Both connectors of Interactive Brokers name the same things alike: else one execution would be two fills."""

from connectors.ibkr_flex import dialect as flex
from connectors.ibkr_flex import identity
from connectors.ibkr_portal import dialect as portal
from connectors.ibkr_portal import normalize


def test_the_portals_words_are_those_of_flex() -> None:
    assert portal.BROKER == flex.BROKER
    assert portal.SECURITY_TYPES.items() <= flex.SECURITY_TYPES.items()
    assert portal.POSITION_EFFECTS.items() <= flex.POSITION_EFFECTS.items()


def test_an_execution_ids_revision_is_read_alike() -> None:
    assert normalize.REVISED == identity.REVISED


def test_flex_has_the_last_word() -> None:
    assert portal.RANK < flex.CONFIRMS_RANK < flex.ACTIVITY_RANK
