"""Kraken's spot exchange: the whole history by pages or by report, and the ledger that proves each fee."""

from __future__ import annotations

from datetime import date, timedelta

from connectors.connector import Connector, Limits
from connectors.kraken import conversations, dialect, endpoints, normalize, printed, replies

CONNECTOR = Connector(
    name="kraken",
    broker=dialect.BROKER,
    credentials=endpoints.Credentials,
    limits=Limits(rules=(), timeout_seconds=60.0),  # the counter is kept by the conversation
    windows=conversations.windows,
    backfill=conversations.pages,
    incremental=conversations.pages,
    export=conversations.export,
    reference=conversations.reference,
    recognise=conversations.recognise,
    check=conversations.check,
    reference_endpoints=frozenset({"Assets", "AssetPairs"}),
    rules_of_names=frozenset({"currency_unknown"}),
    normalize=normalize.normalize,
    fills_of_legs=normalize.fills_of_legs,
    row_printed=printed.row_of,
    pace_key=endpoints.pace_key,
    endpoint_of=replies.endpoint_of,
    is_one_at_a_time=True,
    each_reply_stands=True,
    compared_endpoints=frozenset({"RetrieveExport"}),
    overlap=timedelta(hours=1),
    is_open_always=True,
    opened=date(2013, 9, 1),
    fresh_within=timedelta(hours=1),
    channels=(frozenset({dialect.REST, dialect.EXPORT}), frozenset({dialect.LEDGER})),
    export_channels=frozenset({dialect.EXPORT}),
)
