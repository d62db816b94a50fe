"""Files of Kraken that somebody saved, whole or in parts: what they make together, and what they are not."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from flows import importing
from tests.importing import rows
from tests.warehouse.loading import prepared
from warehouse import landing

LEDGER = '"txid","refid","time","type","subtype","aclass","asset","wallet","amount","fee","balance"\n'
LINE = '"{}","TSAAAA-AAAAA-AAAAA1","{{day}} 23:59:59.9","{}","","currency","{{asset}}","spot / main","{}","{}","{}"\n'
SPENT = LINE.format("LAAAAA-AAAAA-AAAAA1", "spend", "-100.0", "0.5", "0.0")
CAME = LINE.format("LBBBBB-BBBBB-BBBBB2", "receive", "108.0", "0", "108.0")
POSITION = {
    "ordertxid": "OAAAAA-AAAAA-AAAAAA", "posstatus": "open", "pair": "XXBTZUSD", "time": 1767225600.5, "type": "buy",
    "ordertype": "limit", "cost": "45000.0", "fee": "45.0", "vol": "0.5", "vol_closed": "0.0", "margin": "9000.0",
    "terms": "0.0100% per 4 hours", "misc": "", "oflags": "",
}  # fmt: skip


def imported(home: Path, **texts: str | bytes) -> list[importing.Imported]:
    """Save files and import them in this order."""
    files = []
    for name, text in texts.items():
        kind = "json" if isinstance(text, bytes) else "csv"
        files.append(home.with_name(f"{name}.{kind}"))
        files[-1].write_bytes(text if isinstance(text, bytes) else text.encode())
    return list(importing.import_files(prepared(home), "kraken", files, account="main"))


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.mark.parametrize("coin", ["RENDER", "S", "AAPLx", "SOL", "1INCH"])
@pytest.mark.parametrize("together", [True, False])
def test_a_coin_of_any_name_is_bought_with_another_in_one_file_or_two(home: Path, coin: str, together: bool) -> None:  # noqa: FBT001
    spent, came = SPENT.format(day="2025-03-28", asset="ADA"), CAME.format(day="2025-03-28", asset=coin)
    texts = {"all": LEDGER + spent + came} if together else {"one": LEDGER + spent, "two": LEDGER + came}
    imported(home, **texts)
    [fill] = rows(home, "select * from fills inner join instruments using (instrument_id)")
    assert {fill["base_asset"], fill["quote_asset"]} == {"ADA", coin}
    assert rows(home, "select * from quarantine") == rows(home, "select * from data_health") == []


def test_money_bought_with_money_in_two_files_moves_both(home: Path) -> None:
    spent, came = SPENT.format(day="2023-12-31", asset="ZEUR"), CAME.format(day="2024-01-01", asset="ZUSD")
    imported(home, year_2023=LEDGER + spent, year_2024=LEDGER + came)
    legs = rows(home, "select currency, sum(amount) as amount from cash_legs group by all order by all")
    assert legs == [{"currency": "EUR", "amount": "-100.5"}, {"currency": "USD", "amount": "108"}]
    assert rows(home, "select finding from ledger_reconciliation") == [{"finding": "equal"}]


def page(year: int, held: int, counted: int) -> bytes:
    """Save a page of a year's trades that says how many there are."""
    first = datetime(year, 3, 1, tzinfo=UTC).timestamp()
    trade = {
        "pair": "XXBTZUSD",
        "type": "buy",
        "ordertype": "limit",
        "price": "3.0",
        "cost": "3.0",
        "fee": "0.1",
        "vol": "1",
        "margin": "0",
    }
    told = {
        f"T{year % 100:02}{number:03}-AAAAA-AAAAAA": {
            **trade,
            "ordertxid": f"O{number:05}-AAAAA-AAAAAA",
            "time": first + number,
        }
        for number in range(counted - held, counted)
    }
    return json.dumps({"error": [], "result": {"trades": told, "count": counted}}).encode()


GAPS = "select what from gaps"


def test_a_page_that_lacks_rows_is_a_gap_whatever_else_there_is(home: Path) -> None:
    imported(home, in_2024=page(2024, 12, 12), in_2023=page(2023, 50, 60), in_2025=page(2025, 40, 40))
    [gap] = rows(home, GAPS)
    assert "counts 60 rows and told 50" in gap["what"]


def test_a_page_that_was_saved_twice_is_as_little_of_the_whole_as_once(home: Path) -> None:
    saved = page(2023, 50, 60)
    imported(home, first=saved, second=saved + b"\n")
    assert {"counts 60 rows and told 50" in gap["what"] for gap in rows(home, GAPS)} == {True}


def test_pages_that_overlap_tell_what_they_have_in_common_once(home: Path) -> None:
    held = json.loads(page(2023, 60, 60))["result"]["trades"]
    names = list(held)
    first, second, third = (
        json.dumps({"error": [], "result": {"trades": {name: held[name] for name in part}, "count": 60}}).encode()
        for part in (names[:50], names[40:55], names[55:])
    )
    imported(home, first=first, second=second)
    assert rows(home, GAPS) != []
    imported(home, third=third)
    assert rows(home, GAPS) == []


def test_pages_that_are_whole_together_are_no_gap(home: Path) -> None:
    first, second = page(2023, 60, 60), page(2023, 60, 60)
    held = json.loads(first)["result"]["trades"]
    names = list(held)
    first, second = (
        json.dumps({"error": [], "result": {"trades": {name: held[name] for name in part}, "count": 60}}).encode()
        for part in (names[:50], names[50:])
    )
    imported(home, first=first)
    assert len(rows(home, GAPS)) == 1
    imported(home, second=second)
    assert rows(home, GAPS) == []


def test_an_import_first_loads_what_a_run_that_died_had_landed(home: Path) -> None:
    moment = datetime(2026, 3, 1, tzinfo=UTC)
    died = landing.Conversation(home, "kraken", "kraken", "run", moment)
    died.open({"flow": "incremental", "account": "main"})
    died.exchange(
        endpoint="TradesHistory", request={"params": {}}, status=200, headers={}, body=page(2024, 12, 12), body_is_secret=False,
        requested_at=moment, answered_at=moment,
    )  # fmt: skip
    died.close(moment, {"verdict": "ok"})
    imported(home, in_2023=page(2023, 2, 2))
    assert rows(home, "select count(*) as fills, min(first_seen_at) as first from fills") == [
        {"fills": 14, "first": "2026-03-01T00:00:00Z"}
    ]


@pytest.mark.parametrize("row", [
    {"TPOSIT-AAAAA-AAAAAA": POSITION},
    {"OAAAAA-AAAAA-AAAAAA": {"refid": None, "status": "closed", "vol": "0.5", "price": "90000.0", "fee": "45.0"}},
], ids=["positions", "orders"])  # fmt: skip
def test_what_is_no_list_of_trades_is_refused(home: Path, row: dict[str, object]) -> None:
    [refused] = imported(home, saved=json.dumps({"error": [], "result": row}).encode())
    assert "none of TradesHistory, QueryTrades" in refused.refused


@pytest.mark.parametrize("order", [("spent", "came"), ("came", "spent")])
def test_a_purchase_whose_legs_are_weeks_apart_is_one_fill(home: Path, order: tuple[str, str]) -> None:
    texts = {
        "spent": LEDGER + SPENT.format(day="2025-01-28", asset="ZEUR"),
        "came": LEDGER + CAME.format(day="2025-03-14", asset="ADA"),
    }
    imported(home, **{name: texts[name] for name in order})
    [fill] = rows(home, "select side, signed_qty, gross_trade_amt, commission, comm_currency, transact_time from fills")
    assert (fill["side"], fill["signed_qty"], fill["gross_trade_amt"]) == ("BUY", "108", "-100")
    assert (fill["commission"], fill["comm_currency"]) == ("0.5", "EUR")
    assert fill["transact_time"] == "2025-01-28T23:59:59.900000Z"
    assert rows(home, "select * from data_health") == []


TWICE = (
    '"txid","ordertxid","pair","time","type","ordertype","price","cost","fee","vol","margin","misc","ledgers"\n'
    '"TSAAAA-AAAAA-AAAAA1","OAAAAA-AAAAA-AAAAAA","XXBTZUSD","2026-01-01 10:00:00","buy","limit","90000.0","45000.0","45.0",'
    '"0.5","0.0","",""\n'
)


def test_a_row_that_stands_twice_in_a_file_is_one_fill(home: Path) -> None:
    imported(home, trades=TWICE + TWICE.splitlines(keepends=True)[1])
    assert rows(home, "select version, last_qty from executions") == [{"version": 1, "last_qty": "0.5"}]
    assert rows(home, "select * from data_health") == []


def test_a_row_that_a_file_tells_in_two_ways_is_one_fill_whichever_comes_first(tmp_path: Path) -> None:
    head, row = TWICE.splitlines(keepends=True)
    other = row.replace('"45000.0","45.0"', '"45000.0","46.0"')
    told = []
    for place, text in enumerate((head + row + other, head + other + row)):
        home = tmp_path / str(place) / "home"
        home.parent.mkdir()
        imported(home, trades=text)
        told.append(rows(home, "select version, last_qty, commission from executions"))
        assert len(rows(home, "select * from execution_reports")) == 2
    assert told[0] == told[1]
