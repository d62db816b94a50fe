"""What the command line prints: lines and tables."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import typer

if TYPE_CHECKING:
    import duckdb

    from connectors.checkup import Finding
    from flows.backups import Restored
    from flows.importing import Imported
    from flows.questions import Row
    from warehouse.backup import Backup
    from warehouse.load import Loaded

ROWS_AT_ONCE = 5000
PIPE_WIDTH = 160  # a line's length where there is no terminal to ask
GUTTER = 2
SECONDS_BETWEEN = 5.0  # two lines about how far something is
BEGIN = """Nothing has been loaded yet. To begin:
  fillhouse import --broker ibkr_flex FILE...   a Flex statement you have downloaded
  fillhouse backfill                            the whole history, from the broker
  fillhouse sandbox                             a broker to try it with"""


def line(text: str = "") -> None:
    """Print a line."""
    typer.echo(text)


def lines(texts: Iterable[str]) -> None:
    """Print lines."""
    for text in texts:
        line(text)


def error(text: str) -> None:
    """Print one line on stderr."""
    typer.echo(f"fillhouse: {' '.join(text.split())}", err=True)


def aside(text: str) -> None:
    """Print a line on stderr that is no answer: what is being waited for."""
    typer.echo(text, err=True)


def shown(value: Any) -> str:  # noqa: PLR0911  (one line a type)
    """Write a value for people: decimals without trailing zeros, times in ISO 8601."""
    if value is None:
        return "null"
    if isinstance(value, Decimal):
        plain = f"{value:f}"
        plain = plain.rstrip("0").rstrip(".") if "." in plain else plain
        return "0" if plain == "-0" else plain
    if isinstance(value, datetime):
        return value.replace(tzinfo=None).isoformat() + "Z"
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, dict):
        return "{" + ", ".join(f"{name}: {shown(item)}" for name, item in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(shown(item) for item in value) + "]"
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return str(value).lower() if isinstance(value, bool) else str(value)


def imported(result: Imported) -> None:
    """Print what became of one file."""
    if result.refused:
        error(f"{result.path}: refused: {result.refused} Nothing of it was loaded.")
    elif result.already or result.loaded is None:
        line(f"{result.path}: already known; nothing changed")
    elif result.names is not None:
        line(f"{result.path}: a listing of names, {result.names} instruments described")
    else:
        line(f"{result.path}: {_counts([result.loaded])}")


def import_total(results: Sequence[Imported]) -> None:
    """Print the sum over several files."""
    loaded = [result.loaded for result in results if result.loaded]
    known, refused = (sum(map(bool, of)) for of in zip(*((r.already, r.refused) for r in results), strict=True))
    line(f"{len(results)} files: {_counts(loaded)}; {known} already known, {refused} refused")


def _counts(loaded: Sequence[Loaded]) -> str:
    counted = ("rows_read", "added", "revised", "cancelled", "rejected", "entries_read", "entries")
    read, added, revised, cancelled, rejected, entries, new = (
        sum(getattr(one, name) for one in loaded) for name in counted
    )
    said = []
    if read or not entries:
        said.append(f"{read} rows read, {added} added, {revised} revised, {cancelled} cancelled, {rejected} rejected")
    if entries:
        said.append(f"{entries} ledger entries read, {new} of them new")
    gaps = [gap for one in loaded for gap in one.gaps]
    return "; ".join([*said, *([f"gap: {'; '.join(gaps)}"] if gaps else [])])


def counted(files: Sequence[str]) -> Iterator[str]:
    """Give files one by one, and say every few seconds how many are done."""
    said = time.monotonic()
    for done, file in enumerate(files):
        if time.monotonic() - said > SECONDS_BETWEEN:
            said = time.monotonic()
            aside(f"{done} of {len(files)} files.")
        yield file


def backed_up(done: Backup, copied: int, *, with_prefect: bool) -> None:
    """Print what a backup holds, and what it does not."""
    line(f"{done.folder}: {_content(done)}; {copied} of them copied now.")
    if with_prefect:
        line(
            "Prefect's database is in it, with credentials and the key to them: keep it as safe as those. .env is not."
        )
    else:
        line("Not in it, since they hold credentials: .env, and Prefect's own files (--with-prefect).")


def restored(home: Path, done: Restored) -> None:
    """Print what came back, and what to do next."""
    line(f"{home}: {_content(done.backup)}, verified; as of {done.backup.made_at:%Y-%m-%d %H:%M:%S} UTC.")
    if done.recovered:
        line(f"{done.recovered} conversations that had been landed were loaded now.")
    if done.with_prefect:
        line("Prefect's database is back, with its credentials.")
    if done.kept_prefect:
        line("Prefect's database was left as it is: there was one already.")
    line("The next sync goes on from there. fillhouse doctor tells whether its credentials are here.")


def _content(backup: Backup) -> str:
    return f"{len(backup.files)} files, {backup.size / 1e6:.1f} MB"


def answer(cursor: duckdb.DuckDBPyConnection, file: TextIO | None = None) -> None:
    """Print an answer as tables of some thousand rows; too wide for the screen, each row becomes a block."""
    names = [column[0] for column in cursor.description or []]
    number, first = 1, True
    while (batch := cursor.fetchmany(ROWS_AT_ONCE)) or first:
        table(names, batch, number=number, file=file)
        number, first = number + len(batch), False
    if number == 1:
        typer.echo("(no rows)", file=file)


def table(names: Sequence[str], rows: Sequence[Sequence[Any]], *, number: int = 1, file: TextIO | None = None) -> None:
    """Print rows as a table, or as blocks where a line would be longer than the screen is wide. Nothing is cut off."""
    cells = [[shown(value) for value in row] for row in rows]
    lengths = [max(map(_width, column)) for column in zip(names, *cells, strict=True)]
    if sum(lengths) + GUTTER * (len(names) - 1) > _console().width and not _is_file(file):
        _blocks(names, cells, number)
        return
    to_the_right = [any(isinstance(row[place], int | float | Decimal) for row in rows) for place in range(len(names))]
    grid(names, cells, to_the_right, file)


def grid(
    names: Sequence[str],
    cells: Sequence[Sequence[str]],
    to_the_right: Sequence[bool],
    file: TextIO | None = None,
    *,
    wraps: bool = False,
) -> None:
    """Print cells in columns; where they are wider than the screen `wraps` breaks them within their columns."""
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    printed = Table(box=None, show_edge=False, padding=(0, GUTTER, 0, 0), pad_edge=False, header_style="bold")
    for name, right in zip(names, to_the_right, strict=True):
        printed.add_column(Text(name), justify="right" if right else "left", no_wrap=not wraps)
    for row in cells:
        printed.add_row(*(Text(cell) for cell in row))
    _console(file, width=max(_console().width, 1 << 16) if _is_file(file) else None).print(printed)


def _blocks(names: Sequence[str], cells: list[list[str]], number: int) -> None:
    longest = max(map(len, names))
    for place, row in enumerate(cells, start=number):
        line(f"-[ row {place} ]-")
        for name, cell in zip(names, row, strict=True):
            line(f"{name:<{longest}}  {cell}")


def _console(file: TextIO | None = None, width: int | None = None) -> Any:
    """Make a console on what stdout is now; a pipe is as wide as is readable, unless COLUMNS says otherwise."""
    from rich.console import Console  # noqa: PLC0415

    made = Console(file=file or sys.stdout, width=width, highlight=False, markup=False, emoji=False, soft_wrap=False)
    if width is None and not made.is_terminal and made.width == Console(file=sys.stdout, _environ={}).width:
        made.width = PIPE_WIDTH
    return made


def width() -> int:
    """Tell how long a line may be."""
    return int(_console().width)


def _is_file(file: TextIO | None) -> bool:
    return file is not None


def _width(text: str) -> int:
    from rich.cells import cell_len  # noqa: PLC0415

    return max(map(cell_len, text.split("\n")))


def records(rows: Sequence[Row], columns: Sequence[str] | None = None) -> None:
    """Print rows that have names, all columns or these."""
    names = list(columns or rows[0])
    table(names, [["" if row[name] is None else row[name] for name in names] for row in rows])


def differences(conversations: int, differing: dict[str, tuple[int, int]]) -> None:
    """Print what a rebuild changed."""
    line(f"{conversations} conversations replayed.")
    changed = {name: counts for name, counts in differing.items() if any(counts)}
    for name, (before, after) in sorted(changed.items()):
        line(f"{name}: {before} rows only before, {after} only now")
    if not changed:
        line("Every table is equal to what it was.")


def ready(said: dict[str, Any]) -> None:
    """Print the one line of JSON that says a sandbox is ready."""
    typer.echo(json.dumps(said))
    sys.stdout.flush()


def finding(found: Finding) -> None:
    """Print one thing that the doctor checked."""
    line(f"{found.level:<5} {found.text}." if not found.remedy else f"{found.level:<5} {found.text}. {found.remedy}")
