"""Pages are decoded in two ways, by whether all their attributes are known; what is read must not depend on it."""

import json
from datetime import UTC, datetime

import pytest
from polars.testing import assert_frame_equal

from connectors.connector import Reply
from connectors.kraken.normalize import normalize
from connectors.kraken.pages import result_of_page

TRADE = (
    '{"ordertxid":"OAAAAA-AAAAA-AAAAAA","pair":"XXBTZUSD","time":1616492376.5900,"type":"buy","ordertype":"limit",'
    '"price":"30010.00000","cost":"600.20000","fee":"0.00000","vol":"0.02000000","margin":"0.00000","misc":"",'
    '"trade_id":93748276,"maker":true}'
)
ENTRY = (
    '{"refid":"TAAAAA-AAAAA-AAAAAA","time":1616492376.5900,"type":"deposit","subtype":"","aclass":"currency",'
    '"asset":"ZEUR","amount":"1.10","fee":"0.00","balance":"7.50"}'
)
PAGES = {
    "TradesHistory": '{"error":[],"result":{"count":1,"trades":{"TAAAAA-AAAAA-AAAAAA":' + TRADE + "}}}",
    "QueryTrades": '{"error":[],"result":{"TAAAAA-AAAAA-AAAAAA":' + TRADE + "}}",
    "Ledgers": '{"error":[],"result":{"count":1,"ledger":{"LAAAAA-AAAAA-AAAAAA":' + ENTRY + "}}}",
    "QueryLedgers": '{"error":[],"result":{"LAAAAA-AAAAA-AAAAAA":' + ENTRY + "}}",
}


def reply_of(endpoint: str, page: str) -> Reply:
    return Reply("e1", endpoint, page.encode(), datetime(2026, 6, 1, tzinfo=UTC), "main")


@pytest.mark.parametrize("endpoint", PAGES)
def test_a_page_of_known_attributes_reads_as_one_with_an_unknown_attribute(endpoint: str) -> None:
    page = PAGES[endpoint]
    known, other = reply_of(endpoint, page), reply_of(endpoint, page.replace('"fee":', '"brand_new":[1],"fee":'))
    assert result_of_page(known.body, endpoint) is not None
    assert result_of_page(other.body, endpoint) is None
    first, second = normalize([known]), normalize([other])
    assert first.reports.height + first.ledger.height == 1
    assert_frame_equal(first.reports, second.reports)
    assert_frame_equal(first.ledger, second.ledger)
    assert_frame_equal(first.statements, second.statements)
    assert first.drift.is_empty()
    assert second.drift["field"].to_list() == ["brand_new"]


def test_the_digits_of_a_time_stay_as_printed() -> None:
    assert normalize([reply_of("TradesHistory", PAGES["TradesHistory"])]).reports["transact_time_raw"].to_list() == [
        "1616492376.5900"
    ]


@pytest.mark.parametrize("trade_id", ["93748276", "9223372036854775808", "340282366920938463463374607431768211456"])
def test_a_number_keeps_all_its_digits(trade_id: str) -> None:
    reply = reply_of("TradesHistory", PAGES["TradesHistory"].replace("93748276", trade_id))
    assert normalize([reply]).reports["trade_id"].to_list() == [trade_id]


@pytest.mark.parametrize(
    "body",
    [
        {"error": ["EAPI:Invalid key"]},
        {"error": ["EAPI:Invalid key"], "result": {"count": 0, "trades": {}}},
        {"error": [], "result": {"count": 0, "trades": None}},
        {"error": [], "result": []},
        [],
    ],
)
def test_what_is_no_page_is_left_to_those_who_say_why(body: object) -> None:
    assert result_of_page(json.dumps(body).encode(), "TradesHistory") is None
    assert result_of_page(b'{"error":[],"result":{"count":1,"trades":{"T', "TradesHistory") is None
