"""What becomes of landed conversations, as plain functions: normalise, load, recover, rebuild. Prefect is not needed here."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from pathlib import Path
from typing import Any

import duckdb
import polars as pl
from filelock import Timeout

from connectors.connector import Connector, Reply
from connectors.contract import LEDGER, Normalized
from connectors.errors import ConnectorError, ContractViolation
from connectors.registry import connector
from flows import policy, waiting
from flows.locks import alone
from flows.talk import OK, verdict_of
from warehouse import db, landing, publish, rebuild
from warehouse.coverage import Asked
from warehouse.landing import Landed
from warehouse.load import Batch, Loaded, Run, load, stored_legs

INTERRUPTED = "interrupted"
IMPORTED = "import"
HTTP_OK = 200


@dataclass(frozen=True, slots=True)
class Settled:
    """A conversation that was loaded; `error` is why its replies could not be read, and then nothing of them was."""

    loaded: Loaded
    error: ConnectorError | None = None


def settle(
    con: duckdb.DuckDBPyConnection,
    home: Path,
    rows: list[Landed],
    said: Normalized | None = None,
    before_commit: Callable[[], object] | None = None,
) -> Settled:
    """Load one landed conversation: what import, sync and rebuild have in common. Only whole answers become rows.

    `said` is what its replies say, where that has been read already; `before_commit` ends landing them, where that goes on.
    Replies that cannot be read are recorded as a window that failed, so that nobody takes silence for completeness.
    """
    error: ConnectorError | None = None
    header = _note(rows, "opened")
    footer = _note(rows, "closed")
    verdict = str(footer.get("verdict", INTERRUPTED))
    exchanges = [row for row in rows if row.row["kind"] == "exchange"]
    first, last = rows[0].row, rows[-1].row
    broker = connector(first["connector"])
    context = context_of(con, home, broker, last["answered_at"])
    replies = _replies(_believed(exchanges, broker, verdict), header) if not header.get("is_check") else []
    if said is None:
        said, error = _said(broker, [*context, *replies])
        if error is not None:
            replies, verdict = [], verdict_of(error)
    said, released = waiting.explained(con, home, broker, said, replies, context)
    said = _with_fills_of_late_legs(con, broker, said, context)
    batch = Batch(
        reports=said.reports,
        instruments=said.instruments,
        statements=said.statements,
        quarantine=said.quarantine,
        drift=said.drift,
        exchanges=landing.exchanges_frame(rows),
        ledger=said.ledger,
        released=released,
    )
    run = Run(
        run_id=first["run_id"],
        flow=str(header.get("flow", "unknown")),
        connection=first["connection"],
        asked=_asked(header),
        started_at=first["answered_at"],
        finished_at=last["answered_at"],
        waited_seconds=float(footer.get("waited_seconds", 0.0)),
        verdict=verdict,
        every_day=broker.is_open_always,
        is_news=error is not None or first["connection"] == IMPORTED,
        nothing_there=policy.nothing_there(first["connector"], footer.get("code")),
        account=header.get("account"),
        channels=broker.channels,
        beyond_reach=broker.beyond_reach,
    )
    return Settled(load(con, batch, run, before_commit), error)


def _said(broker: Connector, replies: Sequence[Reply]) -> tuple[Normalized, ConnectorError | None]:
    """Read replies; gives nothing and the reason where they cannot be read, which keeps no other from being loaded."""
    try:
        return broker.normalize(replies), None
    except ConnectorError as exc:
        return Normalized.union([]), exc
    except (MemoryError, OSError):  # of this machine, not of the reply: it is to be read again
        raise
    except Exception as exc:  # noqa: BLE001  (nobody foresaw it: the broker may answer what it never did before)
        error = ContractViolation(
            f"What {broker.name} answered cannot be read ({type(exc).__name__}: {exc}).",
            remedy="It is landed as it came: once a newer version can read it, `fillhouse renormalize` does.",
        )
        error.__cause__ = exc
        return Normalized.union([]), error


def _believed(exchanges: list[Landed], broker: Connector, verdict: str) -> list[Landed]:
    """Leave out what a conversation that failed does not vouch for."""
    stands = verdict in (OK, INTERRUPTED) or (
        broker.each_reply_stands and not verdict.startswith(ContractViolation.__name__)
    )
    unproved = frozenset() if verdict == OK else broker.compared_endpoints
    return [row for row in exchanges if stands and row.row["endpoint"] not in unproved]


def _replies(exchanges: list[Landed], header: dict[str, Any]) -> list[Reply]:
    """Give landed exchanges to those who read them, each with what was asked."""
    return [
        Reply(
            exchange_id=row.row["exchange_id"],
            endpoint=row.row["endpoint"],
            body=row.row["body"] or b"",
            answered_at=row.row["answered_at"],
            asked_account=header.get("account"),
            params=json.loads(row.row["request"]).get("params", {}),
            is_live=row.row["status"] is not None,
        )
        for row in exchanges
        if row.row["status"] in (None, HTTP_OK)
    ]


def context_of(con: duckdb.DuckDBPyConnection, home: Path, broker: Connector, moment: datetime) -> list[Reply]:
    """Give the latest replies before a moment that say how a broker names things, whoever asked for them."""
    if not broker.reference_endpoints:
        return []
    found = con.execute(
        """
        select
            exchange_id,
            endpoint,
            landed_file,
            request,
            answered_at
        from exchanges
        where connector = ?
            and kind = 'exchange'
            and endpoint in (select unnest(?))
            and answered_at <= ?
            and coalesce(status, 200) = 200
        qualify row_number() over (partition by endpoint, request order by answered_at desc) = 1
        order by exchange_id
        """,
        [broker.name, sorted(broker.reference_endpoints), moment.replace(tzinfo=None)],
    ).fetchall()
    return [
        Reply(
            exchange_id=exchange_id,
            endpoint=endpoint,
            body=_reference_body(home, landed_file, exchange_id) or b"",
            answered_at=answered_at,
            params=json.loads(request).get("params", {}),
            is_context=True,
        )
        for exchange_id, endpoint, landed_file, request, answered_at in found
    ]


@lru_cache(maxsize=32)
def _reference_body(home: Path, landed_file: str, exchange_id: str) -> bytes | None:
    return landing.read_body(home, landed_file, exchange_id)


def _with_fills_of_late_legs(
    con: duckdb.DuckDBPyConnection, broker: Connector, said: Normalized, context: list[Reply]
) -> Normalized:
    """Make the fills anew whose legs came in different conversations: some of them are stored already."""
    of_one = ["account", "exec_id"]
    listed = said.reports.filter(pl.col("exec_type") != "LEDGER").select(of_one).unique()
    legs = said.ledger.filter(pl.col("fee_kind") == "trade").join(listed, on=of_one, how="anti")
    if broker.fills_of_legs is None or legs.is_empty():
        return said
    stored = stored_legs(con, legs).join(legs, on="entry_id", how="anti")
    if stored.is_empty():
        return said
    every = pl.concat([legs, stored.select(pl.col(name).cast(dtype) for name, dtype in LEDGER.items())])
    every = every.join(stored.select(of_one).unique(), on=of_one, how="semi")
    made = broker.fills_of_legs(every.unique("entry_id", keep="first", maintain_order=True), context)
    others = said.reports.join(every, on=of_one, how="anti")
    return replace(
        said,
        reports=pl.concat([others, made.reports]),
        instruments=pl.concat([said.instruments, made.instruments]).unique(
            "instrument_id", keep="first", maintain_order=True
        ),
        quarantine=pl.concat([said.quarantine, made.quarantine]),
    )


def _note(rows: list[Landed], kind: str) -> dict[str, Any]:
    return next((json.loads(row.row["note"]) for row in rows if row.row["kind"] == kind), {})


def _asked(header: dict[str, Any]) -> Asked | None:
    """Read from a header which window was asked for; a file was asked for nothing."""
    if not header.get("since"):
        return None
    since, until = (datetime.fromisoformat(header[name]) for name in ("since", "until"))
    return Asked(since, until, bool(header.get("is_up_to_now")))


def load_conversation(home: Path, conversation_id: str) -> Loaded:
    """Load one conversation from the landing zone; loading it again changes nothing.

    Raises the connector's error when a reply cannot be read, after that has been recorded.
    """
    paths = sorted((home / "landing").glob(f"source=*/connection=*/date=*/{conversation_id}-*.parquet"))
    rows = [row for path in paths for row in landing.read_file(home, path)]
    with db.writer(home) as con:
        settled = Settled(Loaded()) if _is_loaded(con, conversation_id) else settle(con, home, rows)
    if settled.error:
        raise settled.error
    return settled.loaded


def recover(home: Path) -> int:
    """Load what was landed by runs that died before they could; gives how many conversations that were.

    One that cannot be read is recorded as such and keeps no other from being loaded; one that still goes on, in a
    process that holds its connection, is that process's to load.
    """
    found = {
        path.name.rsplit("-", 1)[0]: path.parent.parent.name.removeprefix("connection=")
        for path in landing.landed_files(home)
        if not path.name.startswith(landing.GATHERED)
    }
    if not found:
        return 0
    with db.writer(home) as con:
        known = {row[0] for row in con.execute("select distinct conversation_id from exchanges").fetchall()}
    left = sorted(found.keys() - known)
    recovered = 0
    for conversation_id in left:
        with suppress(ConnectorError, Timeout), alone(home, found[conversation_id]).acquire(timeout=0):
            recovered += 1
            load_conversation(home, conversation_id)
    return recovered


def _is_loaded(con: duckdb.DuckDBPyConnection, conversation_id: str) -> bool:
    return bool(con.execute("select 1 from exchanges where conversation_id = ? limit 1", [conversation_id]).fetchall())


@contextmanager
def published(home: Path, *, now: bool = True) -> Iterator[None]:
    """Publish the reader's file at the end of the block, whatever happened in it."""
    try:
        yield
    finally:
        publish.publish(home, now=now)


def renormalize(home: Path) -> rebuild.Rebuilt:
    """Make every table anew from the landing zone, with no network, and swap it in; syncs may go on meanwhile.

    Most of the replay needs no lock. What is loaded in the meantime is replayed under it, so nothing falls between. A
    warehouse that was lost is made anew; of one that an older version wrote, the shape is made that of today first.
    """
    recover(home)
    with db.writer(home):
        pass
    with db.landing_kept(home), rebuild.beside(home) as con:  # else what is being read could be gathered elsewhere
        with db.locked(home):
            wanted = rebuild.loaded_conversations(home) | landing.gathered_conversations(home)
        done = _replay(con, home, wanted)
        with db.locked(home):
            done |= _replay(con, home, rebuild.loaded_conversations(home) - done)
            differences = rebuild.carry_over(con, home)
            con.execute("checkpoint")
            con.close()
            rebuild.swap(home)
    return rebuild.Rebuilt(len(done), differences)


def _replay(con: duckdb.DuckDBPyConnection, home: Path, wanted: set[str]) -> set[str]:
    """Load what the present warehouse has loaded; a conversation that still goes on is for its own process to load."""
    for rows in landing.conversations(home, wanted):
        settle(con, home, rows)
    return wanted
