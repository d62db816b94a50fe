"""Land and load files the user already has, through the same steps as a broker's replies."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import duckdb

from connectors.connector import Connector, Reply
from connectors.errors import ConnectorError, ContractViolation
from connectors.registry import connector
from flows.steps import IMPORTED, context_of, settle
from flows.talk import OK
from flows.timing import utc_now
from warehouse import db, landing
from warehouse.load import Loaded


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
    with ThreadPoolExecutor(max_workers=1) as beside:  # hashes while DuckDB opens, lands while we read
        hashing = beside.submit(hashlib.sha256, body)
        with db.writer(home) as con:
            sha256 = hashing.result().hexdigest()
            if _is_known(con, broker.name, sha256, account):
                return Imported(path, already=True)
            conversation = landing.Conversation(home, broker.name, IMPORTED, landing.new_id(moment), moment)
            conversation.open({"flow": IMPORTED, "account": account, "file": path.name})
            landed = beside.submit(_land_file, conversation, path.name, reply, sha256)
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
