"""Read Kraken's export files: a zip with one CSV in it, or the CSV itself, columns by name in any known layout."""

from __future__ import annotations

import csv
import io
import re
import zipfile
from collections.abc import Iterator

from connectors.errors import ContractViolation

TRADES, LEDGERS = "ExportTrades", "ExportLedgers"
MARKS = {TRADES: ("txid", "ordertxid", "pair", "time", "type", "price", "cost", "fee", "vol"),
         LEDGERS: ("txid", "refid", "time", "type", "asset", "amount", "fee", "balance")}  # fmt: skip
MOST_BYTES = 4 << 30
MOST_TIMES_SMALLER = 1000  # text of one repeated line packs about so well; a bomb packs better
_BLANK_LINE = re.compile(rb"\n\r?\n")
AGAIN = "Export it from Kraken again."


def unpacked(body: bytes) -> bytes:
    """Give the CSV in an export, without a byte order mark; refuse a zip that holds anything but one harmless CSV."""
    if not body.startswith(b"PK\x03\x04"):
        return body.removeprefix(b"\xef\xbb\xbf")
    try:
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            members = [each for each in archive.infolist() if not each.is_dir()]
            tables = [each for each in members if each.filename.lower().endswith((".csv", ".tsv"))]
            if len(tables) != 1:
                raise ContractViolation(
                    f"The zip file holds {len(tables)} tables, not one.", remedy="Name the CSV itself."
                )
            (table,) = tables
            if table.file_size > MOST_BYTES or table.file_size > MOST_TIMES_SMALLER * max(table.compress_size, 1024):
                raise ContractViolation(
                    f"The zip file says it unpacks to {table.file_size:,} bytes: that is no export."
                )
            with archive.open(table) as opened:
                text = opened.read(table.file_size + 1)
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as exc:
        raise ContractViolation(f"The zip file is broken or locked: {exc}.", remedy=AGAIN) from exc
    if len(text) != table.file_size:
        raise ContractViolation("The zip file unpacks to more than it says.")
    return text.removeprefix(b"\xef\xbb\xbf")


def kind_of(body: bytes) -> str:
    """Tell an export of trades from one of ledger entries by its header."""
    names = header_of(unpacked(body))
    for kind, marks in MARKS.items():
        if set(marks) <= set(names):
            return kind
    missing = {kind: ", ".join(mark for mark in marks if mark not in names) for kind, marks in MARKS.items()}
    raise ContractViolation(
        f"This is no export of Kraken: as trades it lacks {missing[TRADES]}; as ledgers it lacks {missing[LEDGERS]}."
    )


def header_of(text: bytes) -> list[str]:
    """Give the column names, in small letters; one given twice would make every value doubtful."""
    line = text.split(b"\n", 1)[0].decode("utf-8", "replace").strip("\r")
    if "\r" in line:
        raise ContractViolation("The lines of the file end as on an old Macintosh, without a line feed.", remedy=AGAIN)
    names = [name.strip().lower() for name in next(csv.reader([line], delimiter=separator_of(text)), [])]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ContractViolation(f"The column {', '.join(twice)} is given twice.", remedy=AGAIN)
    return names


def separator_of(text: bytes) -> str:
    """Tell a TSV from a CSV by its header."""
    line = text.split(b"\n", 1)[0]
    return "\t" if line.count(b"\t") > line.count(b",") else ","


def without_blank_lines(text: bytes) -> bytes:
    """Leave out lines that hold nothing at all: a spreadsheet may have added them, and they are no rows."""
    if not _BLANK_LINE.search(text):
        return text
    return b"".join(line for line in text.splitlines(keepends=True) if line.strip(b"\r\n"))


def require_even(text: bytes) -> None:
    """Raise `ContractViolation` naming the first line that is not one row of as many cells as the header has."""
    rows = csv.reader(io.StringIO(text.decode("utf-8", "replace"), newline=""), delimiter=separator_of(text))
    width, line = len(next(rows, [])), 1
    for cells in rows:
        if any("\n" in cell for cell in cells):
            raise ContractViolation(f"Line {line + 1} has a line break inside a cell: a stray quote.", remedy=AGAIN)
        line = rows.line_num
        if cells and len(cells) != width:
            raise ContractViolation(f"Line {line} has {len(cells)} cells where the header has {width}.", remedy=AGAIN)


def rows_of(body: bytes) -> Iterator[dict[str, str]]:
    """Give an export's rows one by one as they stand, by column name."""
    text = unpacked(body)
    names = header_of(text)
    require_even(text)
    rows = csv.reader(io.StringIO(text.decode("utf-8", "replace"), newline=""), delimiter=separator_of(text))
    next(rows, None)
    return (dict(zip(names, cells, strict=True)) for cells in rows if cells)
