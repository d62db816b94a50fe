"""All that can go wrong at the Flex sandbox, ordered by a test."""

from xml.etree import ElementTree

import httpx
import pytest

from connectors.ibkr_flex.sandbox import FAULTS, FOREIGN_URL, QUERY_ID, TOKEN, FlexBroker
from tests.connectors.ibkr_flex.caller import GET, SEND, Caller, trades


@pytest.mark.parametrize(
    ("fault", "path", "status", "code"),
    [
        ("heavy_load_1009", SEND, "Fail", "1009"),
        ("generate_fail_1001", SEND, "Fail", "1001"),
        ("locked_1025", SEND, "Warn", "1025"),
        ("token_expired", SEND, "Fail", "1012"),
        ("ip_restricted_1013", SEND, "Fail", "1013"),
        ("not_ready_1005", GET, "Fail", "1005"),
        ("slow", GET, "Warn", "1019"),
        ("warn_envelope_as_when_available", GET, "WhenAvailable", "1019"),
    ],
)
def test_a_fault_answers_with_its_code_until_it_is_switched_off(
    caller: Caller, base: str, fault: str, path: str, status: str, code: str
) -> None:
    def control(on: str) -> None:
        assert httpx.post(base + "/sandbox/fault", params={"name": fault, "on": on}).status_code == 200

    q, wait = QUERY_ID, 7.0
    if path == GET:
        if fault == "slow":
            control("1")
        q = caller.envelope(SEND, q=QUERY_ID)["ReferenceCode"]
        wait = 1.5
    control("1")
    assert caller.code(path, q=q, wait=wait) == (status, code)
    control("0")
    assert "ErrorCode" not in caller.call(path, q=q, wait=20).text


def test_faults_of_the_transport_answer_no_envelope(caller: Caller, broker: FlexBroker) -> None:
    broker.faults = {"html_page"}
    assert caller.call(SEND, q=QUERY_ID).text.startswith("<!DOCTYPE html>")
    broker.faults = {"http_503"}
    assert caller.call(SEND, q=QUERY_ID).status_code == 503
    broker.faults = {"empty_body"}
    assert caller.call(SEND, q=QUERY_ID).content == b""
    broker.faults = {"foreign_url"}
    assert caller.envelope(SEND, q=QUERY_ID)["Url"] == FOREIGN_URL


def test_a_truncated_statement_is_not_well_formed(caller: Caller, broker: FlexBroker) -> None:
    broker.faults = {"truncated"}
    reference = caller.envelope(SEND, q=QUERY_ID)["ReferenceCode"]
    reply = caller.call(GET, q=reference)
    assert reply.text.startswith("<FlexQueryResponse")
    with pytest.raises(ElementTree.ParseError):
        ElementTree.fromstring(reply.content)


def test_a_short_range_says_which_days_it_covers(caller: Caller, broker: FlexBroker) -> None:
    broker.faults = {"short_range"}
    root = caller.download(fd="20260101", td="20260131")
    assert next(root.iter("FlexStatement")).get("fromDate") == "20260116"
    assert all(trade["reportDate"] >= "20260116" for trade in trades(root))


def test_a_hanging_service_outlasts_an_impatient_client(caller: Caller, broker: FlexBroker) -> None:
    broker.faults, broker.hang_seconds = {"hang"}, 0.4
    with pytest.raises(httpx.ReadTimeout):
        caller.http.get(SEND, params={"t": TOKEN, "q": QUERY_ID, "v": "3"}, timeout=0.1)


def test_an_unknown_fault_is_refused_with_the_table_of_faults(base: str) -> None:
    answer = httpx.post(base + "/sandbox/fault", params={"name": "sulk"})
    assert answer.status_code == 400
    assert answer.json()["faults"] == FAULTS
