"""Interactive Brokers' Client Portal: executions within minutes, through a session that a person keeps."""

from __future__ import annotations

from datetime import timedelta
from types import MappingProxyType

from connectors.connector import Connector, Limit, Limits
from connectors.ibkr_portal import conversations, dialect, endpoints, normalize, replies, session, signing_in

HOURS = 3600.0

CONNECTOR = Connector(
    name=dialect.SOURCE,
    broker=dialect.BROKER,
    credentials=endpoints.Credentials,
    limits=Limits(
        rules=(
            Limit(
                calls=8, seconds=1.1
            ),  # of ten: the browser of whoever logs in calls the gateway, too; of OAuth's fifty
            Limit(calls=1, seconds=5.2, endpoints=frozenset({"trades"})),
            Limit(calls=1, seconds=1.1, endpoints=frozenset({"tickle"})),
            Limit(calls=1, seconds=61.0, endpoints=frozenset({"sso_validate"})),
        ),
        timeout_seconds=20.0,
        remembered=MappingProxyType(
            dict.fromkeys(("auth_status", "ssodh_init", "ssodh_takeover", "trades"), 4 * HOURS)
        ),
    ),
    windows=conversations.windows,
    sign_in=signing_in.sign_in,
    preflight=session.preflight,
    look=session.look,
    backfill=conversations.trades,
    incremental=conversations.trades,
    describe=conversations.describe,
    keep_alive=conversations.keep_alive,
    check=conversations.check,
    normalize=normalize.normalize,
    endpoint_of=replies.endpoint_of,
    row_printed=replies.row_printed,
    pace_key=endpoints.pace_key,
    is_one_at_a_time=True,
    each_reply_stands=True,
    is_open_always=True,
    fresh_within=timedelta(hours=1),
    reach=timedelta(days=dialect.DAYS - 1),
    beyond_reach="a Flex query",
)
