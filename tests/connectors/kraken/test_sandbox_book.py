"""The account at the Kraken sandbox: its ledger agrees with its trades, and its book with both."""

from collections import defaultdict
from datetime import datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

import pytest

from connectors.kraken.sandbox import KrakenBroker
from connectors.kraken.sandbox_market import ASSETS, PAIRS
from tests.connectors.kraken.caller import Caller
from tests.connectors.standing import Clock

ZERO = Decimal(0)
Rows = dict[str, dict[str, Any]]


@pytest.fixture(scope="module")
def trades(quiet: Caller) -> Rows:
    return quiet.trades(trades="true")


@pytest.fixture(scope="module")
def ledger(quiet: Caller) -> Rows:
    return quiet.ledger()


@pytest.fixture(scope="module")
def book(quiet: Caller) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = quiet.http.get("/book").json()["kraken"]["main"]
    return rows


def legs_of(trade: dict[str, Any], ledger: Rows) -> list[dict[str, Any]]:
    return [ledger[entry] for entry in trade["ledgers"]]


def of_type(ledger: Rows, *types: str) -> dict[str, list[dict[str, Any]]]:
    grouped: defaultdict[str, list[dict[str, Any]]] = defaultdict(list)
    for row in ledger.values():
        if row["type"] in types:
            grouped[row["refid"]].append(row)
    return grouped


# -- the ledger


def test_a_balance_is_the_one_before_plus_amount_less_fee(ledger: Rows) -> None:
    balances: defaultdict[str, Decimal] = defaultdict(Decimal)
    for row in reversed(ledger.values()):
        if row["balance"] == "":
            continue
        balances[row["asset"]] += Decimal(row["amount"]) - Decimal(row["fee"])
        assert Decimal(row["balance"]) == balances[row["asset"]] >= 0


def test_ledger_rows_come_in_the_order_of_their_times(ledger: Rows) -> None:
    assert all(later["time"] >= earlier["time"] for later, earlier in pairwise(ledger.values()))


def test_every_trade_has_its_rows_in_the_ledger_and_every_such_row_its_trade(trades: Rows, ledger: Rows) -> None:
    for trade_id, trade in trades.items():
        assert {row["refid"] for row in legs_of(trade, ledger)} == {trade_id}
    named = {row["refid"] for row in ledger.values() if row["type"] in {"trade", "margin", "settled"}}
    assert named == set(trades)


def test_spot_legs_move_what_the_trade_says(trades: Rows, ledger: Rows) -> None:
    for trade in trades.values():
        if Decimal(trade["margin"]):
            continue
        base, quote, *others = legs_of(trade, ledger)
        pair, toward = PAIRS[trade["pair"]], 1 if trade["type"] == "buy" else -1
        assert (base["asset"], quote["asset"]) == (pair.base.code, pair.quote.code)
        assert [row["asset"] for row in others] in ([], ["KFEE"])
        assert Decimal(base["amount"]) == toward * Decimal(trade["vol"])
        assert abs(Decimal(quote["amount"]) + toward * Decimal(trade["cost"])) <= pair.quote.unit / 2


def test_the_fee_a_trade_states_is_what_its_legs_charge_in_quote_currency(trades: Rows, ledger: Rows) -> None:
    ways = set()
    for trade in trades.values():
        if Decimal(trade["margin"]):
            continue
        pair = PAIRS[trade["pair"]]
        charged = {row["asset"]: Decimal(row["fee"]) for row in legs_of(trade, ledger) if Decimal(row["fee"])}
        rate = {pair.quote.code: Decimal(1), pair.base.code: Decimal(trade["price"]),
                "KFEE": Decimal("0.01") / Decimal(str(pair.quote.usd))}  # fmt: skip
        value = sum((amount * rate[asset] for asset, amount in charged.items()), ZERO)
        slack = pair.quote.unit + (rate["KFEE"] if "KFEE" in charged else ZERO) + rate[pair.base.code] * pair.base.unit
        assert abs(value - Decimal(trade["fee"])) <= slack
        roles = {pair.quote.code: "quote", pair.base.code: "base", "KFEE": "credit"}
        ways.add(frozenset(roles[asset] for asset in charged))
    wanted = [{"quote"}, {"base"}, {"credit"}, {"quote", "base"}, {"quote", "credit"}]
    assert ways - {frozenset()} == {frozenset(way) for way in wanted}


def test_a_margin_trade_moves_only_its_profit_and_fees(trades: Rows, ledger: Rows) -> None:
    for trade in trades.values():
        if not Decimal(trade["margin"]) or trade["ordertype"] == "settle-position":
            continue
        (row,) = legs_of(trade, ledger)
        assert (row["type"], row["asset"]) == ("margin", PAIRS[trade["pair"]].quote.code)
        fee = Decimal(row["fee"]) - Decimal(trade["fee"])
        if trade["misc"] == "closing":
            opened = trades[trade["postxid"]]
            toward = 1 if opened["type"] == "buy" else -1
            profit = toward * (Decimal(trade["price"]) - Decimal(opened["price"])) * Decimal(trade["vol"])
            assert abs(Decimal(row["amount"]) - profit) < Decimal("0.001")
            assert abs(fee) < Decimal("0.001")
        else:
            assert Decimal(row["amount"]) == 0
            assert abs(fee - Decimal(trade["cost"]) * Decimal("0.0002")) < Decimal("0.001")


def test_a_position_settled_in_kind_moves_both_assets_at_its_opening_price(trades: Rows, ledger: Rows) -> None:
    settled = [trade for trade in trades.values() if trade["ordertype"] == "settle-position"]
    assert settled
    for trade in settled:
        base, quote = legs_of(trade, ledger)
        assert {base["type"], quote["type"]} == {"settled"}
        assert trade["price"] == trades[trade["postxid"]]["price"]
        assert abs(Decimal(base["amount"])) == Decimal(trade["vol"])
        assert Decimal(base["amount"]) * Decimal(quote["amount"]) < 0


def test_rollovers_charge_open_positions_under_references_of_their_own(trades: Rows, ledger: Rows) -> None:
    rows = [row for row in ledger.values() if row["type"] == "rollover"]
    assert rows and all(Decimal(row["amount"]) == 0 < Decimal(row["fee"]) for row in rows)
    assert not {row["refid"] for row in rows} & set(trades)


def test_pending_rows_have_no_balance_and_no_reference_worth_the_name(ledger: Rows) -> None:
    pending = [row for row in ledger.values() if row["balance"] == ""]
    assert {row["refid"] for row in pending} == {"", "Unknown"}
    assert {row["type"] for row in pending} == {"deposit"}


def test_the_ledger_holds_what_is_easily_taken_for_a_fill(ledger: Rows) -> None:
    told = {(row["type"], row["subtype"]) for row in ledger.values()}
    assert told >= {
        ("earn", "allocation"), ("earn", "reward"), ("staking", ""), ("transfer", "spottostaking"), ("dividend", ""),
        ("transfer", "stakingfromspot"), ("spend", "dustsweeping"), ("receive", "dustsweeping"), ("withdrawal", ""),
    }  # fmt: skip
    assert {row["asset"] for row in ledger.values()} >= {"DOT.S", "DOT.B", "USD.M", "EUR.HOLD", "KFEE"}


@pytest.mark.parametrize(("seed", "trades"), [(1, 0), (2, 1), (3, 59), (4, 600), (5, 1500)])
def test_the_account_is_sound_whatever_the_seed(seed: int, trades: int) -> None:
    clock = Clock()
    broker = KrakenBroker(clock=clock, seed=seed, trades=trades, years=1 + seed % 3, arrivals_per_second=0.3)
    assert len(broker.account.trades) == trades
    for _ in range(10):
        clock.pass_seconds(37.7)
        broker.trade_now()
    told = broker.book()["kraken"]["main"]
    assert len({row["exec_id"] for row in told}) == len(told) > trades
    assert all(Decimal(str(row["quantity"])) > 0 < Decimal(str(row["price"])) for row in told)
    assert all(entry.balance is None or entry.balance >= 0 for entry in broker.account.ledger.rows)


# -- the book


def test_the_book_holds_each_trade_as_the_api_tells_it(trades: Rows, book: list[dict[str, Any]]) -> None:
    told = {row["exec_id"]: row for row in book if row["exec_type"] != "LEDGER"}
    assert told.keys() == trades.keys()
    for trade_id, trade in trades.items():
        row = told[trade_id]
        assert row["symbol"] == PAIRS[trade["pair"]].symbol
        assert (row["order_id"], row["side"].lower(), row["maker"]) == (
            trade["ordertxid"],
            trade["type"],
            trade["maker"],
        )
        for ours, theirs in {"quantity": "vol", "price": "price", "cost": "cost", "stated_fee": "fee"}.items():
            assert Decimal(row[ours]) == Decimal(trade[theirs])
        assert Decimal(row["time_raw"]) == trade["time"]
        assert row["exec_type"] == ("BOOK" if trade["ordertype"] == "settle-position" else "TRADE")


def test_times_in_the_book_are_utc_and_in_order(book: list[dict[str, Any]]) -> None:
    moments = [datetime.fromisoformat(row["time"]) for row in book]
    assert {moment.utcoffset() for moment in moments} == {timedelta(0)}
    assert moments == sorted(moments)


def test_a_commission_is_the_single_trading_fee_and_the_list_holds_all(book: list[dict[str, Any]]) -> None:
    kinds = set()
    for row in book:
        trading = [fee for fee in row["fees"] if fee["kind"] == "trade"]
        kinds.add(tuple(sorted(fee["kind"] for fee in row["fees"])))
        single = trading[0] if len(trading) == 1 else {"amount": None, "asset": None}
        assert (row["commission"], row["commission_currency"]) == (single["amount"], single["asset"])
    assert kinds == {
        (), ("trade",), ("trade", "trade"), ("credit",), ("credit", "trade"), ("margin_open", "trade"),
    }  # fmt: skip


def test_ledger_fills_are_pairs_of_spend_and_receive_that_no_trade_knows(
    trades: Rows, ledger: Rows, book: list[dict[str, Any]]
) -> None:
    groups = of_type(ledger, "spend", "receive")
    fills = {row["exec_id"]: row for row in book if row["exec_type"] == "LEDGER"}
    assert fills and not fills.keys() & trades.keys()
    for refid, rows in groups.items():
        net: defaultdict[str, Decimal] = defaultdict(Decimal)
        for row in rows:
            net[ASSETS[row["asset"]].plain] += Decimal(row["amount"])
        moved = {asset: amount for asset, amount in net.items() if amount}
        if len(moved) != 2 or refid == "Unknown":
            assert refid not in fills
            continue
        base, quote = fills[refid]["symbol"].split("/")
        toward = 1 if fills[refid]["side"] == "BUY" else -1
        assert moved == {
            base: toward * Decimal(fills[refid]["quantity"]),
            quote: -toward * Decimal(fills[refid]["cost"]),
        }
    assert fills.keys() <= groups.keys()


def test_tokenised_stocks_sold_in_the_app_have_two_legs_that_cancel_out(
    ledger: Rows, book: list[dict[str, Any]]
) -> None:
    groups = [rows for rows in of_type(ledger, "spend", "receive").values() if len(rows) == 4]
    groups = [rows for rows in groups if any(row["aclass"] == "tokenized_asset" for row in rows)]
    assert groups
    fills = {row["exec_id"]: row for row in book}
    for rows in groups:
        dollars = [Decimal(row["amount"]) for row in rows if row["asset"] == "ZUSD"]
        assert len(dollars) == 2 and sum(dollars) == 0
        fill = fills[rows[0]["refid"]]
        assert (fill["side"], fill["symbol"].partition("/")[2], fill["commission_currency"]) == ("SELL", "EUR", "EUR")


def test_the_same_book_is_served_under_both_addresses(quiet: Caller, book: list[dict[str, Any]]) -> None:
    assert quiet.http.get("/sandbox/book").json() == {"kraken": {"main": book}}
