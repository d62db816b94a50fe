"""Parse the XML of a statement; a long one in parts, side by side, each of them a document of its own.

The parser leaves the interpreter free, so parts take one another's time. A part is cut between two rows and wrapped into
the elements that were open there; statements that went before it stand as empty ones, so that all are counted alike.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import IO, cast

import polars as pl
import xml2arrow

from connectors.errors import ContractViolation

COLUMNS = Path(__file__).with_name("statement.yaml")
PART_BYTES = 16 << 20  # of a shorter part the wrapping would cost more than it brings

_TAG = re.compile(rb"<(FlexStatement|TradeConfirms|/?Trades)[\s/>]")
_ROW = b"<Trade "
_OPENED = b"<FlexQueryResponse><FlexStatements>"
_CLOSED = b"</Trades></FlexStatement></FlexStatements></FlexQueryResponse>"


@dataclass(frozen=True, slots=True)
class Outline:
    """Where the statements of a document and their places for executions begin and end, in bytes."""

    tags: tuple[tuple[int, bytes], ...]  # FlexStatement, Trades, /Trades and TradeConfirms, as they stand

    @property
    def holds_section(self) -> list[bool]:
        """Tell of each statement whether it has a place for executions, be it empty."""
        held: list[bool] = []
        for _, tag in self.tags:
            if tag == b"FlexStatement":
                held.append(False)
            elif tag != b"/Trades":
                held[-1:] = [True]
        return held

    @property
    def holds_confirmations_only(self) -> bool:
        """Tell whether the only places for executions are those of a Trade Confirmation query, whatever the root says."""
        places = {tag for _, tag in self.tags}
        return b"TradeConfirms" in places and b"Trades" not in places

    def at(self, position: int) -> tuple[int, bool]:
        """Say in which statement a position lies, counted from 0, and whether it lies among the trades of it."""
        before = [tag for place, tag in self.tags if place < position]
        return before.count(b"FlexStatement") - 1, before[-1:] == [b"Trades"]


def outline(body: bytes) -> Outline:
    """Find the tags that a document is made of, above its rows."""
    return Outline(tuple((tag.start(), tag.group(1)) for tag in _TAG.finditer(body)))


def tables(body: bytes, along: Outline) -> dict[str, pl.DataFrame]:
    """Read the tables that `statement.yaml` describes, all text. Raises `ContractViolation` when the XML is broken."""
    cuts = list(_cuts(body, along))
    try:
        if cuts:
            with ThreadPoolExecutor() as pool:
                return _joined(list(pool.map(_parsed, _parts(body, along, cuts))), [along.at(cut)[0] for cut in cuts])
    except xml2arrow.Xml2ArrowError:
        pass  # what is wrong is said of the whole
    try:
        return _parsed(body)
    except xml2arrow.Xml2ArrowError as exc:
        raise ContractViolation(f"The statement's XML is broken: {exc}.", remedy="Download it again.") from exc


def _cuts(body: bytes, along: Outline) -> Iterator[int]:
    """Choose where a long document is cut: before rows, into as many parts as there are processors at most."""
    parts = min(len(body) // PART_BYTES, os.cpu_count() or 1)
    last = 0
    for part in range(1, parts):
        cut = body.find(_ROW, max(last + 1, len(body) * part // parts))
        if cut > 0 and along.at(cut)[1]:
            yield cut
            last = cut


@dataclass(slots=True)
class _Part:
    """A stretch of a document between the tags that make it one of its own, read like a file: it is not copied."""

    pieces: list[memoryview]

    def read(self, size: int) -> bytes:
        """Give at most so many bytes, none at the end."""
        while self.pieces and not self.pieces[0]:
            self.pieces.pop(0)
        if not self.pieces:
            return b""
        piece = self.pieces[0]
        self.pieces[0] = piece[size:]
        return bytes(piece[:size])


def _parts(body: bytes, along: Outline, cuts: list[int]) -> Iterator[IO[bytes]]:
    """Wrap each part into the elements that were open around it."""
    whole = memoryview(body)
    for begin, end in pairwise([0, *cuts, len(body)]):
        before = b"<FlexStatement/>" * along.at(begin)[0] + b"<FlexStatement><Trades>"
        wrapped: list[bytes | memoryview] = [
            _OPENED + before if begin else b"",
            whole[begin:end],
            _CLOSED if end < len(body) else b"",
        ]
        yield cast("IO[bytes]", _Part([memoryview(piece) for piece in wrapped]))


@cache
def _parser() -> xml2arrow.XmlToArrowParser:
    return xml2arrow.XmlToArrowParser(COLUMNS)


def _parsed(body: bytes | IO[bytes]) -> dict[str, pl.DataFrame]:
    return {name: pl.DataFrame(pl.from_arrow(table)) for name, table in _parser().parse(body).items()}


def _joined(parts: list[dict[str, pl.DataFrame]], going_on: list[int]) -> dict[str, pl.DataFrame]:
    """Put parts behind one another; of each but the first, leave out the statements that had begun before it."""
    first, *others = parts
    statements = [
        first["statements"],
        *(part["statements"][at + 1 :] for part, at in zip(others, going_on, strict=True)),
    ]
    return {
        "response": first["response"],
        "statements": pl.concat(statements),
        **{name: pl.concat([part[name] for part in parts]) for name in ("trades", "confirms")},
    }
