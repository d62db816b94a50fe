"""The Kraken sandbox, spoken to over loopback HTTP by clients that know nothing of its inside."""

import io
import json
import time
import zipfile
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import ccxt
import httpx
import pytest
from kraken.exceptions import KrakenInvalidNonceError, KrakenInvalidSignatureError
from kraken.spot import Market, User

from connectors.kraken.sandbox import API_SECRET, KrakenBroker, running
from connectors.kraken.sandbox_admission import Key
from connectors.kraken.sandbox_broker import TOKEN_EXPIRES
from connectors.kraken.sandbox_faults import EDGE_STATUS, ERRORS, FAULTS
from tests.connectors.kraken.caller import NOW, Caller, Clock


def ids(result: dict[str, Any], rows: str = "trades") -> list[str]:
    return list(result[rows])


# -- trades, a page at a time


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


# -- while trades arrive


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


# -- the ledger


def test_the_ledger_is_filtered_by_type_asset_and_class(quiet: Caller) -> None:
    every = quiet.ledger()
    for name, values in {"type": ("deposit", "rollover"), "aclass": ("tokenized_asset",), "asset": ("KFEE",)}.items():
        for value in values:
            assert quiet.ledger(**{name: value}) == {i: row for i, row in every.items() if row[name] == value}
    bitcoin = [quiet.ledger(asset=name) for name in ("XXBT", "XBT", "btc")]
    assert bitcoin[0] and bitcoin[0] == bitcoin[1] == bitcoin[2]
    assert quiet.ledger(asset="ZEUR,ZUSD") == quiet.ledger(asset="EUR") | quiet.ledger(asset="USD")
    assert quiet.error("Ledgers", asset="MOON") == "EQuery:Unknown asset"
    assert quiet.error("Ledgers", type="gift") == "EGeneral:Invalid arguments:type"


def test_ledger_windows_obey_the_same_bounds(quiet: Caller) -> None:
    every = quiet.ledger()
    middle = int(list(every.values())[len(every) // 2]["time"])
    assert quiet.ledger(start=middle) | quiet.ledger(end=middle) == every
    assert not quiet.ledger(start=middle).keys() & quiet.ledger(end=middle).keys()


def test_ledger_rows_can_be_looked_up_twenty_at_a_time(quiet: Caller) -> None:
    page = quiet.ask("Ledgers")["ledger"]
    some = list(page)[:21]
    assert quiet.ask("QueryLedgers", id=",".join(some[:20])) == {i: page[i] for i in some[:20]}
    assert quiet.error("QueryLedgers", id=",".join(some)) == "EGeneral:Invalid arguments:id"


def test_balances_are_where_the_ledger_ends(quiet: Caller) -> None:
    ended: dict[str, str] = {}
    for row in quiet.ledger(rebase_multiplier="base").values():
        if row["balance"]:
            ended.setdefault(row["asset"], row["balance"])
    assert ended == {code: text for code, text in quiet.ask("Balance").items() if code in ended}


# -- other methods


def test_a_websocket_token_is_good_for_fifteen_minutes(caller: Caller, broker: KrakenBroker) -> None:
    answer = caller.ask("GetWebSocketsToken")
    assert answer["expires"] == TOKEN_EXPIRES == 900
    assert broker.tokens[answer["token"]] == caller.clock() + timedelta(minutes=15)


def test_the_public_methods_tell_time_state_assets_and_pairs(quiet: Caller) -> None:
    assert quiet.public("Time")["unixtime"] == int(quiet.clock().timestamp())
    assert quiet.public("SystemStatus")["status"] == "online"
    assert quiet.public("Assets")["XXBT"]["altname"] == "XBT"
    assert quiet.public("Assets", assetVersion="1")["BTC"]["altname"] == "XBT"
    assert quiet.public("AssetPairs", pair="XBT/USD,ETHXBT").keys() == {"XXBTZUSD", "XETHXXBT"}
    modern = quiet.public("AssetPairs", assetVersion="1")["DOGE/USD"]
    assert (modern["base"], modern["quote"], modern["wsname"]) == ("DOGE", "USD", "XDG/USD")
    assert quiet.public("AssetPairs", info="margin", pair="XBTUSD") == {
        "XXBTZUSD": {"margin_call": 80, "margin_stop": 40}
    }


def test_tokenised_stocks_are_listed_only_when_asked_for_and_delisted_pairs_never(quiet: Caller) -> None:
    usual, tokens = quiet.public("AssetPairs"), quiet.public("AssetPairs", aclass_base="tokenized_asset")
    assert set(tokens) == {"AAPLxUSD", "TSLAxUSD"} and not usual.keys() & tokens.keys()
    assert quiet.public("Assets", aclass="tokenized_asset").keys() == {"AAPLx", "TSLAx"}
    traded = {trade["pair"] for trade in quiet.trades().values()}
    assert traded - usual.keys() - tokens.keys() == {"NANOEUR", "XREPZUSD"}
    refused = quiet.http.get("/0/public/AssetPairs", params={"pair": "NANOEUR"}).json()
    assert refused == {"error": ["EQuery:Unknown asset pair"]}


def test_what_is_no_method_is_unknown(quiet: Caller) -> None:
    assert quiet.error("AddOrder") == "EGeneral:Unknown method"
    for reply in (quiet.http.get("/0/private/Balance"), quiet.http.get("/0/public/Moon"), quiet.http.get("/1/x")):
        assert reply.json() == {"error": ["EGeneral:Unknown method"]}


def test_a_body_that_is_no_object_is_a_bad_request(quiet: Caller) -> None:
    for body in ("[1]", "{"):
        reply = quiet.http.post("/0/private/Balance", content=body, headers={"content-type": "application/json"})
        assert reply.json() == {"error": ["EAPI:Bad request"]}


# -- faults


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


# -- other people's clients


class HurryingClock(Clock):
    """Ten seconds pass at each look, so that clients that know only real time never fill the counter."""

    def __call__(self) -> datetime:
        self.pass_seconds(10)
        return self.moment


@pytest.fixture(scope="module")
def hurrying() -> Iterator[tuple[KrakenBroker, str]]:
    keys = {name: Key(API_SECRET) for name in ("ccxt", "sdk")}  # their nonces count in different units
    broker = KrakenBroker(clock=HurryingClock(), trades=260, keys=keys)
    with running(broker) as url:
        yield broker, url


@pytest.fixture
def exchange(hurrying: tuple[KrakenBroker, str]) -> ccxt.kraken:
    _, url = hurrying
    urls = {"api": {"public": url, "private": url}}
    return ccxt.kraken({"apiKey": "ccxt", "secret": API_SECRET, "enableRateLimit": False, "urls": urls})


@pytest.fixture
def user(hurrying: tuple[KrakenBroker, str]) -> User:
    return User(key="sdk", secret=API_SECRET, url=hurrying[1])


def executions(broker: KrakenBroker, kind: str = "TRADE") -> list[dict[str, Any]]:
    wanted = {"TRADE", "BOOK"} if kind == "TRADE" else {kind}
    return [row for row in broker.book()["kraken"]["main"] if row["exec_type"] in wanted]


def test_ccxt_brings_home_every_trade(hurrying: tuple[KrakenBroker, str], exchange: ccxt.kraken) -> None:
    broker, _ = hurrying
    found: dict[str, Any] = {}
    for ofs in range(0, 300, 50):
        params = {"ofs": ofs, "consolidate_taker": "false", "rebase_multiplier": "base"}
        found |= {trade["id"]: trade for trade in exchange.fetch_my_trades(params=params)}
    book = {row["exec_id"]: row for row in executions(broker)}
    assert found.keys() == book.keys()
    for trade_id, trade in found.items():
        row = book[trade_id]
        assert (trade["side"].upper(), trade["order"]) == (row["side"], row["order_id"])
        assert (trade["amount"], trade["price"]) == (float(row["quantity"]), float(row["price"]))
        assert trade["fee"]["cost"] == float(row["stated_fee"])
        if trade["symbol"] in exchange.markets:  # of a pair that is not listed ccxt guesses the name, sometimes wrongly
            assert trade["symbol"] == row["symbol"]
    assert broker.rate_limit_refusals == []


def test_ccxt_asks_for_a_window_in_milliseconds(hurrying: tuple[KrakenBroker, str], exchange: ccxt.kraken) -> None:
    broker, _ = hurrying
    since, until = (NOW - 86400 * days for days in (300, 200))
    found = exchange.fetch_my_trades(since=since * 1000, params={"until": until * 1000, "consolidate_taker": "false"})
    times = [Decimal(row["time_raw"]) for row in executions(broker)]
    assert len(found) == sum(since < at <= until + 1 for at in times) > 0


def test_ccxt_reads_the_ledger_and_the_balance(hurrying: tuple[KrakenBroker, str], exchange: ccxt.kraken) -> None:
    broker, _ = hurrying
    rows = [row for ofs in range(0, 1000, 50) for row in exchange.fetch_ledger(params={"ofs": ofs})]
    assert {row["id"] for row in rows} == {entry.id for entry in broker.account.ledger.rows}
    assert {row["currency"] for row in rows} >= {"BTC", "EUR", "USD", "DOGE"}
    euros = exchange.fetch_ledger("EUR")
    assert {row["currency"] for row in euros} == {"EUR"}
    assert exchange.fetch_balance()["EUR"]["total"] == float(broker.account.balances["ZEUR"])


def test_ccxt_tells_the_errors_apart(hurrying: tuple[KrakenBroker, str], exchange: ccxt.kraken) -> None:
    broker, _ = hurrying
    for name, error in {
        "rate_limit_exceeded": ccxt.DDoSProtection,
        "invalid_nonce": ccxt.InvalidNonce,
        "invalid_key": ccxt.AuthenticationError,
        "permission_denied": ccxt.PermissionDenied,
        "unavailable": ccxt.ExchangeNotAvailable,
        "http_520": ccxt.ExchangeNotAvailable,
    }.items():
        broker.faults.on(name, at="TradesHistory", calls=1)
        with pytest.raises(error):
            exchange.fetch_my_trades()


def test_python_kraken_sdk_brings_home_every_trade(hurrying: tuple[KrakenBroker, str], user: User) -> None:
    broker, _ = hurrying
    found: dict[str, Any] = {}
    while len(page := user.get_trades_history(ofs=len(found), consolidate_taker=False, ledgers=True)["trades"]) > 0:
        found |= page
    assert found.keys() == {row["exec_id"] for row in executions(broker)}
    some = list(found)[:20]
    assert list(user.get_trades_info(txid=some)) == some
    entry = found[some[0]]["ledgers"][0]
    assert user.get_ledgers(id_=entry)[entry]["refid"] == some[0]


def test_python_kraken_sdk_reads_ledgers_positions_and_balances(hurrying: tuple[KrakenBroker, str], user: User) -> None:
    broker, _ = hurrying
    told = user.get_ledgers_info(asset=["KFEE", "EUR"])
    assert {row["asset"] for row in told["ledger"].values()} == {"KFEE", "ZEUR"}
    deposits = [entry for entry in broker.account.ledger.rows if entry.type == "deposit"]
    assert user.get_ledgers_info(type_="deposit")["count"] == sum(d.asset.aclass == "currency" for d in deposits)
    assert set(user.get_open_positions()) == {position.id for position in broker.account.open_positions}
    assert Decimal(user.get_account_balance()["ZEUR"]) == broker.account.balances["ZEUR"]


def test_python_kraken_sdk_exports_a_report(user: User) -> None:
    start = NOW - 86400 * 365
    export = user.request_export_report(report="trades", description="a year", starttm=start, endtm=NOW)["id"]
    for _ in range(5):
        status = user.get_export_report_status(report="trades")[0]
        if status["status"] == "Processed":
            break
    assert (status["id"], status["descr"], status["starttm"]) == (export, "a year", str(start))
    reply: Any = user.retrieve_export(id_=export)
    with zipfile.ZipFile(io.BytesIO(reply.content)) as archive:
        assert archive.read("trades.csv").startswith(b'"txid","ordertxid","pair"')
    assert user.delete_export_report(id_=export) == {"delete": True}


def test_python_kraken_sdk_tells_the_errors_apart(hurrying: tuple[KrakenBroker, str], user: User) -> None:
    broker, url = hurrying
    broker.faults.on("invalid_nonce", calls=1)
    with pytest.raises(KrakenInvalidNonceError):
        user.get_account_balance()
    with pytest.raises(KrakenInvalidSignatureError):
        User(key="sdk", secret="Zm9yZ2Vy", url=url).get_account_balance()


def test_python_kraken_sdk_reads_the_public_listings(hurrying: tuple[KrakenBroker, str]) -> None:
    market = Market(url=hurrying[1])
    assert market.get_assets(assets=["BTC", "EUR"]).keys() == {"XXBT", "ZEUR"}
    assert market.get_asset_pairs(pair=["BTC/USD"])["XXBTZUSD"]["wsname"] == "XBT/USD"
    assert market.get_system_status()["status"] == "online"


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
