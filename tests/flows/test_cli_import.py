"""`fillhouse import`, from the outside: files in, lines and exit codes out."""

from __future__ import annotations

import gzip
import json
import re
from pathlib import Path

import duckdb
import pytest

from tests.flows.terminal import ONE_BAD_ROW, PLAIN, REBOOKED, ROOT, Terminal
from tests.importing import RECORDED, rows

NO_TRADES = RECORDED / "30_no_trades_section_and_empty_trades" / "2.xml"
KRAKEN = ROOT / "tests" / "connectors" / "kraken" / "recorded"
EXPORTED = KRAKEN / "03_rest_and_export_are_one_fill" / "1_trades.csv"
LAUGHS = b"""<?xml version="1.0"?>
<!DOCTYPE FlexQueryResponse [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;"><!ENTITY c "&b;&b;&b;&b;&b;&b;&b;">]>
<FlexQueryResponse queryName="&c;" type="AF"></FlexQueryResponse>"""
BAD_BODIES = {
    "not_xml": (b"date,symbol,quantity\n2026-04-23,KSTL,10\n", "not XML"),
    "truncated": (PLAIN.read_bytes()[:-400], "cut off"),
    "truncated_utf_16": (b"\xfe\xff" + PLAIN.read_text().encode("utf-16-be")[:-401], "cannot be read as such"),
    "error_envelope": ((RECORDED / "envelopes" / "fail_1012.xml").read_bytes(), "error message of the Flex service"),
    "html_page": ((RECORDED / "envelopes" / "html_page.html").read_bytes(), "HTML page"),
    "empty": (b"", "empty"),
    "gzip": (gzip.compress(PLAIN.read_bytes()), "gzip"),
    "billion_laughs": (LAUGHS, "entities"),
}


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


def test_a_file_that_is_not_loaded_leaves_nothing_in_the_landing_zone(terminal: Terminal) -> None:
    terminal.run("import", PLAIN)
    before = sorted(terminal.home.glob("landing/**/*"))
    terminal.run("import", PLAIN)
    terminal.run("import", RECORDED / "34_mandatory_fields_missing" / "1.xml")
    assert sorted(terminal.home.glob("landing/**/*")) == before
    assert [path.suffix for path in before if path.is_file()] == [".parquet"]


def test_a_file_that_cannot_be_written_down_is_not_loaded(terminal: Terminal) -> None:
    terminal.home.mkdir()
    in_the_way = terminal.home / "landing"
    in_the_way.touch()
    assert "Not a directory. Nothing of it was loaded." in terminal.fails(2, "import", PLAIN)
    assert rows(terminal.home, "select * from exchanges") == rows(terminal.home, "select * from fills") == []
    in_the_way.unlink()
    assert terminal.run("import", PLAIN).stdout.endswith("4 added, 0 revised, 0 cancelled, 0 rejected\n")


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
