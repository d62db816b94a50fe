"""How often the gateway's sandbox may be asked, and the penalty box."""

import pytest

from connectors.ibkr_portal.sandbox import Gateway
from tests.connectors.ibkr_portal.caller import TRADES, Caller

QUARTER = 15 * 60


@pytest.mark.parametrize(
    ("path", "seconds"), [("/tickle", 1), ("/portfolio/accounts", 5), (TRADES, 5), ("/sso/validate", 60)]
)
def test_a_path_may_be_asked_once_in_its_time(ready: Caller, path: str, seconds: int) -> None:
    waits = (100, seconds, seconds - 0.1)
    assert [ready.get(path, wait=wait).status_code for wait in waits] == [200, 200, 429]
    assert ready.look("requests")["pacing_violations"] == [path]


def test_a_slash_at_the_end_is_the_same_path(ready: Caller) -> None:
    assert [ready.get(path).status_code for path in (TRADES, f"{TRADES}/")] == [200, 200]
    assert ready.get(f"{TRADES}/", wait=1).status_code == 429


def test_all_paths_together_may_be_asked_ten_times_in_any_second(ready: Caller) -> None:
    first = ready.get("/iserver/accounts", wait=2).status_code
    rest = [ready.get("/iserver/accounts", wait=0.09).status_code for _ in range(10)]
    assert (first, rest) == (200, [200] * 9 + [429])
    assert ready.look("requests")["pacing_violations"] == ["all"]


def test_evenly_spaced_calls_never_break_the_limit(ready: Caller) -> None:
    assert {ready.get("/iserver/accounts", wait=0.1).status_code for _ in range(40)} == {200}


def test_in_the_box_everything_is_refused_and_counted(ready: Caller) -> None:
    ready.post("/tickle", wait=2)
    assert ready.post("/tickle", wait=0).status_code == 429
    waits = [("/iserver/accounts", 60), ("/portfolio/accounts", 60), ("/nothing/here", QUARTER - 121)]
    replies = [ready.get(path, wait=wait) for path, wait in waits]
    assert [(reply.status_code, set(reply.json())) for reply in replies] == [(429, {"error", "statusCode"})] * 3
    assert ready.look("requests")["calls_in_penalty_box"] == 3


def test_the_box_opens_after_a_quarter_of_an_hour(ready: Caller, gateway: Gateway) -> None:
    ready.post("/tickle", wait=2)
    ready.post("/tickle", wait=0)
    assert gateway.pacing.boxed_until("127.0.0.1", ready.clock()) is not None
    assert ready.post("/tickle", wait=QUARTER).status_code == 200
    assert gateway.pacing.boxed_until("127.0.0.1", ready.clock()) is None


def test_a_box_outlasts_the_brokerage_session(ready: Caller) -> None:
    ready.post("/tickle", wait=2)
    ready.post("/tickle", wait=0)
    ready.clock.advance(QUARTER)
    assert not ready.status()["authenticated"]


def test_the_login_page_is_not_paced(ready: Caller) -> None:
    pages = [ready.http.get(f"{ready.where.root_url}/sso/Login").status_code for _ in range(15)]
    assert set(pages) == {200} and ready.look("requests")["pacing_violations"] == []


def test_every_call_is_written_down(ready: Caller, gateway: Gateway) -> None:
    before = len(gateway.log)
    ready.get("/nothing/here")
    ready.get(TRADES, days=7)
    assert [(call.method, call.path, call.status) for call in gateway.log[before:]] == [
        ("GET", "/nothing/here", 404), ("GET", TRADES, 200),
    ]  # fmt: skip
    assert gateway.calls(TRADES)[-1].params == {"days": "7"}
    told = ready.look("requests")
    assert told["requests"][TRADES] == 2 and told["statuses"]["404"] == 1
    assert told["log"][-1] == {"at": ready.clock().isoformat(), "method": "GET", "path": TRADES, "status": 200}
