"""IBKR without a gateway: OAuth through the flows, in a real Prefect, and what is secret of it stays so."""

from __future__ import annotations

import io
import logging
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from connectors.ibkr_portal.sandbox import write_keys
from connectors.ibkr_portal.sandbox_oauth import LIVE_SESSION_TOKEN, OAuth
from connectors.kraken import sandbox as kraken
from flows.connections import ENV_FILE, NotConfigured, from_environment
from flows.signing import HELD
from tests.connectors.ibkr_portal.consumers import keys
from tests.flows.desk import Desk
from warehouse import db, landing

QUARTER = timedelta(minutes=15).total_seconds()
STATE = "select state, reason, remedy from connections where connection = 'ibkr-portal'"


@pytest.fixture
def signed(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, str]]:
    """Describe a consumer in the environment as its owner would; nobody has logged in, and nobody will."""
    desk.gateway.oauth = OAuth(keys(), desk.gateway.faults)
    given = write_keys(keys(), desk.home)
    for name, value in given.items():
        monkeypatch.setenv(f"FILLHOUSE_IBKR_PORTAL_OAUTH_{name.upper()}", value)
    HELD.clear()
    yield given
    HELD.clear()


@pytest.mark.usefixtures("signed")
def test_a_sync_brings_the_last_days_and_signs_in_once(desk: Desk) -> None:
    state = desk.sync()
    assert state.name == "Completed", state.message
    assert desk.fills() >= desk.book()
    assert desk.calls().count(LIVE_SESSION_TOKEN) == 1
    assert "/sso/validate" not in desk.calls()
    assert desk.gateway.pacing.violations == []
    assert desk.ask("select count(*) from fills where currency is null or status <> 'provisional'") == [(0,)]


@pytest.mark.usefixtures("signed")
def test_days_pass_without_anybody(desk: Desk) -> None:
    for _ in range(3):
        assert desk.sync().name == "Completed"
        desk.clock.advance(24 * 3600)
        assert desk.check().name == "Completed"
    assert desk.sync().name == "Completed"
    assert desk.fills() >= desk.book()
    assert {call.status for call in desk.gateway.log} <= {200, 400}  # no call was refused for its signature


@pytest.mark.usefixtures("signed")
def test_a_token_that_was_revoked_calls_a_person_once(desk: Desk) -> None:
    desk.sync()
    HELD.clear()
    desk.gateway.faults.on("access_token_revoked")
    desk.clock.advance(QUARTER)
    first = desk.sync()
    assert (first.name, first.is_failed()) == ("NeedsReauth", True)
    [(state, reason, remedy)] = desk.ask(STATE)
    assert state == "needs_reauth"
    assert "does not know this access token" in reason
    assert "Generate a new access token" in remedy
    before = len(desk.gateway.log)
    desk.clock.advance(QUARTER)
    again = desk.sync()
    assert (again.name, again.is_failed()) == ("NeedsReauth", False)
    assert desk.calls(before) == [LIVE_SESSION_TOKEN]
    desk.gateway.faults.off("access_token_revoked")
    desk.clock.advance(QUARTER)
    assert desk.sync().name == "Completed"


def test_no_secret_is_landed_logged_or_shown(
    desk: Desk, signed: dict[str, str], transcript: io.StringIO, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logging.getLogger("httpcore"), "level", logging.DEBUG)
    began = transcript.tell()
    desk.sync()
    desk.gateway.faults.on("access_token_revoked")
    tokens = list(desk.gateway.oauth.live)
    HELD.clear()
    desk.clock.advance(QUARTER)
    desk.sync()
    said = transcript.getvalue()[began:]
    with db.writer(desk.home) as con:
        tables = [name for (name,) in con.execute("select table_name from duckdb_tables()").fetchall()]
        said += "".join(str(con.execute(f"from {table}").fetchall()) for table in tables)
    rows = [row for path in landing.landed_files(desk.home) for row in landing.read_file(desk.home, path)]
    said += "".join(str(row.row) for row in rows)
    said += subprocess.run(["ps", "-eo", "args"], check=True, capture_output=True, text=True).stdout  # noqa: S607
    assert [row.row["body"] for row in rows if row.row["endpoint"] == "live_session_token"] == [None, None]
    secrets = {
        "access_token": signed["access_token"],
        "access_token_secret": signed["access_token_secret"][:40],
        "secret": keys().secret.hex(),
        **{name: Path(signed[name]).read_text().splitlines()[5] for name in ("signature_key", "encryption_key")},
        **{f"live session token {place}": token.hex() for place, token in enumerate(tokens)},
        **{f"its bytes {place}": repr(token)[2:-1] for place, token in enumerate(tokens)},
        "header": "oauth_signature=",
        "agreement": "diffie_hellman_response",
        "challenge": "diffie_hellman_challenge",
    }
    assert tokens
    assert {name for name, secret in secrets.items() if secret in said} == set()


# -- what is set


@pytest.mark.usefixtures("signed")
def test_the_address_is_ibkrs_own_unless_another_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FILLHOUSE_IBKR_PORTAL_BASE_URL")
    [connection] = from_environment()
    assert connection.credentials.base_url == "https://api.ibkr.com/v1/api"
    assert connection.credentials.consumer.realm == "limited_poa"
    monkeypatch.setenv("FILLHOUSE_IBKR_PORTAL_OAUTH_REALM", "test_realm")
    assert from_environment()[0].credentials.consumer.realm == "test_realm"


@pytest.mark.usefixtures("signed")
def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FILLHOUSE_IBKR_PORTAL_OAUTH_ACCESS_TOKEN")
    monkeypatch.setenv("FILLHOUSE_IBKR_PORTAL_OAUTH_DH_PRIME", "")
    assert from_environment()[0].credentials.unusable == (
        "It is incomplete without FILLHOUSE_IBKR_PORTAL_OAUTH_ACCESS_TOKEN and FILLHOUSE_IBKR_PORTAL_OAUTH_DH_PRIME."
    )


@pytest.mark.usefixtures("signed")
def test_what_is_incomplete_stops_no_other_connection(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FILLHOUSE_IBKR_PORTAL_OAUTH_CONSUMER_KEY")
    with kraken.running(kraken.KrakenBroker(clock=desk.clock)) as address:
        monkeypatch.setenv("FILLHOUSE_KRAKEN_BASE_URL", address)
        monkeypatch.setenv("FILLHOUSE_KRAKEN_KEY", kraken.API_KEY)
        monkeypatch.setenv("FILLHOUSE_KRAKEN_SECRET", kraken.API_SECRET)
        first = desk.sync()
    assert (first.name, first.is_failed()) == ("Misconfigured", True)
    assert desk.ask("select connection, state from connections order by connection") == [
        ("ibkr-portal", "misconfigured"), ("kraken", "active"),
    ]  # fmt: skip
    [(_, reason, _)] = desk.ask(STATE)
    assert reason == "It is incomplete without FILLHOUSE_IBKR_PORTAL_OAUTH_CONSUMER_KEY."
    assert desk.calls() == []


def test_a_file_that_is_not_there_is_named(signed: dict[str, str]) -> None:
    Path(signed["signature_key"]).unlink()
    said = from_environment()[0].credentials.unusable
    assert "SIGNATURE_KEY names the file" in said
    assert "which cannot be read: No such file" in said


def test_a_key_may_stand_in_the_setting_itself_and_the_prime_in_hexadecimal(
    signed: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    before = from_environment()[0].credentials.consumer
    key = Path(signed["signature_key"]).read_text().replace("\n", "")
    monkeypatch.setenv("FILLHOUSE_IBKR_PORTAL_OAUTH_SIGNATURE_KEY", key)
    monkeypatch.setenv("FILLHOUSE_IBKR_PORTAL_OAUTH_DH_PRIME", f"{keys().prime:X}")
    after = from_environment()[0].credentials.consumer
    assert (before.realm, before.access_token) == (after.realm, after.access_token)


def test_a_block_keeps_all_that_is_secret_encrypted_and_makes_the_same_consumer(signed: dict[str, str]) -> None:
    from pydantic import SecretStr  # noqa: PLC0415

    from flows.blocks import IbkrPortalConnection  # noqa: PLC0415  (Prefect must be set up before)

    texts = {name: Path(signed[name]).read_text() for name in ("signature_key", "encryption_key", "dh_prime")}
    block = IbkrPortalConnection(
        oauth_consumer_key=signed["consumer_key"],
        oauth_access_token=SecretStr(signed["access_token"]),
        oauth_access_token_secret=SecretStr(signed["access_token_secret"]),
        oauth_signature_key=SecretStr(texts["signature_key"].replace("\n", "")),  # as a form gives it
        oauth_encryption_key=SecretStr(texts["encryption_key"].replace("\n", " ")),
        oauth_dh_prime=SecretStr(texts["dh_prime"].replace("\n", "")),
    )
    block.save("portal-with-oauth", overwrite=True)
    loaded = IbkrPortalConnection.load("portal-with-oauth")
    IbkrPortalConnection.delete("portal-with-oauth")  # or whatever runs next would ask with it
    assert isinstance(loaded, IbkrPortalConnection)
    connection = loaded.connection("portal-with-oauth")
    assert connection.credentials.base_url == "https://api.ibkr.com/v1/api"
    assert connection.key == from_environment()[0].key
    assert not any(text[40:80] in repr(loaded) + repr(connection) for text in texts.values())


def test_a_block_without_some_of_it_says_which() -> None:
    from flows.blocks import IbkrPortalConnection  # noqa: PLC0415

    with pytest.raises(NotConfigured, match="incomplete without oauth_access_token and oauth_access_token_secret and"):
        IbkrPortalConnection(oauth_consumer_key="ABCDEFGHI").connection("mine")
    gateway = IbkrPortalConnection().connection("mine")
    assert gateway.credentials.base_url == "https://localhost:5000/v1/api"


def test_doctor_looks_at_who_may_read_the_keys_and_asks_ibkr(desk: Desk, signed: dict[str, str]) -> None:
    from flows import doctor  # noqa: PLC0415

    Path(signed["signature_key"]).chmod(0o644)
    found = {finding.text: finding for finding in doctor.examine(desk.home, clock=desk.clock, sleep=desk.clock.sleep)}
    said = "\n".join(f"{finding.level} {text}" for text, finding in found.items())
    assert f"look {signed['signature_key']} has mode 0644, and others may read it" in said
    assert f"ok {signed['encryption_key']} has mode 0600" in said
    assert "ok ibkr-portal: IBKR at https://127.0.0.1" in said
    assert "ibkr-portal: this machine's clock is" in said  # which the desk has moved to another day
    assert "ok ibkr-portal: IBKR takes the signed requests; the brokerage session is down" in said
    assert "gateway" not in said
    assert not ENV_FILE.exists()
    assert desk.calls() == [LIVE_SESSION_TOKEN, "/iserver/auth/status"]
