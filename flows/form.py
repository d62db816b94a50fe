"""What the run form takes: a value it does not know is refused there, not in the run."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Annotated, Any

from pydantic import WithJsonSchema

CONNECTIONS = "connections"  # the parameter that names them
NONE: list[str] = []  # a form that offers many choices begins with none
DAY = r"^(19[7-9]\d|20\d\d)-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])$"

Day = Annotated[date, WithJsonSchema({"type": "string", "format": "date", "pattern": DAY})]
"""A day, as the form's calendar writes it."""


def offering(schema: dict[str, Any], names: Sequence[str]) -> dict[str, Any] | None:
    """Give a flow's schema of parameters with these connections as a choice; None where that changes nothing."""
    fields = schema.get("properties", {})
    if CONNECTIONS not in fields:
        return None
    choice = {"type": "string", "title": "Connection", **({"enum": list(names)} if names else {})}
    if fields[CONNECTIONS].get("items") == choice:
        return None
    return {**schema, "properties": {**fields, CONNECTIONS: {**fields[CONNECTIONS], "items": choice}}}
