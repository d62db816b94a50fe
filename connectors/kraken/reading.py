"""Lay Kraken's replies and export files out as tables of text, a row a trade, an entry or a pair; no value is touched."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from operator import attrgetter
from types import NoneType
from typing import Any

import msgspec
import polars as pl

from connectors.connector import Reply
from connectors.errors import ConnectorError, ContractViolation
from connectors.kraken import exports
from connectors.kraken.cutting import Cut, cut
from connectors.kraken.dialect import DEFAULT_ACCOUNT, EXPORT, EXPORT_RANK, REST, REST_RANK
from connectors.kraken.pages import result_of_page
from connectors.kraken.replies import INSIDE, ZIP, is_about_the_question, result_of_body

TRADE_TEXT = (
    "txid", "ordertxid", "postxid", "pair", "aclass", "time", "type", "ordertype", "price", "cost", "fee", "vol", "margin",
    "leverage", "misc", "posstatus", "trade_id", "maker", "cl_ord_id",
)  # fmt: skip
LEDGER_TEXT = (
    "txid", "refid", "time", "type", "subtype", "aclass", "asset", "wallet", "amount", "fee", "feecurrency", "balance",
)  # fmt: skip
WORTH_CUTTING = 1 << 20  # bytes; fewer pages are decoded before a table is planned
OTHER_COLUMN = {"posttxid": "postxid", "posstatuscode": "posstatus"}  # an export's name, the reply's name


TRADE_REPLIES = ("TradesHistory", "QueryTrades", exports.TRADES)
LEDGER_REPLIES = ("Ledgers", "QueryLedgers", exports.LEDGERS)
EXPORTS = (exports.TRADES, exports.LEDGERS)


@dataclass(frozen=True, slots=True)
class Answer:
    """A reply that holds data, read once: its result, numbers with a point still as text; none of an export."""

    reply: Reply
    endpoint: str
    params: Mapping[str, str]
    result: Any = None

    @property
    def account(self) -> str:
        """Name the account: Kraken does not."""
        return self.reply.asked_account or DEFAULT_ACCOUNT

    @property
    def answered_at(self) -> datetime:
        """Give the moment of the answer, in UTC without saying so."""
        return self.reply.answered_at.replace(tzinfo=None)

    @property
    def count(self) -> int | None:
        """Give how many rows there are in a page's whole window, where it is told."""
        count = self.result.count if isinstance(self.result, Cut) else self.result.get("count")
        return None if count is None else int(count)

    @property
    def rows(self) -> Mapping[str, Any]:
        """Give what was decoded, by id: structs if all attributes are known, else what JSON makes of an object."""
        found: Mapping[str, Any] = self.result.get(INSIDE[self.endpoint]) if self.endpoint in INSIDE else self.result
        return found


def answers_in(replies: Sequence[Reply]) -> list[Answer]:
    """Read replies; errors, pages and the steps of ordering a report hold no data."""
    ordered: dict[str | None, Mapping[str, str]] = {}
    found = []
    pages = _cut_pages(replies)
    for place, reply in enumerate(replies):
        if reply.endpoint in EXPORTS:
            found.append(Answer(reply, reply.endpoint, reply.params))
        elif reply.endpoint == "RetrieveExport":
            if reply.body.startswith(ZIP):
                found.append(Answer(reply, exports.kind_of(reply.body), ordered.get(reply.params.get("id"), {})))
        else:
            result: Any = pages.get(place) or _result_of(reply)
            if result is not None and reply.endpoint == "AddExport":  # it says which window the report is about
                ordered[result["id"]] = {"start": reply.params["starttm"], "end": reply.params["endtm"]}
            elif result is not None and reply.endpoint in DATA:
                found.append(Answer(reply, reply.endpoint, reply.params, result))
    return found


def _cut_pages(replies: Sequence[Reply]) -> dict[int, Cut]:
    """Cut long runs of pages, by their places."""
    found: dict[int, Cut] = {}
    for endpoint in INSIDE:
        places = [place for place, reply in enumerate(replies) if reply.endpoint == endpoint]
        bodies = [replies[place].body for place in places]
        if sum(map(len, bodies)) >= WORTH_CUTTING:
            found.update({places[number]: page for number, page in cut(bodies, endpoint).items()})
    return found


def _result_of(reply: Reply) -> Any:
    """Give the result of a reply; None for an error or a page, nothing for an id that Kraken does not know."""
    try:
        result = result_of_page(reply.body, reply.endpoint)
        return result_of_body(reply.body, reply.endpoint) if result is None else result
    except ConnectorError as error:
        is_one = "," not in reply.params.get("txid", ",")
        return {} if is_one and is_about_the_question(error) else None


DATA = ("TradesHistory", "QueryTrades", "Ledgers", "QueryLedgers", "Assets", "AssetPairs")


def read_rows(answers: Sequence[Answer], names: Sequence[str]) -> tuple[pl.DataFrame, dict[str, frozenset[str]]]:
    """Give the rows of several answers under one another as text, and the attributes that each answer prints.

    Each row says where it stands (`exchange_id`, `raw_row`), whose it is and by which channel it came. Of an answer whose
    attributes are all known none is named.
    """
    decoded = [answer for answer in answers if answer.endpoint not in EXPORTS and not isinstance(answer.result, Cut)]
    told = [list(answer.rows.values()) for answer in decoded]
    printed = {
        answer.reply.exchange_id: frozenset[str]().union(*rows)
        for answer, rows in zip(decoded, told, strict=True)
        if not _are_structs(rows)
    }
    text = _read_objects(told, names).with_columns(
        txid=pl.Series([txid for answer in decoded for txid in answer.rows], dtype=pl.String)
    )
    frames = [_placed(text, decoded, [len(rows) for rows in told])]
    for rows, neighbours in _runs(answers):
        heights = [answer.result.height for answer in neighbours]
        frames.append(_placed(rows.select(_all_of(names, rows.columns)), neighbours, heights))
    for answer in answers:
        if answer.endpoint in EXPORTS:
            exported, printed[answer.reply.exchange_id] = _read_export(answer.reply.body, names)
            frames.append(_placed(exported, [answer], [exported.height]))
    return pl.concat(frames), printed


def ids_of(answers: Sequence[Answer]) -> pl.Series:
    """Give the ids of the rows that replies hold, each once."""
    decoded = [txid for answer in answers if not isinstance(answer.result, Cut) for txid in answer.rows]
    return pl.concat(
        [pl.Series(decoded, dtype=pl.String), *(rows.get_column("txid") for rows, _ in _runs(answers))]
    ).unique()


def _runs(answers: Sequence[Answer]) -> Iterator[tuple[pl.DataFrame, list[Answer]]]:
    """Give the rows of cut pages: of those that are neighbours in one table, together."""
    runs: list[list[Answer]] = []
    end: tuple[int, int] | None = None
    for answer in answers:
        page = answer.result
        if isinstance(page, Cut):
            if (id(page.table), page.first) != end:
                runs.append([])
            runs[-1].append(answer)
            end = id(page.table), page.first + page.height
    for run in runs:
        first, last = run[0].result, run[-1].result
        yield first.table.slice(first.first, last.first + last.height - first.first), run


def _placed(text: pl.DataFrame, answers: Sequence[Answer], heights: Sequence[int]) -> pl.DataFrame:
    """Say of each row which answer it is from: so many of the first, so many of the second."""
    schema: dict[str, Any] = {
        "exchange_id": pl.String,
        "account": pl.String,
        "source": pl.String,
        "source_rank": pl.Int32,
        "broker_clock": pl.Datetime("us"),
        "answered_at": pl.Datetime("us"),
    }
    origins = [
        (
            answer.reply.exchange_id,
            answer.account,
            *(EXPORTED if answer.endpoint in EXPORTS else REPLIED),
            answer.answered_at if answer.reply.is_live else None,
            answer.answered_at,
        )
        for answer in answers
    ]
    number = pl.Series([place for place, height in enumerate(heights) for _ in range(height)], dtype=pl.UInt32)
    origin = pl.DataFrame(origins, schema=schema, orient="row")[number]
    raw_row = pl.Series([place for height in heights for place in range(height)], dtype=pl.UInt32)
    return text.with_columns(raw_row.alias("raw_row"), *origin.get_columns())


EXPORTED = (EXPORT, EXPORT_RANK)
REPLIED = (REST, REST_RANK)


def _read_objects(told: Sequence[Sequence[Any]], names: Sequence[str]) -> pl.DataFrame:
    """Lay the rows of each answer out as one table of text; numbers with a point are text already."""
    cells: dict[str, list[object]] = {name: [] for name in names}
    for rows in told:
        are_structs = _are_structs(rows)
        for name, column in cells.items():
            column.extend(map(attrgetter(name), rows) if are_structs else [row.get(name) for row in rows])
    return _table({name: _texts(column) for name, column in cells.items()}, names)


def _are_structs(rows: Sequence[Any]) -> bool:
    return bool(rows) and isinstance(rows[0], msgspec.Struct)


def _texts(values: list[Any]) -> pl.Series:
    """Make a column of text; what is none of text, number and truth is given as JSON."""
    with suppress(TypeError, OverflowError):
        return pl.Series(values, dtype=pl.String, strict=True)
    for kind, dtype in ((bool, pl.Boolean), (int, pl.Int64)):
        if set(map(type, values)) <= {kind, NoneType}:
            with suppress(TypeError, OverflowError):  # a number of more than 64 bits
                return pl.Series(values, dtype=dtype, strict=True).cast(pl.String)
    return pl.Series([_text(value) for value in values], dtype=pl.String)


def _text(value: object) -> str | None:
    """Give a JSON value as its text."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, int) else json.dumps(value)


def _read_export(body: bytes, names: Sequence[str]) -> tuple[pl.DataFrame, frozenset[str]]:
    """Read a CSV by its column names, every cell as text."""
    text = exports.without_blank_lines(exports.unpacked(body))
    header = [OTHER_COLUMN.get(name, name) for name in exports.header_of(text)]
    if text.count(b'"') % 2 or _has_uneven_rows(text, len(header)):
        exports.require_even(text)
    try:
        frame = pl.read_csv(text, separator=exports.separator_of(text), infer_schema=False)
    except pl.exceptions.PolarsError as exc:
        exports.require_even(text)
        raise ContractViolation(f"The file is no readable CSV: {exc}.", remedy=exports.AGAIN) from exc
    if frame.height != sum(bool(line.strip()) for line in text.split(b"\n")) - 1:
        exports.require_even(text)  # a cell goes on over the end of its line
    frame.columns = header
    columns = {name: frame.get_column(name) for name in names if name in header}
    return _table(columns, names), frozenset(header)


def _has_uneven_rows(text: bytes, width: int) -> bool:
    """Tell whether some line may not have as many cells as the header: counted without looking at quotes."""
    separator = exports.separator_of(text).encode()
    return any(line.count(separator) != width - 1 for line in text.split(b"\n") if line.strip())


def _table(columns: Mapping[str, Any], names: Sequence[str]) -> pl.DataFrame:
    """Make a table of text with all the columns there may be; an empty cell tells nothing."""
    frame = pl.DataFrame(dict(columns), schema=dict.fromkeys(columns, pl.String)).select(_all_of(names, columns))
    return frame.select(pl.all().str.strip_chars()).select(pl.when(pl.all() != "").then(pl.all()))


def _all_of(names: Iterable[str], there: Collection[str]) -> list[pl.Expr]:
    """Select columns of text; of those that are not there, each cell is empty."""
    return [pl.col(name) if name in there else pl.lit(None, pl.String).alias(name) for name in names]
