"""The answer to a person's question, where it was asked for: on the screen, in a file, or into a pipe."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from pathlib import Path

import duckdb
import typer

from flows import console, questions
from warehouse import db


def give(home: Path, query: str, form: str | None, output: Path | None) -> None:
    """Ask the reader's file and give the answer: as a table, or where `form` says so as csv, json or parquet."""
    with db.reader(home) as con:
        question = questions.asked(con, query, as_text=form != "parquet")
        _interruptible(con, lambda: _give(con, question, form, output))


def _give(con: duckdb.DuckDBPyConnection, question: str, form: str | None, output: Path | None) -> None:
    if form is None:
        _print_table(con.execute(question), output)
    elif output:
        questions.write_answer(con, question, output, form)
    else:
        _pipe(con, question, form)


def _interruptible(con: duckdb.DuckDBPyConnection, work: Callable[[], None]) -> None:
    """Work in a thread, so that Ctrl-C is heard: DuckDB does not look up from a long task in the main one."""
    with ThreadPoolExecutor(1) as pool:
        done = pool.submit(work)
        try:
            while wait([done], timeout=0.2).not_done:  # a signal that another thread receives is seen between waits
                pass
            done.result()
        except KeyboardInterrupt:
            con.interrupt()
            raise


def _print_table(cursor: duckdb.DuckDBPyConnection, output: Path | None) -> None:
    if output is None:
        console.answer(cursor)
        return
    with output.open("w") as file:
        console.answer(cursor, file)


def _pipe(con: duckdb.DuckDBPyConnection, question: str, form: str) -> None:
    """Have DuckDB write to a file of its own and copy that to stdout, so that an error leaves half of nothing there."""
    with tempfile.TemporaryDirectory(prefix="fillhouse-") as folder:
        path = Path(folder) / f"answer.{form}"
        questions.write_answer(con, question, path, form)
        with path.open("rb") as file:
            out = typer.get_binary_stream("stdout")
            shutil.copyfileobj(file, out)
            out.flush()
