"""Connections kept as Prefect blocks: edited in Prefect's UI, encrypted at rest by Prefect."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from pathlib import Path

from prefect.blocks.core import Block
from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectNotFound
from prefect.settings import get_current_settings
from pydantic import Field, SecretStr

from connectors.ibkr_flex import endpoints as flex
from connectors.ibkr_portal import endpoints as portal
from connectors.ibkr_portal.maintenance import Region
from connectors.ibkr_portal.oauth import Consumer
from connectors.kraken import endpoints as spot
from flows.connections import (
    Connection,
    NotConfigured,
    connections,
    from_environment,
    ibkr_flex,
    ibkr_portal,
    kraken,
    unusable_ibkr_portal,
)
from flows.consumers import PARTS, REALM, consumer_of

NOTHING = SecretStr("")


class IbkrFlexConnection(Block):
    """A Flex query of Interactive Brokers and the token that may download it. The block's name names the connection."""

    _block_type_name = "IBKR Flex connection"
    _block_type_slug = "ibkr-flex-connection"

    token: SecretStr = Field(title="Token", description="From Client Portal > Flex Web Service Configuration")
    query_id: str = Field(title="Query id", description="The number beside the query under Flex Queries")
    base_url: str = Field(default=flex.BASE_URL, title="Address", description="Leave as it is")
    asks_dates: bool = Field(default=True, title="Asks dates", description="Off: take the query's own period")
    expires_on: date | None = Field(default=None, title="Expires on", description="To be warned before the token ends")

    def connection(self, name: str) -> Connection:
        """Give it as the flows take it."""
        token = self.token.get_secret_value().strip()
        return ibkr_flex(
            name,
            token,
            self.query_id.strip(),
            self.base_url,
            asks_dates=self.asks_dates,
            expires_on=self.expires_on,
        )


class IbkrPortalConnection(Block):
    """The Client Portal of Interactive Brokers: through a gateway that a person logs in to, or with OAuth and no gateway."""

    _block_type_name = "IBKR portal connection"
    _block_type_slug = "ibkr-portal-connection"

    base_url: str = Field(
        default="",
        title="Address",
        description=f"Of the gateway, {portal.BASE_URL} when left out; with OAuth leave it out",
    )
    certificate: str = Field(default="", title="Certificate", description="Path of the gateway's own, as PEM")
    accounts: str = Field(default="", title="Accounts", description="With commas between; all when left out")
    may_compete: bool = Field(
        default=False, title="Takes over", description="Whether it may take the session from TWS or the mobile app"
    )
    keeps_alive: bool = Field(
        default=True, title="Keeps awake", description="Between syncs, while `fillhouse live` runs"
    )
    region: Region = Field(default=Region.NORTH_AMERICA, title="Region", description="Whose maintenance windows count")
    maintenance: str = Field(default="", title="Maintenance", description="Other windows than the region's")
    oauth_consumer_key: str = Field(default="", title="OAuth: consumer key", description="The nine letters you chose")
    oauth_access_token: SecretStr = Field(default=NOTHING, title="OAuth: access token")
    oauth_access_token_secret: SecretStr = Field(default=NOTHING, title="OAuth: access token secret")
    oauth_signature_key: SecretStr = Field(
        default=NOTHING, title="OAuth: signature key", description="What is in private_signature.pem"
    )
    oauth_encryption_key: SecretStr = Field(
        default=NOTHING, title="OAuth: encryption key", description="What is in private_encryption.pem"
    )
    oauth_dh_prime: SecretStr = Field(
        default=NOTHING, title="OAuth: Diffie-Hellman prime", description="What is in dhparam.pem, or hexadecimal"
    )
    oauth_realm: str = Field(default="", title="OAuth: realm", description="Leave it out")

    def connection(self, name: str) -> Connection:
        """Give it as the flows take it."""
        return ibkr_portal(
            name,
            self.base_url,
            consumer=self._consumer(name),
            certificate=Path(self.certificate) if self.certificate.strip() else None,
            accounts=self.accounts,
            may_compete=self.may_compete,
            keeps_alive=self.keeps_alive,
            maintenance=self.maintenance.strip() or self.region,
        )

    def _consumer(self, name: str) -> Consumer | None:
        given = {part: getattr(self, f"oauth_{part}") for part in (*PARTS, REALM)}
        texts = {part: text if isinstance(text, str) else text.get_secret_value() for part, text in given.items()}
        try:
            return consumer_of(texts, lambda part: f"oauth_{part}")
        except ValueError as exc:
            raise NotConfigured(f"The connection {name}: {exc}") from None


class KrakenConnection(Block):
    """An API key of Kraken. It needs to query closed orders and trades and ledger entries, and to export data."""

    _block_type_name = "Kraken connection"
    _block_type_slug = "kraken-connection"

    api_key: SecretStr = Field(title="API key", description="From Settings > Connections & API")
    api_secret: SecretStr = Field(title="Private key", description="Shown once, when the key is made")
    otp: SecretStr = Field(
        default=SecretStr(""), title="Password", description="Only where the key's second factor is one"
    )
    totp_secret: SecretStr = Field(
        default=SecretStr(""), title="Setup key", description="Only where its second factor is an authenticator app"
    )
    tier: spot.Tier = Field(default=spot.Tier.STARTER, title="Tier", description="How fast Kraken may be asked")
    account: str = Field(default="main", title="Account", description="What to call it: Kraken names none")
    base_url: str = Field(default=spot.BASE_URL, title="Address", description="Leave as it is")

    def connection(self, name: str) -> Connection:
        """Give it as the flows take it."""
        key, secret, otp, totp_secret = (
            each.get_secret_value().strip() for each in (self.api_key, self.api_secret, self.otp, self.totp_secret)
        )
        return kraken(
            name,
            key,
            secret,
            otp=otp,
            totp_secret=totp_secret,
            tier=self.tier,
            account=self.account,
            base_url=self.base_url,
        )


Stored = IbkrFlexConnection | IbkrPortalConnection | KrakenConnection
BLOCKS: tuple[type[Stored], ...] = (IbkrFlexConnection, IbkrPortalConnection, KrakenConnection)


def every_connection(names: Sequence[str] | None = None) -> list[Connection]:
    """Give the connections of these names, or all there are, blocks included where a Prefect API is configured."""
    in_environment = {connection.name: connection for connection in from_environment()}
    found_there = bool(names) and in_environment.keys() >= set(names or ())
    return connections(names, [] if found_there else stored_connections())


def stored_connections() -> list[Connection]:
    """Load the blocks as connections; none without a Prefect API, or before a block was saved."""
    if get_current_settings().api.url is None:
        return []
    return [connection for block in BLOCKS for connection in _stored(block)]


def known_names() -> list[str]:
    """Name all connections there are; none of a block is loaded for it."""
    stored: list[str] = []
    if get_current_settings().api.url is not None:
        stored = [name for block in BLOCKS for name in _names(block)]
    return sorted({*stored, *(connection.name for connection in from_environment())})


def register() -> None:
    """Make the types of blocks known to Prefect, so that its UI offers them."""
    for block in BLOCKS:
        block.register_type_and_schema()


def _stored(block: type[Stored]) -> list[Connection]:
    return [_load(block, name) for name in _names(block)]


def _names(block: type[Stored]) -> list[str]:
    slug = str(block._block_type_slug)  # noqa: SLF001  (so Prefect keeps it)
    with get_client(sync_client=True) as client:
        try:
            client.read_block_type_by_slug(slug)
        except ObjectNotFound:
            return []
        documents = client.read_block_documents_by_type(slug, include_secrets=False)
    return [document.name for document in documents if document.name]


def _load(block: type[Stored], name: str) -> Connection:
    loaded = block.load(name)
    assert isinstance(loaded, Stored)  # noqa: S101  (the synchronous call)
    try:
        return loaded.connection(name)
    except NotConfigured as exc:
        if not isinstance(loaded, IbkrPortalConnection):
            raise
        return unusable_ibkr_portal(name, exc)
