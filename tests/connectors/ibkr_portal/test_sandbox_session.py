"""The two sessions of the gateway's sandbox, and who else may hold the brokerage session."""

from itertools import pairwise
from typing import Any

import pytest

from connectors.ibkr_portal.sandbox import Clock, Gateway
from tests.connectors.ibkr_portal.caller import TRADES, Caller

HOUR = 3600
NO_BRIDGE = {"error": "Bad Request: no bridge", "statusCode": 400}


def short(status: Any) -> tuple[bool, bool, bool]:
    return status["authenticated"], status["connected"], status["competing"]


def keep_alive(caller: Caller, seconds: int) -> None:
    for _ in range(seconds // 300):
        assert "error" not in caller.post("/tickle", wait=300).json()


# -- the login


def test_without_a_login_every_path_answers_401(caller: Caller) -> None:
    for path in ("/tickle", "/iserver/auth/status", "/iserver/accounts", "/trsrv/secdef", "/nothing/here"):
        reply = caller.get(path)
        assert (reply.status_code, reply.json()) == (401, {"error": "not authenticated", "statusCode": 401})


def test_a_401_has_several_shapes(caller: Caller, gateway: Gateway) -> None:
    gateway.faults.on("unauthorized_empty", calls=1)
    assert caller.post("/tickle").content == b""
    gateway.faults.on("unauthorized_text", calls=1)
    assert caller.post("/tickle").text == "Access Denied"


def test_a_human_logs_in_through_the_page(caller: Caller) -> None:
    page = caller.http.get(f"{caller.where.root_url}/", follow_redirects=True)
    assert page.url.path == "/sso/Login" and '<form method="post" action="/sso/Login">' in page.text
    assert "Invalid username password combination" in caller.log_in(password="forgotten")
    assert caller.post("/tickle").status_code == 401
    assert caller.log_in() == "Client login succeeds"
    assert caller.post("/tickle").status_code == 200


def test_a_test_logs_in_in_one_call(caller: Caller) -> None:
    assert caller.control("login") == {"logged_in": True}
    assert caller.get("/sso/validate").json()["RESULT"] is True


def test_a_test_ends_the_login_in_one_call(caller: Caller) -> None:
    caller.get_ready()
    assert caller.control("login", on=0) == {"logged_in": False}
    assert caller.post("/iserver/auth/status").status_code == 401


def test_a_login_alone_serves_what_is_outside_iserver(caller: Caller) -> None:
    caller.log_in()
    assert len(caller.get("/portfolio/accounts").json()) == 3
    assert caller.get("/trsrv/secdef", conids="930001101").status_code == 200
    for path in ("/iserver/accounts", TRADES, "/iserver/contract/930001101/info"):
        reply = caller.get(path)
        assert (reply.status_code, reply.json()) == (400, NO_BRIDGE)


def test_the_error_without_a_brokerage_session_has_another_wording(caller: Caller, gateway: Gateway) -> None:
    caller.log_in()
    gateway.faults.on("init_session_first")
    assert caller.get("/iserver/accounts").json() == {"error": "Init session first", "statusCode": 400}


def test_a_login_ends_at_midnight_of_the_region_however_busy_it_is(ready: Caller, clock: Clock) -> None:
    keep_alive(ready, 7 * HOUR)
    keep_alive(ready, HOUR // 2 - 300)
    assert ready.status()["authenticated"]  # 23:55 in New York, and a little more
    clock.advance(300)
    assert ready.post("/tickle").status_code == 401
    assert ready.init(compete=True) == {"error": "not authenticated", "statusCode": 401}
    ready.log_in()
    assert short(ready.status()) == (False, True, False)
    assert ready.init()["authenticated"]


def test_a_logout_ends_everything(ready: Caller, gateway: Gateway) -> None:
    assert ready.post("/logout").json() == {"status": True}
    assert ready.post("/tickle").status_code == 401
    ready.log_in()
    gateway.faults.on("confirmed_logout")
    assert ready.post("/logout").json() == {"confirmed": True}


def test_another_login_has_another_session_in_tickle(ready: Caller) -> None:
    first = ready.post("/tickle").json()["session"]
    ready.log_in()
    assert ready.post("/tickle").json()["session"] != first


# -- the brokerage session


def test_a_status_has_the_fields_of_a_recorded_one(caller: Caller) -> None:
    caller.log_in()
    assert short(caller.status()) == (False, True, False)
    assert caller.init()["passed"] is True
    status = caller.status()
    assert short(status) == (True, True, False) and status["established"] is True
    assert set(status) == {
        "authenticated", "established", "competing", "connected", "message", "MAC", "serverInfo", "hardware_info", "fail",
    }  # fmt: skip
    assert caller.get("/iserver/auth/status").json() == status


def test_an_init_must_publish(caller: Caller) -> None:
    caller.log_in()
    assert caller.post("/iserver/auth/ssodh/init", {"publish": False, "compete": True}).status_code == 500


def test_an_init_without_json_opens_a_session_without_bridge(caller: Caller) -> None:
    caller.log_in()
    caller.clock.advance(6)
    reply = caller.http.post("/iserver/auth/ssodh/init", params={"publish": "true", "compete": "true"})
    assert short(reply.json()) == (True, True, False)
    assert caller.get("/iserver/accounts").json() == NO_BRIDGE
    assert caller.init()["passed"]
    assert caller.get("/iserver/accounts").status_code == 200


def test_a_session_of_which_only_the_status_is_asked_dies(ready: Caller) -> None:
    for _ in range(4):
        ready.clock.advance(80)
        status = ready.status()
    assert short(status) == (False, True, False) and "serverInfo" not in status
    assert ready.get("/iserver/accounts").json() == NO_BRIDGE
    assert ready.init()["passed"]
    assert ready.status()["authenticated"]


def test_tickles_and_other_calls_keep_a_session_alive(ready: Caller) -> None:
    keep_alive(ready, HOUR)
    for _ in range(4):
        ready.get("/iserver/accounts", wait=300)
    assert ready.status()["authenticated"]


def test_a_new_brokerage_session_knows_nothing_of_the_last(ready: Caller) -> None:
    server = ready.status()["serverInfo"]["serverName"]
    ready.clock.advance(600)
    ready.init()
    assert ready.status()["serverInfo"]["serverName"] != server
    assert "Please query /accounts first" in ready.get(TRADES, days=7).json()["error"]


def test_an_init_of_a_healthy_session_changes_nothing(ready: Caller) -> None:
    before = ready.status()
    assert ready.init()["passed"]
    assert ready.status() == before
    assert ready.trades("U2810451") != []


def test_a_session_may_take_a_moment_to_settle(caller: Caller, gateway: Gateway) -> None:
    caller.log_in()
    gateway.faults.on("no_bridge_after_init")
    gateway.faults.on("slow_to_establish")
    answer = caller.init()
    assert answer["passed"] and answer["authenticated"] and not answer["established"]
    assert caller.get("/iserver/accounts", wait=1).json() == NO_BRIDGE
    assert caller.get("/iserver/accounts", wait=3).status_code == 200
    assert caller.status()["established"]


def test_a_reauthentication_ends_a_healthy_session_and_opens_another(ready: Caller) -> None:
    assert ready.post("/iserver/reauthenticate").json() == {"message": "triggered"}
    assert not ready.post("/iserver/auth/status", wait=1).json()["authenticated"]
    assert ready.status()["authenticated"]
    assert "Please query /accounts first" in ready.get(TRADES, days=7).json()["error"]


def test_a_status_may_have_few_fields(ready: Caller, gateway: Gateway) -> None:
    gateway.faults.on("bare_status")
    assert set(ready.status()) == {"authenticated", "competing", "connected", "MAC"}


# -- who else holds it


def test_tws_takes_the_session_and_it_is_not_taken_back_uninvited(ready: Caller, gateway: Gateway) -> None:
    gateway.session.tws_logs_in()
    assert short(ready.status()) == (False, True, True)
    assert ready.get("/iserver/accounts").json() == NO_BRIDGE
    refused = ready.init(compete=False)
    assert refused["passed"] is False and refused["competing"] is True
    assert refused["fail"] == "Force compete capability must be used together with compete flag"
    assert gateway.session.kicked_out == []


def test_an_init_that_competes_throws_tws_out_until_it_comes_back(ready: Caller, gateway: Gateway) -> None:
    assert ready.control("tws") == {"tws": True}
    assert ready.init(compete=True)["passed"] is True
    assert short(ready.status()) == (True, True, False)
    assert ready.look("requests")["tws_kicked_out"] == len(gateway.session.kicked_out) == 1
    ready.control("tws", on=1)
    assert short(ready.status()) == (False, True, True)


def test_after_tws_has_left_an_init_needs_not_compete(ready: Caller) -> None:
    ready.control("tws", on=1)
    assert ready.control("tws", on=0) == {"tws": False}
    assert short(ready.status()) == (False, True, False)
    assert ready.init(compete=False)["passed"] is True


def test_a_competing_session_shows_in_tickle(ready: Caller, gateway: Gateway) -> None:
    gateway.session.tws_logs_in()
    told = ready.post("/tickle").json()
    assert told["collission"] is True and short(told["iserver"]["authStatus"]) == (False, True, True)


def test_a_lost_connection_comes_back_only_by_competing(ready: Caller, gateway: Gateway) -> None:
    gateway.session.lose_connection()
    assert short(ready.status()) == (False, False, False)
    assert ready.init(compete=False)["passed"] is False
    assert ready.init(compete=True)["passed"] is True
    assert gateway.session.kicked_out == []


def test_an_init_may_be_refused_though_nobody_competes(caller: Caller, gateway: Gateway) -> None:
    caller.log_in()
    gateway.faults.on("compete_false_refused")
    assert caller.init(compete=False)["passed"] is False
    assert caller.init(compete=True)["passed"] is True


# -- tickle and validate


def test_a_tickle_has_its_own_spelling_and_a_harmless_error(ready: Caller) -> None:
    told = ready.post("/tickle").json()
    assert list(told) == ["session", "ssoExpires", "collission", "userId", "hmds", "iserver"]
    assert told["hmds"] == {"error": "no bridge"} and told["collission"] is False
    assert told["iserver"]["authStatus"]["authenticated"] is True
    assert ready.get("/tickle").status_code == 200


def test_a_tickle_does_not_lengthen_the_countdown_which_renews_itself(ready: Caller) -> None:
    left = [ready.post("/tickle", wait=60).json()["ssoExpires"] for _ in range(20)]
    assert all(0 < each <= 600_000 for each in left)
    steps = [after - before for before, after in pairwise(left)]
    assert set(steps) == {-60_000, 540_000} and steps.count(540_000) == 2


@pytest.mark.parametrize("fault", ["tickle_fails", "bare_tickle"])
def test_a_tickle_may_fail_or_tell_little(ready: Caller, gateway: Gateway, fault: str) -> None:
    gateway.faults.on(fault)
    told = ready.post("/tickle").json()
    assert list(told) == {"tickle_fails": ["error"], "bare_tickle": ["session", "hmds", "iserver"]}[fault]


def test_a_tickle_that_fails_keeps_nothing_alive(ready: Caller, gateway: Gateway) -> None:
    gateway.faults.on("tickle_fails")
    keep = [ready.post("/tickle", wait=120).json() for _ in range(3)]
    assert keep == [{"error": "failed to process request"}] * 3
    assert not ready.status()["authenticated"]
