"""Which connections there are, with their credentials: the only reader of the environment and of `.env`.

A connection comes from variables (`settings` lists them) or from a Prefect block (`flows.blocks`). What is heavy is
imported where it is needed, since every command asks for `home`.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from connectors.ibkr_portal.oauth import Consumer

ENV_FILE = Path(".env")
PREFIX = "FILLHOUSE_"
HOME = f"{PREFIX}HOME"
DEFAULT_HOME = "data"
RETRY_DELAYS = (20.0, 60.0, 180.0)
OAUTH = "ibkr_portal_oauth_"  # and a part of a consumer
NAME = re.compile(r"[a-z0-9][a-z0-9-]*")
REMEDY = (
    "Set FILLHOUSE_IBKR_FLEX_TOKEN and FILLHOUSE_IBKR_FLEX_QUERY_ID, or FILLHOUSE_IBKR_PORTAL_BASE_URL, or "
    "FILLHOUSE_KRAKEN_KEY and FILLHOUSE_KRAKEN_SECRET, in the environment or in a file .env, or save a block of the type "
    "'IBKR Flex connection', 'IBKR portal connection' or 'Kraken connection' in Prefect."
)


class NotConfigured(Exception):
    """There is no such connection, or what is said of it is incomplete."""


@dataclass(frozen=True, slots=True)
class Connection:
    """One login at one broker, or one query of it. What it shows of itself holds no secret."""

    name: str
    kind: str
    credentials: Any = field(repr=False)
    asks_dates: bool = True  # False: the broker answers for a period of its own, whatever is asked
    expires_on: date | None = None  # of the token, where its owner said so
    keeps_alive: bool = False  # whether its session is wanted awake between syncs

    def __post_init__(self) -> None:
        if not NAME.fullmatch(self.name):
            message = f"The connection name {self.name!r} will not do: only small letters, digits and dashes."
            raise NotConfigured(message)

    @property
    def key(self) -> str:
        """Name the key, token or login in use, without giving it away."""
        from connectors.registry import connector  # noqa: PLC0415

        return connector(self.kind).pace_key(self.credentials)

    @property
    def account(self) -> str | None:
        """Name the account, where the broker does not."""
        named: str | None = getattr(self.credentials, "account", None)
        return named


def home() -> Path:
    """Tell where everything is kept: FILLHOUSE_HOME, else ./data; absolute."""
    return Path(os.environ.get(HOME) or _in_file(HOME) or DEFAULT_HOME).expanduser().resolve()


def _in_file(name: str) -> str | None:
    if not ENV_FILE.exists():
        return None
    from dotenv import dotenv_values  # noqa: PLC0415

    return dotenv_values(ENV_FILE).get(name)


def settings() -> Any:
    """Read the variables: each has FILLHOUSE_ before its name; the environment goes before `.env`."""
    from pydantic import SecretStr, ValidationError  # noqa: PLC0415
    from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError  # noqa: PLC0415

    from connectors.ibkr_flex.endpoints import BASE_URL as IBKR_FLEX_URL  # noqa: PLC0415
    from connectors.ibkr_portal.maintenance import Region  # noqa: PLC0415
    from connectors.kraken.endpoints import BASE_URL as KRAKEN_URL  # noqa: PLC0415
    from connectors.kraken.endpoints import Tier  # noqa: PLC0415

    class Settings(BaseSettings):
        model_config = SettingsConfigDict(
            env_prefix=PREFIX,
            env_file=ENV_FILE,
            env_ignore_empty=True,
            extra="ignore",
            hide_input_in_errors=True,  # the input holds the token
        )

        retry_delays: tuple[float, ...] = RETRY_DELAYS  # seconds before each new attempt after a broker's trouble
        ibkr_flex_name: str = "ibkr-flex"
        ibkr_flex_token: SecretStr | None = None
        ibkr_flex_query_id: str | None = None
        ibkr_flex_confirms_query_id: str | None = None  # a second connection, "<name>-confirms"
        ibkr_flex_base_url: str = IBKR_FLEX_URL
        ibkr_flex_asks_dates: bool = True
        ibkr_flex_token_expires: date | None = None  # the broker does not tell; then it is warned of in time
        ibkr_portal_name: str = "ibkr-portal"
        ibkr_portal_base_url: str | None = None  # of the gateway: https://localhost:5000/v1/api
        ibkr_portal_certificate: Path | None = None  # the gateway's own, as PEM
        ibkr_portal_accounts: str = ""  # with commas between; all under the login when left out
        ibkr_portal_compete: bool = False  # whether a session may be taken from TWS or the mobile app
        ibkr_portal_keep_alive: bool = True
        ibkr_portal_region: Region = Region.NORTH_AMERICA  # whose maintenance windows count
        ibkr_portal_maintenance: str = ""  # other windows: "sun-fri 00:15-01:45 America/New_York; ..."
        ibkr_portal_oauth_consumer_key: str = ""  # with the next five: signed requests to IBKR itself, and no gateway
        ibkr_portal_oauth_access_token: SecretStr = SecretStr("")
        ibkr_portal_oauth_access_token_secret: SecretStr = SecretStr("")
        ibkr_portal_oauth_signature_key: str = ""  # the file of the private key, as PEM
        ibkr_portal_oauth_encryption_key: str = ""
        ibkr_portal_oauth_dh_prime: str = ""  # the file dhparam.pem, or the prime in hexadecimal
        ibkr_portal_oauth_realm: str = ""  # limited_poa, or test_realm for TESTCONS
        jitter: float = 10.0  # seconds a scheduled sync waits at most, so that not all the world asks at once
        kraken_name: str = "kraken"
        kraken_key: SecretStr | None = None
        kraken_secret: SecretStr | None = None
        kraken_otp: SecretStr | None = None  # where the key's second factor is a password
        kraken_totp_secret: SecretStr | None = None  # where it is an authenticator app: what that was given, base32
        kraken_tier: Tier = Tier.STARTER
        kraken_account: str = "main"
        kraken_base_url: str = KRAKEN_URL

    try:
        return Settings()
    except ValidationError as exc:
        wrong = "; ".join(f"FILLHOUSE_{str(error['loc'][0]).upper()}: {error['msg']}" for error in exc.errors())
        raise NotConfigured(f"A setting will not do. {wrong}.") from None
    except SettingsError as exc:
        named = re.search(r'field "(\w+)"', str(exc))
        which = f"FILLHOUSE_{named[1].upper()}" if named else "A setting"
        raise NotConfigured(f"{which} is not JSON, as it must be: a list is written [20, 60].") from None


def misnamed() -> list[str]:
    """Give the variables that are named like ours and are none, each with the one that was perhaps meant."""
    from dotenv import dotenv_values  # noqa: PLC0415

    ours = [HOME, *(f"{PREFIX}{name.upper()}" for name in type(settings()).model_fields)]
    given = {name.upper() for name in (*os.environ, *dotenv_values(ENV_FILE)) if name.upper().startswith(PREFIX)}
    return [
        " ".join([f"{name} is no setting", *(f"({near}?)" for near in get_close_matches(name, ours, n=1))])
        for name in sorted(given - set(ours))
    ]


def accounts_of(kind: str) -> dict[str, str]:
    """Give the account that the variables name for the connection to a broker that names none; of such a broker's files, too."""
    said = settings()
    named = f"{kind}_account" in said.model_fields_set or getattr(said, f"{kind}_key", None)
    return {getattr(said, f"{kind}_name"): getattr(said, f"{kind}_account")} if named else {}


def most_jitter() -> float:
    """Tell how long a scheduled sync waits at most before it asks: FILLHOUSE_JITTER, in seconds."""
    return float(settings().jitter)


def retry_delays() -> list[float]:
    """Tell how long to wait before each new attempt: FILLHOUSE_RETRY_DELAYS, a JSON list of seconds."""
    return list(settings().retry_delays)


def connections(names: Sequence[str] | None = None, stored: Iterable[Connection] = ()) -> list[Connection]:
    """Give the connections of these names, or all there are; of `stored` ones (blocks) the environment's go first."""
    known = {connection.name: connection for connection in (*stored, *from_environment())}
    if not known:
        raise NotConfigured(" ".join(["No connection is configured.", *(f"{said}." for said in misnamed()), REMEDY]))
    _require_own_accounts(known.values())
    unknown = [name for name in names or () if name not in known]
    if unknown:
        raise NotConfigured(f"There is no connection {', '.join(unknown)}; there are: {', '.join(sorted(known))}.")
    return [known[name] for name in dict.fromkeys(names or known)]


def _require_own_accounts(known: Iterable[Connection]) -> None:
    """Raise where two connections give their accounts one name, at a broker that names none: their books would become one."""
    called: dict[tuple[str, str], list[str]] = {}
    for connection in known:
        if connection.account is not None:
            called.setdefault((connection.kind, connection.account), []).append(connection.name)
    for (_, account), names in called.items():
        if len(names) > 1:
            raise NotConfigured(
                f"The connections {' and '.join(sorted(names))} both call their account {account}: give each its own name "
                "(the field Account), and keep the name of the one whose trades are here."
            )


def from_environment() -> list[Connection]:
    """Give the connections that the variables describe."""
    said = settings()
    found = [*_ibkr_flex_of(said), *_ibkr_portal_of(said), *_kraken_of(said)]
    counted = Counter(connection.name for connection in found)
    if twice := sorted(name for name, times in counted.items() if times > 1):
        raise NotConfigured(f"Two connections are called {', '.join(twice)}: give one another name.")
    return found


def _ibkr_flex_of(said: Any) -> list[Connection]:
    token = said.ibkr_flex_token.get_secret_value().strip() if said.ibkr_flex_token else ""
    named = {
        said.ibkr_flex_name: said.ibkr_flex_query_id,
        f"{said.ibkr_flex_name}-confirms": said.ibkr_flex_confirms_query_id,
    }
    queries = {name: query.strip() for name, query in named.items() if query}
    if bool(token) != bool(queries):
        missing = "FILLHOUSE_IBKR_FLEX_QUERY_ID" if token else "FILLHOUSE_IBKR_FLEX_TOKEN"
        raise NotConfigured(f"The connection {said.ibkr_flex_name} is incomplete: {missing} is not set.")
    return [
        ibkr_flex(
            name,
            token,
            query,
            said.ibkr_flex_base_url,
            asks_dates=said.ibkr_flex_asks_dates,
            expires_on=said.ibkr_flex_token_expires,
        )
        for name, query in queries.items()
    ]


def ibkr_flex(
    name: str, token: str, query_id: str, base_url: str, *, asks_dates: bool, expires_on: date | None = None
) -> Connection:
    """Make a connection to a query of the Flex Web Service."""
    from connectors.ibkr_flex.endpoints import Credentials  # noqa: PLC0415

    credentials = Credentials(token, query_id, base_url.rstrip("/"), asks_dates)
    return Connection(name, "ibkr_flex", credentials, asks_dates, expires_on)


def _ibkr_portal_of(said: Any) -> list[Connection]:
    """Give the connection, if there is one; what is wrong with it is said by itself when it is used, and stops no other."""
    try:
        return _usable_ibkr_portal_of(said)
    except NotConfigured as exc:
        return [unusable_ibkr_portal(said.ibkr_portal_name, exc)]


def _usable_ibkr_portal_of(said: Any) -> list[Connection]:
    consumer = _ibkr_consumer_of(said)
    if not said.ibkr_portal_base_url and consumer is None:
        return []
    return [
        ibkr_portal(
            said.ibkr_portal_name,
            said.ibkr_portal_base_url or "",
            consumer=consumer,
            certificate=said.ibkr_portal_certificate,
            accounts=said.ibkr_portal_accounts,
            may_compete=said.ibkr_portal_compete,
            keeps_alive=said.ibkr_portal_keep_alive,
            maintenance=said.ibkr_portal_maintenance or said.ibkr_portal_region,
        )
    ]


def _ibkr_consumer_of(said: Any) -> Consumer | None:
    """Make the consumer that the variables describe, if they do."""
    given = {
        name.removeprefix(OAUTH): getattr(said, name) for name in type(said).model_fields if name.startswith(OAUTH)
    }
    texts = {part: text if isinstance(text, str) else text.get_secret_value() for part, text in given.items()}
    if not any(texts.values()):
        return None
    from flows.consumers import IN_FILES, consumer_of, read  # noqa: PLC0415

    try:
        return consumer_of(texts | {part: read(texts[part].strip(), _variable(part)) for part in IN_FILES}, _variable)
    except ValueError as exc:
        raise NotConfigured(f"The connection {said.ibkr_portal_name}: {exc}") from None


def _variable(part: str) -> str:
    return f"{PREFIX}{OAUTH}{part}".upper()


def key_files() -> list[Path]:
    """Name the files that the variables name and that nobody else may read."""
    said = settings()
    named = (said.ibkr_portal_oauth_signature_key, said.ibkr_portal_oauth_encryption_key)
    return [
        Path(file.strip()).expanduser() for file in named if file.strip() and "-----" not in file
    ]  # else it is the key


def ibkr_portal(
    name: str,
    base_url: str,
    *,
    consumer: Consumer | None = None,
    certificate: Path | None,
    accounts: str,
    may_compete: bool,
    keeps_alive: bool,
    maintenance: str,
) -> Connection:
    """Make a connection to a Client Portal gateway, or with a consumer to IBKR itself; no address is the usual one.

    `maintenance` is a region's name, or windows as a person writes them.
    """
    from connectors.ibkr_portal.endpoints import BASE_URL, OAUTH_BASE_URL, Credentials  # noqa: PLC0415
    from connectors.ibkr_portal.maintenance import REGIONS, of  # noqa: PLC0415

    try:
        windows = REGIONS.get(maintenance) or of(maintenance)
    except ValueError as exc:
        raise NotConfigured(f"The connection {name}: {exc}") from None
    credentials = Credentials(
        (base_url.strip() or (OAUTH_BASE_URL if consumer else BASE_URL)).rstrip("/"),
        tuple(account.strip() for account in accounts.split(",") if account.strip()),
        may_compete,
        certificate.expanduser() if certificate else None,
        windows,
        consumer,
    )
    return Connection(name, "ibkr_portal", credentials, keeps_alive=keeps_alive)


def unusable_ibkr_portal(name: str, why: NotConfigured) -> Connection:
    """Make a connection that says why it cannot be used, whatever is asked of it."""
    from connectors.ibkr_portal.endpoints import Credentials  # noqa: PLC0415

    said = str(why).removeprefix(f"The connection {name}: ")
    return Connection(name, "ibkr_portal", Credentials(unusable=said[:1].upper() + said[1:]))


def _kraken_of(said: Any) -> list[Connection]:
    key, secret, otp, totp_secret = (
        given.get_secret_value().strip() if given else ""
        for given in (said.kraken_key, said.kraken_secret, said.kraken_otp, said.kraken_totp_secret)
    )
    if bool(key) != bool(secret):
        missing = "FILLHOUSE_KRAKEN_SECRET" if key else "FILLHOUSE_KRAKEN_KEY"
        raise NotConfigured(f"The connection {said.kraken_name} is incomplete: {missing} is not set.")
    if not key:
        return []
    return [
        kraken(
            said.kraken_name,
            key,
            secret,
            otp=otp,
            totp_secret=totp_secret,
            tier=said.kraken_tier,
            account=said.kraken_account,
            base_url=said.kraken_base_url,
        )
    ]


def kraken(
    name: str, key: str, secret: str, *, otp: str = "", totp_secret: str = "", tier: str, account: str, base_url: str
) -> Connection:
    """Make a connection to a Kraken account; a secret that cannot be one is refused here, before anything is sent."""
    from connectors.kraken.endpoints import Credentials, Tier  # noqa: PLC0415

    try:
        credentials = Credentials(key, secret, otp, Tier(tier), account, base_url.rstrip("/"), totp_secret)
    except ValueError as exc:
        raise NotConfigured(f"The connection {name}: {exc}") from None
    return Connection(name, "kraken", credentials)
