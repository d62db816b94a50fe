"""Land and load files the user already has, through the same steps as a broker's replies."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, fields
from pathlib import Path

import duckdb

from connectors.connector import Connector, Reply
from connectors.errors import ConnectorError, ContractViolation
from connectors.registry import CONNECTORS, connector
from flows.connections import accounts_of
from flows.questions import BadInput
from flows.steps import IMPORTED, context_of, recover, settle
from flows.talk import OK
from flows.timing import utc_now
from warehouse import db, landing, told
from warehouse.load import Loaded


@dataclass(frozen=True, slots=True)
class Imported:
    """What became of one file."""

    path: Path
    loaded: Loaded | None = None
    already: bool = False
    refused: str = ""
    names: int | None = None  # of a listing: how many instruments it describes

    @property
    def is_all_rejected(self) -> bool:
        """Tell whether the file has rows, and not one of them would do."""
        loaded = self.loaded
        return loaded is not None and not loaded.entries_read and 0 < loaded.rejected == loaded.rows_read


def broker_of(name: str | None, files: list[Path]) -> str:
    """Choose the connector: the one named, else the only one whose files are called so."""
    there_are = ", ".join(sorted(CONNECTORS))
    if name is not None and name not in CONNECTORS:
        raise BadInput(f"There is no broker {name!r}; there are: {there_are}.")
    if name is not None:
        return name
    for folder in (file for file in files if file.is_dir()):
        raise BadInput(f"{folder} is a folder: name the files in it.")
    suffixes = {suffix.lower() for file in files for suffix in file.suffixes}
    called_so = [name for name, entry in CONNECTORS.items() if suffixes & entry.file_suffixes]
    if len(called_so) != 1:
        raise BadInput(f"Say whose files these are with --broker; there are: {there_are}.")
    return called_so[0]


def account_of(home: Path, name: str) -> str | None:
    """Choose the account of files that name none: that of the only connection to their broker."""
    if "account" not in {field.name for field in fields(connector(name).credentials)}:
        return None
    known: dict[str, str] = {}
    if (home / db.READER).exists():  # connections that are kept in Prefect are known by what they brought
        with db.reader(home) as con:
            known = told.accounts_of(con, connector(name).broker)
    known = {
        connection: account for connection, account in (known | accounts_of(name)).items() if connection != IMPORTED
    }
    if len(set(known.values())) > 1:
        there_are = ", ".join(sorted(set(known.values())))
        raise BadInput(f"Say whose files these are with --account; there are: {there_are}.")
    return next(iter(known.values()), None)


def import_files(
    home: Path, name: str, paths: list[Path], *, account: str | None = None, endpoint: str | None = None
) -> Iterator[Imported]:
    """Land and load files the user already has. A file that is no reply of this broker is refused whole, and leaves no trace."""
    broker = connector(name)
    recover(home)
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
    with ThreadPoolExecutor(max_workers=1) as beside, ExitStack() as left:  # hashes and writes while DuckDB opens
        hashing = beside.submit(lambda: hashlib.sha256(body).hexdigest())
        writing = beside.submit(lambda: _staged(home, broker, path.name, reply, hashing.result()))
        left.callback(_discard, writing)
        with db.writer(home) as con:
            if _is_known(con, broker.name, hashing.result(), account):
                return Imported(path, already=True)
            said = broker.normalize([*context_of(con, home, broker, moment), reply])
            landed, staged = writing.result()
            loaded = settle(con, home, landed, said, before_commit=staged.place).loaded
    is_listing = endpoint in broker.reference_endpoints
    return Imported(path, loaded=loaded, names=said.instruments.height if is_listing else None)


def _staged(
    home: Path, broker: Connector, file: str, reply: Reply, sha256: str
) -> tuple[list[landing.Landed], landing.Staged]:
    """Write a file down as what it is, a conversation of one reply that nobody asked for; it is yet to be put in place."""
    moment = reply.answered_at
    conversation = landing.Conversation(home, broker.name, IMPORTED, landing.new_id(moment), moment, is_one_file=True)
    conversation.open({"flow": IMPORTED, "account": reply.asked_account, "file": file})
    conversation.exchange(
        endpoint=reply.endpoint,
        request={"file": file},
        status=None,
        headers={},
        body=reply.body,
        body_is_secret=False,
        requested_at=moment,
        answered_at=moment,
        exchange_id=reply.exchange_id,
        body_sha256=sha256,
    )
    staged = conversation.close_staged(utc_now(), {"verdict": OK})
    return conversation.landed, staged


def _discard(writing: Future[tuple[list[landing.Landed], landing.Staged]]) -> None:
    """Leave nothing of a file that was not loaded after all."""
    if writing.exception() is None:
        writing.result()[1].discard()


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
