"""Trades at the Kraken sandbox: how their pages are cut, and what a trade is like."""

import json
import time
from collections import Counter
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from connectors.kraken.sandbox import KrakenBroker, running
from tests.connectors.kraken.caller import NOW, Caller, ids
from tests.connectors.standing import Clock

# -- a page at a time


def test_a_page_holds_the_fifty_newest_trades_newest_first(quiet: Caller) -> None:
    page = quiet.ask("TradesHistory", consolidate_taker="false")
    times = [trade["time"] for trade in page["trades"].values()]
    assert (len(times), page["count"]) == (50, 800)
    assert times == sorted(times, reverse=True)


def test_pages_by_offset_hold_every_trade_once(quiet: Caller) -> None:
    pages = [ids(quiet.ask("TradesHistory", consolidate_taker="false", ofs=ofs)) for ofs in range(0, 850, 50)]
    assert [len(page) for page in pages] == [50] * 16 + [0]
    assert len({trade_id for page in pages for trade_id in page}) == 800


def test_start_alone_gives_the_newest_of_the_window_not_the_first_after_it(quiet: Caller) -> None:
    assert ids(quiet.ask("TradesHistory", start=NOW - 10**8)) == ids(quiet.ask("TradesHistory"))


def test_start_is_exclusive_and_end_inclusive_in_whole_seconds(quiet: Caller) -> None:
    trades = quiet.trades()
    on_the_second = next(t for t in trades.values() if t["time"] % 1 == 0)
    second = int(on_the_second["time"])
    after, through, exactly = (
        quiet.trades(**window) for window in ({"start": second}, {"end": second}, {"start": second - 1, "end": second})
    )
    assert {trade_id for trade_id, t in trades.items() if t["time"] > second} == set(after)
    assert {trade_id for trade_id, t in trades.items() if t["time"] <= second} == set(through)
    assert {trade_id for trade_id, t in trades.items() if second - 1 < t["time"] <= second} == set(exactly)
    assert on_the_second in exactly.values()


def test_a_trade_within_the_last_second_of_a_window_falls_into_the_next(quiet: Caller) -> None:
    late = next(t for t in quiet.trades().values() if t["time"] % 1 > 0)
    second = int(late["time"])
    assert late not in quiet.trades(start=second - 1, end=second).values()
    assert late in quiet.trades(start=second, end=second + 1).values()


def test_start_and_end_may_be_ids_of_trades(quiet: Caller) -> None:
    everything = list(quiet.trades())
    assert list(quiet.trades(start=everything[60], end=everything[10])) == everything[10:60]


def test_the_first_instants_of_months_are_traded_at(quiet: Caller) -> None:
    moments = {datetime.fromtimestamp(float(t["time"]), UTC) for t in quiet.trades().values()}
    midnights = {m for m in moments if (m.day, m.hour, m.minute, m.second, m.microsecond) == (1, 0, 0, 0, 0)}
    assert len(midnights) > 20


def test_an_avalanche_fills_more_than_two_pages_within_one_instant(quiet: Caller) -> None:
    instants = Counter(trade["time"] for trade in quiet.trades().values())
    moment, fills = instants.most_common(1)[0]
    assert fills == 130
    window = {"start": int(moment) - 1, "end": int(moment) + 1}
    assert quiet.ask("TradesHistory", consolidate_taker="true", **window)["count"] < 5
    assert len(quiet.trades(**window)) >= 130


def test_the_count_can_be_left_out(quiet: Caller) -> None:
    assert set(quiet.ask("TradesHistory", without_count="true")) == {"trades"}
    assert set(quiet.ask("Ledgers", without_count="true")) == {"ledger"}


def test_times_are_numbers_printed_with_four_to_seven_decimals(quiet: Caller) -> None:
    text = quiet.send("TradesHistory", consolidate_taker="false").text
    printed = [part.split(",")[0] for part in text.split('"time":')[1:]]
    assert {len(number.partition(".")[2]) for number in printed} == {4, 5, 6, 7}
    trades = json.loads(text, parse_float=str)["result"]["trades"]
    assert [trade["time"] for trade in trades.values()] == printed


def test_only_time_trade_id_and_maker_are_not_strings(quiet: Caller) -> None:
    for trade in quiet.trades().values():
        odd = {name for name, value in trade.items() if not isinstance(value, str)}
        assert odd == {"time", "trade_id", "maker", "ledgers"}


@pytest.mark.parametrize(
    ("params", "error"),
    [
        ({"ofs": -1}, "EGeneral:Invalid arguments:ofs"),
        ({"ofs": "many"}, "EGeneral:Invalid arguments:ofs"),
        ({"start": "1700000000.5"}, "EGeneral:Invalid arguments:start"),
        ({"end": "TNONEX-NONEX-NONEXX"}, "EGeneral:Invalid arguments:end"),
        ({"type": "some"}, "EGeneral:Invalid arguments:type"),
        ({"without_count": "maybe"}, "EGeneral:Invalid arguments:without_count"),
        ({"rebase_multiplier": "both"}, "EGeneral:Invalid arguments:rebase_multiplier"),
    ],
)
def test_arguments_that_mean_nothing_are_refused(quiet: Caller, params: dict[str, Any], error: str) -> None:
    assert quiet.error("TradesHistory", **params) == error


def test_a_seed_always_gives_the_same_bytes(quiet: Caller) -> None:
    clock = Clock()
    with running(KrakenBroker(clock=clock, trades=800)) as url:
        again = Caller(url, clock)
        for method in ("TradesHistory", "Ledgers", "Balance"):
            assert again.send(method).content == quiet.send(method).content


# -- what trades are like


def test_types_divide_the_trades(quiet: Caller) -> None:
    every, none, some, closing, closed = (
        set(quiet.trades(type=kind))
        for kind in ("all", "no position", "any position", "closing position", "closed position")
    )
    assert none | some == every and not none & some
    assert closing < some and closed < some and not closed & closing


def test_a_taker_order_is_one_row_unless_the_finest_grain_is_asked_for(quiet: Caller) -> None:
    coarse, fine = quiet.walk(), quiet.trades(rebase_multiplier="rebased")
    assert len(coarse) < len(fine) and set(coarse) < set(fine)
    parts: dict[tuple[str, Decimal], list[dict[str, Any]]] = {}
    for trade in fine.values():
        parts.setdefault((trade["ordertxid"], trade["time"]), []).append(trade)
    for trade in coarse.values():
        together = parts[trade["ordertxid"], trade["time"]]
        if trade["maker"]:
            continue
        for name in ("vol", "cost", "fee"):
            assert sum((Decimal(part[name]) for part in together), Decimal(0)) == Decimal(trade[name])


def test_a_position_names_what_closed_it(quiet: Caller) -> None:
    trades = quiet.trades(type="any position", trades="true")
    opened = {trade_id: trade for trade_id, trade in trades.items() if "posstatus" in trade}
    closing = {trade_id: trade for trade_id, trade in trades.items() if trade["misc"] == "closing"}
    assert opened and len(opened) + len(closing) == len(trades)
    for trade_id, trade in opened.items():
        parts = [closing[closed_by] for closed_by in trade["trades"]]
        assert all(part["postxid"] == trade_id and part["type"] != trade["type"] for part in parts)
        assert sum((Decimal(part["vol"]) for part in parts), Decimal(0)) == Decimal(trade["cvol"])
        assert trade["posstatus"] == ("closed" if trade["cvol"] == trade["vol"] else "open")
    assert "settle-position" in {trade["ordertype"] for trade in closing.values()}


def test_open_positions_are_those_not_closed(quiet: Caller) -> None:
    opened = {i for i, trade in quiet.trades().items() if trade.get("posstatus") == "open"}
    assert set(quiet.ask("OpenPositions", docalcs="true")) == opened


def test_tokenised_stocks_are_rebased_unless_base_is_asked_for(quiet: Caller) -> None:
    based, rebased = quiet.trades(), quiet.trades(rebase_multiplier="rebased")
    tesla = [trade_id for trade_id, trade in based.items() if trade["pair"] == "TSLAxUSD"]
    assert tesla
    for trade_id in tesla:
        assert Decimal(rebased[trade_id]["vol"]) == 3 * Decimal(based[trade_id]["vol"])
        assert rebased[trade_id]["cost"] == based[trade_id]["cost"]
        assert based[trade_id]["aclass"] == "tokenized_asset"
    assert {based[i]["vol"] == rebased[i]["vol"] for i in based if based[i]["aclass"] == "forex"} == {True}


def test_a_corporate_action_changes_the_past_of_rebased_quantities_only(caller: Caller, broker: KrakenBroker) -> None:
    based, rebased = caller.trades(), caller.trades(rebase_multiplier="rebased")
    broker.multipliers["TSLAx"] = Decimal(15)
    assert caller.trades() == based
    assert caller.trades(rebase_multiplier="rebased") != rebased


def test_trades_can_be_looked_up_twenty_at_a_time(quiet: Caller) -> None:
    trades = quiet.trades(ledgers="false")
    some = list(trades)[:21]
    found = quiet.ask("QueryTrades", txid=",".join(some[:20]), trades="true")
    assert list(found) == some[:20]
    plain_pair = next(i for i in some if trades[i]["aclass"] == "forex" and "posstatus" not in trades[i])
    assert quiet.ask("QueryTrades", txid=plain_pair)[plain_pair] == trades[plain_pair]
    assert quiet.error("QueryTrades", txid=",".join(some)) == "EGeneral:Invalid arguments:txid"
    assert quiet.error("QueryTrades", txid="TNONEX-NONEX-NONEXX") == "EGeneral:Invalid arguments:txid"
    assert quiet.error("QueryTrades") == "EGeneral:Invalid arguments:txid"


# -- speed


def test_twenty_thousand_trades_are_invented_and_paged_quickly() -> None:
    """Guard against a change of order, not of percents: a list walked for each page or row takes minutes here."""
    began = time.perf_counter()
    broker = KrakenBroker(clock=Clock(), trades=20_000)
    invented = time.perf_counter() - began
    began = time.perf_counter()
    for ofs in range(0, 20_000, 50):
        page = broker.archive.trades_history({"ofs": str(ofs), "consolidate_taker": "false"}, broker.clock())
        assert len(page["trades"]) == 50  # type: ignore[arg-type]
    paged = (time.perf_counter() - began) / 400
    assert invented < 20 and paged < 0.1
