"""`fillhouse sql`, from the outside: a query in, an answer out that keeps every digit."""

from __future__ import annotations

import io
import json
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from tests.flows.terminal import PLAIN, Terminal
from tests.importing import rows

DIGITS = "select 12345678901234.123456789012::decimal(28, 12) as amount, timestamp '2026-01-02 03:04:05' as moment"


def test_json_keeps_every_digit_of_a_decimal_as_a_number(loaded: Terminal) -> None:
    answer = loaded.run("sql", "--format", "json", DIGITS)
    assert answer.exit_code == 0
    assert json.loads(answer.stdout, parse_float=Decimal) == [
        {"amount": Decimal("12345678901234.123456789012"), "moment": "2026-01-02T03:04:05Z"}
    ]


def test_csv_and_parquet_keep_every_digit(loaded: Terminal) -> None:
    csv = loaded.run("sql", "--format", "csv", DIGITS)
    assert csv.stdout == "amount,moment\n12345678901234.123456789012,2026-01-02T03:04:05Z\n"
    parquet = pl.read_parquet(io.BytesIO(loaded.run("sql", "--format", "parquet", DIGITS).stdout_bytes))
    assert parquet["amount"].to_list() == [Decimal("12345678901234.123456789012")]


def test_a_table_shows_decimals_without_trailing_zeros_and_times_in_utc(loaded: Terminal) -> None:
    answer = loaded.run("sql", "select last_qty, last_px, transact_time from fills order by transact_time limit 1")
    heading, row = answer.stdout.splitlines()
    assert heading.split() == ["last_qty", "last_px", "transact_time"]
    expected = json.loads((PLAIN.parent / "expected.json").read_text())["fills"][0]
    assert row.split() == [expected["last_qty"], expected["last_px"], expected["transact_time"]]


def test_a_time_moved_to_another_zone_is_not_called_utc(loaded: Terminal) -> None:
    moved = "select timestamp '2026-01-02 15:00:00' at time zone 'UTC' at time zone 'America/New_York' as there"
    assert json.loads(loaded.run("sql", "--format", "json", moved).stdout) == [{"there": "2026-01-02T10:00:00"}]


def test_a_wide_answer_shows_every_column_in_blocks(loaded: Terminal) -> None:
    answer = loaded.run("sql", "from fills order by transact_time", COLUMNS="80").stdout.splitlines()
    columns = rows(loaded.home, "select column_name from (describe fills)")
    assert answer[0] == "-[ row 1 ]-"
    assert [line.split()[0] for line in answer[1 : len(columns) + 1]] == [column["column_name"] for column in columns]
    assert answer[len(columns) + 1] == "-[ row 2 ]-"


def test_an_answer_goes_to_a_file(loaded: Terminal, tmp_path: Path) -> None:
    target = tmp_path / "it's here.csv"
    assert loaded.run("sql", "--format", "csv", "--output", target, "select 1 as one").exit_code == 0
    assert target.read_text() == "one\n1\n"
    assert loaded.run("sql", "--output", target, "select 1 as one").exit_code == 0
    assert target.read_text().split() == ["one", "1"]


def test_an_answer_without_rows_says_so(loaded: Terminal) -> None:
    assert "(no rows)" in loaded.run("sql", "from fills where false").stdout
    assert json.loads(loaded.run("sql", "--format", "json", "from fills where false").stdout) == []


def test_a_wrong_query_is_one_line(loaded: Terminal) -> None:
    unknown = loaded.fails(2, "sql", "select quantty from fills")
    assert '"quantty" not found' in unknown
    assert "describe fills" in unknown
    assert "syntax error" in loaded.fails(2, "sql", "selct 1")
    assert "Could not convert" in loaded.fails(2, "sql", "select 'a'::int")


def test_a_text_in_double_quotes_is_told_how_to_be_written(loaded: Terminal) -> None:
    assert "in single quotes: 'ALDR'. The tables:" in loaded.fails(
        2, "sql", 'select * from fills where symbol = "ALDR"'
    )


@pytest.mark.parametrize(
    ("query", "why"),
    [
        ("create table mine (a int)", "read-only"),
        ("delete from exchanges", "read-only"),
        ("copy fills to 'x.csv'", "read-only"),
        ("select 1; select 2", "One select at a time"),
        ("", "no question in it"),
    ],
)
def test_only_one_select_is_taken(loaded: Terminal, query: str, why: str) -> None:
    assert why in loaded.fails(2, "sql", query)


def test_no_rows_of_a_wide_table_are_no_rows(loaded: Terminal) -> None:
    assert loaded.run("sql", "select * from fills where false").stdout.strip() == "(no rows)"


def test_a_comment_at_the_end_of_a_query_does_no_harm(loaded: Terminal) -> None:
    query = "/* a; b */ select 'é;' as one; -- done; really"
    assert json.loads(loaded.run("sql", "--format", "json", query).stdout) == [{"one": "é;"}]
