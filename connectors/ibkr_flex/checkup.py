"""What a statement shows of the query behind it: its section, its level of detail, its boxes, its dates."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from connectors.checkup import Finding, Level, of_error
from connectors.connector import Reply
from connectors.errors import ContractViolation, Rejected
from connectors.ibkr_flex.normalize import normalize
from connectors.ibkr_flex.replies import as_statement, holds_rows
from connectors.ibkr_flex.statement import Statement, read_statement


def examine(reply: Reply) -> Sequence[Finding] | None:
    """Say what is to be set otherwise in the query; None for a reply that is no statement."""
    if not holds_rows(reply.body):
        return None
    try:
        statement = read_statement(as_statement(reply.body))
        return [*_sections(statement), *_rows(statement, reply)]
    except (ContractViolation, Rejected) as refusal:
        return [of_error(refusal)]


def _sections(statement: Statement) -> Iterator[Finding]:
    if all(statement.holds_section):
        yield Finding(Level.OK, "the query has the section that tells trades")
    else:
        yield Finding(
            Level.BAD,
            "the query has no section Trades, so it cannot tell whether there were any",
            "Add the section Trades, option Execution.",
        )


def _rows(statement: Statement, reply: Reply) -> Iterator[Finding]:
    """Look at the rows as a sync does, which refuses what is ambiguous and what lacks a mandatory box."""
    said = normalize([reply])
    if not statement.attributes:
        yield Finding(
            Level.NOTE, "the newest statement tells no trade, so the query's boxes and dates cannot be seen in it"
        )
        return
    if statement.trades.is_empty() and statement.confirms.is_empty():
        yield Finding(
            Level.BAD,
            "the query prints trades, but no executions (levelOfDetail EXECUTION)",
            "Choose the option Execution in its section Trades.",
        )
        return
    yield Finding(Level.OK, "executions, mandatory boxes and dates are as they must be")
    silent = said.drift.filter(kind="not_printed").get_column("field").to_list()
    if silent:
        yield Finding(Level.LOOK, f"the query does not print {', '.join(silent)}", "Tick them in its section Trades.")
    if said.quarantine.height:
        yield Finding(
            Level.LOOK,
            f"{said.quarantine.height} rows of the newest statement broke a rule",
            f"See fillhouse explain {reply.exchange_id}.",
        )
