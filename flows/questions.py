"""The questions the command line asks of the reader's file: a person's own, and those behind `status`."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datetime import datetime

    import duckdb

    from flows.freshness import Freshness, Promise, Reach

Row = dict[str, Any]

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

# An account is no longer read when it used to be asked for by name, and the latest conversation that went well did not.
CHANNELS = """
with asked as (
    select distinct
        told.connection,
        told.account,
        answer.conversation_id
    from coverage as told
    inner join exchanges as answer
        on answer.exchange_id = told.exchange_id
        and answer.status is not null
    inner join exchanges as header
        on header.conversation_id = answer.conversation_id
        and header.kind = 'opened'
    where list_contains(json_extract_string(answer.request, '$.params.*'), told.account)
        or json_extract_string(header.note, '$.account') = told.account
),

latest as (
    select
        connection,
        arg_max(conversation_id, answered_at) as conversation_id
    from exchanges
    where kind = 'closed'
        and json_extract_string(note, '$.verdict') = 'ok'
        and conversation_id in (select conversation_id from asked)
    group by connection
)

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
    ) as newest,
    not exists (
        select 1
        from asked
        inner join latest on latest.connection = asked.connection
        where asked.connection = reached.connection
            and asked.account = reached.account
    )
    or exists (
        select 1
        from asked
        inner join latest on latest.conversation_id = asked.conversation_id
        where asked.connection = reached.connection
            and asked.account = reached.account
    ) as is_read
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

# The latest replies to a connection, or those of files; where a query is named, of conversations that asked for that one.
LATEST_REPLIES = """
select
    exchange_id,
    endpoint,
    landed_file,
    answered_at
from exchanges
where connector = $connector
    and connection = $connection
    and kind = 'exchange'
    and coalesce(status, 200) = 200
    and (
        $query is null
        or conversation_id in (
            select conversation_id from exchanges where json_extract_string(request, '$.params.' || $param) = $query
        )
    )
order by
    answered_at desc,
    exchange_id desc
limit 20
"""

QUARANTINED = "select count(*) from quarantine where list_contains(?, body_sha256)"


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
    if not statements:
        raise BadInput("There is no question in it. One to begin with: select * from fills limit 10")
    if len(statements) > 1:
        raise BadInput("One select at a time: ask for each by itself.")
    if statements[0].type != StatementType.SELECT:
        raise BadInput("The reader's file is read-only: it answers selects, and nothing else.")
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
