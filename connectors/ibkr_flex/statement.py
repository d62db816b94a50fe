"""Turn the bytes of a Flex statement into frames of text, one row a broker row; nothing is judged here but the XML."""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import polars as pl

from connectors.errors import ContractViolation
from connectors.ibkr_flex.parts import outline, tables
from connectors.ibkr_flex.replies import require_whole

READ_ROWS = 200  # rows surveyed one by one; of a longer statement, then, one in each so many bytes
STRIDE = 1 << 20
NULL_WORDS = ("", "-", "--", "N/A")
EXECUTION = "EXECUTION"
CONFIRMATIONS = "TCF"

# A confirmation's attribute, and what an activity statement calls the same thing.
CONFIRM_NAMES = {
    "execID": "ibExecID",
    "orderID": "ibOrderID",
    "price": "tradePrice",
    "commission": "ibCommission",
    "commissionCurrency": "ibCommissionCurrency",
    "code": "notes",
    "settleDate": "settleDateTarget",
}

_OTHER = re.compile(rb"<(FlexStatement|Order|SymbolSummary|AssetSummary|Lot|Trade|TradeConfirm)[\s/>]")
_ROW = re.compile(rb"""<(Trade|TradeConfirm)\s(?:"[^"]*"|'[^']*'|[^>"'])*""")
_ATTRIBUTE = re.compile(r"\s([A-Za-z_][\w.-]*)\s*=")
_QUOTED = re.compile(r"\"[^\"]*\"|'[^']*'")


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement as text: an empty text and IBKR's null words are null, an attribute not printed is null in every row."""

    kind: str  # TCF of confirmations only, else as the root element says
    headers: pl.DataFrame  # a row a FlexStatement: statement, accountId, fromDate, toDate, period, whenGenerated
    trades: pl.DataFrame  # a row a <Trade> of level EXECUTION or without level
    confirms: pl.DataFrame  # the same for <TradeConfirm>, its attributes under the names of <Trade>
    attributes: dict[str, frozenset[str]]  # every attribute name printed, by element
    holds_section: list[bool]  # by FlexStatement: whether it has a place for executions, be it empty
    levels: frozenset[str]  # every level of detail that rows print


def read_statement(body: bytes) -> Statement:
    """Read a whole UTF-8 statement. Raises `ContractViolation` when it is cut off or its XML is broken."""
    along = outline(body)
    require_whole(body, held=len(along.holds_section))
    with ThreadPoolExecutor(max_workers=1) as beside:  # the parser leaves the interpreter free
        parsing = beside.submit(tables, body, along)
        attributes, holds_section = printed_attributes(body), along.holds_section
        told = parsing.result()
    response = told["response"]
    named = response.item(0, "type") or "" if response.height else ""
    if told["statements"].height != len(holds_section):
        raise ContractViolation(
            f"The reply holds {len(holds_section)} statements, {told['statements'].height} of them where statements belong."
        )
    trades, confirms = (_executions(told[name]) for name in ("trades", "confirms"))
    silent = set(range(len(holds_section))) - {*trades["statement"], *confirms["statement"]}
    for place in silent & others(body) if silent else ():
        holds_section[place] = False
    return Statement(
        kind=CONFIRMATIONS if along.holds_confirmations_only else named,
        headers=_cleaned(told["statements"]),
        trades=trades.with_columns(ibExecID=pl.coalesce("ibExecID", "execID")).drop("execID"),
        confirms=confirms.rename(CONFIRM_NAMES),
        attributes=attributes,
        holds_section=holds_section,
        levels=_levels(told["trades"]) | _levels(told["confirms"]),
    )


def _cleaned(frame: pl.DataFrame) -> pl.DataFrame:
    text = pl.col(pl.String)
    return frame.rename({"<statement>": "statement"}).with_columns(
        pl.when(~text.is_in(NULL_WORDS)).then(text).name.keep()
    )


def _executions(frame: pl.DataFrame) -> pl.DataFrame:
    """Keep the rows of level EXECUTION or of no level, numbered as they stand in the file."""
    return (
        _cleaned(frame)
        .filter(pl.col("levelOfDetail").is_null() | (pl.col("levelOfDetail").str.to_uppercase() == EXECUTION))
        .drop("<row>")
        .with_row_index("raw_row")
    )


def _levels(frame: pl.DataFrame) -> frozenset[str]:
    levels = frame.get_column("levelOfDetail")
    return frozenset(levels.filter(~levels.is_in(NULL_WORDS)).unique().str.to_uppercase())


def others(body: bytes) -> set[int]:
    """Give the statements (by place) that tell orders, summaries or lots; one that tells no execution leaves those out."""
    place, found = -1, set[int]()
    for tag in _OTHER.finditer(body):
        if tag.group(1) == b"FlexStatement":
            place += 1
        else:
            found.add(place)
    return found


def printed_attributes(body: bytes) -> dict[str, frozenset[str]]:
    """Name every attribute that execution rows print, by element.

    The boxes of a query are the same for all rows of an element, so of a long statement a sample is read.
    """
    found: dict[str, set[str]] = {}
    position, surveyed = 0, 0
    while row := _ROW.search(body, position):
        text = _QUOTED.sub('""', row.group().decode(errors="replace"))
        found.setdefault(row.group(1).decode(), set()).update(_ATTRIBUTE.findall(text))
        surveyed += 1
        position = row.end() + (STRIDE if surveyed >= READ_ROWS else 0)
    return {element: frozenset(names) for element, names in found.items()}
