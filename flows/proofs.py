"""How a fill came to be: its family's revisions, and for each the reply behind it, found again and verified."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows.questions import BadInput, Row, rows

if TYPE_CHECKING:
    import duckdb

ROWS = ("trades", "ledger", "items", "secdef")  # what replies call the rows they wrap

# A row is named by its key, with or without its letter, or by an id that the broker prints.
NAMED = """
select distinct links.family
from execution_reports as told
inner join links on links.row_hash = told.row_hash
where $id in (told.row_key, substr(told.row_key, 3), told.exec_id, told.trade_id, told.order_id)
    or told.exec_id || '.' || lpad(told.exec_rev::varchar, 2, '0') = $id
"""

FAMILY_ROWS = """
select rows.*
from execution_rows as rows
inner join links on links.row_hash = rows.row_hash
where links.family = ?
order by
    rows.report_date,
    rows.source_rank desc,
    rows.key_rank = 4,
    rows.row_order,
    rows.row_key
"""

FAMILY_REPORTS = """
select reports.*
from execution_reports as reports
inner join links on links.row_hash = reports.row_hash
where links.family = ?
order by
    reports.row_key,
    reports.source_rank desc,
    reports.source,
    reports.version
"""

FAMILY_PAST = """
select past.*
from past_fills as past
inner join links on links.row_hash = past.row_hash
where links.family = ?
order by past.superseded_at, past.row_key
"""

EXCHANGE = """
select *
from exchanges
where exchange_id = ?
limit 1
"""

REJECTED = """
select
    account,
    rule,
    detail,
    raw_row,
    first_seen_at
from quarantine
where body_sha256 = ?
order by raw_row
"""

TOLD_BY = """
select
    count(*) as reports,
    count(distinct row_hash) as rows_told
from execution_reports
where exchange_id = ?
"""

# An execution-level element of a Flex statement: what `raw_row` counts.
ELEMENT = re.compile(r"""<(Trade|TradeConfirm)(?=[\s/>])(?:"[^"]*"|'[^']*'|[^>"'])*>""")
LEVEL = re.compile(r"""\slevelOfDetail\s*=\s*["']\s*(.*?)\s*["']""")
EXECUTION_LEVELS = frozenset({"EXECUTION", "", "-", "--", "N/A"})


@dataclass(frozen=True, slots=True)
class Proof:
    """The bytes behind a row: the exchange, whether its landed body still has its hash, and the row's own element."""

    exchange: Row
    body_verified: bool | None  # None: there is no body to read
    elements: list[str]


@dataclass(frozen=True, slots=True)
class Revision:
    """One version of a row as one channel told it, what it changed, and its proof."""

    report: Row
    changes: dict[str, tuple[Any, Any]]
    proof: Proof


@dataclass(frozen=True, slots=True)
class Family:
    """The rows that one execution, trade id or cancel ties together."""

    members: list[Row]
    revisions: list[Revision]
    past: list[Row]


@dataclass(frozen=True, slots=True)
class Reply:
    """One exchange: what it is, how many rows it told, and which of its rows were rejected."""

    proof: Proof
    told: Row
    rejected: list[tuple[Row, list[str]]]


def explain(con: duckdb.DuckDBPyConnection, home: Path, named: str) -> Reply | list[Family]:
    """Find what an id names: an exchange, or the families of the executions that bear it; `BadInput` for neither."""
    body_of = _bodies(home)
    if rows(con, EXCHANGE, [named]):
        return _reply(con, body_of, named)
    families = [row["family"] for row in rows(con, NAMED, {"id": named})]
    if not families:
        raise BadInput(
            f"Nothing here has the id {named!r}. "
            'Take an exec_id, row_key, trade_id, order_id or exchange_id from fillhouse sql "from executions".'
        )
    return [_family(con, body_of, family) for family in sorted(families)]


def _family(con: duckdb.DuckDBPyConnection, body_of: Callable[[str, str], bytes | None], family: int) -> Family:
    from warehouse.shape import VERSIONED  # noqa: PLC0415

    revisions: list[Revision] = []
    before: Row = {}
    for report in rows(con, FAMILY_REPORTS, [family]):
        again = (before.get("row_hash"), before.get("source")) == (report["row_hash"], report["source"])
        changes = {name: (before[name], report[name]) for name in VERSIONED if again and before[name] != report[name]}
        proof = _proof(con, body_of, report["exchange_id"], report["raw_row"], report["source"])
        revisions.append(Revision(report, changes, proof))
        before = report
    return Family(rows(con, FAMILY_ROWS, [family]), revisions, rows(con, FAMILY_PAST, [family]))


def _reply(con: duckdb.DuckDBPyConnection, body_of: Callable[[str, str], bytes | None], exchange_id: str) -> Reply:
    proof = _proof(con, body_of, exchange_id)
    body = body_of(proof.exchange["landed_file"], exchange_id) or b""
    rejected = [
        (row, raw_elements(body, row["raw_row"])) for row in rows(con, REJECTED, [proof.exchange["body_sha256"]])
    ]
    return Reply(proof, rows(con, TOLD_BY, [exchange_id])[0], rejected)


def _proof(
    con: duckdb.DuckDBPyConnection,
    body_of: Callable[[str, str], bytes | None],
    exchange_id: str,
    raw_row: int | None = None,
    source: str | None = None,
) -> Proof:
    exchange = next(iter(rows(con, EXCHANGE, [exchange_id])), {})
    body = body_of(exchange["landed_file"], exchange_id) if exchange else None
    if body is None:
        return Proof(exchange, None, [])
    verified = hashlib.sha256(body).hexdigest() == exchange["body_sha256"]
    return Proof(exchange, verified, [] if raw_row is None else raw_elements(body, raw_row, source))


def _bodies(home: Path) -> Callable[[str, str], bytes | None]:
    """Read landed bodies, keeping the last few: the versions of a family often lie in the same reply."""
    from warehouse.landing import read_body  # noqa: PLC0415

    @lru_cache(maxsize=4)
    def body_of(file: str, exchange_id: str) -> bytes | None:
        return read_body(home, file, exchange_id)

    return body_of


def raw_elements(body: bytes, raw_row: int, source: str | None = None) -> list[str]:
    """Find the row of a reply: the element that is the `raw_row`-th of execution level, or the object at that place.

    Trades and confirmations are counted apart; where the channel is not known (a rejected row) a body that holds both
    kinds gives both.
    """
    text = body.decode("utf-16" if body[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8", errors="replace")
    if text.lstrip()[:1] in ("{", "["):
        return _json_rows(text, raw_row)
    wanted = ["Trade", "TradeConfirm"] if source is None else ["TradeConfirm" if source.endswith("_tcf") else "Trade"]
    found, seen = [], Counter[str]()
    for element in ELEMENT.finditer(text):
        level = LEVEL.search(element[0])
        if level is None or level[1] in EXECUTION_LEVELS:
            if seen[element[1]] == raw_row and element[1] in wanted:
                found.append(element[0])
            seen[element[1]] += 1
    return found


def _json_rows(text: str, raw_row: int) -> list[str]:
    """Find the object at a place of the innermost list (or table by id) that a reply of JSON wraps, as printed but for blanks."""
    try:
        held = json.loads(text, parse_float=_Printed, parse_int=_Printed)
    except json.JSONDecodeError:
        return []
    if isinstance(held, dict):
        held = held.get("result", held)
    if isinstance(held, dict):
        held = next((held[name] for name in ROWS if isinstance(held.get(name), list | dict)), held)
    rows = [{name: row} for name, row in held.items()] if isinstance(held, dict) else held
    return [_written(rows[raw_row])] if isinstance(rows, list) and raw_row < len(rows) else []


class _Printed(str):
    """A number as the broker printed it."""

    __slots__ = ()


def _written(value: Any) -> str:
    """Write JSON again, its numbers as they were printed."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(name)}: {_written(held)}" for name, held in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_written, value)) + "]"
    return str(value) if isinstance(value, _Printed) else json.dumps(value)
