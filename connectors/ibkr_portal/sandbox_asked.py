"""A call as it reached the gateway's sandbox."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Asked:
    """A call as it reached the gateway; `path` begins after /v1/api."""

    method: str
    path: str
    params: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    address: str = "127.0.0.1"
    has_length: bool = True
    authorization: str = field(default="", repr=False)
    addresses: tuple[str, ...] = ()  # what the caller may have written, without the query
