"""The clock of the gateway's sandbox."""

from datetime import datetime, timedelta

from connectors.ibkr_portal.sandbox import Clock, Gateway
from connectors.ibkr_portal.sandbox_clock import wall_clock
from tests.connectors.ibkr_portal.caller import THURSDAY_EVENING


def test_a_clock_stands_still_until_it_is_put_forward_or_slept_by() -> None:
    clock = Clock(THURSDAY_EVENING)
    assert clock() == THURSDAY_EVENING
    clock.advance(0.5)
    clock.sleep(86_400)
    assert clock() - THURSDAY_EVENING == timedelta(days=1, seconds=0.5)


def test_a_clock_runs_along_with_another() -> None:
    moments = [THURSDAY_EVENING, THURSDAY_EVENING + timedelta(hours=1)]
    clock = Clock(lambda: moments[0])
    clock.sleep(60)
    moments.pop(0)
    assert clock() == THURSDAY_EVENING + timedelta(hours=1, minutes=1)


def test_a_gateway_takes_any_clock_and_puts_only_itself_forward() -> None:
    def theirs() -> datetime:
        return THURSDAY_EVENING

    gateway = Gateway(clock=theirs)
    gateway.now.advance(3600)
    assert gateway.now() - theirs() == timedelta(hours=1)


def test_a_clock_of_nothing_shows_real_time() -> None:
    clock = Clock()
    clock.advance(3600)
    clock.sleep(0)
    assert timedelta(minutes=59) < clock() - wall_clock() <= timedelta(hours=1)
