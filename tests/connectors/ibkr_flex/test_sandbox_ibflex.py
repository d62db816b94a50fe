"""The Flex sandbox as ibflex sees it, which knows nothing of its inside."""

import warnings
from datetime import timedelta
from itertools import count
from xml.etree import ElementTree

import ibflex
import pytest
from ibflex import client as ibflex_client

from connectors.ibkr_flex.sandbox import CONFIRMS_QUERY_ID, QUERY_ID, TOKEN, FlexBroker
from tests.connectors.ibkr_flex.caller import GET, SEND
from tests.connectors.standing import FRIDAY_EVENING


def test_ibflex_downloads_and_parses_a_statement(
    broker: FlexBroker, base: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = count()
    broker.now = lambda: FRIDAY_EVENING + timedelta(seconds=next(calls))  # it calls twice without a pause
    monkeypatch.setattr(ibflex_client, "REQUEST_URL", base + SEND)
    monkeypatch.setattr(ibflex_client, "STMT_URL", base + GET)
    for query in (QUERY_ID, CONFIRMS_QUERY_ID):
        content = ibflex_client.download(TOKEN, query)
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # ibflex warns of each attribute that it does not know
            response = ibflex.parser.parse(content)
        rows = [row for statement in response.FlexStatements for row in (*statement.Trades, *statement.TradeConfirms)]
        assert len(response.FlexStatements) == 2
        assert len(rows) == len(ElementTree.fromstring(content).findall(".//*[@buySell]"))
