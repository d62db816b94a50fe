"""A row of a JSON reply as the broker printed it, found again by its place: what stands behind a fill."""

from __future__ import annotations

import json
from typing import Any

HOLDERS = ("trades", "ledger", "items", "secdef")  # what replies call the rows they wrap


def row_of_json(body: bytes, place: int) -> list[str]:
    """Find the object at a place of the innermost list, or table by id, that a reply wraps; as printed but for blanks.

    The list is empty where there is none.
    """
    try:
        held = json.loads(body.decode("utf-8", "replace"), parse_float=_Printed, parse_int=_Printed)
    except json.JSONDecodeError:
        return []
    if isinstance(held, dict):
        held = held.get("result", held)
    if isinstance(held, dict):
        held = next((held[name] for name in HOLDERS if isinstance(held.get(name), list | dict)), held)
    rows = [{name: row} for name, row in held.items()] if isinstance(held, dict) else held
    return [_written(rows[place])] if isinstance(rows, list) and place < len(rows) else []


class _Printed(str):
    """A number as the broker printed it."""

    __slots__ = ()


def _written(value: Any) -> str:
    """Write JSON again, its numbers as they were printed."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(name)}: {_written(held)}" for name, held in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_written, value)) + "]"
    return str(value) if isinstance(value, _Printed) else json.dumps(value)
