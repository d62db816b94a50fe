"""The demonstration's story: three sandbox brokers, their trades through Prefect, and on screen what came of it."""

from __future__ import annotations

import json
import os
import ssl
import sys
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import duckdb
from rich import box
from rich.console import Console
from rich.table import Table

from connectors.ibkr_flex.sandbox import QUERY_ID, SERVICE_PATH, TOKEN, FlexBroker
from connectors.ibkr_flex.sandbox import running as flex_running
from connectors.ibkr_portal.sandbox import HARDLY_EVER, Gateway, Running
from connectors.ibkr_portal.sandbox import running as gateway_running
from connectors.kraken.sandbox import API_KEY, API_SECRET, KrakenBroker, own_keys
from connectors.kraken.sandbox import running as kraken_running
from flows import demo_books
from flows import demo_questions as asked
from flows.backfill import backfill
from flows.by_hand import show_our_lines_only
from flows.connections import home
from flows.demo_books import Executions, Span
from flows.incremental import incremental
from flows.reauth_check import reauth_check
from flows.sandbox_books import gateway_of
from flows.talk import Way
from warehouse import db

YEARS = 1
EXECUTIONS = 400
TRADES = 120
OVERLAP = timedelta(days=10)
AWAY = timedelta(minutes=20)  # until somebody logs in again
SHOWN = 12
NARROWEST = 118  # a line of the blotter, whole
PADDING = (0, 1, 0, 0)

SAID_ONCE = """   In Prefect that run is red, and the artifact ibkr-portal-login and the event fillhouse.connection.needs_reauth
   say what to do. While it lasts, the checks every few minutes end quietly: it has been said."""

console = Console(highlight=False)
console.width = max(console.width, NARROWEST)


def main() -> int:
    """Tell the story; gives 0 when the warehouse holds exactly what the brokers' books hold."""
    show_our_lines_only()
    flex = FlexBroker(years=YEARS, executions=EXECUTIONS, generation_seconds=1.0)
    gateway = gateway_of(flex)
    kraken = KrakenBroker(years=1, trades=TRADES, keys=own_keys("pro"))
    with (
        flex_running(flex) as flex_address,
        gateway_running(gateway) as where,
        kraken_running(kraken) as kraken_address,
    ):
        _configure(flex_address, where, kraken_address)
        _begin(flex, gateway)
        moment = datetime.now(UTC).replace(tzinfo=None)
        _lose_login(gateway, kraken)
        listed = _log_in_again(flex, gateway)
        portal_book = _call(f"{where.root_url}/sandbox/book", certificate=where.ca_file)["ibkr_portal"]
        _confirm(flex_address, moment)
        flex_book = _call(f"{flex_address}/sandbox/book")["ibkr_flex"]
        kraken_book = _call(f"{kraken_address}/sandbox/book")["kraken"]
    with db.reader(home()) as con:
        _heading("6. What there is now", "from the published file, with SQL")
        _show(con, moment)
        equal = [
            _compare("Flex", demo_books.flex_of(flex_book), demo_books.flex_in(con)),
            _compare("The gateway", demo_books.portal_of(portal_book, listed), demo_books.portal_in(con, listed)),
            _compare("Kraken", demo_books.kraken_of(kraken_book), demo_books.kraken_in(con)),
        ]
        _say_what_next(con, moment)
    return 0 if all(equal) else 1


def _configure(flex_address: str, where: Running, kraken_address: str) -> None:
    """Say in the environment what a user says in `.env`."""
    os.environ |= {
        "FILLHOUSE_IBKR_FLEX_TOKEN": TOKEN,
        "FILLHOUSE_IBKR_FLEX_QUERY_ID": QUERY_ID,
        "FILLHOUSE_IBKR_FLEX_BASE_URL": flex_address + SERVICE_PATH,
        "FILLHOUSE_IBKR_PORTAL_BASE_URL": where.base_url,
        "FILLHOUSE_IBKR_PORTAL_CERTIFICATE": str(where.ca_file),
        "FILLHOUSE_IBKR_PORTAL_MAINTENANCE": HARDLY_EVER,
        "FILLHOUSE_KRAKEN_KEY": API_KEY,
        "FILLHOUSE_KRAKEN_SECRET": API_SECRET,
        "FILLHOUSE_KRAKEN_TIER": "pro",
        "FILLHOUSE_KRAKEN_BASE_URL": kraken_address,
    }


def _begin(flex: FlexBroker, gateway: Gateway) -> None:
    """Read all that the brokers tell, today's fills included."""
    gateway.log_in()
    for account in gateway.accounts:
        gateway.trade_now(account.number)
    first_day = flex.history.first_day
    _heading(
        "2. First backfill", f"every day since {first_day}: IBKR's gateway tells the last seven, Flex all but today"
    )
    every = ["ibkr-portal", "ibkr-flex", "kraken"]
    _finish(backfill(every, since=first_day, until=flex.today, via=Way.PAGES, return_state=True))
    _ask("Today's fills so far: provisional, until Flex prints them tomorrow", asked.PROVISIONAL, [SHOWN])


def _lose_login(gateway: Gateway, kraken: KrakenBroker) -> None:
    """End the login, as IBKR does every night, while trading goes on."""
    _heading("3. The login at the gateway ends", "IBKR ends it once a day at least; the other connections go on")
    gateway.end_login()
    for account in gateway.accounts:
        gateway.trade_now(account.number)
    kraken.trade_now(5)
    _finish(incremental(return_state=True), "NeedsReauth")
    _ask("The connections now", asked.CONNECTIONS)
    console.print(SAID_ONCE)
    _finish(reauth_check(["ibkr-portal"], return_state=True), "NeedsReauth")


def _log_in_again(flex: FlexBroker, gateway: Gateway) -> Span:
    """Log in as a person does with a browser, and catch up; gives the span in which the gateway told all."""
    gateway.now.advance(AWAY.total_seconds())
    gateway.log_in()
    _heading("4. Somebody logs in again, twenty minutes later", "nothing else is to be done: the next sync catches up")
    listed = demo_books.listed_at(flex.business_now)
    _finish(incremental(["ibkr-portal"], return_state=True))
    _ask("Today's fills, with those that happened meanwhile and the fees that came late", asked.PROVISIONAL, [SHOWN])
    return listed


def _confirm(flex_address: str, moment: datetime) -> None:
    """Let a business day pass, and read the statement of it."""
    today = date.fromisoformat(_call(f"{flex_address}/sandbox/advance?days=1", "POST")["today"])
    _heading(
        "5. The next business day", "Flex's statement confirms the fills, and takes an old one back to book it again"
    )
    _finish(backfill(connections=["ibkr-flex"], since=today - OVERLAP, until=today, return_state=True))
    with db.reader(home()) as con:
        exec_id = con.execute(asked.CONFIRMED, {"moment": moment}).fetchall()[0][0]
        values = {"moment": moment, "exec_id": exec_id}
        _print(con, "One of them, as it was known after the first backfill and now", asked.THEN_AND_NOW, values)


def _heading(title: str, what: str) -> None:
    console.print(f"\n[bold]{title}[/]: {what}", soft_wrap=True)


def _finish(state: Any, name: str = "Completed") -> None:
    """Say how a run ended; the story ends where it ended otherwise."""
    if state.name != name:
        raise SystemExit(f"The run ended {state.name}: {state.message}")
    if name != "Completed":
        console.print(
            f"   The run ended {state.name}, which Prefect counts as {state.type.value.lower()}.", soft_wrap=True
        )
    for line in state.result(raise_on_failure=False).lines():
        console.print(f"   {line}", soft_wrap=True)


def _call(url: str, method: str = "GET", certificate: Path | None = None) -> Any:
    known = ssl.create_default_context(cafile=certificate) if certificate else None
    with urlopen(Request(url, method=method), timeout=10, context=known) as answer:  # noqa: S310  (loopback)
        return json.load(answer)


def _ask(title: str, query: str, values: object = None) -> None:
    with db.reader(home()) as con:
        _print(con, title, query, values)


def _show(con: duckdb.DuckDBPyConnection, moment: datetime) -> None:
    _print(con, f"The blotter: the last {SHOWN} of all fills", asked.BLOTTER, [SHOWN])
    _print(con, "Totals by account and currency (a commission is positive when we paid it)", asked.TOTALS)
    _print(con, "Fees by venue, and by liquidity added or removed", asked.BY_LIQUIDITY, [SHOWN])
    _print(con, "Coverage: what was asked for and verified", asked.COVERAGE)
    _print(
        con,
        "What changed between the two runs: fills_as_of(then) against fills",
        asked.CHANGES,
        {"moment": moment, "shown": SHOWN},
    )


def _print(con: duckdb.DuckDBPyConnection, title: str, query: str, values: object = None) -> None:
    result = con.execute(query, values)
    names = [column[0] for column in result.description or ()]
    rows = result.fetchall()
    table = Table(title=title, title_justify="left", title_style="bold", box=box.SIMPLE_HEAD, padding=PADDING)
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


def _say_what_next(con: duckdb.DuckDBPyConnection, moment: datetime) -> None:
    rebooked = con.execute(asked.REBOOKED).fetchall()[0][0]
    confirmed = con.execute(asked.CONFIRMED, {"moment": moment}).fetchall()[0][0]
    fillhouse = f"FILLHOUSE_HOME={home().relative_to(home().parents[1])} .venv/bin/fillhouse"
    console.print("\n[bold]Try next[/]")
    for command in (f'sql "{asked.QUESTION}"', f"explain {confirmed}", f"explain {rebooked}", "status"):
        console.print(f"   {fillhouse} {command}", soft_wrap=True)


if __name__ == "__main__":
    sys.exit(main())
