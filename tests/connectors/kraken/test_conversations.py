"""Kraken's conversations with answers that no sandbox gives: they end, and ask no more than there is to be had."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest

from connectors.connector import Reply
from connectors.errors import ConnectorError, ContractViolation
from connectors.kraken.endpoints import Credentials
from connectors.kraken.sandbox import API_KEY, API_SECRET
from connectors.registry import connector
from connectors.wire import Request, Window
from tests.connectors.answering import exchanges

KRAKEN = connector("kraken")
NOON = datetime(2026, 3, 5, 12, tzinfo=UTC)
NOW = int(NOON.timestamp())
WINDOW = Window(datetime(2026, 3, 1), datetime(2026, 3, 5))
TRADED = 1772600000.5
TRADE = {"pair": "XXBTZUSD", "time": TRADED, "type": "buy", "price": "1", "cost": "1", "fee": "0", "vol": "1"}
ENTRY = {"type": "trade", "time": TRADED, "asset": "XXBT", "amount": "1", "fee": "0", "balance": "1"}
IDS = [f"T{number:05}-AAAAA-AAAAAA" for number in range(50)]
Answers = Mapping[str, Callable[[Mapping[str, str]], Any]]


def asked(answers: Answers, most: int = 100) -> list[Request]:
    """Answer a conversation of pages to its end; gives what it asked."""
    told: Answers = {
        "Time": lambda _: {"unixtime": NOW},
        "GetApiKeyInfo": lambda _: "EGeneral:Unknown method",
        **answers,
    }
    conversation = KRAKEN.backfill(Credentials(API_KEY, API_SECRET), WINDOW, [])
    held = exchanges(conversation, lambda request: _envelope(told[request.endpoint](request.params)), NOON, most)
    return [request for request, _ in held]


def _envelope(said: object) -> dict[str, object]:
    return {"error": [said], "result": {}} if isinstance(said, str) else {"error": [], "result": said}


def test_old_years_are_asked_for_whole_and_late_ones_in_quarters() -> None:
    since, until = datetime(2013, 9, 1), datetime(2026, 3, 5)
    windows = KRAKEN.windows(since, until)
    assert (windows[0].since, windows[-1].until) == (since, until)
    assert all(former.until == latter.since for former, latter in pairwise(windows))
    assert [window.until.year for window in windows[:8]] == list(range(2014, 2022))
    assert len(windows[8:]) == 4 * 5 + 1


def test_the_same_page_again_is_no_further_page() -> None:
    with pytest.raises(ContractViolation, match="answered TradesHistory with the same page again"):
        asked({"TradesHistory": lambda _: {"trades": dict.fromkeys(IDS, TRADE)}}, most=20)


def booked_only(known: Sequence[str]) -> list[list[str]]:
    """Give which ids are looked up, where the ledger names fifty trades that no list has, and only some are known."""
    entries = {f"L{place:05}-AAAAA-AAAAAA": ENTRY | {"refid": txid} for place, txid in enumerate(IDS)}

    def looked_up(params: Mapping[str, str]) -> Any:
        wanted = params["txid"].split(",")
        return dict.fromkeys(wanted, TRADE) if set(wanted) <= set(known) else "EGeneral:Invalid arguments:txid"

    answers: Answers = {
        "TradesHistory": lambda _: {"trades": {}, "count": 0},
        "Ledgers": lambda _: {"ledger": entries, "count": 50},
        "QueryTrades": looked_up,
    }
    return [request.params["txid"].split(",") for request in asked(answers) if request.endpoint == "QueryTrades"]


def test_what_the_ledger_alone_names_is_looked_up_twenty_at_once() -> None:
    assert booked_only(known=IDS) == [IDS[:20], IDS[20:40], IDS[40:]]


def test_an_unknown_id_does_not_spoil_it_for_the_others() -> None:
    known = [txid for txid in IDS if txid != IDS[7]]
    tried = booked_only(known)
    answered = [txid for ids in tried if IDS[7] not in ids for txid in ids]
    assert sorted(answered) == known
    assert len(tried) <= 3 + 2 * 5


def test_where_nothing_is_known_the_rest_is_asked_for_once() -> None:
    tried = booked_only(known=[])
    assert tried[-2:] == [IDS[20:40], IDS[40:]]
    assert len(tried) == 39 + 2


def test_what_is_known_is_found_behind_what_is_not() -> None:
    tried = booked_only(known=IDS[20:])
    assert tried[-2:] == [IDS[20:40], IDS[40:]]


@pytest.mark.parametrize("error", ["EAPI:Invalid nonce", "EGeneral:Permission denied", "EGeneral:Temporary lockout"])
def test_trouble_while_looking_up_is_trouble(error: str) -> None:
    entries = {"LAAAAA-AAAAA-AAAAAA": ENTRY | {"refid": IDS[0]}}
    answers: Answers = {
        "TradesHistory": lambda _: {"trades": {}, "count": 0},
        "Ledgers": lambda _: {"ledger": entries, "count": 1},
        "QueryTrades": lambda _: error,
    }
    with pytest.raises(ConnectorError, match=error):
        asked(answers)


def reply(endpoint: str, params: Mapping[str, str], result: object) -> Reply:
    return Reply(f"x-{endpoint}", endpoint, json.dumps(_envelope(result)).encode(), NOON, "main", params, is_live=True)


AROUND = {"start": str(int(TRADED) - 60), "end": str(int(TRADED) + 60), "ofs": "0"}


def counted(*replies: Reply) -> tuple[int, int, bool]:
    """Give how many trades came and should have, and whether their window counts as told."""
    statements = KRAKEN.normalize(replies).statements.filter(source="kraken_rest")
    rows, of, since = statements.select("row_count", "broker_count", "returned_since").row(0)
    return rows, of, since is not None


def test_a_trade_that_was_looked_up_counts_in_its_window() -> None:
    page = reply("TradesHistory", AROUND, {"trades": {IDS[0]: TRADE}, "count": 2})
    inside = reply("QueryTrades", {"txid": IDS[1]}, {IDS[1]: TRADE})
    outside = reply("QueryTrades", {"txid": IDS[1]}, {IDS[1]: TRADE | {"time": TRADED + 3600}})
    assert counted(page) == (1, 2, False)
    assert counted(page, outside) == (1, 2, False)
    assert counted(page, inside) == (2, 2, True)


def test_a_trade_that_only_the_ledger_names_is_owed_until_kraken_answers_for_it() -> None:
    page = reply("TradesHistory", AROUND, {"trades": {IDS[0]: TRADE}, "count": 1})
    entries = {f"L{place}AAAA-AAAAA-AAAAAA": ENTRY | {"refid": txid} for place, txid in enumerate(IDS[:2])}
    ledger = reply("Ledgers", AROUND, {"ledger": entries, "count": 2})
    known = reply("QueryTrades", {"txid": IDS[1]}, {IDS[1]: TRADE})
    unknown = reply("QueryTrades", {"txid": IDS[1]}, "EGeneral:Invalid arguments:txid")
    unwell = reply("QueryTrades", {"txid": IDS[1]}, "EService:Unavailable")
    one_of_many = reply("QueryTrades", {"txid": f"{IDS[1]},{IDS[2]}"}, "EGeneral:Invalid arguments:txid")
    assert counted(page, ledger) == (1, 2, False)
    assert counted(page, ledger, known) == (1, 1, True)
    assert counted(page, ledger, unknown) == (1, 1, True)
    assert counted(page, ledger, unwell) == (1, 2, False)
    assert counted(page, ledger, one_of_many) == (1, 2, False)
