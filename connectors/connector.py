"""What a broker can do, as a record of capabilities; what it cannot do is None."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

import polars as pl

from connectors.checkup import Checkup, Finding
from connectors.contract import Normalized
from connectors.wire import Call, Conversation, Exchanging, Window


@dataclass(frozen=True, slots=True)
class Reply:
    """A landed reply on its way to `normalize`: the body and what lineage needs to know of it."""

    exchange_id: str
    endpoint: str
    body: bytes = field(repr=False)
    answered_at: datetime
    asked_account: str | None = None
    params: Mapping[str, str] = field(default_factory=dict)  # of the request, as landed; none for a file
    is_live: bool = False  # fetched from the broker just then, rather than imported
    is_context: bool = False  # landed earlier: it explains names in the others, and brings nothing itself


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `calls` requests in any `seconds`, counted over all that share `Limits.key`."""

    calls: int
    seconds: float
    endpoints: frozenset[str] = frozenset()  # that are counted together; none named: all

    def counts(self, endpoint: str) -> bool:
        """Tell whether a call to this endpoint is one of those counted."""
        return not self.endpoints or endpoint in self.endpoints


@dataclass(frozen=True, slots=True)
class Limits:
    """The pace a broker asks for; the shell keeps it across processes."""

    rules: tuple[Limit, ...]
    timeout_seconds: float = 60.0
    max_reply_bytes: int = 1 << 30
    remembered: Mapping[str, float] = field(default_factory=dict)  # endpoints whose calls matter for longer, in seconds


@dataclass(frozen=True, slots=True)
class SignedIn:
    """Credentials with what a broker handed out for a while; None: it handed out nothing, nor needs to."""

    credentials: Any = field(repr=False)
    ends_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Connector:
    """A broker's capabilities. Functions are pure; credentials are opaque to everyone but the broker's own rooms."""

    name: str
    broker: str
    credentials: type
    limits: Limits
    windows: Callable[[datetime, datetime], Sequence[Window]]  # how a span is cut into questions, oldest first
    backfill: Callable[[Any, Window, Sequence[Call]], Conversation]
    normalize: Callable[[Sequence[Reply]], Normalized]
    endpoint_of: Callable[[bytes, str | None], str]  # the endpoint a saved reply answers, checked against the one named
    row_printed: Callable[
        [bytes, int, str | None], list[str]
    ]  # the row at a place of a reply, for a channel, as it stands there
    pace_key: Callable[[Any], str]  # what the limits count by: a hash, never a secret
    preflight: Callable[[Any, Sequence[Call], datetime], Conversation] | None = (
        None  # is the session ready? before all else
    )
    sign_in: Callable[[Any, bytes, datetime], Exchanging[SignedIn]] | None = (
        None  # what must be agreed on before a request can be signed, given chance to draw a secret from; once in a while
    )
    look: Callable[[Any, Sequence[Call], datetime], Conversation] | None = (
        None  # is it ready, where nothing is about to be asked? then it is taken from nobody
    )
    incremental: Callable[[Any, Window, Sequence[Call]], Conversation] | None = None
    export: Callable[[Any, Window, Sequence[Call]], Conversation] | None = None  # a faster way to deep history
    reference: Callable[[Any, Sequence[Call]], Conversation] | None = None  # how the broker names things
    describe: Callable[[Any, Sequence[str]], Conversation] | None = (
        None  # what instruments are, by the broker's ids of them
    )
    recognise: Callable[[Any, Sequence[str], Sequence[Call]], Conversation] | None = (
        None  # does a key know executions that another one of the same connection has told?
    )
    keep_alive: Callable[[Any], Conversation] | None = None  # what keeps a session from falling asleep
    check: Callable[[Any, Sequence[Call], datetime], Checkup] | None = None  # is it set up as it must be?
    query_param: Callable[[Any], tuple[str, str]] | None = (
        None  # the parameter by which a request names the credentials' query, and what it is then
    )
    examine: Callable[[Reply], Sequence[Finding] | None] | None = (
        None  # what a reply with rows shows of the set-up; None for one without
    )
    reference_endpoints: frozenset[str] = frozenset()  # whose latest replies are the context of all others
    rules_of_names: frozenset[str] = frozenset()  # that a row breaks while nothing explains its names; then it waits
    fills_of_legs: Callable[[pl.DataFrame, Sequence[Reply]], Normalized] | None = None  # from ledger entries alone
    is_one_at_a_time: bool = False  # a key takes one conversation at a time, whatever connections share it
    each_reply_stands: bool = False  # a reply is whole by itself, even in a conversation that failed
    compared_endpoints: frozenset[str] = frozenset()  # except these: compared at the end, and not believed before it
    nothing_there: frozenset[str] = frozenset()  # codes by which the broker says that it has nothing for the window
    overlap: timedelta = timedelta(0)  # how far behind the last answer a sync begins: what is told late
    is_open_always: bool = False  # trades on weekends too: no day without an answer is one without trades
    opened: date | None = None  # no day before it is worth asking for; None: the broker tells a few years only
    fresh_within: timedelta | None = None  # how old its newest answer may be; None: it tells whole days, a day later
    reach: timedelta | None = None  # how far back the broker tells anything at all; None: to the beginning
    beyond_reach: str | None = None  # and who tells what is further back, as a person says it
    channels: tuple[frozenset[str], ...] = ()  # a window is covered when each of these has been, by any of its channels
    export_channels: frozenset[str] = frozenset()  # of those, what only the export brings: it tells less than pages do
    feed: Callable[..., Conversation] | None = None
