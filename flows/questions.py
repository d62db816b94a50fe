"""The questions the command line asks of the reader's file: a person's own, and those behind `status` and `explain`."""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datetime import datetime

    import duckdb

    from flows.freshness import Freshness, Promise, Reach

Row = dict[str, Any]

ROWS = ("trades", "ledger", "items", "secdef")  # what replies call the rows they wrap

ISO = "replace(strftime(#{place}, '%Y-%m-%dT%H:%M:%S.%f{suffix}'), '.000000', '')"
ZONES = re.compile(r"\bat\s+time\s+zone\b|\btimezone\s*\(", re.IGNORECASE)

HOLDINGS = """
select
    broker,
    account,
    count(*) filter (where stands) as fills,
    count(*) as executions,
    min(book_date) as first_day,
    max(book_date) as last_day
from executions
group by
    broker,
    account
order by
    broker,
    account
"""

CHANNELS = """
select
    reached.connection,
    reached.source,
    reached.account,
    reached.verified_since,
    reached.verified_until,
    (
        select max(told.returned_until)
        from coverage as told
        where told.connection = reached.connection
            and told.source = reached.source
            and told.account is not distinct from reached.account
    ) as newest
from watermarks as reached
order by
    reached.connection,
    reached.source_rank desc,
    reached.account
"""

GAPS = """
select
    connection,
    what
from data_health
where kind = 'gap'
order by
    connection,
    what
"""

# All columns: a file that was published before an update may lack the newest ones.
CONNECTIONS = """
select *
from connections
order by connection
"""

FINDINGS = """
select
    kind,
    severity,
    count(*) as findings,
    min(since) as since,
    arg_min(what, since) as example,
    arg_min(remedy, since) as remedy,
    count(distinct remedy) as remedies
from data_health
where kind <> 'gap'
group by
    kind,
    severity
order by
    case severity when 'error' then 1 when 'warning' then 2 else 3 end,
    kind
"""

# The latest replies to a connection, or those of files.
LATEST_REPLIES = """
select
    exchange_id,
    endpoint,
    landed_file,
    answered_at
from exchanges
where connector = ?
    and connection = ?
    and kind = 'exchange'
    and coalesce(status, 200) = 200
order by
    answered_at desc,
    exchange_id desc
limit 20
"""

QUARANTINED = "select count(*) from quarantine where list_contains(?, body_sha256)"

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


class BadInput(Exception):
    """What was asked cannot be answered as asked; the message says why and what to do."""


def rows(con: duckdb.DuckDBPyConnection, query: str, parameters: Any = ()) -> list[Row]:
    """Ask a question and give its rows by column name."""
    answer = con.execute(query, parameters)
    names = [column[0] for column in answer.description or []]
    return [dict(zip(names, row, strict=True)) for row in answer.fetchall()]


def asked(con: duckdb.DuckDBPyConnection, text: str, *, as_text: bool) -> str:
    """Check that a person's question is one select, and give the SQL to run; `as_text` writes times as ISO 8601.

    Every timestamp here is UTC and gets its Z, unless the question itself changes zones.
    """
    from duckdb import StatementType  # noqa: PLC0415  (the command line starts without it)

    con.execute("set timezone = 'UTC'")
    con.execute("set python_enable_replacements = false")
    statements = con.extract_statements(text)
    if len(statements) != 1 or statements[0].type != StatementType.SELECT:
        raise BadInput("The reader's file is read-only and takes one select at a time. Ask for each by itself.")
    query = _without_end(statements[0].query)
    answer = con.sql(query)
    if not as_text:
        return query
    suffix = "" if ZONES.search(query) else "Z"
    columns = []
    for place, (name, kind) in enumerate(zip(answer.columns, answer.types, strict=True), start=1):
        value = ISO.format(place=place, suffix=suffix) if str(kind).startswith("TIMESTAMP") else f"#{place}"
        columns.append(value + " as " + quoted(name, '"'))
    return f"select {', '.join(columns)} from ({query}\n) as answer"  # noqa: S608  (one select, parsed above)


def _without_end(query: str) -> str:
    """Cut a statement off before its semicolon, so that it can stand in another; what follows are comments."""
    from duckdb import token_type, tokenize  # noqa: PLC0415

    text = query.encode()
    ends = (at for at, kind in tokenize(query) if kind == token_type.operator and text[at : at + 1] == b";")
    return text[: next(ends, len(text))].decode()


def write_answer(con: duckdb.DuckDBPyConnection, query: str, path: Path, form: str) -> None:
    """Have DuckDB write an answer to a file: csv with a header, a JSON array with exact numbers, or Parquet."""
    options = {"csv": "format csv, header true", "json": "format json, array true", "parquet": "format parquet"}[form]
    target = quoted(str(path), "'")
    con.execute(f"copy ({query}\n) to {target} ({options})")


def quoted(text: str, mark: str) -> str:
    """Quote a name or a text for SQL."""
    return mark + text.replace(mark, mark * 2) + mark


@dataclass(frozen=True, slots=True)
class Status:
    """The state of the warehouse on one screen."""

    holdings: list[Row]
    channels: list[Freshness]
    gaps: list[Row]
    connections: list[Row]
    findings: list[Row]

    @property
    def needs_reauth(self) -> bool:
        """Tell whether a connection waits for a person."""
        return any(row["state"] == "needs_reauth" for row in self.connections)

    @property
    def something_is_wrong(self) -> bool:
        """Tell whether there are gaps or findings that are errors."""
        return bool(self.gaps) or any(row["severity"] == "error" for row in self.findings)


def status(con: duckdb.DuckDBPyConnection, newest: Newest, now: datetime) -> Status:
    """Ask the reader's file how the warehouse is; what `newest` tells goes before what was published."""
    from flows.freshness import judge  # noqa: PLC0415

    return Status(
        holdings=rows(con, HOLDINGS),
        channels=judge(newest.reaches, _promises(newest.connections), now),
        gaps=rows(con, GAPS),
        connections=newest.connections,
        findings=rows(con, FINDINGS),
    )


@dataclass(frozen=True, slots=True)
class Newest:
    """What changes with each sync, also with one that finds nothing new and so publishes nothing."""

    connections: list[Row]
    reaches: list[Reach]


def newest(con: duckdb.DuckDBPyConnection) -> Newest:
    """Ask for the connections' states and how far each channel has told."""
    from flows.freshness import Reach  # noqa: PLC0415

    return Newest(rows(con, CONNECTIONS), [Reach(**row) for row in rows(con, CHANNELS)])


def _promises(known: Sequence[Row]) -> dict[str, Promise]:
    """Tell how fresh the channels of each connection are meant to be."""
    from connectors.registry import CONNECTORS, connector  # noqa: PLC0415
    from flows.freshness import Promise  # noqa: PLC0415

    kinds = {row["connection"]: connector(row["kind"]) for row in known if row["kind"] in CONNECTORS}
    return {name: Promise(broker.fresh_within, broker.channels) for name, broker in kinds.items()}


def quarantined(con: duckdb.DuckDBPyConnection, files: Sequence[Path]) -> int:
    """Count the rows of these files that are in quarantine, whenever they were put there."""
    digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in files]
    return int(con.execute(QUARANTINED, [digests]).fetchall()[0][0])


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
