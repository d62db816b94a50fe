"""Cut long runs of pages at their commas and braces, without decoding them: the same text, several times as soon.

As Kraken prints them, without a blank, pages are tables: `}` ends a row, `,` ends a cell, and a cell begins with the name
of its attribute. Every cell is held against that; a page that shows anything else (an escape, a comma inside a text, an
attribute more) is left to the decoder.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import polars as pl

from connectors.kraken.pages import FIELDS
from connectors.kraken.replies import INSIDE

_HEAD = {
    endpoint: re.compile(rb'\{"error":\[\],"result":\{(?:"count":(\d+),)?"' + inside.encode() + rb'":\{"')
    for endpoint, inside in INSIDE.items()
}
_TAIL = re.compile(rb'\}\}(?:,"count":(\d+))?\}\}$')
_TAIL_BYTES = 40
_CELL = re.compile(rb'[{,]"(\w+)":("?)')
_ID, _WHOLE = "id in its quotes", "is whole"  # no attribute is called so
_BARE = r"^(?:0|[1-9]\d*)(?:\.\d+)?$|^true$|^false$"

Shape = tuple[tuple[bytes, bytes], ...]  # the attributes of a row in their order; those that are text have a quote


@dataclass(frozen=True, slots=True)
class Cut:
    """A page's rows, as they stand in a table of text that pages of one print share (`txid`, and their attributes)."""

    table: pl.DataFrame
    first: int
    height: int
    count: int | None  # of the rows in the page's whole window, where it is told


@dataclass(frozen=True, slots=True)
class _Page:
    place: int
    rows: memoryview  # from the quote before the first id to the last cell of the last row
    height: int
    count: int | None


def cut(bodies: Sequence[bytes], endpoint: str) -> dict[int, Cut]:
    """Cut those of an endpoint's replies that are pages of such a print; gives them by their places."""
    known = {name.encode() for name in FIELDS[endpoint]} - {b"txid"}
    found: dict[int, Cut] = {}
    for shape, pages in _alike(bodies, endpoint).items():
        names = {name for name, _ in shape}
        if known.issuperset(names) and len(names) == len(shape) > 1:
            found.update(_cut(pages, [(name.decode(), bool(quote)) for name, quote in shape]))
    return found


def _alike(bodies: Sequence[bytes], endpoint: str) -> dict[Shape, list[_Page]]:
    """Sort out what may be cut, by the attributes of the first rows."""
    alike: dict[Shape, list[_Page]] = {}
    for place, body in enumerate(bodies):
        head, tail = _HEAD[endpoint].match(body), _TAIL.search(body, max(0, len(body) - _TAIL_BYTES))
        if head and tail and body.isascii() and b"\\" not in body and b" " not in body:
            begin, end = head.end() - 1, tail.start()
            shape = tuple(_CELL.findall(body, begin, body.find(b"}", begin)))
            count = tail[1] or head[1]
            height = body.count(b"}", begin, end) + 1
            if body.count(b",", begin, end) == height * len(shape) - 1:  # no row has more cells than the first
                page = _Page(place, memoryview(body)[begin:end], height, int(count) if count else None)
                alike.setdefault(shape, []).append(page)
    return alike


def _cut(pages: Sequence[_Page], shape: Sequence[tuple[str, bool]]) -> Iterator[tuple[int, Cut]]:
    """Cut pages whose first rows have the same attributes; those of which each row has them are given."""
    try:
        rows = _rows(b"," + b"},".join(page.rows for page in pages), shape)
    except pl.exceptions.PolarsError:  # a row of more cells than the others
        return
    if sum(page.height for page in pages) != rows.height:
        return
    is_whole = rows.get_column(_WHOLE)
    table, first = rows.drop(_WHOLE), 0
    all_whole = is_whole.all()
    for page in pages:
        if all_whole or is_whole.slice(first, page.height).all():
            yield page.place, Cut(table, first, page.height, page.count)
        first += page.height


def _rows(text: bytes, shape: Sequence[tuple[str, bool]]) -> pl.DataFrame:
    """Cut rows into cells, and say of each row whether all its cells are what they should be."""
    names = [name for name, _ in shape]
    cells = pl.scan_csv(
        text,
        has_header=False,
        separator=",",
        quote_char=None,
        eol_char="}",
        schema=dict.fromkeys(["", *names], pl.String),
    )
    opened = pl.col(names[0]).str.splitn('":{', 2).struct
    begun = cells.with_columns(opened.field("field_0").alias(_ID), opened.field("field_1").alias(names[0]))
    is_whole = [_is_whole(name, is_text=is_text) for name, is_text in shape]
    values = [_value(name, is_text=is_text) for name, is_text in shape]
    return begun.select(
        pl.col(_ID).str.tail(-1).alias("txid"),
        *(pl.when(value != "").then(value) for value in values),
        pl.all_horizontal(_is_id(), *is_whole).fill_null(value=False).alias(_WHOLE),
    ).collect(engine="streaming")


def _is_id() -> pl.Expr:
    printed = pl.col(_ID).str
    return printed.starts_with('"') & ~printed.tail(-1).str.contains('"', literal=True)


def _value(name: str, *, is_text: bool) -> pl.Expr:
    cell = pl.col(name).str
    return cell.tail(-len(f'"{name}":"')).str.head(-1) if is_text else cell.tail(-len(f'"{name}":'))


def _is_whole(name: str, *, is_text: bool) -> pl.Expr:
    cell, value = pl.col(name).str, _value(name, is_text=is_text)
    if not is_text:
        return cell.starts_with(f'"{name}":') & value.str.contains(_BARE)
    return cell.starts_with(f'"{name}":"') & cell.ends_with('"') & ~value.str.contains('"', literal=True)
