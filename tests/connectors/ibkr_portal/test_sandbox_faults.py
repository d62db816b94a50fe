"""What can go wrong at the gateway's sandbox, and how a test orders it."""

import pathlib
import ssl
import stat

import httpx
import pytest

from connectors.ibkr_portal.sandbox import ACCOUNTS, FAULTS, Faults, Gateway
from connectors.ibkr_portal.sandbox_faults import EDGE
from tests.connectors.ibkr_portal.caller import TRADES, Caller

ROOM = pathlib.Path("connectors/ibkr_portal")


def test_every_fault_is_used_somewhere() -> None:
    rooms = (each.read_text() for each in ROOM.glob("sandbox_*.py") if each.name != "sandbox_faults.py")
    source = "".join(rooms)
    assert [name for name in FAULTS if f'"{name}"' not in source] == []


@pytest.mark.parametrize("status", [500, 503])
def test_a_server_may_fail_with_a_json_error(ready: Caller, gateway: Gateway, status: int) -> None:
    gateway.faults.on(f"http_{status}", calls=1)
    reply = ready.get(TRADES, days=7)
    assert reply.status_code == reply.json()["statusCode"] == status
    assert ready.get(TRADES, days=7).status_code == 200


def test_a_server_may_give_up_after_ten_seconds(ready: Caller, gateway: Gateway) -> None:
    gateway.faults.on("http_503_empty", calls=1)
    before = ready.clock()
    reply = ready.get(TRADES, wait=6, days=7)
    assert (reply.status_code, reply.content) == (503, b"")
    assert (ready.clock() - before).total_seconds() == 16


def test_a_server_may_hang(ready: Caller, gateway: Gateway) -> None:
    gateway.faults.on("hang", calls=1)
    before = ready.clock()
    assert ready.get("/iserver/accounts", wait=0).status_code == 200
    assert (ready.clock() - before).total_seconds() == gateway.hang_seconds


def test_an_error_may_come_inside_a_200(ready: Caller, gateway: Gateway) -> None:
    gateway.faults.on("error_in_200", at=TRADES)
    reply = ready.get(TRADES, days=7)
    assert reply.status_code == 200 and set(reply.json()) == {"error"}
    assert "error" not in ready.get("/iserver/accounts").json()


def test_the_page_of_the_login_may_come_instead_of_json(ready: Caller, gateway: Gateway) -> None:
    gateway.faults.on("login_page", calls=1)
    reply = ready.get("/iserver/accounts")
    assert reply.headers["content-type"].startswith("text/html") and "<form" in reply.text
    gateway.faults.on("redirect_to_login", calls=1)
    reply = ready.get("/iserver/accounts")
    assert reply.status_code == 302 and reply.headers["location"].startswith("/sso/Login")


def test_json_may_be_cut_or_missing(ready: Caller, gateway: Gateway) -> None:
    for name in ("truncated_json", "empty_body"):
        gateway.faults.on(name, calls=1)
        reply = ready.get("/iserver/accounts")
        assert reply.status_code == 200
        with pytest.raises(ValueError, match=r"Expecting|Unterminated"):
            reply.json()


def test_a_good_login_may_be_refused_once(ready: Caller, gateway: Gateway) -> None:
    gateway.faults.on("http_401", calls=1)
    assert [ready.get("/iserver/accounts").status_code for _ in range(2)] == [401, 200]
    assert gateway.log[-2].fault == "http_401" and gateway.log[-1].fault is None


def test_a_caller_that_kept_to_the_limits_may_be_boxed_all_the_same(ready: Caller, gateway: Gateway) -> None:
    gateway.faults.on("http_429", calls=1)
    assert [ready.get("/iserver/accounts").status_code for _ in range(2)] == [429, 429]
    assert gateway.pacing.violations == [] and gateway.pacing.calls_in_box == 1


def test_a_fault_keeps_to_its_path_its_calls_and_its_beginning(ready: Caller) -> None:
    assert ready.control("fault", name="http_500", path="/tickle", calls=2, after=1) == {"on": ["http_500"]}
    assert ready.get("/iserver/accounts").status_code == 200
    assert [ready.post("/tickle").status_code for _ in range(4)] == [200, 500, 500, 200]


def test_faults_are_switched_over_https_too(ready: Caller) -> None:
    assert ready.control("fault", name="hang") == {"on": ["hang"]}
    assert ready.control("fault", name="hang", on=0) == {"on": []}
    assert ready.control("fault", name="sulk")["faults"] == FAULTS
    assert "error" in ready.control("fault", name="hang", calls="")
    assert "error" in ready.control("tws", on=2)


def test_faults_are_given_by_name_from_the_start() -> None:
    faults = Faults.of("hang", "http_500")
    assert [*faults] == ["hang", "http_500"] and "hang" in faults and set(EDGE) < set(FAULTS)
    faults.clear()
    assert [*faults] == []
    with pytest.raises(LookupError):
        faults.on("sulk")


def test_the_calendar_can_be_put_forward_over_https(ready: Caller) -> None:
    before = ready.clock()
    ready.control("advance", seconds=86_400)
    assert (ready.clock() - before).days == 1
    assert ready.post("/tickle").status_code == 401
    assert "error" in ready.control("advance", seconds="-1")


def test_the_certificate_is_trusted_through_its_own_file_only(ready: Caller) -> None:
    assert ready.http.get("/sso/validate").status_code == 200
    by_name = ready.where.base_url.replace("127.0.0.1", "localhost")
    with httpx.Client(verify=str(ready.where.ca_file)) as knowing:
        assert knowing.get(f"{by_name}/portfolio/accounts").status_code == 200
    with httpx.Client() as stranger, pytest.raises(httpx.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
        stranger.get(f"{ready.where.base_url}/tickle")
    assert ssl.create_default_context(cafile=ready.where.ca_file).get_ca_certs()
    key = ready.where.ca_file.with_suffix(".key")
    assert stat.S_IMODE(key.stat().st_mode) == 0o600


def test_a_post_must_tell_its_length(ready: Caller) -> None:
    reply = ready.http.post("/tickle", content=iter([b"{}"]))
    assert reply.status_code == 411


def test_unknown_paths_and_methods_are_refused(ready: Caller) -> None:
    assert ready.get("/iserver/marketdata/nothing").status_code == 404
    assert ready.http.delete("/tickle").status_code == 405


def test_what_is_asked_in_odd_shapes_is_refused_not_broken(ready: Caller) -> None:
    for told in ({"publish": [True]}, ["publish"], {"publish": 1}):
        assert ready.post("/iserver/auth/ssodh/init", told).status_code == 500
    assert ready.post("/iserver/account", {"acctId": {"U": 1}}).status_code == 500
    assert ready.get("/iserver/contract/x/info").status_code == 500
    assert ready.get(TRADES, accountId=ACCOUNTS[0].number, days="²").status_code == 400
