"""Pages that are cut tell what decoding them tells; what might be read otherwise is not cut."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from connectors.connector import Reply
from connectors.contract import Normalized
from connectors.kraken.cutting import Cut, cut
from connectors.kraken.normalize import normalize
from connectors.kraken.reading import WORTH_CUTTING
from connectors.kraken.replies import result_of_body

TRADE = {
    "ordertxid": '"OAAAAA-AAAAA-AAAAAA"',
    "pair": '"XXBTZUSD"',
    "time": "1616492376.5900",
    "type": '"buy"',
    "ordertype": '"limit"',
    "price": '"30010.00000"',
    "cost": '"600.20000"',
    "fee": '"0.00000"',
    "vol": '"0.02000000"',
    "misc": '""',
    "trade_id": "93748276",
    "maker": "true",
}
MOMENT = datetime(2026, 6, 1, tzinfo=UTC)
Row = dict[str, str]


def printed(rows: dict[str, Row], *, count: str = "7", is_counted_first: bool = True) -> bytes:
    """Print a page as Kraken does: without a blank."""
    trades = ",".join(
        f'"{txid}":{{{",".join(f"{json.dumps(name)}:{value}" for name, value in row.items())}}}'
        for txid, row in rows.items()
    )
    parts = [f'"count":{count}', f'"trades":{{{trades}}}'][:: 1 if is_counted_first else -1]
    return f'{{"error":[],"result":{{{",".join(parts)}}}}}'.encode()


def ids(first: int, number: int) -> list[str]:
    return [f"T{place:05}-AAAAA-AAAAAA" for place in range(first, first + number)]


def as_text(value: Any) -> str | None:
    return json.dumps(value) if isinstance(value, bool | int) else value or None


def rows_of(page: Cut) -> list[dict[str, str | None]]:
    return page.table.slice(page.first, page.height).to_dicts()


def assert_is_what_decoding_gives(page: Cut, body: bytes) -> None:
    said = result_of_body(body, "TradesHistory")
    assert rows_of(page) == [
        {"txid": txid, **{name: as_text(value) for name, value in row.items()}} for txid, row in said["trades"].items()
    ]
    assert page.count == said.get("count")


@pytest.mark.parametrize("is_counted_first", [True, False])
def test_pages_in_kraken_s_print_are_cut(is_counted_first: bool) -> None:  # noqa: FBT001
    bodies = [printed(dict.fromkeys(ids(first, 3), TRADE), is_counted_first=is_counted_first) for first in (0, 3, 6)]
    pages = cut(bodies, "TradesHistory")
    assert list(pages) == [0, 1, 2]
    for place, body in enumerate(bodies):
        assert_is_what_decoding_gives(pages[place], body)


@pytest.mark.parametrize("text", [":{", "a", "", "[1]", "2026-01-01", "T00000-AAAAA-AAAAAA:{ordertxid:"])
def test_whatever_stands_in_a_text_is_read(text: str) -> None:
    row = {**TRADE, "ordertxid": f'"{text}"', "misc": f'"{text}"'}
    body = printed(dict.fromkeys(ids(0, 2), row))
    pages = cut([body], "TradesHistory")
    assert_is_what_decoding_gives(pages[0], body)


def test_pages_of_other_attributes_are_cut_by_themselves() -> None:
    without = {name: value for name, value in TRADE.items() if name != "trade_id"}
    bodies = [printed(dict.fromkeys(ids(0, 2), row)) for row in (TRADE, without, TRADE)]
    pages = cut(bodies, "TradesHistory")
    assert sorted(pages) == [0, 1, 2]
    assert pages[0].table is pages[2].table
    assert "trade_id" not in pages[1].table.columns


ODD = {
    "an attribute that no table knows": {**TRADE, "brand_new": '"1"'},
    "an attribute less": {name: value for name, value in TRADE.items() if name != "maker"},
    "another order": dict(reversed(TRADE.items())),
    "a comma in a text": {**TRADE, "misc": '"closing,stop"'},
    "a brace in a text": {**TRADE, "misc": '"a}"'},
    "two braces in a text": {**TRADE, "misc": '"a}}"'},
    "the end of a row in a text": {**TRADE, "misc": '"a},"'},
    "an escape": {**TRADE, "misc": r'"\u0041"'},
    "an escaped quote": {**TRADE, "misc": r'"a\"b"'},
    "a blank": {**TRADE, "misc": '"a b"'},
    "another alphabet": {**TRADE, "misc": '"é"'},
    "nothing": {**TRADE, "maker": "null"},
    "a list": {**TRADE, "misc": '["a","b"]'},
    "an object": {**TRADE, "misc": '{"a":"b"}'},
    "a number for a text": {**TRADE, "price": "30010.5"},
    "a text for a number": {**TRADE, "time": '"1616492376.5900"'},
    "an exponent": {**TRADE, "time": "1.6e9"},
    "a negative number": {**TRADE, "trade_id": "-1"},
    "a quote that is not closed": {**TRADE, "pair": '"XXBTZUSD'},
    "a quote too many": {**TRADE, "pair": '"XXBT"ZUSD"'},
    "a leading zero": {**TRADE, "trade_id": "007"},
}


@pytest.mark.parametrize("odd", ODD)
@pytest.mark.parametrize("place", [0, 1, 2])
def test_what_would_be_read_otherwise_is_not_cut(odd: str, place: int) -> None:
    first, second, third = ids(0, 3)
    rows = dict.fromkeys((first, second, third), TRADE)
    rows[(first, second, third)[place]] = ODD[odd]
    plain = printed(dict.fromkeys(ids(3, 3), TRADE))
    bodies = [plain, printed(rows), printed(dict.fromkeys(ids(6, 3), TRADE))]
    pages = cut(bodies, "TradesHistory")
    assert 1 not in pages
    for number, page in pages.items():
        assert_is_what_decoding_gives(page, bodies[number])


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b'{"error":["EAPI:Invalid key"]}',
        b'{"error":[],"result":{"count":0,"trades":{}}}',
        b'{"error":[],"result":{"count":1,"trades":{"T',
        printed(dict.fromkeys(ids(0, 2), TRADE))[:-1],
        printed(dict.fromkeys(ids(0, 2), TRADE)) + b"}",
        printed({'a":"b': TRADE}),
        printed(dict.fromkeys(ids(0, 2), TRADE), count="-1"),
    ],
)
def test_what_is_no_page_is_not_cut(body: bytes) -> None:
    assert cut([body], "TradesHistory") == {}


texts = st.one_of(
    st.sampled_from(
        ['""', '"closing"', '"a,b"', '"}"', '"},"', '":{"', r'"\""', '" "', '"ü"', "null", "[]", "1", "{}"]
    ),
    st.text(st.characters(codec="utf-8"), max_size=6).map(json.dumps),
    st.text(st.characters(codec="ascii", exclude_characters='"\\\x7f', min_codepoint=33), max_size=6).map(json.dumps),
)
a_row = st.one_of(st.just(TRADE), st.builds(lambda misc, maker: {**TRADE, "misc": misc, "maker": maker}, texts, texts))


@given(st.lists(st.lists(a_row, min_size=1, max_size=4), min_size=1, max_size=4))
def test_whatever_is_cut_is_what_decoding_gives(pages: list[list[Row]]) -> None:
    bodies = [printed(dict(zip(ids(9 * place, len(rows)), rows, strict=True))) for place, rows in enumerate(pages)]
    found = cut(bodies, "TradesHistory")
    for place, page in found.items():
        assert_is_what_decoding_gives(page, bodies[place])
    plain = {place for place, rows in enumerate(pages) if all(row == TRADE for row in rows)}
    broken = any(b"}" in row["misc"].encode() + row["maker"].encode() for rows in pages for row in rows)
    assert broken or plain <= found.keys()


def said_of(bodies: list[bytes]) -> Normalized:
    window = {"start": "1600000000", "end": "1700000000"}
    return normalize(
        [
            Reply(f"e{place:04}", "TradesHistory", body, MOMENT, "main", window, is_live=True)
            for place, body in enumerate(bodies)
        ]
    )


def test_a_long_run_of_pages_reads_as_one_that_is_decoded() -> None:
    count = 5000
    bodies = [
        printed(
            {
                txid: {**TRADE, "time": f"{1616492376 + int(txid[1:6])}.5900", "misc": misc}
                for txid, misc in zip(
                    ids(first, 50), ['""'] * 49 + ['"closing,x"' if first == 100 else '""'], strict=True
                )
            },
            count=str(count),
        )
        for first in range(0, count, 50)
    ]
    assert sum(map(len, bodies)) > WORTH_CUTTING
    spaced = [body.replace(b'"error":', b'"error": ') for body in bodies]
    first, second = said_of(bodies), said_of(spaced)
    assert first.reports.height == count
    assert first.statements["row_count"].to_list() == [count]
    by_place = ["exchange_id", "raw_row"]
    assert_frame_equal(first.reports.sort(by_place), second.reports.sort(by_place))
    assert_frame_equal(first.statements, second.statements)
    assert_frame_equal(first.instruments, second.instruments)
    assert_frame_equal(first.drift, second.drift)
