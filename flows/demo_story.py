"""The demonstration's story: two sandbox brokers, their trades through Prefect, and on screen what came of it."""

from __future__ import annotations

import json
import os
import sys
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.request import Request, urlopen

import duckdb
from rich import box
from rich.console import Console
from rich.table import Table

from connectors.ibkr_flex.sandbox import QUERY_ID, SERVICE_PATH, TOKEN, FlexBroker
from connectors.ibkr_flex.sandbox import running as flex_running
from connectors.kraken.sandbox import API_KEY, API_SECRET, KrakenBroker, own_keys
from connectors.kraken.sandbox import running as kraken_running
from flows import demo_books
from flows.backfill import backfill
from flows.connections import home
from flows.demo_books import Executions
from flows.incremental import incremental
from flows.steps import Way
from warehouse import db

YEARS = 2  # few enough questions for ten requests a minute
EXECUTIONS = 600
TRADES = 150
OVERLAP = timedelta(days=10)
SHOWN = 12
NARROWEST = 118  # a line of the blotter, whole

console = Console(highlight=False)
console.width = max(console.width, NARROWEST)

BLOTTER = """
select
    coalesce(strftime(transact_time, '%Y-%m-%d %H:%M'), book_date::varchar) as "time (UTC)",
    broker,
    account,
    symbol,
    side,
    last_qty as quantity,
    last_px as price,
    currency,
    commission,
    comm_currency as "paid in"
from fills
order by book_date desc, transact_time desc nulls last, row_key desc
limit ?
"""

TOTALS = """
select
    traded.account,
    traded.currency,
    traded.fills,
    traded.quantity,
    traded.gross,
    paid.commission
from (
    select
        account,
        currency,
        count(*) as fills,
        sum(last_qty) as quantity,
        sum(gross_trade_amt) as gross
    from fills
    group by account, currency
) as traded
left join (
    select
        account,
        comm_currency as currency,
        sum(commission) as commission
    from fills
    group by account, comm_currency
) as paid
    using (account, currency)
order by traded.account, traded.currency
"""

COVERAGE = """
select
    connection,
    source as channel,
    account,
    returned_since::date as "first day",
    (returned_until - interval 1 microsecond)::date as "last day",
    row_count as "rows",
    status
from coverage
order by connection, returned_since, source, account
"""

CHANGES = """
with earlier as (
    select * from fills_as_of($moment)
),
gone as (
    select earlier.*
    from earlier
    anti join fills using (broker, account, row_key)
),
fresh as (
    select fills.*
    from fills
    anti join earlier using (broker, account, row_key)
)
select
    'cancelled' as change,
    account,
    symbol,
    side,
    last_qty as quantity,
    last_px as price,
    commission,
    trade_date
from gone
union all by name
select
    case when exists (select 1 from gone where gone.account = fresh.account and gone.exec_id = fresh.exec_id)
        then 're-booked'
        else 'new'
    end as change,
    account,
    symbol,
    side,
    last_qty as quantity,
    last_px as price,
    commission,
    trade_date
from fresh
order by change, trade_date, symbol
"""

BY_LIQUIDITY = """
select
    broker as venue,
    coalesce(last_liquidity_ind, 'not told') as liquidity,
    comm_currency as "paid in",
    count(*) as fills,
    sum(commission) as commission,
    round(10000 * sum(commission) filter (where comm_currency = currency)
        / sum(abs(gross_trade_amt)) filter (where comm_currency = currency), 2)::decimal(9, 2) as "of turnover, bp"
from fills
where commission is not null
group by all
having count(*) > 2
order by venue, fills desc, liquidity, "paid in"
limit ?
"""

REBOOKED = """
select stands.exec_id
from fills as stands
left join executions as gone
    on gone.account = stands.account
    and gone.exec_id = stands.exec_id
    and gone.row_key <> stands.row_key
where stands.exec_id is not null
order by
    gone.row_key is null,
    stands.first_seen_at desc
limit 1
"""

QUESTION = "select symbol, count(*) as fills, sum(last_qty) as quantity from fills group by all order by all"


def main() -> int:
    """Tell the story; gives 0 when the warehouse holds exactly what the brokers' books hold."""
    flex = FlexBroker(years=YEARS, executions=EXECUTIONS, generation_seconds=1.0)
    kraken = KrakenBroker(years=1, trades=TRADES, keys=own_keys("pro"))
    with flex_running(flex) as flex_address, kraken_running(kraken) as kraken_address:
        _configure(flex_address, kraken_address)
        first_day = flex.history.first_day
        brokers = f"sandbox brokers at {flex_address} and {kraken_address}"
        _heading("2. First backfill", f"every day since {first_day}, from {brokers}")
        _finish(backfill(since=first_day, until=flex.today, via=Way.PAGES, return_state=True))
        moment = datetime.now(UTC).replace(tzinfo=None)
        today = date.fromisoformat(_call(f"{flex_address}/sandbox/advance?days=1", "POST")["today"])
        kraken.trade_now(5)
        _heading("3. A business day passes", "new trades, and one broker takes one back and books it again")
        _finish(backfill(connections=["ibkr-flex"], since=today - OVERLAP, until=today, return_state=True))
        _finish(incremental(connections=["kraken"], return_state=True))
        flex_book = _call(f"{flex_address}/sandbox/book")["ibkr_flex"]
        kraken_book = _call(f"{kraken_address}/sandbox/book")["kraken"]
    with db.reader(home()) as con:
        _heading("4. What there is now", "from the published file, with SQL")
        _show(con, moment)
        equal = [
            _compare("Interactive Brokers", demo_books.flex_of(flex_book), demo_books.flex_in(con)),
            _compare("Kraken", demo_books.kraken_of(kraken_book), demo_books.kraken_in(con)),
        ]
        _say_what_next(con)
    return 0 if all(equal) else 1


def _configure(flex_address: str, kraken_address: str) -> None:
    """Say in the environment what a user says in `.env`."""
    os.environ |= {
        "FILLHOUSE_IBKR_FLEX_TOKEN": TOKEN,
        "FILLHOUSE_IBKR_FLEX_QUERY_ID": QUERY_ID,
        "FILLHOUSE_IBKR_FLEX_BASE_URL": flex_address + SERVICE_PATH,
        "FILLHOUSE_KRAKEN_KEY": API_KEY,
        "FILLHOUSE_KRAKEN_SECRET": API_SECRET,
        "FILLHOUSE_KRAKEN_TIER": "pro",
        "FILLHOUSE_KRAKEN_BASE_URL": kraken_address,
    }


def _heading(title: str, what: str) -> None:
    console.print(f"\n[bold]{title}[/]: {what}", soft_wrap=True)


def _finish(state: Any) -> None:
    if state.name != "Completed":
        raise SystemExit(f"The run ended {state.name}: {state.message}")
    for line in state.result().lines():
        console.print(f"   {line}", soft_wrap=True)


def _call(url: str, method: str = "GET") -> Any:
    with urlopen(Request(url, method=method), timeout=10) as answer:  # noqa: S310  (loopback)
        return json.load(answer)


def _show(con: duckdb.DuckDBPyConnection, moment: datetime) -> None:
    _print(con, f"The blotter: the last {SHOWN} of all fills", BLOTTER, [SHOWN])
    _print(con, "Totals by account and currency (a commission is positive when we paid it)", TOTALS)
    _print(con, "Fees by venue, added or removed liquidity, and what they were paid in", BY_LIQUIDITY, [SHOWN])
    _print(con, "Coverage: what was asked for and verified", COVERAGE)
    _print(con, "What changed between the two runs: fills_as_of(then) against fills", CHANGES, {"moment": moment})


def _print(con: duckdb.DuckDBPyConnection, title: str, query: str, values: object = None) -> None:
    result = con.execute(query, values)
    names = [column[0] for column in result.description or ()]
    rows = result.fetchall()
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, pad_edge=False)
    for place, name in enumerate(names):
        number = any(isinstance(row[place], int | Decimal) for row in rows)
        table.add_column(name, justify="right" if number else "left", no_wrap=True)
    for row in rows:
        table.add_row(*map(_text, row))
    console.print()
    console.print(table)


def _text(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, Decimal):
        return f"{value.normalize():,f}"
    return f"{value:,}" if isinstance(value, int) else str(value)


def _compare(broker: str, theirs: Executions, ours: Executions) -> bool:
    """Compare every execution of a broker's own book with the warehouse, field by field."""
    equal = (theirs & ours).total()
    console.print(
        f"[bold]{broker}'s own book[/]: {theirs.total():,} executions there, {ours.total():,} here, {equal:,} equal "
        "in id, side, quantity, money, commission and time.",
        soft_wrap=True,
    )
    for where, executions in (("the book", theirs - ours), ("the warehouse", ours - theirs)):
        for execution in sorted(executions.elements())[:SHOWN]:
            console.print(f"   only in {where}: {', '.join(map(_text, execution))}", soft_wrap=True)
    return theirs == ours


def _say_what_next(con: duckdb.DuckDBPyConnection) -> None:
    exec_id = con.execute(REBOOKED).fetchall()[0][0]
    fillhouse = f"FILLHOUSE_HOME={home().relative_to(home().parents[1])} .venv/bin/fillhouse"
    console.print("\n[bold]Try next[/]")
    for command in (f'sql "{QUESTION}"', f"explain {exec_id}", "status"):
        console.print(f"   {fillhouse} {command}", soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main())
