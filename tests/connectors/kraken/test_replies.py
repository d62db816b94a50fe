"""Answers of a shape that Kraken does not document are named as such, whatever is odd about them."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from connectors.errors import ContractViolation
from connectors.kraken import replies
from connectors.wire import Response

READ: dict[str, tuple[Callable[[Response], object], Any]] = {
    "a page of a list": (lambda said: replies.read_page(said, "TradesHistory"), {"trades": []}),
    "a page of nothing": (lambda said: replies.read_page(said, "Ledgers"), {"ledger": None}),
    "a row that is none": (lambda said: replies.read_page(said, "TradesHistory"), {"trades": {"T": None}}),
    "a time that is none": (lambda said: replies.read_page(said, "TradesHistory"), {"trades": {"T": {"time": "x"}}}),
    "a count with a point": (lambda said: replies.read_page(said, "TradesHistory"), {"trades": {}, "count": 1.0}),
    "a clock without its time": (replies.read_time, {}),
    "a clock in a list": (replies.read_time, [1]),
    "a key whose bound is a word": (replies.read_key_info, {"permissions": [], "validUntil": "never"}),
    "reports that are words": (lambda said: replies.export_is_ready(said, "AAAA"), ["AAAA"]),
}


@pytest.mark.parametrize("name", READ)
def test_an_odd_shape_is_no_answer_that_is_known(name: str) -> None:
    read, result = READ[name]
    body = json.dumps({"error": [], "result": result}).encode()
    with pytest.raises(ContractViolation):
        read(Response(200, {}, body))
