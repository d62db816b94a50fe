"""The demonstration's story: a sandbox broker, two backfills through Prefect, and on screen what they brought."""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from urllib.request import Request, urlopen

import duckdb
from rich import box
from rich.console import Console
from rich.table import Table

from connectors.ibkr_flex import sandbox
from flows.backfill import backfill
from flows.connections import home
from warehouse import db

YEARS = 2  # few enough questions for ten requests a minute
EXECUTIONS = 600
OVERLAP = timedelta(days=10)
SHOWN = 12
NARROWEST = 108  # a line of the blotter, whole

console = Console(highlight=False)
console.width = max(console.width, NARROWEST)

BLOTTER = """
select
    coalesce(strftime(transact_time, '%Y-%m-%d %H:%M'), book_date::varchar) as "time (UTC)",
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
    account,
    returned_since::date as "first day",
    (returned_until - interval 1 microsecond)::date as "last day",
    row_count as "rows",
    status
from coverage
order by returned_since, account
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

EXECUTIONS_HERE = """
select
    account,
    concat_ws('.', exec_id, lpad(exec_rev::varchar, 2, '0')) as exec_id,
    symbol,
    side,
    comm_currency,
    last_qty,
    last_px,
    commission,
    transact_time
from fills
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
    """Tell the story; gives 0 when the warehouse holds exactly what the broker's book holds."""
    broker = sandbox.FlexBroker(years=YEARS, executions=EXECUTIONS, generation_seconds=1.0)
    with sandbox.running(broker) as address:
        _configure(address)
        first_day = broker.history.first_day
        _heading("2. First backfill", f"every day since {first_day}, from a sandbox broker at {address}")
        _backfill(first_day, broker.today)
        moment = datetime.now(UTC).replace(tzinfo=None)
        today = date.fromisoformat(_call(f"{address}/sandbox/advance?days=1", "POST")["today"])
        _heading("3. A business day passes", "new trades, and the broker takes one back and books it again")
        _backfill(today - OVERLAP, today)
        book = _call(f"{address}/sandbox/book")["ibkr_flex"]
    with db.reader(home()) as con:
        _heading("4. What there is now", "from the published file, with SQL")
        _show(con, moment)
        equal = _compare(con, book)
        _say_what_next(con)
    return 0 if equal else 1


def _configure(address: str) -> None:
    """Say in the environment what a user says in `.env`."""
    os.environ |= {
        "FILLHOUSE_IBKR_FLEX_TOKEN": sandbox.TOKEN,
        "FILLHOUSE_IBKR_FLEX_QUERY_ID": sandbox.QUERY_ID,
        "FILLHOUSE_IBKR_FLEX_BASE_URL": address + sandbox.SERVICE_PATH,
    }


def _heading(title: str, what: str) -> None:
    console.print(f"\n[bold]{title}[/]: {what}", soft_wrap=True)


def _backfill(since: date, until: date) -> None:
    state: Any = backfill(since=since, until=until, return_state=True)
    if state.name != "Completed":
        raise SystemExit(f"The backfill ended {state.name}: {state.message}")
    for line in state.result().lines():
        console.print(f"   {line}", soft_wrap=True)


def _call(url: str, method: str = "GET") -> Any:
    with urlopen(Request(url, method=method), timeout=10) as answer:  # noqa: S310  (loopback)
        return json.load(answer)


def _show(con: duckdb.DuckDBPyConnection, moment: datetime) -> None:
    _print(con, f"The blotter: the last {SHOWN} of all fills", BLOTTER, [SHOWN])
    _print(con, "Totals by account and currency (a commission is positive when we paid it)", TOTALS)
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


def _compare(con: duckdb.DuckDBPyConnection, book: dict[str, list[dict[str, str]]]) -> bool:
    """Compare every execution of the broker's own book with the warehouse, field by field."""
    theirs, ours = executions_of(book), executions_in(con)
    equal = (theirs & ours).total()
    console.print(
        f"[bold]The broker's own book[/]: {theirs.total():,} executions there, {ours.total():,} here, {equal:,} equal "
        "in account, id, symbol, side, quantity, price, commission and time.",
        soft_wrap=True,
    )
    for where, executions in (("the book", theirs - ours), ("the warehouse", ours - theirs)):
        for execution in sorted(executions.elements())[:SHOWN]:
            console.print(f"   only in {where}: {', '.join(map(_text, execution))}", soft_wrap=True)
    return theirs == ours


def executions_in(con: duckdb.DuckDBPyConnection) -> Counter[tuple[Any, ...]]:
    """Give the executions that stand in the warehouse, as they can be compared and counted."""
    return Counter(
        (*texts, *(Decimal(number or 0) for number in numbers), when.replace(tzinfo=UTC))
        for *texts, quantity, price, commission, when in con.execute(EXECUTIONS_HERE).fetchall()
        for numbers in [(quantity, price, commission)]
    )


def executions_of(book: dict[str, list[dict[str, str]]]) -> Counter[tuple[Any, ...]]:
    """Give the executions that stand in the broker's book, in the same shape."""
    return Counter(
        (
            account,
            *(row[name] for name in ("exec_id", "symbol", "side", "commission_currency")),
            *(Decimal(row[name]) for name in ("quantity", "price", "commission")),
            datetime.fromisoformat(row["time"]).astimezone(UTC),
        )
        for account, rows in book.items()
        for row in rows
    )


def _say_what_next(con: duckdb.DuckDBPyConnection) -> None:
    exec_id = con.execute(REBOOKED).fetchall()[0][0]
    fillhouse = f"FILLHOUSE_HOME={home().relative_to(home().parents[1])} .venv/bin/fillhouse"
    console.print("\n[bold]Try next[/]")
    for command in (f'sql "{QUESTION}"', f"explain {exec_id}", "status"):
        console.print(f"   {fillhouse} {command}", soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main())
