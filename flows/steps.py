"""What the flows and the command line do, as plain functions: talk, land, normalise, load. Prefect is not needed here."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
import polars as pl
from filelock import FileLock, Timeout

from connectors.connector import Connector, Reply
from connectors.contract import LEDGER, Normalized
from connectors.errors import ConnectorError, ContractViolation
from connectors.registry import connector
from connectors.wire import Call, Conversation, Pause, Window
from flows import policy
from warehouse import db, landing, publish, rebuild
from warehouse.coverage import Asked
from warehouse.landing import Landed
from warehouse.load import Batch, Loaded, Run, load, stored_legs

if TYPE_CHECKING:
    from connectors.checkup import Checkup, Finding
    from connectors.pace import Pace

OK = "ok"
INTERRUPTED = "interrupted"
IMPORTED = "import"
HTTP_OK = 200


class Way(StrEnum):
    """How deep history is fetched, where a broker leaves the choice."""

    PAGES = "pages"
    EXPORT = "export"


@dataclass(frozen=True, slots=True)
class Question:
    """A window to ask for, and how; one that ends now ends by the broker's clock."""

    window: Window
    way: Way = Way.PAGES
    is_up_to_now: bool = False
    may_fall_back: bool = False  # to pages, where the faster way turns out to tell something else

    def __str__(self) -> str:
        """Write it as a person says it."""
        return f"{self.window} by export" if self.way is Way.EXPORT else str(self.window)


@dataclass(slots=True)
class Time:
    """Where the time comes from, and how it is waited for: this machine's clock, unless told otherwise."""

    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    sleep: Callable[[float], None] = time.sleep


TIME = Time()


def utc_now() -> datetime:
    """Give the time, aware."""
    return TIME.now()


def wait(seconds: float) -> None:
    """Let time pass."""
    TIME.sleep(seconds)


@dataclass(frozen=True, slots=True)
class Fetched:
    """A conversation that was held and landed: where it lies and how it ended."""

    conversation_id: str
    requests: int
    waited_seconds: float
    error: ConnectorError | None
    findings: tuple[Finding, ...] = ()


def fetch(
    home: Path,
    name: str,
    connection: str,
    credentials: Any,
    window: Window | None,
    run_id: str,
    *,
    flow: str,
    way: Way = Way.PAGES,
    is_up_to_now: bool = False,
    about: Sequence[str] = (),
    checks_session: bool = False,
    checks_setup: bool = False,
    clock: Callable[[], datetime] = utc_now,
    sleep: Callable[[float], None] = wait,
    on_wait: Callable[[Pause], None] = lambda _pause: None,
    say: Callable[[str], None] = lambda _text: None,
) -> Fetched:
    """Hold one conversation with a broker and land all it says: about a window, or (None) about how it names things.

    It may also be about what some instruments are, by their ids, about whether the session is ready, or about the set-up;
    what is landed of a check of the set-up never becomes a fill, nor does it cover anything. A connector's error is a result
    here: it is landed as the verdict.
    """
    from connectors import http  # noqa: PLC0415  (httpx is for those who talk)
    from connectors.nonces import Nonces  # noqa: PLC0415

    broker = connector(name)
    key = broker.pace_key(credentials)
    pace = pace_of(home, broker, key, clock, sleep)
    nonces = Nonces(home / "pace" / f"{key}.nonce", lambda: clock().timestamp())
    landed = landing.Conversation(home, name, connection, run_id, clock())
    landed.open(
        {
            "flow": flow,
            "since": window and window.since,
            "until": window and window.until,
            "is_up_to_now": is_up_to_now,
            "account": getattr(credentials, "account", None),
            "is_check": checks_setup,
        }
    )
    error: ConnectorError | None = None
    findings: list[Finding] = []
    tally = http.Tally()
    alone_with_key = holding(home, key, say) if broker.is_one_at_a_time else nullcontext()
    try:
        with alone_with_key, http.client(broker.limits, certificate=certificate_of(credentials)) as client:
            recent = pace.recent()
            conversation: Conversation | Checkup
            if checks_setup and broker.check is not None:
                conversation = broker.check(credentials, recent, clock())
            elif checks_session and broker.preflight is not None:
                conversation = broker.preflight(credentials, recent, clock())
            elif about and broker.describe is not None:
                conversation = broker.describe(credentials, about)
            else:
                conversation = _conversation(broker, credentials, window, way, recent)
            http.converse(
                conversation,
                client=client,
                limits=broker.limits,
                landing=landed,
                pace=pace,
                nonces=nonces,
                clock=clock,
                sleep=sleep,
                on_wait=on_wait,
                on_finding=findings.append,
                tally=tally,
            )
    except ConnectorError as exc:
        error = exc
    finally:
        landed.flush()
    verdict = {
        "verdict": _verdict(error),
        "code": error.code if error else None,
        "requests": tally.requests,
        "waited_seconds": round(tally.waited_seconds, 3),
    }
    landed.close(clock(), verdict)
    return Fetched(landed.conversation_id, tally.requests, tally.waited_seconds, error, tuple(findings))


def pace_of(
    home: Path, broker: Connector, key: str, clock: Callable[[], datetime], sleep: Callable[[float], None]
) -> Pace:
    """Give the pace of a key, which all processes keep."""
    from connectors.pace import Pace  # noqa: PLC0415

    limits = broker.limits
    return Pace(home / "pace" / f"{key}.json", limits.rules, lambda: clock().timestamp(), sleep, limits.remembered)


def certificate_of(credentials: Any) -> Path | None:
    """Give the certificate a local gateway is known by, where a connection names one."""
    named: Path | None = getattr(credentials, "certificate", None)
    return named


def _conversation(
    broker: Connector, credentials: Any, window: Window | None, way: Way, recent: Sequence[Call]
) -> Conversation:
    """Choose what to say: a broker without a faster way to history is asked in the plain one."""
    if window is None:
        if broker.reference is None:
            message = f"{broker.name} has no listing of its instruments."
            raise ValueError(message)
        return broker.reference(credentials, recent)
    if way is Way.EXPORT and broker.export is not None:
        return broker.export(credentials, window, recent)
    return broker.backfill(credentials, window, recent)


@dataclass(frozen=True, slots=True)
class Settled:
    """A conversation that was loaded; `error` is why its replies could not be read, and then nothing of them was."""

    loaded: Loaded
    error: ConnectorError | None = None


def settle(con: duckdb.DuckDBPyConnection, home: Path, rows: list[Landed], said: Normalized | None = None) -> Settled:
    """Load one landed conversation: what import, sync and rebuild have in common. Only whole answers become rows.

    `said` is what its replies say, where that has been read already. Replies that cannot be read are recorded as a
    window that failed, so that nobody takes silence for completeness.
    """
    error: ConnectorError | None = None
    header = _note(rows, "opened")
    footer = _note(rows, "closed")
    verdict = str(footer.get("verdict", INTERRUPTED))
    exchanges = [row for row in rows if row.row["kind"] == "exchange"]
    first, last = rows[0].row, rows[-1].row
    broker = connector(first["connector"])
    context = context_of(con, home, broker, last["answered_at"])
    if said is None:
        stands = verdict in (OK, INTERRUPTED) or (
            broker.each_reply_stands and not verdict.startswith(ContractViolation.__name__)
        )
        whole = exchanges if stands and not header.get("is_check") else []
        try:
            said = broker.normalize([*context, *_replies(whole, header)])
        except ConnectorError as exc:
            said, error, verdict = Normalized.union([]), exc, _verdict(exc)
    said = _with_fills_of_late_legs(con, broker, said, context)
    batch = Batch(
        reports=said.reports,
        instruments=said.instruments,
        statements=said.statements,
        quarantine=said.quarantine,
        drift=said.drift,
        exchanges=landing.exchanges_frame(rows),
        ledger=said.ledger,
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
    )
    return Settled(load(con, batch, run), error)


def _verdict(error: ConnectorError | None) -> str:
    return f"{type(error).__name__} {error.code}: {error}" if error else OK


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
    """Add the fills whose legs came in different conversations: some of them are stored already."""
    legs = said.ledger.filter(pl.col("fee_kind") == "trade").join(
        said.reports.select("account", "exec_id").unique(), on=["account", "exec_id"], how="anti"
    )
    if broker.fills_of_legs is None or legs.is_empty():
        return said
    stored = stored_legs(con, legs)
    if stored.is_empty():
        return said
    every = pl.concat([legs, stored.select(pl.col(name).cast(dtype) for name, dtype in LEDGER.items())])
    fills = broker.fills_of_legs(every.unique("entry_id", keep="first", maintain_order=True), context)
    return replace(said, reports=pl.concat([said.reports, fills]))


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
        if not path.name.startswith("compact-")
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


@contextmanager
def holding(home: Path, name: str, say: Callable[[str], None]) -> Iterator[None]:
    """Hold a connection, or a key, alone; while another run holds it, say who does, and wait."""
    lock = alone(home, name)
    holder = home / "locks" / f"{name}.holder"
    try:
        lock.acquire(timeout=0)
    except Timeout:
        say(f"{name} is in use by {_read_text(holder) or 'another run'}: waiting for it to end.")
        lock.acquire()
    try:
        holder.write_text(f"process {os.getpid()}, since {utc_now():%Y-%m-%d %H:%M:%S} UTC")
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()


def _read_text(path: Path) -> str:
    try:
        return path.read_text()
    except FileNotFoundError:
        return ""


def alone(home: Path, name: str) -> FileLock:
    """Give the lock of whoever holds a conversation over a connection, or with a key. It dies with its process."""
    (home / "locks").mkdir(parents=True, exist_ok=True)
    return FileLock(home / "locks" / f"{name}.lock")


def _is_loaded(con: duckdb.DuckDBPyConnection, conversation_id: str) -> bool:
    return bool(con.execute("select 1 from exchanges where conversation_id = ? limit 1", [conversation_id]).fetchall())


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of one file."""

    path: Path
    loaded: Loaded | None = None
    already: bool = False
    refused: str = ""
    names: int | None = None  # of a listing: how many instruments it describes


def import_files(
    home: Path, name: str, paths: list[Path], *, account: str | None = None, endpoint: str | None = None
) -> Iterator[Imported]:
    """Land and load files the user already has. A file that is no reply of this broker is refused whole, and leaves no trace."""
    broker = connector(name)
    for path in paths:
        try:
            body = _read(path)
            answered = broker.endpoint_of(body, endpoint)
            yield _import_one(home, broker, path, answered, body, account)
        except (ConnectorError, OSError) as exc:
            yield Imported(path, refused=_readable(exc))


def _import_one(home: Path, broker: Connector, path: Path, endpoint: str, body: bytes, account: str | None) -> Imported:
    moment = utc_now()
    reply = Reply(landing.new_id(moment), endpoint, body, moment, account)
    sha256 = hashlib.sha256(body).hexdigest()
    with db.writer(home) as con:
        if _is_known(con, broker.name, sha256, account):
            return Imported(path, already=True)
        conversation = landing.Conversation(home, broker.name, IMPORTED, landing.new_id(moment), moment)
        conversation.open({"flow": IMPORTED, "account": account, "file": path.name})
        with ThreadPoolExecutor(max_workers=1) as pool:  # landing is compressing and waiting for the disk
            landed = pool.submit(_land_file, conversation, path.name, reply, sha256)
            try:
                said = broker.normalize([*context_of(con, home, broker, moment), reply])
            except ConnectorError:
                landed.result()
                conversation.withdraw()
                raise
            landed.result()
        loaded = settle(con, home, conversation.landed, said).loaded
    is_listing = endpoint in broker.reference_endpoints
    return Imported(path, loaded=loaded, names=said.instruments.height if is_listing else None)


def _land_file(conversation: landing.Conversation, name: str, reply: Reply, sha256: str) -> None:
    conversation.exchange(
        endpoint=reply.endpoint,
        request={"file": name},
        status=None,
        headers={},
        body=reply.body,
        body_is_secret=False,
        requested_at=reply.answered_at,
        answered_at=reply.answered_at,
        exchange_id=reply.exchange_id,
        body_sha256=sha256,
    )
    conversation.close(utc_now(), {"verdict": OK})


def _is_known(con: duckdb.DuckDBPyConnection, name: str, sha256: str, account: str | None) -> bool:
    """Tell whether these very bytes were imported before, for the same account."""
    return bool(
        con.execute(
            """
            select 1
            from exchanges as file
            inner join exchanges as header
                on header.conversation_id = file.conversation_id
                and header.kind = 'opened'
            where file.connector = ?
                and file.connection = ?
                and file.body_sha256 = ?
                and (header.note ->> 'account') is not distinct from ?
            limit 1
            """,
            [name, IMPORTED, sha256, account],
        ).fetchall()
    )


def _read(path: Path) -> bytes:
    if path.is_dir():
        raise ContractViolation("This is a folder.", remedy="Name the files in it.")
    return path.read_bytes()


def _readable(exc: Exception) -> str:
    return f"{exc.strerror}." if isinstance(exc, OSError) and exc.strerror else str(exc)


@contextmanager
def published(home: Path, *, now: bool = True) -> Iterator[None]:
    """Publish the reader's file at the end of the block, whatever happened in it."""
    try:
        yield
    finally:
        publish.publish(home, now=now)


def renormalize(home: Path) -> rebuild.Rebuilt:
    """Make every table anew from the landing zone, with no network, and swap it in; syncs may go on meanwhile.

    Most of the replay needs no lock. What is loaded in the meantime is replayed under it, so nothing falls between.
    """
    recover(home)
    with rebuild.beside(home) as con:
        with db.locked(home):
            wanted = rebuild.loaded_conversations(home)
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
