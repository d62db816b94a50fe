"""Trades that arrive at the Kraken sandbox while somebody reads."""

from connectors.kraken.sandbox import KrakenBroker, running
from tests.connectors.kraken.caller import NOW, Caller, ids
from tests.connectors.standing import Clock


def test_arrivals_shift_the_offsets_and_raise_the_count(clock: Clock) -> None:
    with running(KrakenBroker(clock=clock, trades=200, arrivals_per_second=0.5)) as url:
        caller = Caller(url, clock)
        first = caller.ask("TradesHistory", consolidate_taker="false")
        second = caller.ask("TradesHistory", consolidate_taker="false", ofs=50, wait=30)
        arrived = second["count"] - first["count"]
        assert 5 < arrived < 40
        assert set(ids(second)[:arrived]) == set(ids(first)[-arrived:])


def test_a_window_that_ends_in_the_past_is_left_alone_by_arrivals(clock: Clock) -> None:
    with running(KrakenBroker(clock=clock, trades=200, arrivals_per_second=0.5)) as url:
        caller = Caller(url, clock)
        counts = {caller.ask("TradesHistory", end=NOW, ofs=ofs)["count"] for ofs in (0, 50, 100)}
        assert len(counts) == 1


def test_arrivals_are_the_same_however_often_anybody_looks(clock: Clock) -> None:
    impatient = KrakenBroker(clock=clock, trades=50, arrivals_per_second=0.2)
    patient = KrakenBroker(clock=clock, trades=50, arrivals_per_second=0.2)
    for _ in range(40):
        clock.pass_seconds(7.3)
        impatient.book()
    assert impatient.book() == patient.book()
    assert len(patient.book()["kraken"]["main"]) > 60


def test_a_sandbox_started_again_has_the_same_account_again(clock: Clock) -> None:
    ended = clock()
    first = KrakenBroker(clock=clock, trades=50, past_ends=ended, arrivals_per_second=0.01)
    clock.pass_seconds(3600)
    again = KrakenBroker(clock=clock, trades=50, past_ends=ended, arrivals_per_second=0.01)
    assert len(first.book()["kraken"]["main"]) > 60
    assert again.book() == first.book()


def test_a_client_can_make_the_customer_trade_at_once(caller: Caller) -> None:
    before = caller.ask("TradesHistory")["count"]
    assert caller.http.post("/sandbox/trade", params={"trades": "3"}).status_code == 200
    page = caller.ask("TradesHistory")
    assert page["count"] == before + 3
    assert len({trade["time"] for trade in list(page["trades"].values())[:3]}) == 1
    assert caller.http.post("/sandbox/trade", params={"trades": "0"}).status_code == 400
