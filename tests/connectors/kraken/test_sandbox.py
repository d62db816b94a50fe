"""What the Kraken sandbox answers besides trades, ledgers and reports."""

from datetime import timedelta

from connectors.kraken.sandbox import KrakenBroker
from connectors.kraken.sandbox_broker import TOKEN_EXPIRES
from tests.connectors.kraken.caller import Caller


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
