"""Every recorded Kraken file of the shared corpus, through the import command's own path, against figures stated by others."""

from __future__ import annotations

import csv
import io
import json
from decimal import Decimal
from pathlib import Path

import pytest

from flows import importing
from tests.importing import rows
from tests.warehouse.loading import prepared

CORPUS = Path(__file__).parents[2] / "shared" / "corpus"
FOLDERS = ("kraken_trades", "kraken_ledgers", "kraken_csv", "kraken_assets", "kraken_assetpairs")
FILES = sorted(path for folder in FOLDERS for path in (CORPUS / folder).glob("*.*"))
REFUSED = {
    "anon-70241685953__trades_stray_quote.csv": ("Line 2", "line break inside a cell"),
    "anon-70241685953__trades_duplicate_column.csv": ("cost", "given twice"),
}

pytestmark = pytest.mark.skipif(not FILES, reason="the shared corpus is not beside this checkout")


def stated(name: str) -> list[dict[str, str]]:
    """Read a table of the corpus's own expectations."""
    path = CORPUS / "expected" / name
    return list(csv.DictReader(path.open(newline=""))) if path.exists() else []


FILLS = [fill for fill in stated("expected_fills.csv") if fill["file"].startswith("kraken_")]


def imported(home: Path, path: Path) -> importing.Imported:
    [done] = importing.import_files(prepared(home), "kraken", [path])
    return done


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_file_is_read_or_refused_with_its_reason(path: Path, tmp_path: Path) -> None:
    done = imported(tmp_path, path)
    if path.name in REFUSED:
        assert all(word in done.refused for word in REFUSED[path.name])
        return
    assert not done.refused
    [told] = rows(
        tmp_path,
        """
        select
            (select count(*) from execution_reports where source <> 'kraken_ledger') as trades,
            (select count(*) from quarantine) as rejected,
            (select count(*) from ledger_entries) as entries
        """,
    )
    trades, entries = rows_there(path)
    assert told["trades"] + told["rejected"] == trades
    assert told["entries"] == entries


def rows_there(path: Path) -> tuple[int, int]:
    """Count a file's trades and ledger entries by other means."""
    if path.suffix == ".csv":
        lines = list(csv.DictReader(io.StringIO(path.read_text())))
        return (0, len(lines)) if "refid" in (lines[0] if lines else ()) else (len(lines), 0)
    result = json.loads(path.read_text())["result"]
    if "ledger" in result:
        return 0, len(result["ledger"])
    found = result.get("trades", result)
    return sum("ordertxid" in each for each in found.values()), 0


@pytest.mark.parametrize("fill", FILLS, ids=lambda fill: f"{Path(fill['file']).name}-{fill['trade_identifier']}")
def test_fills_are_what_the_sources_own_tests_say(fill: dict[str, str], tmp_path: Path) -> None:
    assert not imported(tmp_path, CORPUS / fill["file"]).refused
    [found] = rows(
        tmp_path,
        """
        select
            canonical_symbol,
            side,
            last_qty,
            last_px,
            commission,
            comm_currency,
            fills.currency,
            strftime(transact_time, '%Y-%m-%dT%H:%M:%SZ') as transact_time
        from fills
        inner join instruments using (instrument_id)
        where exec_id = ?
        """,
        [fill["trade_identifier"].removeprefix("refid ")],
    )
    assert found["canonical_symbol"] == fill["asset"].split(" ")[0]
    assert (found["side"], found["transact_time"]) == (fill["side"], fill["datetime"])
    assert (found["currency"], found["comm_currency"]) == (fill["currency"], fill["fee_currency"])
    for name, column in (("qty", "last_qty"), ("price", "last_px"), ("fee", "commission")):
        assert (found[column] is None) == (fill[name] == "")
        if fill[name]:
            assert Decimal(str(found[column])) == Decimal(fill[name])


def test_what_others_reject_is_no_fill(tmp_path: Path) -> None:
    assert not imported(tmp_path, CORPUS / "kraken_csv" / "anon-70241685953__trades_unknown_or_blank_type.csv").refused
    assert not imported(tmp_path, CORPUS / "kraken_csv" / "anon-70241685953__ledgers_earn_migration.csv").refused
    assert rows(tmp_path, "select * from fills") == []
    assert [row["rule"] for row in rows(tmp_path, "select rule from quarantine")] == ["side_missing", "side_missing"]
