"""All that can go wrong at the Kraken sandbox, ordered by a test."""

from collections.abc import Iterator
from datetime import timedelta

import httpx
import pytest

from connectors.kraken.sandbox import KrakenBroker, running
from connectors.kraken.sandbox_faults import EDGE_STATUS, ERRORS, FAULTS
from tests.connectors.kraken.caller import NOW, Caller
from tests.connectors.standing import Clock


@pytest.fixture(scope="module")
def moody() -> Iterator[tuple[Caller, KrakenBroker]]:
    """Give a caller and a broker whose faults pass by themselves, shared because a server takes a moment to stop."""
    clock = Clock()
    broker = KrakenBroker(clock=clock, trades=100)
    with running(broker) as url:
        calling = Caller(url, clock)
        yield calling, broker
        calling.http.close()


@pytest.mark.parametrize("name", ERRORS)
def test_every_error_string_can_be_ordered_for_one_call(moody: tuple[Caller, KrakenBroker], name: str) -> None:
    caller, broker = moody
    broker.faults.on(name, calls=1)
    until = int((caller.clock() + timedelta(seconds=37)).timestamp())
    assert caller.error("TradesHistory") == ERRORS[name].format(until=until)
    assert broker.log[-1].fault == name and not broker.rate_limit_refusals
    assert caller.error("TradesHistory") == ""


def test_a_throttle_is_spelt_with_and_without_a_blank(caller: Caller, broker: KrakenBroker) -> None:
    broker.faults.on("throttled", calls=1)
    broker.faults.on("throttled_with_blank")
    told = [caller.error("Balance") for _ in range(2)]
    assert told[0].startswith("EService:Throttled: 1") and told[1].startswith("EService: Throttled: 1")


def test_a_fault_can_be_kept_to_a_method_and_begin_later(caller: Caller, broker: KrakenBroker) -> None:
    broker.faults.on("busy", at="Ledgers", after=1, calls=2)
    assert [caller.error("TradesHistory"), *(caller.error("Ledgers") for _ in range(4))] == [
        "", "", "EService:Busy", "EService:Busy", "",
    ]  # fmt: skip


@pytest.mark.parametrize(("name", "status"), EDGE_STATUS.items())
def test_the_edge_fails_with_a_page_of_its_own(moody: tuple[Caller, KrakenBroker], name: str, status: int) -> None:
    caller, broker = moody
    broker.faults.on(name, calls=2)
    for reply in (caller.send("TradesHistory"), caller.http.get("/0/public/Time")):
        assert reply.status_code == status
        assert reply.text.startswith("<!DOCTYPE html>")
    assert (broker.log[-1].method, broker.log[-1].fault, broker.log[-1].error) == ("TradesHistory", name, None)
    assert caller.error("TradesHistory") == ""


def test_answers_may_be_html_nothing_or_half(caller: Caller, broker: KrakenBroker) -> None:
    for name in ("html_page", "empty_body", "truncated_json"):
        broker.faults.on(name, calls=1)
        reply = caller.send("TradesHistory")
        assert reply.status_code == 200
        with pytest.raises(ValueError, match=r"Expecting|Unterminated"):
            reply.json()
    assert caller.error("TradesHistory") == ""


def test_a_hanging_service_outlasts_an_impatient_client(caller: Caller, broker: KrakenBroker) -> None:
    broker.hang_seconds = 0.4
    broker.faults.on("hang")
    with pytest.raises(httpx.ReadTimeout):
        caller.http.get("/0/public/Time", timeout=0.1)


def test_a_warning_stands_beside_a_valid_result(caller: Caller, broker: KrakenBroker) -> None:
    broker.faults.on("warning")
    reply = caller.send("TradesHistory").json()
    assert reply["error"][0].startswith("W") and len(reply["result"]["trades"]) == 50


def test_a_count_may_be_wrong(caller: Caller, broker: KrakenBroker) -> None:
    true_count = caller.ask("TradesHistory")["count"]
    for name, difference in (("count_too_small", -7), ("count_too_large", 7)):
        broker.faults.on(name, calls=1)
        assert caller.ask("TradesHistory")["count"] == true_count + difference


def test_a_page_may_be_empty_too_early(caller: Caller, broker: KrakenBroker) -> None:
    broker.faults.on("early_empty_page", calls=1)
    assert len(caller.ask("TradesHistory")["trades"]) == 50
    page = caller.ask("TradesHistory", ofs=50)
    assert (page["trades"], page["count"] > 100) == ({}, True)
    assert len(caller.ask("TradesHistory", ofs=50)["trades"]) == 50


def test_withheld_rows_are_counted_and_appear_in_the_second_walk(caller: Caller, broker: KrakenBroker) -> None:
    broker.faults.on("withheld")
    count = caller.ask("TradesHistory", consolidate_taker="false", end=NOW)["count"]
    assert len(caller.trades()) < count == 300
    assert len(caller.trades()) == count


def test_hidden_rows_are_not_even_counted(caller: Caller, broker: KrakenBroker) -> None:
    broker.faults.on("hidden")
    first = caller.ask("TradesHistory", consolidate_taker="false")["count"]
    second = caller.ask("TradesHistory", consolidate_taker="false")["count"]
    assert first < second == 300


def test_rows_may_come_in_no_order_and_without_newer_fields(caller: Caller, broker: KrakenBroker) -> None:
    page = caller.ask("TradesHistory")["trades"]
    broker.faults.on("shuffled")
    broker.faults.on("old_fields")
    shuffled = caller.ask("TradesHistory")["trades"]
    assert set(shuffled) == set(page) and list(shuffled) != list(page)
    assert {frozenset(page[i].keys() - row.keys()) for i, row in shuffled.items()} == {
        frozenset({"trade_id", "maker", "leverage", "aclass"})
    }


def test_late_rows_show_only_after_a_while(caller: Caller, broker: KrakenBroker) -> None:
    broker.faults.on("late")
    broker.trade_now(2)
    counts = [caller.ask("TradesHistory", consolidate_taker="false", wait=wait)["count"] for wait in (80, 11)]
    assert counts == [300, 302]


def test_faults_are_switched_over_http_too(caller: Caller) -> None:
    def control(**params: str) -> httpx.Response:
        return caller.http.post("/sandbox/fault", params=params)

    assert control(name="busy", method="Balance", calls="2").json() == {"on": ["busy"]}
    assert [caller.error(m) for m in ("Ledgers", "Balance", "Balance", "Balance")] == [
        "", "EService:Busy", "EService:Busy", "",
    ]  # fmt: skip
    control(name="unavailable")
    assert control(name="unavailable", on="0").json() == {"on": []}
    assert control(name="busy", calls="").status_code == 400
    refused = control(name="sulk")
    assert refused.status_code == 400 and refused.json()["faults"] == FAULTS
