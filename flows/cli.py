"""`fillhouse`: every command is one call; errors become one line and an exit code here.

Exit codes: 0 done, 1 something to look at, 2 bad usage or bad input, 3 a connection needs a person, 130 Ctrl-C, 143 SIGTERM.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack
from datetime import date, datetime
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperGroup

from flows import console, endings, questions
from flows.endings import BAD_INPUT, GOES_ON, LOOK, NEEDS_REAUTH, STOPPED

if TYPE_CHECKING:
    from flows.connections import Connection


class Commands(TyperGroup):
    """The commands, with the one place where an error becomes a line and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        """Run a command."""
        try:
            return super().invoke(ctx)
        except (typer.Exit, BrokenPipeError):
            raise
        except KeyboardInterrupt as exc:
            console.error(GOES_ON)
            raise typer.Exit(STOPPED) from exc
        except Exception as exc:
            said = endings.readable(exc)
            if said is None:
                raise
            text, code = said
            console.error(text)
            raise typer.Exit(code) from exc


app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_completion=False,
    help="Every fill of your broker accounts in a DuckDB file that you can ask with SQL.",
)


def main() -> None:
    """Run the command line."""
    app()


def _home() -> Path:
    from flows.connections import home  # noqa: PLC0415

    return home()


def _version(wanted: bool) -> None:  # noqa: FBT001  (typer calls it so)
    if wanted:
        from importlib.metadata import PackageNotFoundError  # noqa: PLC0415
        from importlib.metadata import version as installed  # noqa: PLC0415

        try:
            console.line(f"fillhouse {installed('fillhouse')}")
        except PackageNotFoundError:
            console.line("fillhouse (from a folder that is not installed: pip install -e .)")
        raise typer.Exit


@app.callback()
def fillhouse(
    home: Annotated[Path | None, typer.Option(help="Where all is kept; else FILLHOUSE_HOME, else ./data.")] = None,
    version: Annotated[  # noqa: ARG001, FBT002
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Every fill of your broker accounts in a DuckDB file that you can ask with SQL."""
    if home is not None:
        os.environ["FILLHOUSE_HOME"] = str(home.expanduser().resolve())  # flows.connections reads it


@app.command("import")
def import_(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Statements and exports as downloaded.")],
    broker: Annotated[str | None, typer.Option(help="Whose files they are; needed where there are several.")] = None,
    endpoint: Annotated[str | None, typer.Option(help="The question they answer, if the file does not tell.")] = None,
    account: Annotated[str | None, typer.Option(help="The account, where the file names none.")] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Exit 1 for quarantine or a gap.")] = False,  # noqa: FBT002
) -> None:
    """Load files you already have."""
    from flows import importing, steps  # noqa: PLC0415
    from warehouse import db  # noqa: PLC0415

    home, name = _home(), importing.broker_of(broker, files)
    account = account or importing.account_of(home, name)
    results: list[importing.Imported] = []
    with ExitStack() as published:
        for result in importing.import_files(home, name, files, account=account, endpoint=endpoint):
            if not result.refused and all(earlier.refused for earlier in results):
                published.enter_context(steps.published(home))  # refused files leave no warehouse behind
            console.imported(result)
            results.append(result)
    if len(results) > 1:
        console.import_total(results)
    if any(result.refused for result in results):
        raise typer.Exit(BAD_INPUT)
    if any(result.is_all_rejected for result in results):
        console.error("A file brought nothing: all of its rows are in quarantine. See fillhouse status.")
        raise typer.Exit(LOOK)
    if strict:
        with db.reader(home) as con:
            rejected = questions.quarantined(con, [result.path for result in results])
        if rejected or any(result.loaded and result.loaded.gaps for result in results):
            console.error(f"{rejected} rows of these files are in quarantine. See fillhouse status.")
            raise typer.Exit(LOOK)


def _day(text: str) -> date:
    try:
        return datetime.strptime(text, "%Y-%m-%d").date()  # noqa: DTZ007  (a broker's day has no zone)
    except ValueError:
        raise questions.BadInput(f"{text!r} is no day: write it like 2024-01-31.") from None


class Via(StrEnum):
    """How deep history is fetched."""

    EXPORT = "export"
    PAGES = "pages"


@app.command()
def backfill(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="Connections; else all.")] = None,
    since: Annotated[
        date | None,
        typer.Option(parser=_day, metavar="DAY", help="First day, like 2024-01-31; else all the broker tells."),
    ] = None,
    until: Annotated[date | None, typer.Option(parser=_day, metavar="DAY", help="The day after the last.")] = None,
    via: Annotated[
        Via | None, typer.Option(help="How Kraken's history is fetched; else by export, and a short span by pages.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would be asked for.")] = False,  # noqa: FBT002
) -> None:
    """Fetch history from the brokers: what is not there yet."""
    from flows import by_hand  # noqa: PLC0415

    by_hand.check(_home(), names, since, until)

    def run() -> Any:
        from flows.backfill import backfill as flow  # noqa: PLC0415
        from flows.talk import Way  # noqa: PLC0415

        return flow(names or [], since, until, Way(via) if via else None, dry_run, return_state=True)

    _flow(run)


@app.command()
def sync(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="Connections; else all.")] = None,
) -> None:
    """Fetch what is new at the brokers, now."""
    from flows import by_hand  # noqa: PLC0415

    by_hand.check(_home(), names)

    def run() -> Any:
        from flows.incremental import incremental as flow  # noqa: PLC0415

        return flow(names or [], return_state=True)

    _flow(run)


@app.command("reauth-check")
def reauth_check(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="Connections; all when none.")] = None,
) -> None:
    """Find out who must log in or renew what, now."""
    from flows import by_hand  # noqa: PLC0415

    by_hand.check(_home(), names)

    def run() -> Any:
        from flows.reauth_check import reauth_check as flow  # noqa: PLC0415

        return flow(names or [], return_state=True)

    _flow(run)


def _flow(run: Callable[[], Any]) -> None:
    """Run a flow, say what came of it, and exit by how it ended."""
    from flows import by_hand  # noqa: PLC0415

    try:
        state = by_hand.run(_home(), run, say=console.error, last_word=GOES_ON)
    except RuntimeError as exc:  # what Prefect itself raises; what the flow raises is in its state
        raise questions.BadInput(f"Prefect: {exc}. Start its server, or unset PREFECT_API_URL.") from exc
    summary = state.result(raise_on_failure=False)
    if isinstance(summary, Exception):
        raise summary
    console.lines(summary.lines())
    raise typer.Exit(_exit_code(state))


def _exit_code(state: Any) -> int:
    """Translate how a flow ended; a connection that waits for a person ends under that name, failed or not."""
    if state.name == "NeedsReauth":
        return NEEDS_REAUTH
    return 0 if state.is_completed() and state.name != "Misconfigured" else LOOK


@app.command()
def live(
    names: Annotated[list[str] | None, typer.Argument(metavar="[NAME]...", help="Connections; all when none.")] = None,
) -> None:
    """Keep the sessions awake that are wanted so, until Ctrl-C; without it they are opened anew for each sync."""
    from flows import surroundings  # noqa: PLC0415

    surroundings.prefer(_home())
    from flows.blocks import every_connection  # noqa: PLC0415
    from flows.live import live as keep  # noqa: PLC0415

    def wanted() -> list[Connection]:
        return [each for each in every_connection() if each.keeps_alive and (not names or each.name in names)]

    every_connection(names or None)  # a name that there is not is said at once
    chosen = wanted()
    if not chosen:
        raise questions.BadInput("There is no connection with a session to keep awake.")
    ended = _until_signalled()
    console.line(f"Keeping awake: {', '.join(connection.name for connection in chosen)}. Ctrl-C ends it.")
    keep(_home(), wanted, ended, say=console.line)


@app.command()
def up(
    port: Annotated[int, typer.Option(help="Where Prefect's UI is to be, on this machine.", min=1, max=65535)] = 4200,
) -> None:
    """Run it all until Ctrl-C: Prefect's server and UI, the schedules, a worker, and what keeps sessions awake."""
    from flows import surroundings  # noqa: PLC0415

    home = _home()
    home.mkdir(parents=True, exist_ok=True)
    surroundings.prefer(home)
    from flows.up import up as run  # noqa: PLC0415

    run(home, port, _until_signalled(), say=console.line)


@app.command()
def connect(
    kind: Annotated[str, typer.Argument(metavar="KIND", help="ibkr_flex, ibkr_portal or kraken.")],
    name: Annotated[str, typer.Argument(metavar="[NAME]", help="What to call it.")] = "",
    given: Annotated[
        list[str] | None, typer.Option("--set", metavar="FIELD=VALUE", help="A field that has a default, tier=pro say.")
    ] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Store it in place of the one there is.")] = False,  # noqa: FBT002
) -> None:
    """Store a connection in Prefect, encrypted: its credentials are asked for, and not shown."""
    from flows import surroundings  # noqa: PLC0415

    surroundings.prefer(_home())
    from flows import connecting  # noqa: PLC0415

    connecting.block_of(kind)
    named = name or kind.replace("_", "-")
    connecting.require_free(named, may_replace=replace)
    values: dict[str, Any] = dict(_pair(text) for text in given or ())
    for field in list(connecting.wanted(kind, values)):
        values[field.name] = typer.prompt(f"{field.title} ({field.description})", hide_input=field.is_secret)
    connecting.save(kind, named, values, may_replace=replace)
    console.line(f"Stored as {named}. fillhouse doctor tells whether it is as it must be.")


@app.command()
def forget(
    connection: Annotated[str, typer.Argument(metavar="CONNECTION", help="One that is configured no more.")],
) -> None:
    """Forget a connection that is no more: its state, and how fresh it promised to be. Its fills stay."""
    from flows import surroundings  # noqa: PLC0415
    from warehouse import connections, db, publish  # noqa: PLC0415

    home = _home()
    surroundings.prefer(home)
    from flows import connecting  # noqa: PLC0415

    connecting.require_gone(connection)
    with db.reader(home) as con:
        known = connections.names(con)
    if connection not in known:
        there_are = f"; there are: {', '.join(known)}" if known else ""
        raise questions.BadInput(f"Nothing is known of a connection {connection}{there_are}.")
    with db.writer(home) as con:
        connections.forget(con, connection)
    publish.publish(home, now=True)
    console.line(f"{connection} is forgotten; what it brought stays.")


def _pair(text: str) -> tuple[str, str]:
    field, equals, value = text.partition("=")
    if not equals:
        raise questions.BadInput(f"--set takes FIELD=VALUE, and {text!r} has no =.")
    return field, value


def _until_signalled() -> threading.Event:
    """Give what Ctrl-C and SIGTERM set."""
    ended = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    return ended


@app.command()
def renormalize() -> None:
    """Rebuild every table from the landed replies, without the network, and say what differs."""
    from flows import steps  # noqa: PLC0415
    from warehouse import db, landing  # noqa: PLC0415

    home = _home()
    db.refuse_half(home)
    if not landing.landed_files(home):
        raise questions.BadInput(f"Nothing has been landed in {home} yet: import or back-fill something first.")
    with steps.published(home):
        rebuilt = steps.renormalize(home)
    console.differences(rebuilt.conversations, rebuilt.differences)


@app.command()
def compact() -> None:
    """Gather the landing zone's small files."""
    from warehouse.compact import compact as gather  # noqa: PLC0415

    done = gather(_home())
    console.line(
        f"{done.files_before} landed files before, {done.files_after} now; of days that are over, each is one."
    )


@app.command()
def backup(
    target: Annotated[Path, typer.Argument(metavar="TARGET", help="A folder: a new one, or that of the last backup.")],
    with_prefect: Annotated[  # noqa: FBT002
        bool, typer.Option("--with-prefect", help="Prefect's database too: credentials, and the key to them.")
    ] = False,
) -> None:
    """Bring a backup up to date; syncs may go on meanwhile."""
    from flows import backups  # noqa: PLC0415

    done, copied = backups.back_up(_home(), target, with_prefect=with_prefect, counted=console.counted)
    console.backed_up(done, copied, with_prefect=with_prefect)


@app.command()
def restore(
    source: Annotated[Path, typer.Argument(metavar="SOURCE", help="The folder of a backup.")],
) -> None:
    """Put a backup into an empty home: verified, and all of it or nothing."""
    from flows import backups  # noqa: PLC0415

    home = _home()
    console.restored(home, backups.restore(source, home, counted=console.counted))


class Form(StrEnum):
    """How an answer is written."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"
    PARQUET = "parquet"


@app.command()
def sql(
    query: Annotated[str, typer.Argument(metavar="QUERY", help='One select, such as "from fills".')],
    form: Annotated[Form, typer.Option("--format", help="How to write the answer.")] = Form.TABLE,
    output: Annotated[Path | None, typer.Option(help="Write to this file instead of the screen.")] = None,
) -> None:
    """Ask the reader's file. Times are UTC; csv, json and parquet hold every digit."""
    from flows import answers  # noqa: PLC0415

    if form is Form.PARQUET and output is None and sys.stdout.isatty():
        raise questions.BadInput("Parquet is no text: name a file with --output, or send it into a pipe.")
    answers.give(_home(), query, None if form is Form.TABLE else str(form), output)


@app.command()
def status() -> None:
    """Show accounts, each connection's state, how fresh its channels are, gaps and findings, and what to do next."""
    from flows import screen  # noqa: PLC0415
    from flows.timing import utc_now  # noqa: PLC0415
    from warehouse import db, publish  # noqa: PLC0415

    home, now = _home(), utc_now()
    if not db.is_published(home):
        console.line(console.BEGIN)
        return
    with db.newest(home) as con:
        newest = questions.newest(con)
    with db.reader(home) as con:
        found = questions.status(con, newest, now)
    screen.status(found, publish.published_at(home), now)
    if found.needs_reauth:
        raise typer.Exit(NEEDS_REAUTH)
    if found.something_is_wrong:
        raise typer.Exit(LOOK)


@app.command()
def explain(
    named: Annotated[
        str, typer.Argument(metavar="ID", help="Of a fill, a trade, an order, an entry of a ledger, or an exchange.")
    ],
) -> None:
    """Show a fill's revisions, what the ledger booked for it, and the bytes behind each."""
    from flows import explained, proofs  # noqa: PLC0415
    from warehouse import db  # noqa: PLC0415

    home = _home()
    with db.reader(home) as con:
        found = proofs.explain(con, home, named)
    match found:
        case proofs.Reply():
            explained.reply(found)
        case proofs.Ledger():
            explained.ledger(found)
        case proofs.Families():
            explained.families(found)


@app.command()
def sandbox(
    seed: Annotated[int, typer.Option(help="Which invented history.")] = 7,
    fault: Annotated[list[str] | None, typer.Option(metavar="NAME", help="A fault to show; may be repeated.")] = None,
    port: Annotated[
        int, typer.Option(help="The first of three ports on loopback; 0 takes free ones.", min=0, max=65533)
    ] = 0,
) -> None:
    """Run the sandbox brokers until Ctrl-C; one line of JSON says where they are."""
    from flows.sandboxes import there_are, together  # noqa: PLC0415

    shown = set(fault or ())
    if unknown := sorted(shown - there_are()):
        there = ", ".join(sorted(there_are()))
        raise questions.BadInput(f"There is no fault {', '.join(unknown)}; there are: {there}.")
    ended = _until_signalled()
    with together(seed, shown, port) as where:
        console.ready(where)
        while not ended.wait(0.5):  # a signal that another thread receives is seen between waits
            pass


@app.command()
def doctor() -> None:
    """Check what must be right before the first sync."""
    from connectors.checkup import Level  # noqa: PLC0415
    from flows.doctor import examine  # noqa: PLC0415

    worth_a_look = False
    for found in examine(_home(), say=console.aside):
        console.finding(found)
        worth_a_look |= found.level in (Level.LOOK, Level.BAD)
    if worth_a_look:
        raise typer.Exit(LOOK)


if __name__ == "__main__":
    main()
