"""Who the Kraken sandbox lets in, and how often."""

import threading
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal

import pytest

from connectors.kraken.sandbox import (
    API_KEY,
    API_SECRET,
    OTP,
    OTP_KEY,
    TOTP_KEY,
    TOTP_SECRET,
    TRADES_ONLY_KEY,
    KrakenBroker,
    running,
)
from connectors.kraken.sandbox_admission import TIERS, Counter, Key, one_time_code, signature
from connectors.kraken.sandbox_broker import METHODS
from tests.connectors.kraken.caller import NOW, Caller
from tests.connectors.standing import FRIDAY_EVENING, Clock


def test_the_official_test_vector_is_signed_as_published() -> None:
    assert (
        signature(
            "kQH5HW/8p1uGOVjbgWA7FunAmGO8lsSUXNsu3eow76sz84Q18fWxnyRzBHCd3pd5nE9qa99HAZtuZuj6F1huXg==",
            "/0/private/AddOrder",
            "1616492376594",
            b"nonce=1616492376594&ordertype=limit&pair=XBTUSD&price=37500&type=buy&volume=1.25",
        )
        == "4/dpxb3iT4tp/ZCVEwSnEsLxx0bqyhLpdfOpc6fn7OR8+UClSV5n9E6aSS8MPtnRfp32bAb0nmbRn6H8ndwLUQ=="
    )


# -- key and signature


def test_a_form_and_a_json_body_are_both_understood(caller: Caller) -> None:
    form = caller.send("TradesHistory", ofs=3, ledgers="true").json()["result"]
    same = caller.send("TradesHistory", ofs=3, ledgers=True, as_json=True).json()["result"]
    assert form == same
    assert form["count"] > 50


def test_a_wrong_secret_is_an_invalid_signature_and_uses_up_no_nonce(base: str, clock: Clock, caller: Caller) -> None:
    forger = Caller(base, clock, secret="Zm9yZ2Vy")
    assert forger.error("Balance", nonce=2_000_000_000_000) == "EAPI:Invalid signature"
    assert caller.error("Balance", nonce=1_999_999_999_999) == ""


def test_the_signature_covers_the_very_bytes_sent(caller: Caller) -> None:
    request = caller.send("Balance").request
    request.read()
    changed = caller.http.build_request(
        "POST", "/0/private/Balance", content=request.content + b"&asset=ZEUR", headers=request.headers
    )
    changed.headers["content-length"] = str(len(request.content) + 11)
    assert caller.http.send(changed).json() == {"error": ["EAPI:Invalid signature"]}


def test_three_invalid_keys_in_a_row_lock_out_for_a_quarter_of_an_hour(base: str, clock: Clock) -> None:
    stranger = Caller(base, clock, key="nobody")
    errors = [stranger.error("Balance", wait=1) for _ in range(4)]
    assert errors == ["EAPI:Invalid key"] * 3 + ["EGeneral:Temporary lockout"]
    assert stranger.error("Balance", wait=898) == "EGeneral:Temporary lockout"
    assert stranger.error("Balance", wait=2) == "EAPI:Invalid key"
    assert Caller(base, clock).error("Balance") == ""


def test_a_key_with_a_second_factor_demands_it(base: str, clock: Clock) -> None:
    careful = Caller(base, clock, key=OTP_KEY)
    assert careful.error("Balance") == "EAPI:Invalid signature"
    assert careful.error("Balance", otp="guess") == "EAPI:Invalid signature"
    assert careful.error("Balance", otp=OTP) == ""


def test_a_key_with_an_authenticator_app_wants_its_code_of_this_half_minute(base: str, clock: Clock) -> None:
    careful = Caller(base, clock, key=TOTP_KEY)
    begins = NOW - NOW % 30

    def code(seconds: int) -> str:
        return one_time_code(TOTP_SECRET, (begins + seconds) // 30)

    assert careful.error("Balance", wait=0) == "EAPI:Invalid signature"
    assert careful.error("Balance", wait=0, otp=TOTP_SECRET) == "EAPI:Invalid signature"
    assert careful.error("Balance", wait=0, otp=code(60)) == "EAPI:Invalid signature"
    for neighbour in (-30, 0, 30, 0):
        assert careful.error("Balance", wait=0, otp=code(neighbour)) == ""


def test_a_key_may_take_each_code_once(broker: KrakenBroker, base: str, clock: Clock) -> None:
    broker.keys[TOTP_KEY] = Key(API_SECRET, totp_secret=TOTP_SECRET, takes_codes_once=True)
    careful = Caller(base, clock, key=TOTP_KEY)
    code = one_time_code(TOTP_SECRET, NOW // 30)
    errors = [careful.error("Balance", wait=0, otp=code) for _ in range(2)]
    assert errors == ["", "EAPI:Invalid signature"]


def test_each_method_asks_for_its_permission(base: str, clock: Clock) -> None:
    trades_only = Caller(base, clock, key=TRADES_ONLY_KEY)
    refused = {method for method in METHODS if trades_only.error(method) == "EGeneral:Permission denied"}
    assert refused == {
        "Ledgers", "QueryLedgers", "Balance", "BalanceEx", "AddExport", "ExportStatus", "RetrieveExport",
        "RemoveExport", "GetWebSocketsToken",
    }  # fmt: skip


def test_to_export_a_report_a_key_must_be_allowed_to_read_it(clock: Clock) -> None:
    key = Key(API_SECRET, permissions=frozenset({"export", "trades"}))
    with running(KrakenBroker(clock=clock, trades=10, keys={API_KEY: key})) as url:
        caller = Caller(url, clock)
        assert caller.error("AddExport", report="ledgers", description="x") == "EGeneral:Permission denied"
        assert caller.error("AddExport", report="trades", description="x") == ""


# -- nonces


@pytest.mark.parametrize("nonce", ["", "12.5", "-1", "now", str(2**64)])
def test_what_is_no_unsigned_whole_number_of_64_bits_is_no_nonce(quiet: Caller, nonce: str) -> None:
    assert quiet.error("Balance", nonce=nonce) == "EAPI:Invalid nonce"


def test_a_nonce_must_be_above_all_before_it(caller: Caller) -> None:
    told = [caller.error("Balance", nonce=nonce) for nonce in (100, 101, 101, 99, 5000, 4999, 5001)]
    bad = "EAPI:Invalid nonce"
    assert told == ["", "", bad, bad, "", bad, ""]


def test_a_program_that_counts_in_smaller_units_spoils_the_key_for_others(caller: Caller) -> None:
    assert caller.error("Balance", nonce=1_700_000_000_000_000_000) == ""
    assert caller.error("Balance", nonce=1_700_000_000_100) == "EAPI:Invalid nonce"


def test_a_nonce_window_lets_late_ones_in_once(clock: Clock) -> None:
    keys = {API_KEY: Key(API_SECRET, nonce_window=10)}
    with running(KrakenBroker(clock=clock, trades=10, keys=keys)) as url:
        caller = Caller(url, clock)
        told = [caller.error("Balance", nonce=nonce) for nonce in (100, 95, 95, 91, 90, 200, 190, 191)]
    bad = "EAPI:Invalid nonce"
    assert told == ["", "", bad, "", bad, "", bad, ""]


def test_a_call_refused_by_the_counter_has_used_its_nonce(caller: Caller) -> None:
    errors = [caller.error("TradesHistory", nonce=nonce, wait=0) for nonce in range(100, 108)]
    assert errors == [""] * 7 + ["EAPI:Rate limit exceeded"]
    assert caller.error("TradesHistory", nonce=107, wait=60) == "EAPI:Invalid nonce"


def test_calls_made_at_once_on_one_key_overtake_one_another(base: str, broker: KrakenBroker, clock: Clock) -> None:
    broker.jitter_seconds = 0.2
    barrier, callers = threading.Barrier(8), [Caller(base, clock) for _ in range(8)]

    def ask(number: int) -> str:
        barrier.wait()
        return callers[number].error("Balance", nonce=1000 + number, wait=0)

    with ThreadPoolExecutor(8) as pool:
        errors = list(pool.map(ask, range(8)))
    assert set(errors) == {"", "EAPI:Invalid nonce"}


# -- the counter


def test_a_counter_is_what_it_was_less_its_decay_plus_the_cost() -> None:
    clock, counter, starter = Clock(), Counter(), TIERS["starter"]
    assert [counter.charge(2, starter, clock()) for _ in range(7)] == [True] * 7
    assert counter.level == 14
    clock.pass_seconds(2)  # 14 - 0.66 + 2 = 15.34
    assert not counter.charge(2, starter, clock())
    assert counter.level == Decimal("15.34")
    clock.pass_seconds(7.1)  # 15.34 - 2.343 + 2 = 14.997
    assert counter.charge(2, starter, clock())
    assert (counter.level, counter.high_water, counter.refused) == (Decimal("14.997"), Decimal("14.997"), 1)
    clock.pass_seconds(3600)
    assert counter.at(starter, clock()) == 0


@pytest.mark.parametrize(
    ("tier", "burst", "a_little_too_soon", "just_right"),
    [("starter", 7, 3.0, 3.1), ("intermediate", 10, 3.9, 4.0), ("pro", 10, 1.9, 2.0)],
)
def test_each_tier_has_its_burst_and_then_its_pace(
    tier: str, burst: int, a_little_too_soon: float, just_right: float
) -> None:
    for pause, refused in ((a_little_too_soon, True), (just_right, False)):
        clock = Clock()
        with running(KrakenBroker(clock=clock, trades=10, keys={API_KEY: Key(API_SECRET, tier=tier)})) as url:
            caller = Caller(url, clock)
            assert [caller.error("Ledgers", wait=0) for _ in range(burst)] == [""] * burst
            assert (caller.error("Ledgers", wait=pause) != "") == refused


@pytest.mark.parametrize(
    ("method", "calls"),
    [("TradesHistory", 7), ("Ledgers", 7), ("QueryTrades", 7), ("QueryLedgers", 7), ("Balance", 15)],
)
def test_history_costs_two_and_everything_else_one(caller: Caller, method: str, calls: int) -> None:
    errors = [caller.error(method, wait=0) for _ in range(calls + 1)]
    assert errors[-1] == "EAPI:Rate limit exceeded"
    assert "EAPI:Rate limit exceeded" not in errors[:-1]


def test_hammering_never_ends_because_a_refused_call_costs_too(caller: Caller, broker: KrakenBroker) -> None:
    for _ in range(7):
        caller.ask("Ledgers", wait=0)
    assert {caller.error("Ledgers", wait=3) for _ in range(20)} == {"EAPI:Rate limit exceeded"}
    assert broker.admission.level(API_KEY, caller.clock()) > 15
    assert caller.error("Ledgers", wait=100) == ""


def test_public_methods_cost_nothing(caller: Caller, broker: KrakenBroker) -> None:
    for _ in range(20):
        caller.public("Time")
    assert broker.high_water() == 0


def test_public_methods_can_have_a_pace_of_their_own(clock: Clock) -> None:
    with running(KrakenBroker(clock=clock, trades=10, public_calls_per_second=1)) as url:
        caller = Caller(url, clock)
        assert caller.public("Time")["unixtime"] == int(FRIDAY_EVENING.timestamp())
        assert caller.http.get("/0/public/Time").json() == {"error": ["EGeneral:Too many requests"]}
        clock.pass_seconds(1)
        assert caller.public("Time")


def test_every_refusal_and_the_highest_level_are_on_record(caller: Caller, broker: KrakenBroker) -> None:
    for _ in range(9):
        caller.error("TradesHistory", wait=0, type="all")
    assert broker.high_water() == 14
    assert [call.counter for call in broker.rate_limit_refusals] == [16, 18]
    last = broker.log[-1]
    assert (last.method, last.params, last.at) == ("TradesHistory", {"type": "all"}, FRIDAY_EVENING)
    assert broker.requests["TradesHistory"] == 9
    told = caller.http.get("/sandbox/requests").json()
    assert told["rate_limit_refusals"] == 2 and told["high_water"][API_KEY] == "14"
