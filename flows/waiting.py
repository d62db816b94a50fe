"""Rows that wait in quarantine for what explains their names: once something does, they are read again, from the landing zone.

So it does not matter whether a trade comes before the listing, or the ledger's entries, that say what its market is. What
is read again was not known to stand before, so it is first seen with what explained it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import duckdb
import polars as pl

from connectors.connector import Connector, Reply
from connectors.contract import Normalized
from warehouse import landing
from warehouse.load import PLACE as PLACES

PLACE = ["exchange_id", "raw_row"]
NOBODY = pl.DataFrame(schema=PLACES)


def explained(
    con: duckdb.DuckDBPyConnection,
    home: Path,
    broker: Connector,
    said: Normalized,
    replies: Sequence[Reply],
    context: Sequence[Reply],
) -> tuple[Normalized, pl.DataFrame]:
    """Add to what replies say the rows of theirs, and of earlier ones, that can be read now that more is known.

    Gives also the places of stored rows that are in quarantine no more. Nothing is read again unless the replies bring a
    listing, or entries of an execution that waits, or a row of an execution that has entries already.
    """
    if not broker.rules_of_names:
        return said, NOBODY
    listings = [reply for reply in replies if reply.endpoint in broker.reference_endpoints]
    own = said.quarantine.filter(pl.col("rule").is_in(broker.rules_of_names))
    stored = _stored(con, broker, said, any_of_them=bool(listings))
    waits = pl.concat([each.select("account", "exec_id") for each in (own, stored)])
    entries = NOBODY if waits.is_empty() else _entries_about(con, broker, waits)
    if stored.is_empty() and entries.is_empty():
        return said, NOBODY
    mine = {reply.exchange_id: reply for reply in replies}
    wanted = pl.concat([own.select(PLACE), stored.select(PLACE)]).unique(maintain_order=True)
    unread = {*wanted["exchange_id"], *entries["exchange_id"]} - mine.keys()
    known = mine | _landed(con, home, unread)
    told = [known[each] for each in entries["exchange_id"] if each in known]
    explains = [*listings, *told, *_with_entries_of(stored, said, mine)]
    names = [*context, *(replace(reply, is_context=True) for reply in explains)]
    waiting = [known[each] for each in wanted["exchange_id"].unique(maintain_order=True) if each in known]
    again = Normalized.union(broker.normalize([*names, reply]) for reply in waiting)  # each by itself, as it came
    read = again.reports.join(wanted, on=PLACE, how="semi", maintain_order="left")
    moment = max(reply.answered_at for reply in replies)
    return _with(said, read, again.instruments, moment), stored.select(PLACE).join(read, on=PLACE, how="semi")


def _stored(con: duckdb.DuckDBPyConnection, broker: Connector, said: Normalized, *, any_of_them: bool) -> pl.DataFrame:
    """Give the stored rows that may be explained: all for a listing, else those whose executions these entries are about."""
    waiting: pl.DataFrame = con.execute(
        """
        select exchange_id, raw_row, account, exec_id
        from quarantine
        where broker = ?
            and rule in (select unnest(?))
        order by all
        """,
        [broker.broker, sorted(broker.rules_of_names)],
    ).pl()
    of_one = ["account", "exec_id"]
    return waiting if any_of_them else waiting.join(said.ledger, on=of_one, how="semi", maintain_order="left")


def _entries_about(con: duckdb.DuckDBPyConnection, broker: Connector, rows: pl.DataFrame) -> pl.DataFrame:
    """Name the replies that hold stored ledger entries of these rows' executions."""
    con.register("unexplained", rows)
    found: pl.DataFrame = con.execute(
        """
        select distinct exchange_id
        from ledger_entries
        where broker = ?
            and exec_id in (select exec_id from unexplained)
            and (account, exec_id) in (select (account, exec_id) from unexplained)
        order by exchange_id
        """,
        [broker.broker],
    ).pl()
    con.unregister("unexplained")
    return found


def _with_entries_of(stored: pl.DataFrame, said: Normalized, mine: dict[str, Reply]) -> list[Reply]:
    told = said.ledger.join(stored, on=["account", "exec_id"], how="semi")
    return [mine[each] for each in told["exchange_id"].unique(maintain_order=True) if each in mine]


def _landed(con: duckdb.DuckDBPyConnection, home: Path, exchange_ids: Iterable[str]) -> dict[str, Reply]:
    """Read replies back from the landing zone, as they were first given to those who read them."""
    found = con.execute(
        """
        select
            reply.exchange_id,
            reply.endpoint,
            reply.landed_file,
            reply.request,
            reply.status,
            reply.answered_at,
            header.note ->> 'account'
        from exchanges as reply
        inner join exchanges as header
            on header.conversation_id = reply.conversation_id
            and header.kind = 'opened'
        where reply.exchange_id in (select unnest(?))
        """,
        [sorted(exchange_ids)],
    ).fetchall()
    return {
        exchange_id: Reply(
            exchange_id=exchange_id,
            endpoint=endpoint,
            body=landing.read_body(home, landed_file, exchange_id) or b"",
            answered_at=answered_at,
            asked_account=account,
            params=json.loads(request).get("params", {}),
            is_live=status is not None,
        )
        for exchange_id, endpoint, landed_file, request, status, answered_at, account in found
    }


def _with(said: Normalized, read: pl.DataFrame, instruments: pl.DataFrame, moment: datetime) -> Normalized:
    """Put rows that were read again among what else is said: no ledger's word for what they tell, no quarantine."""
    of_one = ["account", "exec_id"]
    is_told = pl.struct(of_one).is_in(read.select(pl.struct(of_one)).to_series().implode())
    late = pl.max_horizontal("answered_at", pl.lit(moment.replace(tzinfo=None), pl.Datetime("us")))
    return replace(
        said,
        reports=pl.concat(
            [
                said.reports.filter(~(is_told & (pl.col("exec_type") == "LEDGER"))),
                read.with_columns(answered_at=late),
            ]
        ),
        instruments=pl.concat(
            [said.instruments, instruments.join(read, on="instrument_id", how="semi", maintain_order="left")]
        ).unique("instrument_id", keep="first", maintain_order=True),
        quarantine=said.quarantine.join(read, on=PLACE, how="anti", maintain_order="left"),
    )
