"""What the command line prints: lines, tables, and what `explain` shows."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import typer

if TYPE_CHECKING:
    import duckdb

    from connectors.checkup import Finding
    from flows.backups import Restored
    from flows.importing import Imported
    from flows.proofs import Entry, Families, Family, Ledger, Proof, Reply, Revision
    from flows.questions import Row
    from warehouse.backup import Backup
    from warehouse.load import Loaded

ROWS_AT_ONCE = 5000
PIPE_WIDTH = 160  # a line's length where there is no terminal to ask
GUTTER = 2
SECONDS_BETWEEN = 5.0  # two lines about how far something is
NO_CLOCK = datetime(1970, 1, 1, tzinfo=UTC)  # where a reply does not say when it was written
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


def _section(title: str, rows: Sequence[Row], columns: Sequence[str] | None = None) -> None:
    lines(["", title])
    records(rows, columns)


TERMS = ("row_key", "version", "signed_qty", "last_px")
MEMBER = (*TERMS, "exec_type", "commission", "comm_currency", "taxes", "stands", "ended_by", "finding")
AS_FILL = (*TERMS, "fill_commission", "fill_comm_currency", "fill_taxes", "status")
PAST = (*TERMS, "commission", "comm_currency", "taxes", "status", "last_changed_at", "superseded_at")


def families(found: Families) -> None:
    """Print families under one another."""
    for place, each in enumerate(found.found):
        if place:
            line()
        family(each)


def family(found: Family) -> None:
    """Print a family: its rows, what stands, every version that was told, and the bytes behind each."""
    first = found.members[0]
    line(
        f"{first['symbol']} in {first['broker']} {first['account']}: execution {shown(first['exec_id'])}, "
        f"trade {shown(first['trade_id'])}, order {shown(first['order_id'])}, {shown(first['transact_time'])}"
    )
    _section("Its rows (a positive commission was paid)", found.members, MEMBER)
    standing = [row for row in found.members if row["stands"]]
    if standing:
        _section("What stands, with the family's fees", standing, AS_FILL)
    else:
        lines(["", "Nothing of it stands: no row of it is in fills."])
    if found.past:
        _section("How it stood before", found.past, PAST)
    lines(["", "What was told, and the bytes behind it"])
    for revision in found.revisions:
        _revision(revision)
    if found.ledger.entries:
        line()
        ledger(found.ledger)


def ledger(found: Ledger) -> None:
    """Print what a ledger booked, and the bytes behind each entry."""
    line("What the ledger booked, and the bytes behind it (a positive fee was paid)")
    for entry in found.entries:
        _entry(entry)


def _entry(entry: Entry) -> None:
    said = entry.booked
    words = " ".join(word for word in (said["entry_type"], said["entry_subtype"]) if word)
    line(
        f"- {shown(said['entry_id'])} of {shown(said['ref_id'])}, {words}, {shown(said['entry_time'])}: "
        f"{shown(said['amount'])} {said['asset']}, fee {shown(said['fee'])} {shown(said['fee_asset'])}, {said['status']}"
    )
    _proof(entry.proof, f", row {said['raw_row']}")


def _revision(revision: Revision) -> None:
    told = revision.report
    clock = told["clock_first"]
    written = f", written by the broker {shown(clock)}: " if clock and clock.year > NO_CLOCK.year else ": "
    line(
        f"- {told['row_key']} version {told['version']} by {told['source']}, told {shown(told['first_seen_at'])}"
        f"{written}{told['exec_type']} {shown(told['side'])} "
        f"{shown(told['last_qty'])} at {shown(told['last_px'])} {shown(told['currency'])}, "
        f"commission {shown(told['commission'])} {shown(told['comm_currency'])}"
    )
    for name, (before, after) in revision.changes.items():
        line(f"    changed: {name} {shown(before)} -> {shown(after)}")
    _proof(revision.proof, f", row {told['raw_row']}")


def _proof(proof: Proof, place: str = "") -> None:
    exchange = proof.exchange
    if not exchange:
        line("    its exchange is not in the table exchanges: run fillhouse renormalize")
        return
    line(f"    {exchange['landed_file']}, exchange {exchange['exchange_id']}{place}, {shown(exchange['answered_at'])}")
    verdict = {
        True: "verified: the landed body has this hash",
        False: "NOT VERIFIED: the landed body has another hash; restore the file from a backup",
        None: "not verified: the landed body is not there",
    }[proof.body_verified]
    line(f"    sha256 {exchange['body_sha256']} {verdict}")
    for element in proof.elements:
        line(f"    {element}")


def reply(found: Reply) -> None:
    """Print an exchange: where it lies, what it told, and its rejected rows as they were printed."""
    exchange = found.proof.exchange
    line(f"Exchange {exchange['exchange_id']}: {exchange['kind']}, {exchange['connector']} {exchange['connection']}")
    facts = ("endpoint", "request", "status", "body_bytes")
    line("    " + ", ".join(f"{name} {shown(exchange[name])}" for name in facts))
    _proof(found.proof)
    told = found.told
    line(f"It told {told['reports']} versions of {told['rows_told']} rows. In quarantine: {len(found.rejected)} rows.")
    for row, elements in found.rejected:
        line(f"- row {row['raw_row']}, account {shown(row['account'])}: {row['rule']} ({row['detail']})")
        for element in elements:
            line(f"    {element}")


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


def copied(path: Path) -> None:
    """Say on stderr where an answer was written."""
    typer.echo(f"Written: {path}", err=True)
