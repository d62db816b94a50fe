"""What is known of instruments."""

from __future__ import annotations

import duckdb


def undescribed(con: duckdb.DuckDBPyConnection, broker: str) -> list[str]:
    """Give the broker's ids of the contracts whose fills wait for a description: nobody knows their currency."""
    found = con.execute(
        """
        select distinct conid
        from instruments
        where broker = ?
            and conid is not null
            and currency is null
            and instrument_id in (
                select instrument_id
                from execution_reports
                where currency is null
                    and status = 'provisional'
            )
        order by conid
        """,
        [broker],
    ).fetchall()
    return [conid for (conid,) in found]
