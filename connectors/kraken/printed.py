"""A row of a reply as Kraken printed it, found again by its place: of a page's JSON, or of an export's table."""

from __future__ import annotations

import json
from itertools import islice

from connectors.kraken import exports
from connectors.printed import row_of_json


def row_of(body: bytes, place: int, _source: str | None) -> list[str]:
    """Give the row at a place, its cells by the names of their columns; nothing where there is none."""
    if body.lstrip(b"\xef\xbb\xbf \t\r\n").startswith((b"{", b"[")):
        return row_of_json(body, place)
    return [json.dumps(row, ensure_ascii=False) for row in islice(exports.rows_of(body), place, place + 1)]
