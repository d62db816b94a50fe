"""Connections kept as Prefect blocks: edited in Prefect's UI, encrypted at rest by Prefect."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

from prefect.blocks.core import Block
from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectNotFound
from prefect.settings import get_current_settings
from pydantic import Field, SecretStr

from connectors.ibkr_flex import endpoints
from flows.connections import Connection, connections, from_environment

SLUG = "ibkr-flex-connection"


class IbkrFlexConnection(Block):
    """A Flex query of Interactive Brokers and the token that may download it. The block's name names the connection."""

    _block_type_name = "IBKR Flex connection"
    _block_type_slug = SLUG

    token: SecretStr = Field(title="Token", description="From Client Portal > Flex Web Service Configuration")
    query_id: str = Field(title="Query id", description="The number beside the query under Flex Queries")
    base_url: str = Field(default=endpoints.BASE_URL, title="Address", description="Leave as it is")
    asks_dates: bool = Field(default=True, title="Asks dates", description="Off: take the query's own period")

    def get_credentials(self) -> endpoints.Credentials:
        """Give the credentials as the connector takes them."""
        token = self.token.get_secret_value().strip()
        return endpoints.Credentials(token, self.query_id.strip(), self.base_url.rstrip("/"), self.asks_dates)


def every_connection(names: Sequence[str] | None = None) -> list[Connection]:
    """Give the connections of these names, or all there are, blocks included where a Prefect API is configured."""
    in_environment = {connection.name for connection in from_environment()}
    found_there = bool(names) and in_environment.issuperset(names or ())
    return connections(names, [] if found_there else stored_connections())


def stored_connections() -> list[Connection]:
    """Load the blocks as connections; none without a Prefect API, or before a block was saved."""
    if get_current_settings().api.url is None:
        return []
    with get_client(sync_client=True) as client:
        try:
            client.read_block_type_by_slug(SLUG)
        except ObjectNotFound:
            return []
        documents = client.read_block_documents_by_type(SLUG, include_secrets=False)
    return [_connection(document.name) for document in documents if document.name]


def _connection(name: str) -> Connection:
    credentials = cast("IbkrFlexConnection", IbkrFlexConnection.load(name)).get_credentials()
    return Connection(name, "ibkr_flex", credentials, credentials.asks_dates)
