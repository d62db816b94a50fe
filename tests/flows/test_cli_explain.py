"""`fillhouse explain`, from the outside: an id in, its story and its verified bytes out."""

from __future__ import annotations

import hashlib
import re

import polars as pl
import pytest

from tests.flows.terminal import CHANGING, ONE_BAD_ROW, PLAIN, REBOOKED, ROOT, Terminal
from tests.importing import rows

KRAKEN = ROOT / "tests" / "connectors" / "kraken" / "recorded"
IN_KFEE = KRAKEN / "12_fee_in_kfee_by_the_ledger"
STAKED = KRAKEN / "23_staking_and_earn_moves_are_no_fills"
BAD_EXPORT = KRAKEN / "49_bad_rows_among_good_in_an_export" / "1_trades.csv"
CONFIRMED = ROOT / "tests" / "connectors" / "ibkr_portal" / "recorded" / "31_the_portal_then_activity"


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


def test_explain_shows_what_the_ledger_booked_for_a_fill_and_for_anything_else(terminal: Terminal) -> None:
    for file in sorted(STAKED.glob("[0-9]*")) + sorted(IN_KFEE.glob("[0-9]*")):
        endpoint = ["--endpoint", "TradesHistory"] if file.suffix == ".json" else []
        assert terminal.run("import", "--broker", "kraken", *endpoint, file).exit_code == 0
    of_a_fill = terminal.run("explain", "T546AY-TBVFD-DSSJQI").stdout
    assert of_a_fill.count(" of T546AY-TBVFD-DSSJQI, trade, ") == 3
    assert "fee 156 KFEE, booked" in of_a_fill
    assert '"asset": "KFEE"' in of_a_fill
    (entry,) = rows(terminal.home, "select entry_id, ref_id from ledger_entries where entry_type = 'staking' limit 1")
    for id_ in entry.values():
        told = terminal.run("explain", id_).stdout
        assert f"- {entry['entry_id']} of {entry['ref_id']}, staking" in told
        assert f'{{"txid": "{entry["entry_id"]}"' in told


def test_explain_shows_the_rejected_rows_of_an_export(terminal: Terminal) -> None:
    terminal.run("import", "--broker", "kraken", BAD_EXPORT)
    (exchange,) = rows(terminal.home, "select distinct exchange_id from quarantine")
    told = terminal.run("explain", exchange["exchange_id"]).stdout
    assert "In quarantine: 10 rows" in told
    assert told.count('    {"txid": ') == 10


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
