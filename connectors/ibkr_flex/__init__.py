"""Interactive Brokers' Flex Web Service: whole statements, a day late, with every correction."""

from __future__ import annotations

from datetime import timedelta

from connectors.connector import Connector, Limit, Limits
from connectors.ibkr_flex import checkup, conversations, endpoints, normalize, printed, replies

CONNECTOR = Connector(
    name="ibkr_flex",
    broker="ibkr",
    credentials=endpoints.Credentials,
    limits=Limits(
        rules=(Limit(calls=1, seconds=1.1), Limit(calls=10, seconds=65.0)),
        timeout_seconds=120.0,
    ),
    windows=conversations.windows,
    backfill=conversations.backfill,
    check=conversations.check,
    query_param=endpoints.query_param,
    examine=checkup.examine,
    normalize=normalize.normalize,
    nothing_there=frozenset({replies.NOT_AVAILABLE}),
    overlap=timedelta(days=7),  # corrections and late fees
    row_printed=printed.row_of,
    pace_key=endpoints.pace_key,
    endpoint_of=replies.endpoint_of,
)
