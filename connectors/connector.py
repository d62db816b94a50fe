"""What a broker can do, as a record of capabilities; what it cannot do is None."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from connectors.contract import Normalized
from connectors.wire import Conversation, Window


@dataclass(frozen=True, slots=True)
class Reply:
    """A landed reply on its way to `normalize`: the body and what lineage needs to know of it."""

    exchange_id: str
    endpoint: str
    body: bytes = field(repr=False)
    answered_at: datetime
    asked_account: str | None = None


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `calls` requests in any `seconds`, counted over all that share `Limits.key`."""

    calls: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Limits:
    """The pace a broker asks for; the shell keeps it across processes."""

    rules: tuple[Limit, ...]
    timeout_seconds: float = 60.0
    max_reply_bytes: int = 1 << 30
    hosts: frozenset[str] = frozenset()  # besides the base URL's own host


@dataclass(frozen=True, slots=True)
class Connector:
    """A broker's capabilities. Functions are pure; credentials are opaque to everyone but the broker's own rooms."""

    name: str
    broker: str
    credentials: type
    limits: Limits
    windows: Callable[[date, date], Sequence[Window]]  # how a span is cut into questions, oldest first
    backfill: Callable[[Any, Window], Conversation]
    normalize: Callable[[Sequence[Reply]], Normalized]
    endpoint_of: Callable[[bytes, str | None], str]  # the endpoint a saved reply answers, checked against the one named
    pace_key: Callable[[Any], str]  # what the limits count by: a hash, never a secret
    preflight: Callable[[Any], Conversation] | None = None
    incremental: Callable[[Any, Window], Conversation] | None = None
    feed: Callable[..., Conversation] | None = None
