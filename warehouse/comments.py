"""Comments on views and their columns: where a column keeps its table's name it keeps the table's meaning."""

from __future__ import annotations

import duckdb

VIEWS = {
    "fills": "What stands now: neither cancelled nor superseded, one row an execution; commission and taxes are the family's",
    "executions": "Each broker row once, in its latest version from its most authoritative channel; sums equal the broker's",
    "fees": "Every fee of every execution: asset, amount (positive we paid), kind",
    "cash_legs": "The cash that each execution moves, by currency: trade, tax, commission, profit on margin; positive we received",
    "open_spans": "A part of a question that was not answered in full, and that no answer has returned since",
    "holes": "What lies between two answers of a channel and was never asked for",
    "lost_accounts": "An account that a connection told beside others, and tells no longer",
    "told_elsewhere": "What a channel with a short memory never told, and a channel of more authority has told since",
    "missing_days": "A business day that was asked for and never returned; and whether the broker has nothing that early",
    "ledger_reconciliation": "An execution beside what the broker's ledger booked for it, and whether they agree",
    "gaps": "A span that no answer covers: why, how bad that is, since when, and what to do",
    "data_health": "A finding: what is odd, how bad it is, since when, and what to do",
}

COLUMNS = {
    "stands": "Neither cancelled nor superseded nor unconfirmed, and no cancel itself",
    "ended_by": "row_key of the row that cancelled or superseded this one",
    "finding": "Of a row, what is odd: orphan_cancel, clash, unconfirmed, fee_mismatch, null when nothing; beside the ledger: "
    "equal, differs, margin (only fees move), not_in_ledger, ledger_only",
    "asset": "Currency or asset of the fee",
    "amount": "Amount in the leg's currency or the fee's asset: a fee positive we paid, a cash leg positive we received",
    "kind": "Of a fee: trade, margin_open or credit; of a cash leg: trade, tax, commission or profit; of a finding: its kind",
    "base_asset": "Asset that is bought or sold",
    "quote_asset": "Asset that it is priced in",
    "ledger_qty": "What the ledger booked of the base asset: positive came in",
    "ledger_gross": "What the ledger booked of the quote asset, without fees: positive came in",
    "severity": "error, warning or note",
    "what": "What was found, in words",
    "since": "Since when it is known, UTC",
    "remedy": "What to do",
    "day": "The day",
    "reason": "Why it was not returned",
    "recorded_at": "When it was asked, UTC",
    "asked_since": "Begin of the window asked, inclusive",
    "asked_until": "End of the window asked, exclusive",
    "every_day": "Whether weekends count: the broker trades on them",
    "open_since": "Begin of what is missing, inclusive: UTC, or the broker's day",
    "told_until": "End of what was told of it, exclusive: UTC, or the broker's day",
    "open_until": "End of what is missing, exclusive",
    "beyond_reach": "What tells days that the channel no longer tells; null where it tells all of them",
    "is_before_account": "No day as early was ever returned, and the broker says that it has none: the account was opened later",
    "connection": "Connection or broker it is about",
}


def explain_views(con: duckdb.DuckDBPyConnection) -> None:
    """Comment every view and each of its columns; a column that nothing explains is a `KeyError`."""
    told = dict(
        con.execute(
            "select column_name, any_value(comment) from duckdb_columns() where table_name = 'execution_reports' group by all"
        ).fetchall()
    )
    columns = con.execute(
        "select table_name, column_name from duckdb_columns() where table_name in (select unnest(?))", [list(VIEWS)]
    ).fetchall()
    script = [f"comment on view {view} is '{_quoted(meaning)}'" for view, meaning in VIEWS.items()]
    for view, column in columns:
        text = COLUMNS.get(column) or told[column]
        script.append(f"comment on column {view}.{column} is '{_quoted(text)}'")
    con.execute(";\n".join(script))


def _quoted(text: str) -> str:
    return text.replace("'", "''")
