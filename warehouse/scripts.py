"""Run the SQL of `derive`, step by step, in a transaction."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from importlib.resources import files

import duckdb

MOST_ROUNDS = 1000  # of label propagation; a family of n rows needs at most n


@contextmanager
def transaction(con: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """Commit when the block ends well; roll back and raise again when it does not."""
    con.execute("begin transaction")
    try:
        yield
    except BaseException:
        con.execute("rollback")
        raise
    con.execute("commit")


@cache
def sql(step: str) -> str:
    """Give a step's script."""
    return files("warehouse").joinpath("derive", f"{step}.sql").read_text()


def scalar(con: duckdb.DuckDBPyConnection, query: str) -> int:
    """Ask for one number; nothing counts as 0."""
    row = con.execute(query).fetchall()
    return int(row[0][0] or 0)


def until_stable(con: duckdb.DuckDBPyConnection, measure: str, step: str) -> None:
    """Repeat a step until the measure no longer moves."""
    before = scalar(con, measure)
    for _ in range(MOST_ROUNDS):
        con.execute(sql(step))
        after = scalar(con, measure)
        if after == before:
            return
        before = after
    message = f"{step} did not come to rest in {MOST_ROUNDS} rounds."
    raise RuntimeError(message)
