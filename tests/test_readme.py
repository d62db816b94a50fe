"""What the README says is so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import typer
from typer.main import get_command

from connectors.registry import CONNECTORS, connector
from flows import cli
from flows.connections import settings
from tests.warehouse.loading import empty_warehouse

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()


def table_after(heading: str) -> list[list[str]]:
    """Give the cells of the first table behind a heading, without its head."""
    lines = README[README.index(heading) :].splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith("|"))
    rows = []
    for line in lines[start + 2 :]:
        if not line.startswith("|"):
            break
        rows.append([cell.strip() for cell in line.strip("|").split("|")])
    return rows


def test_the_column_table_is_the_catalogue() -> None:
    con = empty_warehouse()
    found = con.execute(
        "select column_name, comment from duckdb_columns() where table_name = 'fills' order by column_index"
    ).fetchall()
    assert [(cells[0].strip("`"), cells[2]) for cells in table_after("### The columns of `fills`")] == found


def test_every_table_and_view_is_listed() -> None:
    con = empty_warehouse()
    found = {
        name
        for (name,) in con.execute(
            "select table_name from duckdb_tables() union select view_name from duckdb_views() where not internal"
        ).fetchall()
    }
    internal = {
        "links",
        "merged_rows",
        "past_fills",
        "schema_migrations",
        "execution_rows",
        "missing_days",
        "open_spans",
        "news",
        "members",
        "untold",
        "holes",
        "lost_accounts",
        "told_elsewhere",
    }
    section = README[README.index("| table or view |") : README.index("### The columns")]
    listed = set(
        re.findall(
            r"`(\w+)(?:\(t\))?`", "\n".join(line.split("|")[1] for line in section.splitlines()[2:] if "|" in line)
        )
    )
    assert listed - {"fills_as_of", "raw_exchanges"} == found - internal


def test_every_command_is_listed_and_every_listed_command_exists() -> None:
    group = get_command(cli.app)
    assert isinstance(group, typer.core.TyperGroup)
    listed = [cells[0].strip("`").removeprefix("fillhouse ") for cells in table_after("## Commands")]
    assert sorted(listed) == sorted(group.commands)


def test_every_connector_is_listed() -> None:
    assert [cells[0].strip("`") for cells in table_after("| connector |")] == sorted(CONNECTORS)


@pytest.mark.parametrize("name", sorted(CONNECTORS))
def test_every_connector_is_what_its_name_says(name: str) -> None:
    assert connector(name).name == name


def test_import_linter_knows_every_broker() -> None:
    layering = (ROOT / "pyproject.toml").read_text()
    assert re.findall(r'"(connectors\.\w+)"', layering[layering.index("A broker knows no other broker") :]) == sorted(
        entry.module for entry in CONNECTORS.values()
    )


def test_the_settings_shown_are_the_settings_read() -> None:
    read = (ROOT / "flows" / "connections.py").read_text().lower()
    for setting in set(re.findall(r"FILLHOUSE_(\w+)=", README)):
        assert setting.lower() in read.replace("fillhouse_", "")


def test_every_setting_of_the_portal_is_listed() -> None:
    read = {name for name in type(settings()).model_fields if name.startswith("ibkr_portal_")}
    listed = [cells[0].strip("`").removeprefix("FILLHOUSE_").lower() for cells in table_after("### Both ways")]
    assert sorted(listed) == sorted(read)


@pytest.mark.parametrize("query", re.findall(r"```sql\n(.*?)```", README, re.DOTALL))
def test_a_query_that_is_shown_can_be_asked(query: str) -> None:
    empty_warehouse().execute(query)


def test_every_finding_of_the_reconciliation_is_explained() -> None:
    view = (ROOT / "warehouse" / "views" / "2_ledger_reconciliation.sql").read_text()
    told = {cells[0].strip("`") for cells in table_after("| `finding` |")}
    assert told == set(re.findall(r"(?:then|else) '(\w+)'", view))
