"""Judge rows that a load touches: which tell of one execution, what ended what, who belongs together, who bears the fees."""

from __future__ import annotations

import duckdb

from warehouse import rows, versions
from warehouse.scripts import scalar, sql, transaction, until_stable

POORER_KEYS = "select distinct key_rank, key_worth from latest where key_rank < 4 order by key_worth desc"
# By what a row with a poorer key is looked for among those with better ones, key by key: a query may print execution ids, and
# another one transaction ids in their place.
LANES = {3: ((3, False), (2, False)), 2: ((2, False),), 1: ((1, False), (1, True))}
ANY_DAY = 10_000  # days apart
CANCELS_TOLD_TWICE = ((True, ANY_DAY), (False, 0), (False, 1))
CHAINED = """
select count(*)
from twins
inner join twins as further
    on further.lesser_hash = twins.better_hash
    and further.lesser_source = twins.better_source
"""
UNMATCHED_CANCELS = """
select distinct
    unnest(
        case
            when ref_trade_id is not null then ['trade', 'unprinted']
            when ref_row_key is not null then ['unprinted']
            else ['none']
        end
    )
from told
where exec_type = 'CANCEL'
    and names_no_known_row
    and row_hash not in (select by_hash from ends)
"""


def judge(con: duckdb.DuckDBPyConnection) -> None:
    """Judge the touched rows: which is which, what ended what, who belongs together, who bears the fees."""
    con.execute(versions.TOUCHED_REPORTS)
    con.execute(
        """
        create or replace temp table asked_executions as
        select distinct link(broker, account, exec_id) as exec_hash, book_date
        from touched_reports
        where exec_id is not null
        """
    )
    read_payments(con)
    con.execute(sql("06_latest"))
    for key_rank, worth in con.execute(POORER_KEYS).fetchall():
        for lane, by_day in LANES[key_rank]:
            con.execute(sql("07_poor_keys"), {"lane": lane, "worth": worth, "by_day": by_day})
    if scalar(con, "select count(distinct source) from latest") > 1:
        _match_channels(con)
    if scalar(con, CHAINED):
        until_stable(con, CHAINED, "08_best")
    con.execute(sql("08_lessers"))
    con.execute(sql("09_cancels"))
    _net_cancels(con)
    con.execute(sql("09_corrections"))
    con.execute(sql("10_families"))
    until_stable(con, "select sum(family % 4294967296) from families", "11_pull")
    con.execute(sql("12_fees"))
    con.execute(rows.FILLERS)
    con.execute(rows.NEW_ROWS)
    con.execute(sql("13_old_rows"))


def read_payments(con: duckdb.DuckDBPyConnection) -> None:
    """Read what the ledger says was paid for `asked_executions`; most brokers keep none."""
    con.execute(sql("paid"))
    if scalar(con, "select exists(from ledger_entries)"):
        con.execute(sql("paid_by_ledger"))


def _match_channels(con: duckdb.DuckDBPyConnection) -> None:
    """Find what several channels tell of one execution, one cancel or one order."""
    for within_a_day in (True, False):
        con.execute(sql("08_by_execution"), {"within_a_day": within_a_day})
    for of_a_trade, days in CANCELS_TOLD_TWICE if scalar(con, "select count(*) from cancels") else ():
        con.execute(sql("08_cancels"), {"of_a_trade": of_a_trade, "days": days})
    for within_an_order in (True, False):
        con.execute(sql("08_by_terms"), {"within_an_order": within_an_order})
    con.execute(sql("08_orders"))


def _net_cancels(con: duckdb.DuckDBPyConnection) -> None:
    """Let each cancel that names no known row net one; most loads hold none."""
    told = con.execute(UNMATCHED_CANCELS).fetchall()
    for named in ("trade", "unprinted", "none"):
        if (named,) in told:
            for by_id in (True, False):
                con.execute(sql("09_netting"), {"named": named, "by_id": by_id})
    if told:
        con.execute(sql("09_booked_again"))


def write(con: duckdb.DuckDBPyConnection) -> None:
    """Write what was judged."""
    con.execute(sql("14_reports"))
    con.execute(sql("15_rows"))


def derive_again(con: duckdb.DuckDBPyConnection) -> None:
    """Judge every stored row anew from `execution_reports` alone, as if each had been touched. For audits."""
    with transaction(con):
        con.execute(sql("00_macros"))
        con.execute("create or replace temp table load_moment as select null::timestamp as moment")
        con.execute(sql("03_verified"))
        con.execute("create or replace temp table touched as select row_hash, book_first, book_last from links")
        con.execute(
            "create or replace temp table touched_days as select distinct book_date as day from execution_reports"
        )
        con.execute("create or replace temp table stored_reports as select * from execution_reports")
        con.execute("create or replace temp table new_reports as select * from execution_reports limit 0")
        judge(con)
        write(con)
