"""Show what stands behind a fill: its family, each revision, what the ledger booked, and the bytes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from flows import console
from flows.console import shown

if TYPE_CHECKING:
    from flows.proofs import Entry, Families, Family, Ledger, Proof, Reply, Revision
    from flows.questions import Row

NO_CLOCK = datetime(1970, 1, 1, tzinfo=UTC)  # where a reply does not say when it was written
TERMS = ("row_key", "version", "signed_qty", "last_px")
MEMBER = (*TERMS, "exec_type", "commission", "comm_currency", "taxes", "stands", "ended_by", "finding")
AS_FILL = (*TERMS, "fill_commission", "fill_comm_currency", "fill_taxes", "status")
PAST = (*TERMS, "commission", "comm_currency", "taxes", "status", "last_changed_at", "superseded_at")


def families(found: Families) -> None:
    """Print families under one another."""
    for place, each in enumerate(found.found):
        if place:
            console.line()
        family(each)


def family(found: Family) -> None:
    """Print a family: its rows, what stands, every version that was told, and the bytes behind each."""
    first = found.members[0]
    console.line(
        f"{first['symbol']} in {first['broker']} {first['account']}: execution {shown(first['exec_id'])}, "
        f"trade {shown(first['trade_id'])}, order {shown(first['order_id'])}, {shown(first['transact_time'])}"
    )
    _section("Its rows (a positive commission was paid)", found.members, MEMBER)
    standing = [row for row in found.members if row["stands"]]
    if standing:
        _section("What stands, with the family's fees", standing, AS_FILL)
    else:
        console.lines(["", "Nothing of it stands: no row of it is in fills."])
    if found.past:
        _section("How it stood before", found.past, PAST)
    console.lines(["", "What was told, and the bytes behind it"])
    for revision in found.revisions:
        _revision(revision)
    if found.ledger.entries:
        console.line()
        ledger(found.ledger)


def ledger(found: Ledger) -> None:
    """Print what a ledger booked, and the bytes behind each entry."""
    console.line("What the ledger booked, and the bytes behind it (a positive fee was paid)")
    for entry in found.entries:
        _entry(entry)


def _entry(entry: Entry) -> None:
    said = entry.booked
    words = " ".join(word for word in (said["entry_type"], said["entry_subtype"]) if word)
    console.line(
        f"- {shown(said['entry_id'])} of {shown(said['ref_id'])}, {words}, {shown(said['entry_time'])}: "
        f"{shown(said['amount'])} {said['asset']}, fee {shown(said['fee'])} {shown(said['fee_asset'])}, {said['status']}"
    )
    _proof(entry.proof, f", row {said['raw_row']}")


def _revision(revision: Revision) -> None:
    told = revision.report
    clock = told["clock_first"]
    written = f", written by the broker {shown(clock)}: " if clock and clock.year > NO_CLOCK.year else ": "
    console.line(
        f"- {told['row_key']} version {told['version']} by {told['source']}, told {shown(told['first_seen_at'])}"
        f"{written}{told['exec_type']} {shown(told['side'])} "
        f"{shown(told['last_qty'])} at {shown(told['last_px'])} {shown(told['currency'])}, "
        f"commission {shown(told['commission'])} {shown(told['comm_currency'])}"
    )
    for name, (before, after) in revision.changes.items():
        console.line(f"    changed: {name} {shown(before)} -> {shown(after)}")
    _proof(revision.proof, f", row {told['raw_row']}")


def _proof(proof: Proof, place: str = "") -> None:
    exchange = proof.exchange
    if not exchange:
        console.line("    its exchange is not in the table exchanges: run fillhouse renormalize")
        return
    console.line(
        f"    {exchange['landed_file']}, exchange {exchange['exchange_id']}{place}, {shown(exchange['answered_at'])}"
    )
    verdict = {
        True: "verified: the landed body has this hash",
        False: "NOT VERIFIED: the landed body has another hash; restore the file from a backup",
        None: "not verified: the landed body is not there",
    }[proof.body_verified]
    console.line(f"    sha256 {exchange['body_sha256']} {verdict}")
    for element in proof.elements:
        console.line(f"    {element}")


def reply(found: Reply) -> None:
    """Print an exchange: where it lies, what it told, and its rejected rows as they were printed."""
    exchange = found.proof.exchange
    console.line(
        f"Exchange {exchange['exchange_id']}: {exchange['kind']}, {exchange['connector']} {exchange['connection']}"
    )
    facts = ("endpoint", "request", "status", "body_bytes")
    console.line("    " + ", ".join(f"{name} {shown(exchange[name])}" for name in facts))
    _proof(found.proof)
    told = found.told
    console.line(
        f"It told {told['reports']} versions of {told['rows_told']} rows. In quarantine: {len(found.rejected)} rows."
    )
    for row, elements in found.rejected:
        console.line(f"- row {row['raw_row']}, account {shown(row['account'])}: {row['rule']} ({row['detail']})")
        for element in elements:
            console.line(f"    {element}")


def _section(title: str, rows: Sequence[Row], columns: Sequence[str] | None = None) -> None:
    console.lines(["", title])
    console.records(rows, columns)
