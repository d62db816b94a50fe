"""The command line, from the outside: files in, lines and exit codes out."""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import re
import signal
import ssl
import subprocess
import sys
import urllib.request
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
import pytest
from prefect.settings import Settings
from typer.testing import CliRunner

from connectors.connector import Reply
from connectors.errors import ConnectorError
from connectors.ibkr_flex.sandbox import QUERY_ID, SERVICE_PATH, TOKEN, FlexBroker, running
from connectors.registry import connector
from flows import surroundings
from flows.cli import app
from flows.proofs import raw_elements
from tests.importing import RECORDED, rows
from warehouse import db

ROOT = Path(__file__).parents[2]
PLAIN = RECORDED / "01_plain_stock_buys_and_sells" / "1.xml"
NO_TRADES = RECORDED / "30_no_trades_section_and_empty_trades" / "2.xml"
ONE_BAD_ROW = RECORDED / "24_one_bad_row_among_good" / "1.xml"
KRAKEN = ROOT / "tests" / "connectors" / "kraken" / "recorded"
EXPORTED = KRAKEN / "03_rest_and_export_are_one_fill" / "1_trades.csv"
CONFIRMED = ROOT / "tests" / "connectors" / "ibkr_portal" / "recorded" / "31_the_portal_then_activity"
REBOOKED = sorted((RECORDED / "05_cancel_keeps_commission_then_rebook").glob("*.xml"))
CHANGING = sorted((RECORDED / "41_value_that_changes_and_changes_back").glob("*.xml"))
A_KEY = {"FILLHOUSE_KRAKEN_KEY": "invented", "FILLHOUSE_KRAKEN_SECRET": "aW52ZW50ZWQ="}
HEAVY = ("duckdb", "polars", "httpx", "prefect", "dataframely", "xml2arrow", "pydantic", "rich")
LAUGHS = b"""<?xml version="1.0"?>
<!DOCTYPE FlexQueryResponse [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;">]>
<FlexQueryResponse queryName="&c;" type="AF"></FlexQueryResponse>"""
BAD_BODIES = {
    "not_xml": (b"date,symbol,quantity\n2026-04-23,KSTL,10\n", "not XML"),
    "truncated": (PLAIN.read_bytes()[:-400], "cut off"),
    "error_envelope": ((RECORDED / "envelopes" / "fail_1012.xml").read_bytes(), "error message of the Flex service"),
    "html_page": ((RECORDED / "envelopes" / "html_page.html").read_bytes(), "HTML page"),
    "empty": (b"", "empty"),
    "gzip": (gzip.compress(PLAIN.read_bytes()), "gzip"),
    "billion_laughs": (LAUGHS, "entities"),
}


class Terminal:
    """A person at a terminal with a home of their own."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.environment = {"FILLHOUSE_HOME": str(home), "COLUMNS": "160"}

    def run(self, *arguments: object, **environment: str) -> Any:
        return CliRunner().invoke(app, [str(one) for one in arguments], env={**self.environment, **environment})

    def fails(self, exit_code: int, *arguments: object) -> str:
        """Run a command that must fail with one line on stderr; gives that line."""
        result = self.run(*arguments)
        assert (result.exit_code, result.stderr.count("\n")) == (exit_code, 1), result.output
        assert "Traceback" not in result.output
        return str(result.stderr)

    def start(self, *arguments: object) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", "flows.cli", *map(str, arguments)],
            cwd=ROOT,
            env={**os.environ, **self.environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    return Terminal(tmp_path / "home")


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Terminal:
    """Give a home with four fills in it, for tests that only ask."""
    terminal = Terminal(tmp_path_factory.mktemp("loaded"))
    terminal.run("import", PLAIN)
    return terminal


def test_importing_the_command_line_loads_nothing_heavy() -> None:
    code = "import sys, flows.cli; print([name for name in sys.argv[1:] if name in sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", code, *HEAVY], cwd=ROOT, capture_output=True, check=True)
    assert loaded.stdout.decode().strip() == "[]"


def test_version_is_printed(terminal: Terminal) -> None:
    result = terminal.run("--version")
    assert (result.exit_code, result.stdout.split()[0]) == (0, "fillhouse")


def test_import_says_what_a_file_brought(terminal: Terminal) -> None:
    result = terminal.run("import", "--broker", "ibkr_flex", PLAIN)
    assert result.exit_code == 0
    assert result.stdout == f"{PLAIN}: 4 rows read, 4 added, 0 revised, 0 cancelled, 0 rejected\n"


def test_import_takes_the_only_broker_there_is_and_sums_up_several_files(terminal: Terminal) -> None:
    result = terminal.run("import", *REBOOKED)
    assert result.exit_code == 0
    assert result.stdout.splitlines()[-1] == (
        "2 files: 3 rows read, 3 added, 0 revised, 1 cancelled, 0 rejected; 0 already known, 0 refused"
    )


def test_the_same_file_twice_says_so(terminal: Terminal) -> None:
    terminal.run("import", PLAIN)
    result = terminal.run("import", PLAIN)
    assert (result.exit_code, result.stdout) == (0, f"{PLAIN}: already known; nothing changed\n")


def test_files_of_a_broker_that_names_no_account_belong_to_that_of_its_connection(terminal: Terminal) -> None:
    assert terminal.run("import", EXPORTED, FILLHOUSE_KRAKEN_ACCOUNT="desk").exit_code == 0
    assert rows(terminal.home, "select distinct account from fills") == [{"account": "desk"}]


def test_several_accounts_make_an_import_ask_whose_files_they_are(terminal: Terminal) -> None:
    terminal.run("import", PLAIN)
    with duckdb.connect(terminal.home / "fillhouse.duckdb") as con:
        con.execute(
            "insert into coverage (connection, broker, account, recorded_at) values"
            " ('one', 'kraken', 'desk', '2026-01-02'), ('two', 'kraken', 'main', '2026-01-02')"
        )
    assert "with --account; there are: desk, main." in terminal.fails(2, "import", EXPORTED)
    assert terminal.run("import", "--account", "main", EXPORTED).exit_code == 0


LEDGERS = [
    b"txid,refid,time,type,subtype,aclass,asset,amount,fee,balance",
    b"L1,R1,2026-03-01 10:00:00,deposit,,currency,EUR,500.0000,0.0000,500.0000",
    b"L2,R2,2026-03-02 10:00:00,margin,,currency,EUR,-0.0200,0.0000,499.9800",
    b"L3,R3,2026-03-03 10:00:00,trade,,currency,EUR,-100.0000,0.2600,399.7200",
    b"L4,R3,2026-03-03 10:00:00,trade,,currency,XXBT,0.0020,0.0000,0.0020",
]


def test_ledger_files_say_how_many_entries_they_brought(terminal: Terminal, tmp_path: Path) -> None:
    first, second = tmp_path / "1.csv", tmp_path / "2.csv"
    first.write_bytes(b"\n".join(LEDGERS[:2]))
    second.write_bytes(b"\n".join(LEDGERS))
    assert terminal.run("import", first).stdout == f"{first}: 1 ledger entries read, 1 of them new\n"
    said = "1 rows read, 1 added, 0 revised, 0 cancelled, 0 rejected; 4 ledger entries read, 3 of them new"
    assert terminal.run("import", second).stdout == f"{second}: {said}\n"


def test_executions_known_from_the_ledger_only_are_a_note(terminal: Terminal, tmp_path: Path) -> None:
    (tmp_path / "ledgers.csv").write_bytes(b"\n".join(LEDGERS))
    terminal.run("import", tmp_path / "ledgers.csv")
    assert rows(terminal.home, "select severity, what from data_health where kind = 'ledger_only'") == [
        {"severity": "note", "what": "2 executions of main are known from the ledger only, such as R2"}
    ]
    found = rows(terminal.home, "select exec_id, finding from ledger_reconciliation order by exec_id")
    assert [(row["exec_id"], row["finding"]) for row in found] == [("R2", "ledger_only"), ("R3", "ledger_only")]


def test_a_listing_of_names_says_that_it_is_one(terminal: Terminal, tmp_path: Path) -> None:
    pairs = {
        "error": [],
        "result": {"XXBTZUSD": {"altname": "XBTUSD", "wsname": "XBT/USD", "base": "XXBT", "quote": "ZUSD"}},
    }
    listing = tmp_path / "pairs.json"
    listing.write_text(json.dumps(pairs))
    said = terminal.run("import", "--broker", "kraken", "--endpoint", "AssetPairs", listing).stdout
    assert said == f"{listing}: a listing of names, 1 instruments described\n"


def test_an_unknown_broker_names_those_there_are(terminal: Terminal) -> None:
    assert "ibkr_flex" in terminal.fails(2, "import", "--broker", "nobody", PLAIN)
    assert not terminal.home.exists()


@pytest.mark.parametrize("kind", BAD_BODIES)
def test_bad_input_is_refused_in_one_line_and_leaves_no_trace(terminal: Terminal, tmp_path: Path, kind: str) -> None:
    body, said = BAD_BODIES[kind]
    file = tmp_path / f"{kind}.xml"
    file.write_bytes(body)
    line = terminal.fails(2, "import", file)
    assert said in line
    assert str(file) in line
    assert not terminal.home.exists()


def test_a_folder_and_a_missing_file_are_refused(terminal: Terminal, tmp_path: Path) -> None:
    assert "folder" in terminal.fails(2, "import", tmp_path)
    assert "No such file" in terminal.fails(2, "import", tmp_path / "nothing.xml")


def test_a_query_without_mandatory_fields_names_them(terminal: Terminal) -> None:
    file = RECORDED / "34_mandatory_fields_missing" / "1.xml"
    assert "Tick" in terminal.fails(2, "import", file)


def test_good_files_load_beside_a_refused_one(terminal: Terminal, tmp_path: Path) -> None:
    (tmp_path / "bad.xml").write_bytes(b"")
    result = terminal.run("import", tmp_path / "bad.xml", PLAIN)
    assert result.exit_code == 2
    assert json.loads(terminal.run("sql", "--format", "json", "select count(*) as n from fills").stdout) == [{"n": 4}]


def test_a_statement_without_trades_is_fine_and_counts_as_covered(terminal: Terminal) -> None:
    assert terminal.run("import", NO_TRADES).exit_code == 0
    covered = rows(terminal.home, "select row_count, status from coverage")
    assert covered == [{"row_count": 0, "status": "complete"}]


def test_a_file_that_brings_nothing_but_rejected_rows_is_worth_a_look(terminal: Terminal, tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.xml"
    wrong.write_text(re.sub(r'tradePrice="[^"]*"', 'tradePrice="cheap"', PLAIN.read_text()))
    assert "A file brought nothing" in terminal.fails(1, "import", wrong)
    assert terminal.run("import", PLAIN).exit_code == 0


def test_one_bad_row_is_quarantined_and_strict_says_so_each_time(terminal: Terminal) -> None:
    result = terminal.run("import", "--strict", ONE_BAD_ROW)
    assert result.exit_code == 1
    assert "6 added, 0 revised, 0 cancelled, 10 rejected" in result.stdout
    assert "10 rows" in terminal.fails(1, "import", "--strict", ONE_BAD_ROW)
    assert terminal.run("import", "--strict", PLAIN).exit_code == 0


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


@pytest.mark.parametrize(
    "query", ["create table mine (a int)", "delete from exchanges", "select 1; select 2", "", "copy fills to 'x.csv'"]
)
def test_only_one_select_is_taken(loaded: Terminal, query: str) -> None:
    assert "read-only" in loaded.fails(2, "sql", query)


def test_a_comment_at_the_end_of_a_query_does_no_harm(loaded: Terminal) -> None:
    query = "/* a; b */ select 'é;' as one; -- done; really"
    assert json.loads(loaded.run("sql", "--format", "json", query).stdout) == [{"one": "é;"}]


def test_asking_before_anything_is_loaded_says_what_to_do(terminal: Terminal) -> None:
    assert "import" in terminal.fails(2, "sql", "from fills")
    assert "import" in terminal.fails(2, "explain", "anything")
    assert "import" in terminal.fails(2, "renormalize")


def test_status_of_nothing_says_how_to_begin(terminal: Terminal) -> None:
    result = terminal.run("status")
    assert result.exit_code == 0
    assert "fillhouse import" in result.stdout


def test_status_counts_fills_and_says_how_far_they_reach(terminal: Terminal) -> None:
    terminal.run("import", *REBOOKED)
    result = terminal.run("status")
    assert result.exit_code == 0
    printed = [line.split() for line in result.stdout.splitlines()]
    assert ["ibkr", "U7654321", "1", "3", "2026-04-22", "2026-04-23"] in printed
    assert "published" in result.stdout


def test_status_groups_findings_and_exits_1_for_errors(terminal: Terminal) -> None:
    terminal.run("import", ONE_BAD_ROW)
    result = terminal.run("status")
    assert result.exit_code == 1
    assert "error: 10 x quarantine" in result.stdout


def test_status_exits_3_while_a_connection_waits_for_a_person(terminal: Terminal) -> None:
    terminal.run("import", PLAIN)
    with db.writer(terminal.home) as con:  # what is not published yet is told all the same
        con.execute("insert into connections (connection, state, remedy) values ('x', 'needs_reauth', 'Make a token.')")
    result = terminal.run("status")
    assert result.exit_code == 3
    assert "Make a token." in result.stdout


def test_status_tells_what_was_published_while_somebody_writes(terminal: Terminal) -> None:
    terminal.run("import", *REBOOKED)
    with db.locked(terminal.home):
        result = terminal.run("status")
    assert (result.exit_code, "ibkr_flex" in result.stdout) == (0, True)


def test_explain_shows_what_changed_and_the_verified_bytes(terminal: Terminal) -> None:
    terminal.run("import", *CHANGING)
    result = terminal.run("explain", "0001f829.6a340edf.01")
    assert result.exit_code == 0
    assert "changed: realized_pnl 0 -> -0.3" in result.stdout
    for file in CHANGING:
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        assert f"sha256 {digest} verified" in result.stdout
    assert result.stdout.count("    <Trade ") == len(CHANGING)
    assert result.stdout.count('ibExecID="0001f829.6a340edf.01.01"') == len(CHANGING)


def test_explain_shows_how_a_provisional_fill_became_final(terminal: Terminal) -> None:
    for file, endpoint in (("1_secdef.json", "secdef"), ("2_trades.json", "trades")):
        terminal.run("import", "--broker", "ibkr_portal", "--endpoint", endpoint, CONFIRMED / file)
    told = terminal.run("explain", "0001fa03.6a34a202.01", COLUMNS="240").stdout
    assert part(told, "What stands")["status"] == "provisional"
    terminal.run("import", "--broker", "ibkr_flex", CONFIRMED / "3.xml")
    result = terminal.run("explain", "0001fa03.6a34a202.01", COLUMNS="240")
    assert result.exit_code == 0
    stands, stood = (part(result.stdout, title) for title in ("What stands", "How it stood before"))
    assert (stood["status"], stands["status"]) == ("provisional", "final")
    assert ("commission" in stood, stands["fill_commission"]) == (False, "1.0421")
    for file in ("2_trades.json", "3.xml"):
        assert f"sha256 {hashlib.sha256((CONFIRMED / file).read_bytes()).hexdigest()} verified" in result.stdout
    assert '"execution_id": "0001fa03.6a34a202.01.01"' in result.stdout
    assert 'ibExecID="0001fa03.6a34a202.01.01"' in result.stdout


def part(text: str, title: str) -> dict[str, str]:
    """Read the first row of a part of what is printed, by column; a cell that is empty is left out."""
    lines = text[text.index(title) :].splitlines()
    starts = [(found.group(), found.start()) for found in re.finditer(r"\S+", lines[1])]
    ends = [start for _, start in starts[1:]] + [None]
    cells = {name: lines[2][start:end] for (name, start), end in zip(starts, ends, strict=True)}
    return {name: cell.strip() for name, cell in cells.items() if cell.strip()}


@pytest.mark.parametrize("named", ["0001f805.6a315faa.01", "t:30418053878", "30418054021", "6120434286", "4087014694"])
def test_explain_finds_a_family_by_any_of_its_ids(terminal: Terminal, named: str) -> None:
    terminal.run("import", *REBOOKED)
    result = terminal.run("explain", named)
    assert result.exit_code == 0
    assert [line.split()[1] for line in result.stdout.splitlines() if line.startswith("- t:")] == [
        "t:30418053878", "t:30418054021", "t:30418054164",
    ]  # fmt: skip
    assert "ended_by" in result.stdout


def test_explain_of_an_exchange_shows_its_rejected_rows_as_printed(terminal: Terminal) -> None:
    terminal.run("import", ONE_BAD_ROW)
    (exchange,) = rows(terminal.home, "select distinct exchange_id from quarantine")
    result = terminal.run("explain", exchange["exchange_id"])
    assert result.exit_code == 0
    assert "In quarantine: 10 rows" in result.stdout
    assert 'ibCommission="abc"' in result.stdout


def test_explain_says_when_the_landed_bytes_were_changed(terminal: Terminal) -> None:
    terminal.run("import", PLAIN)
    (landed,) = (terminal.home / "landing").glob("*/*/*/*.parquet")
    pl.read_parquet(landed, hive_partitioning=False).with_columns(
        body=pl.when(pl.col("kind") == "exchange").then(pl.lit(b"<forged/>"))
    ).write_parquet(landed)
    (fill,) = rows(terminal.home, "select exec_id from fills limit 1")
    assert "NOT VERIFIED" in terminal.run("explain", fill["exec_id"]).stdout


def test_explain_of_an_unknown_id_is_one_line(loaded: Terminal) -> None:
    assert "'nothing'" in loaded.fails(2, "explain", "nothing")


@pytest.mark.parametrize("file", sorted(RECORDED.glob("[0-9]*/*.xml")), ids=lambda file: file.parent.name)
def test_the_element_of_a_row_is_the_one_it_was_read_from(file: Path) -> None:
    """Compare ids: `raw_row` counts the same elements here as where rows are read."""
    reply = Reply("exchange", "GetStatement", file.read_bytes(), datetime(2026, 5, 1, tzinfo=UTC))
    try:
        said = connector("ibkr_flex").normalize([reply])
    except ConnectorError:
        return  # a refused file has no rows
    told = said.reports.filter(pl.col("key_rank") > 2)
    for key, raw_row, source in told.select("row_key", "raw_row", "source").iter_rows():
        (element,) = raw_elements(reply.body, raw_row, source)
        assert f'="{key[2:].partition("|")[0]}"' in element


def test_elements_of_other_levels_are_not_counted() -> None:
    body = b"""<Trade levelOfDetail='ORDER' n="0"/><Lot/><Trade n="1>0" levelOfDetail="EXECUTION" /><Trade n="2"/>"""
    assert raw_elements(body, 0) == ['<Trade n="1>0" levelOfDetail="EXECUTION" />']
    assert raw_elements(body, 1) == ['<Trade n="2"/>']


@pytest.mark.parametrize(
    ("body", "row"),
    [
        (b'[{"price": "1"}, {"price": 2.50, "size": 1e-7}]', '{"price": 2.50, "size": 1e-7}'),
        (b'{"trades": [{"a": 1}, {"a": null}]}', '{"a": null}'),
        (
            b'{"error": [], "result": {"count": 2, "trades": {"T1": {"vol": "1"}, "T2": {"vol": "2.0"}}}}',
            '{"T2": {"vol": "2.0"}}',
        ),
        (b'{"error": [], "result": {"T1": {"vol": "1"}, "T2": {"misc": [true]}}}', '{"T2": {"misc": [true]}}'),
    ],
)
def test_a_row_of_json_is_shown_as_it_was_printed(body: bytes, row: str) -> None:
    assert raw_elements(body, 1) == [row]
    assert raw_elements(body, 2) == []
    assert raw_elements(body[:-3], 1) == []


def test_renormalize_and_compact_change_no_table(terminal: Terminal) -> None:
    terminal.run("import", *CHANGING)
    before = rows(terminal.home, "select * from fills order by row_key")
    for command in ("renormalize", "compact", "renormalize"):
        result = terminal.run(command)
        assert result.exit_code == 0, result.output
    assert "Every table is equal" in result.stdout
    assert rows(terminal.home, "select * from fills order by row_key") == before
    assert terminal.run("explain", before[0]["exec_id"]).stdout.count(" verified: ") > 0


def test_backfill_without_prefect_ends_with_one_line(terminal: Terminal, tmp_path: Path) -> None:
    terminal.environment |= {"PREFECT_API_URL": "http://127.0.0.1:9/api", "PREFECT_HOME": str(tmp_path / "prefect")}
    asked = terminal.start("backfill")
    _, error = asked.communicate(timeout=60)
    assert asked.returncode == 2
    assert "PREFECT_API_URL" in error.decode().splitlines()[-1]
    assert b"Traceback" not in error


def test_home_may_be_given_before_the_command(terminal: Terminal, tmp_path: Path) -> None:
    other = tmp_path / "elsewhere"
    done = terminal.start("--home", other, "import", PLAIN)
    out, error = done.communicate(timeout=60)
    assert (done.returncode, error) == (0, b"")
    assert b"4 added" in out
    assert (other / "fillhouse.duckdb").exists()
    assert not terminal.home.exists()


def test_a_usage_error_exits_2(terminal: Terminal) -> None:
    assert terminal.run("import").exit_code == 2
    assert terminal.run("sql", "--format", "xlsx", "select 1").exit_code == 2
    assert terminal.run("backfill", "--since", "yesterday").exit_code == 2
    assert terminal.run("nonsense").exit_code == 2


WRONG: dict[str, tuple[tuple[str, ...], dict[str, str], str]] = {
    "half a key": (("backfill",), {"FILLHOUSE_KRAKEN_SECRET": "abc"}, "FILLHOUSE_KRAKEN_KEY is not set"),
    "no such tier": (("sync",), {"FILLHOUSE_KRAKEN_TIER": "gold"}, "'starter', 'intermediate' or 'pro'"),
    "no such name": (("backfill", "krakn"), A_KEY, "no connection krakn; there are: kraken"),
    "a name with a slip": (
        ("sync",),
        {"FILLHOUSE_KRAKN_KEY": "abc"},
        "FILLHOUSE_KRAKN_KEY is no setting (FILLHOUSE_KRAKEN_KEY?)",
    ),
    "nothing at all": (("reauth-check",), {}, "No connection is configured"),
    "a first day to come": (("backfill", "--since", "2099-01-01"), A_KEY, "2099-01-01, is in the future"),
    "today": (("backfill", "--since", f"{datetime.now(UTC):%Y-%m-%d}"), A_KEY, "has not ended yet"),
    "days the wrong way round": (("backfill", "--since", "2026-05-01", "--until", "2026-04-01"), A_KEY, "before 2026"),
    "a day as elsewhere": (("backfill", "--since", "01.01.2024"), A_KEY, "write it like 2024-01-31"),
}


RUN = """
import sys
from flows.cli import main
try:
    main()
finally:
    print("a server was started" if "prefect.server.api.server" in sys.modules else "no server")
"""


@pytest.mark.parametrize("what", WRONG)
def test_what_cannot_work_is_said_in_a_line_before_prefect_is_started(tmp_path: Path, what: str) -> None:
    arguments, environment, said = WRONG[what]
    done = subprocess.run(
        [sys.executable, "-c", RUN, *arguments],
        cwd=tmp_path,
        env={**os.environ, "HOME": str(tmp_path), "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "no server\n")
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_doctor_looks_at_the_folder_the_env_file_and_what_the_query_prints(
    terminal: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "prefect"))
    assert "bad   No connection is configured" in terminal.run("doctor").stdout
    monkeypatch.setenv("FILLHOUSE_JITTR", "3")
    assert "look  FILLHOUSE_JITTR is no setting (FILLHOUSE_JITTER?)" in terminal.run("doctor").stdout
    monkeypatch.delenv("FILLHOUSE_JITTR")
    with running(FlexBroker(years=1, executions=60, generation_seconds=0.0)) as address:
        monkeypatch.setenv("FILLHOUSE_IBKR_FLEX_TOKEN", TOKEN)
        monkeypatch.setenv("FILLHOUSE_IBKR_FLEX_QUERY_ID", QUERY_ID)
        monkeypatch.setenv("FILLHOUSE_IBKR_FLEX_BASE_URL", address + SERVICE_PATH)
        first = terminal.run("doctor")
    assert (first.exit_code, "ok    ibkr-flex: token and query are good." in first.stdout) == (0, True)
    assert "ibkr-flex: IBKR is making the statement; waiting 3 s" in first.stderr
    (tmp_path / ".env").touch(mode=0o644)
    (tmp_path / ".env").chmod(0o644)
    monkeypatch.delenv("FILLHOUSE_IBKR_FLEX_TOKEN")
    monkeypatch.delenv("FILLHOUSE_IBKR_FLEX_QUERY_ID")
    terminal.run("import", RECORDED / "31_box_ticked_later" / "1.xml")
    result = terminal.run("doctor")
    assert result.exit_code == 1
    assert "look  .env has mode 0644, and others may read it. chmod 600 .env" in result.stdout
    assert "does not print" in result.stdout


def test_doctor_says_that_prefect_is_away_in_one_line(terminal: Terminal, tmp_path: Path) -> None:
    terminal.environment |= {"PREFECT_API_URL": "http://127.0.0.1:9/api", "PREFECT_HOME": str(tmp_path / "prefect")}
    asked = terminal.start("doctor")
    said, error = asked.communicate(timeout=60)
    assert (asked.returncode, error) == (1, b"")
    assert b"look  Prefect's server does not answer" in said


def test_ctrl_c_is_one_line(loaded: Terminal) -> None:
    asking = loaded.start("sql", "select sum(sqrt(range)) from range(1000000000000)")
    with pytest.raises(subprocess.TimeoutExpired):
        asking.wait(timeout=3)
    asking.send_signal(signal.SIGINT)
    _, error = asking.communicate(timeout=30)
    assert (asking.returncode, error.count(b"\n")) == (130, 1)


def test_sandbox_says_where_it_is_and_ends_quietly(terminal: Terminal) -> None:
    sandbox = terminal.start("sandbox", "--seed", "3")
    try:
        assert sandbox.stdout is not None
        said = json.loads(sandbox.stdout.readline())
        assert said["ibkr_flex"]["base_url"].endswith("/AccountManagement/FlexWebService")
        assert {"token", "query_id"} < set(said["ibkr_flex"])
        with urllib.request.urlopen(said["book_url"], timeout=10) as book:  # noqa: S310  (our own loopback)
            assert json.load(book)
        portal = said["ibkr_portal"]
        gateway = ssl.create_default_context(cafile=portal["ca_file"])
        with urllib.request.urlopen(portal["book_url"], timeout=10, context=gateway) as book:  # noqa: S310
            assert sorted(json.load(book)["ibkr_portal"]) == sorted(portal["accounts"])
        with urllib.request.urlopen(f"{portal['base_url']}/sso/validate", timeout=10, context=gateway) as login:  # noqa: S310
            assert json.load(login)["RESULT"] is True
    finally:
        sandbox.send_signal(signal.SIGTERM)
        _, error = sandbox.communicate(timeout=30)
    assert (sandbox.returncode, error) == (0, b"")


def test_sandbox_names_the_faults_there_are(terminal: Terminal) -> None:
    there_are = terminal.fails(2, "sandbox", "--fault", "gremlins")
    assert all(name in there_are for name in ("html_page", "tickle_fails", "invalid_nonce"))


def test_a_first_sync_makes_the_folders_that_prefect_needs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("PREFECT_HOME", *surroundings.QUIET, *surroundings.RUNS):
        monkeypatch.setenv(name, "")  # so that what is set here is taken back
        monkeypatch.delenv(name)
    surroundings.prefer(tmp_path / "not" / "yet")
    assert (tmp_path / "not" / "yet" / "prefect").is_dir()


def test_prefect_understands_what_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    told = surroundings.QUIET | surroundings.RUNS | surroundings.WORKER | surroundings.SERVER
    for name, value in told.items():
        monkeypatch.setenv(name, value)
    said = Settings()
    assert said.server.events.retention_period == timedelta(days=2)
    assert said.server.services.db_vacuum.retention_period == timedelta(days=30)
    assert said.server.services.db_vacuum.enabled_vacuum_types >= {"events", "flow_runs"}
    assert said.flows.heartbeat_frequency == surroundings.HEARTBEAT_SECONDS
    assert said.worker.query_seconds == 2
    assert not said.server.analytics_enabled
