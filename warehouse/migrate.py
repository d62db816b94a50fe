"""Bring a warehouse file to the newest shape: numbered migrations, each applied once with its record, and the views."""

from __future__ import annotations

from importlib.resources import files

import duckdb

from warehouse import comments
from warehouse.load import transaction

RECORD = """
create table if not exists schema_migrations (
    name varchar,
    applied_at timestamp
)
"""


def migrate(con: duckdb.DuckDBPyConnection) -> list[str]:
    """Apply what is missing; gives the names of the migrations applied now. Views are made anew when any was."""
    con.execute(RECORD)
    known = {name for (name,) in con.execute("select name from schema_migrations").fetchall()}
    scripts = sorted(
        (script for script in files("warehouse").joinpath("migrations").iterdir() if script.name.endswith(".sql")),
        key=lambda script: script.name,
    )
    missing = [script for script in scripts if script.name not in known]
    for script in missing:
        with transaction(con):
            con.execute(script.read_text())
            con.execute("insert into schema_migrations values (?, now() at time zone 'UTC')", [script.name])
    if missing:
        create_views(con)
    return [script.name for script in missing]


def create_views(con: duckdb.DuckDBPyConnection) -> None:
    """Make every view anew, with a comment on each column that a table of the same name already explains."""
    with transaction(con):
        for script in sorted(files("warehouse").joinpath("views").iterdir(), key=lambda script: script.name):
            if script.name.endswith(".sql"):
                con.execute(script.read_text())
        comments.explain_views(con)
