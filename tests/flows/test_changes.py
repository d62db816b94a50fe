"""Whoever listens hears of each change of a connection once, also where telling failed at first."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from prefect.events.clients import NullEventsClient
from prefect.events.worker import EventsWorker

from connectors.errors import AuthRequired
from flows.policy import State
from tests.flows import heard
from tests.flows.desk import Desk
from warehouse import connections, db

QUARTER = 15 * 60.0
UNTOLD = "select event from untold"


@contextmanager
def no_event_goes_out() -> Iterator[None]:
    """Let Prefect take no event."""
    EventsWorker.set_client_override(NullEventsClient)
    try:
        yield
    finally:
        EventsWorker.set_client_override(None)


@pytest.mark.parametrize("next_run", ["check", "sync"])
def test_what_could_not_be_told_is_told_by_the_next_run(desk: Desk, next_run: str) -> None:
    began = time.time()
    with no_event_goes_out():
        state = desk.sync()
    assert (state.name, state.is_failed()) == ("NeedsReauth", True)  # and not for want of an event
    assert desk.ask(UNTOLD) == [("fillhouse.connection.needs_reauth",)]
    desk.clock.advance(QUARTER)
    getattr(desk, next_run)()
    assert heard.changes_since(began, 1) == [("ibkr-portal", None, "needs_reauth")]
    assert desk.ask(UNTOLD) == []
    assert heard.pages("ibkr-portal-login", began) != []


def test_changes_that_could_not_be_told_are_told_in_their_order(desk: Desk) -> None:
    began = time.time()
    with no_event_goes_out():
        desk.sync()
        desk.gateway.log_in()
        desk.clock.advance(QUARTER)
        assert desk.sync().name == "Completed"
    desk.clock.advance(QUARTER)
    desk.check()
    assert heard.changes_since(began, 2) == [
        ("ibkr-portal", None, "needs_reauth"),
        ("ibkr-portal", "needs_reauth", "active"),
    ]


def test_what_a_run_recorded_before_it_was_killed_is_told_by_the_next(desk: Desk) -> None:
    from flows import changes  # noqa: PLC0415  (Prefect must be set up before)

    began = time.time()
    error = AuthRequired("Nobody is logged in.", remedy="Log in.")
    with db.writer(desk.home) as con:
        connections.record_state(
            con, "ibkr-portal", "ibkr_portal", "key", "needs_reauth", reason=error.message, remedy=error.remedy,
            moment=desk.clock(), retry_at=None, success=False,
            news=changes.of_state("ibkr-portal", "active", State.NEEDS_REAUTH, error),
        )  # fmt: skip
    desk.clock.advance(QUARTER)
    desk.check()
    assert heard.changes_since(began, 1) == [("ibkr-portal", "active", "needs_reauth")]
    assert desk.ask(UNTOLD) == []
