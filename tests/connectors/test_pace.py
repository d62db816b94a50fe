"""The pace of a key: each endpoint's own limit beside the one for all, kept by all who share the file."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.connector import Limit
from connectors.pace import Pace
from connectors.wire import Pause

RULES = (Limit(8, 1.1), Limit(1, 5.2, frozenset({"trades"})), Limit(1, 61.0, frozenset({"sso_validate"})))
ENDPOINTS = ("trades", "sso_validate", "auth_status", "accounts")


@dataclass(slots=True)
class Clock:
    now: float = 1_772_724_600.0

    def __call__(self) -> float:
        return self.now

    def sleep(self, seconds: float) -> None:
        self.now += seconds


@given(asked=st.lists(st.tuples(st.sampled_from(ENDPOINTS), st.floats(0, 3)), max_size=30))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_window_of_any_rule_holds_more_calls_than_it_allows(
    asked: list[tuple[str, float]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    clock = Clock()
    file = tmp_path_factory.mktemp("pace") / "pace.json"
    made: list[tuple[str, float]] = []
    for endpoint, pause in asked:
        clock.sleep(pause)
        Pace(file, RULES, clock, clock.sleep).take_turn(endpoint)  # another process each time
        made.append((endpoint, clock.now))
    for rule in RULES:
        counted = [moment for endpoint, moment in made if rule.counts(endpoint)]
        for first, after in zip(counted, counted[rule.calls :], strict=False):
            assert after - first >= rule.seconds - 1e-6


def test_one_endpoint_does_not_wait_for_another(tmp_path: Path) -> None:
    clock = Clock()
    pace = Pace(tmp_path / "pace.json", RULES, clock, clock.sleep)
    assert [pace.take_turn(endpoint) for endpoint in ENDPOINTS] == [0.0] * len(ENDPOINTS)
    told: list[Pause] = []
    assert pace.take_turn("trades", on_wait=told.append) == pytest.approx(5.2)
    assert [pause.seconds for pause in told] == [pytest.approx(5.2)]


def test_calls_that_matter_for_longer_are_remembered_for_longer(tmp_path: Path) -> None:
    clock = Clock()
    pace = Pace(tmp_path / "pace.json", RULES, clock, clock.sleep, {"ssodh_init": 14_400.0})
    pace.take_turn("ssodh_init")
    pace.take_turn("accounts")
    clock.sleep(7200)
    pace.take_turn("auth_status")
    assert [call.endpoint for call in pace.recent()] == ["ssodh_init", "auth_status"]


def test_what_came_of_a_call_is_remembered_with_the_server_that_was_asked(tmp_path: Path) -> None:
    clock = Clock()
    pace = Pace(tmp_path / "pace.json", RULES, clock, clock.sleep)
    for origin in ("https://one", "https://other"):
        pace.take_turn("auth_status", origin)
    pace.remark("auth_status", "https://one", "ready")
    pace.remark("accounts", "https://one", "ready")  # which nobody asked
    assert [(call.origin, call.came_to) for call in pace.recent()] == [("https://one", "ready"), ("https://other", "")]


def test_calls_of_an_older_version_are_still_counted(tmp_path: Path) -> None:
    clock = Clock()
    file = tmp_path / "pace.json"
    file.write_text(f'{{"calls": [["trades", {clock.now}]], "shut_until": 0}}')
    assert Pace(file, RULES, clock, clock.sleep).take_turn("trades") == pytest.approx(5.2)


def test_what_floating_point_leaves_over_is_waited_for_and_not_asked_for_ever(tmp_path: Path) -> None:
    clock = Clock()

    def coarse(seconds: float) -> None:
        clock.now = round(clock.now + seconds, 3)

    pace = Pace(tmp_path / "pace.json", RULES, clock, coarse)
    for _ in range(3):
        pace.take_turn("trades")
    assert clock.now >= 1_772_724_600.0 + 2 * 5.2 - 0.001
