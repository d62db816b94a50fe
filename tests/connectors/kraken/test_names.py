"""What Kraken's names mean: by its own listings first, by a closed list where it lists a pair no more."""

from __future__ import annotations

import pytest

from connectors.kraken.names import Names, Pair

UNLISTED = Names()
OLD = {
    "XXBT": {"altname": "XBT"},
    "ZUSD": {"altname": "USD"},
    "XBT.F": {"altname": "XBT.F"},
    "LUNA2": {"altname": "LUNA2"},
}
PAIRS = {"XXBTZUSD": {"altname": "XBTUSD", "wsname": "XBT/USD", "base": "XXBT", "quote": "ZUSD"}}
NEW_PAIRS = {"BTC/USD": {"altname": "XBTUSD", "wsname": "XBT/USD", "base": "BTC", "quote": "USD"}}
LISTED = Names.of([OLD], [PAIRS, NEW_PAIRS])


@pytest.mark.parametrize("name", ["XXBTZUSD", "XBTUSD", "XBT/USD", "BTC/USD"])
@pytest.mark.parametrize("names", [UNLISTED, LISTED], ids=["unlisted", "listed"])
def test_one_pair_has_many_names(name: str, names: Names) -> None:
    assert names.pair(name) == Pair("BTC", "USD")


@pytest.mark.parametrize(
    ("name", "pair"),
    [
        ("XTZUSD", "XTZ/USD"),
        ("ZRXEUR", "ZRX/EUR"),
        ("XCNUSD", "XCN/USD"),
        ("XZECXXBT", "ZEC/BTC"),
        ("USDTZUSD", "USDT/USD"),
        ("XDGUSD", "DOGE/USD"),
        ("ZEURZUSD", "EUR/USD"),
        ("EURUSDT", "EUR/USDT"),
        ("PYUSDUSD", "PYUSD/USD"),
        ("XBTPYUSD", "BTC/PYUSD"),
        ("SOLRLUSD", "SOL/RLUSD"),
        ("AAPLxPYUSD", "AAPLx/PYUSD"),
        ("AAPLxUSD", "AAPLx/USD"),
    ],
)
def test_nothing_is_stripped_by_rule(name: str, pair: str) -> None:
    assert str(UNLISTED.pair(name)) == pair


def test_what_nothing_tells_is_not_guessed() -> None:
    assert UNLISTED.pair("FOOBAR") is None


@pytest.mark.parametrize("name", ["HAPPYUSD", "PEARLUSD"])
def test_a_name_that_can_be_read_in_two_ways_is_not_guessed(name: str) -> None:
    assert UNLISTED.pair(name) is None
    base = name.removesuffix("USD")
    listed = Names.of([{base: {"altname": base}}], [{name: {"altname": name, "base": base, "quote": "ZUSD"}}])
    assert listed.pair(name) == Pair(base, "USD")
    known = Names.of([{base: {"altname": base}}], [])
    assert known.pair(name) == Pair(base, "USD")


@pytest.mark.parametrize(
    ("name", "asset"),
    [
        ("XXBT", "BTC"),
        ("XBT.F", "BTC"),
        ("DOT.S", "DOT"),
        ("GRT28.S", "GRT"),
        ("ETH2.S", "ETH2"),
        ("LUNA2.S", "LUNA2"),
        ("USD1.F", "USD1"),
        ("API3.F", "API3"),
        ("USD.HOLD", "USD"),
        ("KFEE", "KFEE"),
        ("AAPLx.T", "AAPLx"),
        ("ADA.T", "ADA.T"),
    ],
)
def test_an_asset_is_the_same_however_it_is_held(name: str, asset: str) -> None:
    assert LISTED.asset(name) == asset


@pytest.mark.parametrize(
    ("one", "other", "market"), [("USD", "EUR", "EUR/USD"), ("BTC", "ETH", "ETH/BTC"), ("USD", "CAD", "USD/CAD")]
)
def test_custom_says_which_of_two_assets_is_priced_in_the_other(one: str, other: str, market: str) -> None:
    assert str(UNLISTED.market_of(one, other)) == market == str(UNLISTED.market_of(other, one))


def test_custom_decides_where_a_market_is_listed_both_ways() -> None:
    pairs = {"USDTEUR": {"base": "USDT", "quote": "ZEUR"}, "EURUSDT": {"base": "ZEUR", "quote": "USDT"}}
    both, turned = Names.of([], [pairs]), Names.of([], [{"EURUSDT": pairs["EURUSDT"]}])
    assert str(both.market_of("EUR", "USDT")) == str(UNLISTED.market_of("EUR", "USDT")) == "USDT/EUR"
    assert str(turned.market_of("EUR", "USDT")) == "EUR/USDT"
