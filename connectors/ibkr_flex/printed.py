"""A row of a statement as IBKR printed it: the element, found again by its place."""

from __future__ import annotations

import re
from collections import Counter

from connectors.ibkr_flex import dialect
from connectors.ibkr_flex.statement import EXECUTION, NULL_WORDS

# What `raw_row` counts: elements of a kind, each for itself, that are executions.
ELEMENT = re.compile(r"""<(Trade|TradeConfirm)(?=[\s/>])(?:"[^"]*"|'[^']*'|[^>"'])*>""")
LEVEL = re.compile(r"""\slevelOfDetail\s*=\s*["']\s*(.*?)\s*["']""")
EXECUTION_LEVELS = frozenset({EXECUTION, *NULL_WORDS})


def row_of(body: bytes, place: int, source: str | None) -> list[str]:
    """Find the element of execution level at a place; where the channel is not known, one of each kind."""
    text = body.decode("utf-16" if body[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8", errors="replace")
    names = {dialect.ACTIVITY: ("Trade",), dialect.CONFIRMS: ("TradeConfirm",)}
    wanted = names.get(source or "", ("Trade", "TradeConfirm"))
    found, seen = [], Counter[str]()
    for element in ELEMENT.finditer(text):
        level = LEVEL.search(element[0])
        if level is None or level[1].upper() in EXECUTION_LEVELS:
            if seen[element[1]] == place and element[1] in wanted:
                found.append(element[0])
            seen[element[1]] += 1
    return found
