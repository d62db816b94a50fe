"""A backfill of Kraken that is killed again and again, wherever it stands, ends with the same fills."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from connectors.kraken.sandbox import API_KEY, API_SECRET, KrakenBroker, own_keys, running
from tests.connectors.kraken.desk import executions_in, executions_of
from warehouse import db

KILLS = 20
SPEED = 60.0  # both processes live this much faster
BACKFILL = """
import sys, time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from connectors.kraken.endpoints import Credentials, Tier
from connectors.registry import connector
from flows import locks, steps, talk
from warehouse import coverage, db, gaps

home, address, key, secret, began, speed, since, until = sys.argv[1:]
home, began, speed = Path(home), float(began), float(speed)
asked = coverage.Asked(datetime.fromisoformat(since), datetime.fromisoformat(until))
clock = lambda: datetime.fromtimestamp(began + (time.time() - began) * speed, UTC)
broker = connector("kraken")
credentials = Credentials(key, secret, tier=Tier.PRO, base_url=address)
print("ready", flush=True)
steps.recover(home)
with locks.holding(home, "kraken", print):
    with db.writer(home) as con:
        parts = gaps.missing_windows(con, "kraken", asked, channels=broker.channels, every_day=True)
    for part in parts:
        for window in broker.windows(part.since, part.until):
            fetched = talk.fetch(
                home, "kraken", "kraken", credentials, talk.Question(window), "run", flow="backfill", clock=clock,
                sleep=lambda seconds: time.sleep(seconds / speed),
            )
            steps.load_conversation(home, fetched.conversation_id)
            if fetched.error:
                raise SystemExit(str(fetched.error))
print("done", flush=True)
"""


def test_two_processes_with_one_key_take_turns(tmp_path: Path) -> None:
    began = time.time()

    def clock() -> datetime:
        return datetime.fromtimestamp(began + (time.time() - began) * SPEED, UTC)

    broker = KrakenBroker(clock=clock, trades=300, years=1, keys=own_keys("pro"))
    until = clock().replace(microsecond=0, tzinfo=None)
    with running(broker) as address:
        command = [sys.executable, "-c", BACKFILL, str(tmp_path), address, API_KEY, API_SECRET, str(began), str(SPEED)]
        command += [(until - timedelta(days=370)).isoformat(), until.isoformat()]
        both = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(2)]
        said = sorted(process.communicate(timeout=120)[0] for process in both)
    assert all(text.endswith("done\n") for text in said)
    assert any("kraken is in use by process" in text for text in said)
    assert [call.error for call in broker.log if call.error] == []
    with db.writer(tmp_path) as con:
        assert executions_in(con) == executions_of(broker, until.replace(tzinfo=UTC))


def test_killed_at_random_points_and_resumed_it_is_the_same(tmp_path: Path) -> None:
    chance, began = random.Random(20261122), time.time()  # noqa: S311  (where it is killed, not what is kept secret)

    def clock() -> datetime:
        return datetime.fromtimestamp(began + (time.time() - began) * SPEED, UTC)

    broker = KrakenBroker(clock=clock, trades=500, years=2, keys=own_keys("pro"))
    until = clock().replace(microsecond=0, tzinfo=None)
    since = until - timedelta(days=740)
    with running(broker) as address:
        command = [sys.executable, "-c", BACKFILL, str(tmp_path), address, API_KEY, API_SECRET, str(began), str(SPEED)]
        command += [since.isoformat(), until.isoformat()]
        killed = 0
        while killed < KILLS:
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
                assert process.stdout is not None
                assert process.stdout.readline() == "ready\n"
                time.sleep(chance.uniform(0.0, 0.9))
                if process.poll() is not None:
                    break  # it was done before it could be killed
                process.kill()
                killed += 1
        last = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True)
        assert last.stdout.endswith("done\n")
        with db.writer(tmp_path) as con:
            assert executions_in(con) == executions_of(broker, until.replace(tzinfo=UTC))
            covered = con.execute(
                """
                select epoch(returned_since)::bigint, epoch(returned_until)::bigint, recorded_at
                from coverage
                where source = 'kraken_rest'
                """
            ).fetchall()
        assert killed == KILLS, "the history was too short for so many deaths"
        for start, end, recorded_at in covered:
            again = [
                call
                for call in broker.log
                if call.method == "TradesHistory"
                and (int(call.params["start"]), int(call.params["end"])) == (start, end)
                and call.at > recorded_at.replace(tzinfo=UTC)
            ]
            assert again == []
        assert [call.error for call in broker.log if call.error] == []
