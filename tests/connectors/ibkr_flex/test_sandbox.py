"""The protocol of the Flex sandbox: two steps, their tokens and references, and how often one may call."""

from datetime import timedelta
from xml.etree import ElementTree

import httpx
import pytest

from connectors.ibkr_flex.sandbox import (
    CONFIRMS_QUERY_ID,
    EXPIRED_TOKEN,
    ONE_ACCOUNT_QUERY_ID,
    QUERY_ID,
    TOKEN,
    FlexBroker,
)
from tests.connectors.ibkr_flex.caller import GET, SEND, Caller
from tests.connectors.standing import FRIDAY_EVENING


def test_a_statement_is_asked_for_and_fetched_at_the_url_the_service_names(caller: Caller, base: str) -> None:
    accepted = caller.envelope(SEND, q=QUERY_ID)
    assert accepted["Status"] == "Success"
    assert accepted["Url"] == base + GET
    reply = caller.call(accepted["Url"], q=accepted["ReferenceCode"])
    statements = list(ElementTree.fromstring(reply.content).iter("FlexStatement"))
    assert [s.get("accountId") for s in statements] == ["U7350211", "U7350211F"]
    assert {s.get("period") for s in statements} == {"Last365CalendarDays"}
    assert {(s.get("fromDate"), s.get("toDate")) for s in statements} == {("20250306", "20260305")}


def test_a_statement_is_not_ready_until_the_generation_time_has_passed(caller: Caller, broker: FlexBroker) -> None:
    broker.generation_seconds = 20
    reference = caller.envelope(SEND, q=QUERY_ID)["ReferenceCode"]
    assert caller.code(GET, q=reference) == ("Warn", "1019")
    assert caller.code(GET, q=reference) == ("Warn", "1019")
    assert caller.call(GET, q=reference).text.startswith("<FlexQueryResponse")


def test_own_dates_leave_the_period_empty_and_are_cut_to_what_exists(caller: Caller) -> None:
    statement = next(caller.download(fd="20260301", td="20260401").iter("FlexStatement"))
    assert statement.attrib | {"whenGenerated": ""} == {
        "accountId": "U7350211", "fromDate": "20260301", "toDate": "20260305", "period": "", "whenGenerated": "",
    }  # fmt: skip
    assert statement.get("whenGenerated") == "20260306;173014"


def test_a_number_of_days_can_be_asked_for(quiet: Caller) -> None:
    statement = next(quiet.download(p="10").iter("FlexStatement"))
    assert (statement.get("fromDate"), statement.get("toDate")) == ("20260224", "20260305")


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"q": QUERY_ID, "token": "999"}, "1015"),
        ({"q": QUERY_ID, "token": EXPIRED_TOKEN}, "1012"),
        ({"q": QUERY_ID, "token": ""}, "1020"),
        ({"q": "1"}, "1014"),
        ({"q": QUERY_ID, "v": "2"}, "1001"),
        ({"q": QUERY_ID, "v": ""}, "1001"),
        ({"q": QUERY_ID, "fd": "20250101", "td": "20260101"}, "1020"),
        ({"q": QUERY_ID, "fd": "20260102", "td": "20260101"}, "1020"),
        ({"q": QUERY_ID, "fd": "2026-01-01", "td": "20260102"}, "1020"),
        ({"q": QUERY_ID, "fd": "20260230", "td": "20260302"}, "1020"),
        ({"q": QUERY_ID, "fd": "20260101"}, "1020"),
        ({"q": QUERY_ID, "p": "366"}, "1020"),
        ({"q": QUERY_ID, "fd": "20260306", "td": "20260306"}, "1003"),
        ({"q": QUERY_ID, "fd": "20150101", "td": "20150201"}, "1003"),
    ],
)
def test_a_wrong_request_fails_with_the_documented_code(quiet: Caller, params: dict[str, str], code: str) -> None:
    assert quiet.code(SEND, wait=7, **params) == ("Fail", code)


def test_a_missing_or_blank_user_agent_is_refused(quiet: Caller) -> None:
    silent = quiet.http.build_request("GET", SEND, params={"t": TOKEN, "q": QUERY_ID, "v": "3"})
    del silent.headers["user-agent"]
    blank = quiet.http.build_request("GET", silent.url, headers={"User-Agent": ""})
    assert all("<ErrorCode>1020<" in quiet.http.send(request).text for request in (silent, blank))


def test_a_missing_version_counts_as_version_two(quiet: Caller) -> None:
    quiet.clock.pass_seconds(7)
    assert "<ErrorCode>1001<" in quiet.http.get(SEND, params={"t": TOKEN, "q": QUERY_ID}).text


def test_the_retired_addresses_fail_forever(quiet: Caller) -> None:
    for name in ("SendRequest", "GetStatement"):
        assert quiet.code(f"/Universal/servlet/FlexStatementService.{name}", q=QUERY_ID, v="2") == ("Fail", "1001")


def test_a_reference_belongs_to_the_token_that_asked(caller: Caller, broker: FlexBroker) -> None:
    broker.tokens["another"] = None
    reference = caller.envelope(SEND, q=QUERY_ID)["ReferenceCode"]
    assert caller.code(GET, q=reference, token="another") == ("Fail", "1017")
    assert caller.code(GET, q="42") == ("Fail", "1017")


def test_a_token_expires_on_its_day(caller: Caller, broker: FlexBroker) -> None:
    broker.tokens["short"] = FRIDAY_EVENING + timedelta(seconds=10)
    assert caller.envelope(SEND, q=QUERY_ID, token="short")["Status"] == "Success"
    assert caller.code(SEND, q=QUERY_ID, token="short") == ("Fail", "1012")


def test_a_second_call_within_a_second_is_refused_whatever_it_asks(caller: Caller, broker: FlexBroker) -> None:
    broker.tokens["another"] = None
    reference = caller.envelope(SEND, q=QUERY_ID)["ReferenceCode"]
    assert caller.code(SEND, q=ONE_ACCOUNT_QUERY_ID, wait=0.5) == ("Fail", "1018")
    assert caller.code(GET, q=reference, wait=0.4) == ("Fail", "1018")
    assert caller.envelope(SEND, q=QUERY_ID, token="another", wait=0)["Status"] == "Success"
    assert caller.envelope(SEND, q=QUERY_ID, wait=0.1)["Status"] == "Success"


def test_ten_calls_a_minute_are_all_a_token_gets(caller: Caller, base: str) -> None:
    answers = [caller.envelope(SEND, q=q, wait=2)["Status"] for q in [QUERY_ID, CONFIRMS_QUERY_ID] * 6]
    assert answers == ["Success"] * 10 + ["Fail"] * 2
    assert caller.envelope(SEND, q=QUERY_ID, wait=40)["Status"] == "Success"
    assert httpx.get(base + "/sandbox/requests").json() == {
        "SendRequest": 13, "GetStatement": 0, "legacy": 0, "refused_1018": 2,
    }  # fmt: skip
