"""Import statements into a warehouse of a test's own and read it back as text, the way expected figures are written."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb

from flows import importing
from tests.warehouse.loading import prepared
from warehouse import db, publish

RECORDED = Path(__file__).parent / "connectors" / "ibkr_flex" / "recorded"


def imported(home: Path, files: Sequence[Path]) -> list[importing.Imported]:
    """Import Flex files one after the other."""
    return list(importing.import_files(prepared(home), "ibkr_flex", list(files)))


def imported_cases(home: Path, cases: Sequence[str]) -> Path:
    """Import the files of these recorded Flex cases, publish, and give the home they are in."""
    for case in cases:
        imported(home, sorted((RECORDED / case).glob("*.xml")))
    publish.publish(home, now=True)
    return home


def other_orders(files: Sequence[Any]) -> list[list[Any]]:
    """Put files backwards, and where there are more than two, begin with the second, too."""
    return [list(files[::-1]), *([[*files[1:], files[0]]] if len(files) > 2 else [])]


def rows(home: Path, query: str, parameters: Sequence[Any] = ()) -> list[dict[str, Any]]:
    """Ask the writer's file and give the rows as text."""
    with db.writer(home) as con:
        return asked(con, query, parameters)


def asked(con: duckdb.DuckDBPyConnection, query: str, parameters: Sequence[Any] = ()) -> list[dict[str, Any]]:
    """Ask a connection and give the rows as text."""
    answer = con.execute(query, list(parameters))
    names = [column[0] for column in answer.description or []]
    return [{name: text(value) for name, value in zip(names, row, strict=True)} for row in answer.fetchall()]


def text(value: Any) -> Any:
    """Write a value the way expected figures are written: plain decimals, ISO times in UTC."""
    if isinstance(value, Decimal):
        plain = f"{value.normalize():f}"
        return "0" if plain == "-0" else plain
    if isinstance(value, datetime):
        return value.isoformat() + "Z"
    if isinstance(value, date):
        return value.isoformat()
    return value
