"""The screen of `status`, of two brokers that were really asked."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from connectors.ibkr_flex.endpoints import Credentials as Flex
from connectors.ibkr_flex.sandbox import QUERY_ID, SERVICE_PATH, TOKEN, FlexBroker
from connectors.ibkr_flex.sandbox import running as flex_running
from connectors.kraken.endpoints import Credentials as Spot
from connectors.kraken.endpoints import Tier
from connectors.kraken.sandbox import API_KEY, API_SECRET, KrakenBroker, own_keys
from connectors.kraken.sandbox import running as kraken_running
from connectors.wire import Window
from flows import steps, talk
from flows.cli import app
from warehouse import connections, db, publish

NOW = datetime.now(UTC).replace(microsecond=0)
DAY = timedelta(days=1)


def a_moment(seconds: float) -> None:
    time.sleep(min(seconds, 0.2))


class Desk:
    """A home for data and two brokers that can be asked for it."""

    def __init__(self, home: Path, flex: Flex, spot: Spot) -> None:
        self.home = home
        self.credentials = {"ibkr_flex": flex, "kraken": spot}

    def ask(self, kind: str, since: datetime, until: datetime) -> None:
        window = Window(since.replace(tzinfo=None), until.replace(tzinfo=None))
        fetched = talk.fetch(
            self.home, kind, kind.replace("_", "-"), self.credentials[kind], talk.Question(window), "run", flow="test",
            sleep=a_moment,
        )  # fmt: skip
        assert fetched.error is None
        steps.load_conversation(self.home, fetched.conversation_id)

    def record(
        self, kind: str, state: str, *, ago: timedelta = timedelta(0), reason: str = "", remedy: str = ""
    ) -> None:
        moment = NOW - ago
        retry_at = moment + timedelta(minutes=30) if state == "rate_limited" else None
        with db.writer(self.home) as con:
            connections.record_state(
                con, kind.replace("_", "-"), kind, "key", state, reason=reason or None, remedy=remedy or None,
                moment=moment, retry_at=retry_at, success=state == "active",
            )  # fmt: skip

    def status(self) -> tuple[int, list[str]]:
        publish.publish(self.home, now=True)
        asked = CliRunner().invoke(app, ["status"], env={"FILLHOUSE_HOME": str(self.home), "COLUMNS": "100"})
        assert not asked.stderr
        return asked.exit_code, asked.stdout.splitlines()

    def channel(self, source: str) -> str:
        """Give what the screen says of a channel."""
        return next(line for line in self.status()[1] if line.split()[1:2] == [source])


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    spot = KrakenBroker(trades=60, years=1, keys=own_keys("pro"))
    with (
        flex_running(FlexBroker(years=1, executions=120, generation_seconds=0.0)) as flex_address,
        kraken_running(spot) as address,
    ):
        yield Desk(
            tmp_path / "home",
            Flex(TOKEN, QUERY_ID, flex_address + SERVICE_PATH),
            Spot(API_KEY, API_SECRET, tier=Tier.PRO, base_url=address),
        )


def midnight(ahead: int) -> datetime:
    return datetime.combine(NOW.date() + ahead * DAY, datetime.min.time())


def test_two_brokers_with_all_their_troubles_fit_on_one_screen(desk: Desk) -> None:
    desk.ask("ibkr_flex", midnight(-60), midnight(-30))
    desk.ask("ibkr_flex", midnight(-20), midnight(-10))
    desk.ask("kraken", NOW - 9 * DAY, NOW)
    desk.record(
        "ibkr_flex", "needs_reauth", ago=2 * DAY, reason="The Flex token has expired.", remedy="Make one. " * 20
    )
    desk.record("kraken", "active", ago=3 * DAY)
    desk.record("kraken", "rate_limited", reason="Too many requests with this key.")
    code, lines = desk.status()
    assert code == 3
    assert len(lines) <= 40, "\n".join(lines)
    assert max(map(len, lines)) <= 100
    text = "\n".join(lines)
    assert "ibkr-flex is needs_reauth: The Flex token has expired. Make one." in text
    assert f"Not asked before {NOW + timedelta(minutes=30):%Y-%m-%d %H:%M}." in " ".join(text.split())
    (kraken,) = [line.split() for line in lines if line.startswith("kraken  ") and "rate_limited" in line]
    assert kraken[3:5] == f"{NOW:%Y-%m-%d %H:%M}".split()
    assert kraken[-3:] == ["3", "days", "ago"]


def test_a_backfill_of_old_days_does_not_turn_a_stale_channel_green(desk: Desk) -> None:
    desk.record("kraken", "active")
    desk.ask("kraken", NOW - 9 * DAY, NOW - 3 * DAY)
    stale = f"stale since {NOW - 3 * DAY + timedelta(hours=1):%Y-%m-%d %H:%M}"
    assert stale in desk.channel("kraken_rest")
    desk.ask("kraken", NOW - 60 * DAY, NOW - 9 * DAY)
    assert stale in desk.channel("kraken_rest")
    assert "fillhouse sync kraken" in "\n".join(desk.status()[1])
    desk.ask("kraken", NOW - 3 * DAY, datetime.now(UTC))
    assert desk.channel("kraken_rest").split()[-1] == "fresh"


def test_a_sync_that_finds_nothing_new_and_publishes_nothing_makes_a_channel_fresh(desk: Desk) -> None:
    desk.record("kraken", "active")
    desk.ask("kraken", NOW - 9 * DAY, NOW - timedelta(hours=2))
    assert "stale" in desk.channel("kraken_ledger")
    before = (desk.home / "published.json").read_text()
    desk.ask("kraken", NOW - timedelta(hours=2), NOW - timedelta(minutes=1))
    assert "fresh" in desk.channel("kraken_ledger")
    assert (desk.home / "published.json").read_text() == before
