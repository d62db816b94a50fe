"""How a fill came to be: its family's revisions, and for each the reply behind it, found again and verified."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flows.questions import BadInput, Row, rows

if TYPE_CHECKING:
    import duckdb

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

FAMILY_LEDGER = """
select ledger_entries.*
from ledger_entries
where exec_hash in (
        select exec_hash
        from links
        where family = ?
    )
order by
    entry_time,
    entry_id
"""

ENTRIES = """
select *
from ledger_entries
where $id in (entry_id, ref_id)
order by
    entry_time,
    entry_id
"""


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
class Entry:
    """What a ledger booked, and its proof."""

    booked: Row
    proof: Proof


@dataclass(frozen=True, slots=True)
class Ledger:
    """What a ledger booked for something, in the order of time."""

    entries: list[Entry]


@dataclass(frozen=True, slots=True)
class Family:
    """The rows that one execution, trade id or cancel ties together, and what the ledger booked for them."""

    members: list[Row]
    revisions: list[Revision]
    past: list[Row]
    ledger: Ledger


@dataclass(frozen=True, slots=True)
class Families:
    """The families of the executions that bear an id."""

    found: list[Family]


@dataclass(frozen=True, slots=True)
class Reply:
    """One exchange: what it is, how many rows it told, and which of its rows were rejected."""

    proof: Proof
    told: Row
    rejected: list[tuple[Row, list[str]]]


def explain(con: duckdb.DuckDBPyConnection, home: Path, named: str) -> Reply | Families | Ledger:
    """Find what an id names: an exchange, the families of the executions that bear it, or else what a ledger booked.

    Raises `BadInput` for an id that nothing bears.
    """
    body_of = _bodies(home)
    if rows(con, EXCHANGE, [named]):
        return _reply(con, body_of, named)
    if families := [row["family"] for row in rows(con, NAMED, {"id": named})]:
        return Families([_family(con, body_of, family) for family in sorted(families)])
    if booked := rows(con, ENTRIES, {"id": named}):
        return _ledger(con, body_of, booked)
    raise BadInput(
        f"Nothing here has the id {named!r}. Take an exec_id, row_key, trade_id, order_id or exchange_id from "
        'fillhouse sql "from executions", or an entry_id or ref_id from "from ledger_entries".'
    )


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
    return Family(
        rows(con, FAMILY_ROWS, [family]),
        revisions,
        rows(con, FAMILY_PAST, [family]),
        _ledger(con, body_of, rows(con, FAMILY_LEDGER, [family])),
    )


def _ledger(con: duckdb.DuckDBPyConnection, body_of: Callable[[str, str], bytes | None], booked: list[Row]) -> Ledger:
    return Ledger([Entry(entry, _proof(con, body_of, entry["exchange_id"], entry["raw_row"])) for entry in booked])


def _reply(con: duckdb.DuckDBPyConnection, body_of: Callable[[str, str], bytes | None], exchange_id: str) -> Reply:
    proof = _proof(con, body_of, exchange_id)
    body = body_of(proof.exchange["landed_file"], exchange_id) or b""
    rejected = [
        (row, _printed(proof.exchange, body, row["raw_row"]))
        for row in rows(con, REJECTED, [proof.exchange["body_sha256"]])
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
    return Proof(exchange, verified, [] if raw_row is None else _printed(exchange, body, raw_row, source))


def _printed(exchange: Row, body: bytes, raw_row: int, source: str | None = None) -> list[str]:
    """Find a row in the bytes again; bytes that were changed since may hold none."""
    from connectors.errors import ConnectorError  # noqa: PLC0415
    from connectors.registry import connector  # noqa: PLC0415

    try:
        return connector(exchange["connector"]).row_printed(body, raw_row, source)
    except ConnectorError:
        return []


def _bodies(home: Path) -> Callable[[str, str], bytes | None]:
    """Read landed bodies, keeping the last few: the versions of a family often lie in the same reply."""
    from warehouse.landing import read_body  # noqa: PLC0415

    @lru_cache(maxsize=4)
    def body_of(file: str, exchange_id: str) -> bytes | None:
        return read_body(home, file, exchange_id)

    return body_of
