"""Bring a warehouse file to the newest shape: numbered migrations, each applied once with its record, and the views."""

from __future__ import annotations

from functools import cache
from hashlib import sha256
from importlib.resources import files

import duckdb

from warehouse import comments
from warehouse.scripts import transaction

RECORD = """
create table if not exists schema_migrations (
    name varchar,
    applied_at timestamp
)
"""


def migrate(con: duckdb.DuckDBPyConnection) -> list[str]:
    """Apply what is missing; gives the names of the migrations applied now. Views are made anew when their text is new."""
    con.execute(RECORD)
    known = {name for (name,) in con.execute("select name from schema_migrations").fetchall()}
    missing = {name: script for name, script in _scripts("migrations").items() if name not in known}
    for name, script in missing.items():
        with transaction(con):
            con.execute(script)
            con.execute(APPLIED, [name])
    if missing or views_of_today() not in known:
        create_views(con)
    return list(missing)


APPLIED = "insert into schema_migrations values (?, now() at time zone 'UTC')"


@cache
def views_of_today() -> str:
    """Name the views by what they and their comments say."""
    texts = (*_scripts("views").values(), *comments.VIEWS.values(), *comments.COLUMNS.values())
    return f"views {sha256(chr(0).join(texts).encode()).hexdigest()[:16]}"


@cache
def _scripts(folder: str) -> dict[str, str]:
    """Read the scripts of a folder, in the order of their names."""
    scripts = sorted(files("warehouse").joinpath(folder).iterdir(), key=lambda script: script.name)
    return {script.name: script.read_text() for script in scripts if script.name.endswith(".sql")}


def create_views(con: duckdb.DuckDBPyConnection) -> None:
    """Make every view anew, with a comment on each column that a table of the same name already explains.

    One record says which they are: a version that is older or newer makes its own.
    """
    with transaction(con):
        for script in _scripts("views").values():
            con.execute(script)
        comments.explain_views(con)
        con.execute("delete from schema_migrations where name like 'views %'")
        con.execute(APPLIED, [views_of_today()])
