"""The command line, from the outside: what every command has in common."""

from __future__ import annotations

import json
import os
import random
import signal
import socket
import ssl
import subprocess
import sys
import urllib.request
from contextlib import ExitStack, suppress
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from tests.flows.terminal import CHANGING, PLAIN, ROOT, Terminal
from tests.importing import rows

A_KEY = {"FILLHOUSE_KRAKEN_KEY": "invented", "FILLHOUSE_KRAKEN_SECRET": "aW52ZW50ZWQ="}
HEAVY = ("duckdb", "polars", "httpx", "prefect", "dataframely", "xml2arrow", "pydantic", "rich")


def test_importing_the_command_line_loads_nothing_heavy() -> None:
    code = "import sys, flows.cli; print([name for name in sys.argv[1:] if name in sys.modules])"
    loaded = subprocess.run([sys.executable, "-c", code, *HEAVY], cwd=ROOT, capture_output=True, check=True)
    assert loaded.stdout.decode().strip() == "[]"


def test_version_is_printed(terminal: Terminal) -> None:
    result = terminal.run("--version")
    assert (result.exit_code, result.stdout.split()[0]) == (0, "fillhouse")


def test_asking_before_anything_is_loaded_says_what_to_do(terminal: Terminal) -> None:
    assert "import" in terminal.fails(2, "sql", "from fills")
    assert "import" in terminal.fails(2, "explain", "anything")
    assert "import" in terminal.fails(2, "renormalize")


def test_renormalize_and_compact_change_no_table(terminal: Terminal) -> None:
    terminal.run("import", *CHANGING)
    before = rows(terminal.home, "select * from fills order by row_key")
    for command in ("renormalize", "compact", "renormalize"):
        result = terminal.run(command)
        assert result.exit_code == 0, result.output
    assert "Every table is equal" in result.stdout
    assert rows(terminal.home, "select * from fills order by row_key") == before
    assert terminal.run("explain", before[0]["exec_id"]).stdout.count(" verified: ") > 0


def test_backfill_without_prefect_ends_with_one_line(terminal: Terminal, tmp_path: Path) -> None:
    terminal.environment |= {"PREFECT_API_URL": "http://127.0.0.1:9/api", "PREFECT_HOME": str(tmp_path / "prefect")}
    asked = terminal.start("backfill")
    _, error = asked.communicate(timeout=60)
    assert asked.returncode == 2
    assert "PREFECT_API_URL" in error.decode().splitlines()[-1]
    assert b"Traceback" not in error


def test_home_may_be_given_before_the_command(terminal: Terminal, tmp_path: Path) -> None:
    other = tmp_path / "elsewhere"
    done = terminal.start("--home", other, "import", PLAIN)
    out, error = done.communicate(timeout=60)
    assert (done.returncode, error) == (0, b"")
    assert b"4 added" in out
    assert (other / "fillhouse.duckdb").exists()
    assert not terminal.home.exists()


def test_a_usage_error_exits_2(terminal: Terminal) -> None:
    assert terminal.run("import").exit_code == 2
    assert terminal.run("sql", "--format", "xlsx", "select 1").exit_code == 2
    assert terminal.run("backfill", "--since", "yesterday").exit_code == 2
    assert terminal.run("nonsense").exit_code == 2


WRONG: dict[str, tuple[tuple[str, ...], dict[str, str], str]] = {
    "half a key": (("backfill",), {"FILLHOUSE_KRAKEN_SECRET": "abc"}, "FILLHOUSE_KRAKEN_KEY is not set"),
    "no such tier": (("sync",), {"FILLHOUSE_KRAKEN_TIER": "gold"}, "'starter', 'intermediate' or 'pro'"),
    "no such name": (("backfill", "krakn"), A_KEY, "no connection krakn; there are: kraken"),
    "a name with a slip": (
        ("sync",),
        {"FILLHOUSE_KRAKN_KEY": "abc"},
        "FILLHOUSE_KRAKN_KEY is no setting (FILLHOUSE_KRAKEN_KEY?)",
    ),
    "nothing at all": (("reauth-check",), {}, "No connection is configured"),
    "a first day to come": (("backfill", "--since", "2099-01-01"), A_KEY, "2099-01-01, is in the future"),
    "today": (("backfill", "--since", f"{datetime.now(UTC):%Y-%m-%d}"), A_KEY, "has not ended yet"),
    "days the wrong way round": (("backfill", "--since", "2026-05-01", "--until", "2026-04-01"), A_KEY, "before 2026"),
    "a day as elsewhere": (("backfill", "--since", "01.01.2024"), A_KEY, "write it like 2024-01-31"),
}


RUN = """
import sys
from flows.cli import main
try:
    main()
finally:
    print("a server was started" if "prefect.server.api.server" in sys.modules else "no server")
"""


@pytest.mark.parametrize("what", WRONG)
def test_what_cannot_work_is_said_in_a_line_before_prefect_is_started(tmp_path: Path, what: str) -> None:
    arguments, environment, said = WRONG[what]
    done = subprocess.run(
        [sys.executable, "-c", RUN, *arguments],
        cwd=tmp_path,
        env={**os.environ, "HOME": str(tmp_path), "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (2, "no server\n")
    assert said in done.stderr
    assert done.stderr.count("\n") == 1


def test_ctrl_c_is_one_line(loaded: Terminal) -> None:
    asking = loaded.start("sql", "select sum(sqrt(range)) from range(1000000000000)")
    with pytest.raises(subprocess.TimeoutExpired):
        asking.wait(timeout=3)
    asking.send_signal(signal.SIGINT)
    _, error = asking.communicate(timeout=30)
    assert (asking.returncode, error.count(b"\n")) == (130, 1)


def three_free_ports() -> range:
    """Find three ports in a row that nobody uses, below those that the system gives away by itself."""
    for first in random.sample(range(20_000, 32_000), 100):
        ports = range(first, first + 3)
        with ExitStack() as held, suppress(OSError):
            for port in ports:
                held.enter_context(socket.socket()).bind(("127.0.0.1", port))
            return ports
    pytest.fail("there are no three free ports in a row")


def test_sandbox_says_where_it_is_and_ends_quietly(terminal: Terminal) -> None:
    ports = three_free_ports()
    sandbox = terminal.start("sandbox", "--seed", "3", "--port", ports[0])
    try:
        assert sandbox.stdout is not None
        said = json.loads(sandbox.stdout.readline())
        assert said["ibkr_flex"]["base_url"].endswith("/AccountManagement/FlexWebService")
        assert {"token", "query_id"} < set(said["ibkr_flex"])
        brokers = (said[name] for name in ("ibkr_flex", "ibkr_portal", "kraken"))
        assert [urlsplit(broker["base_url"]).port for broker in brokers] == list(ports)
        with urllib.request.urlopen(said["book_url"], timeout=10) as book:  # noqa: S310  (our own loopback)
            assert json.load(book)
        portal = said["ibkr_portal"]
        gateway = ssl.create_default_context(cafile=portal["ca_file"])
        with urllib.request.urlopen(portal["book_url"], timeout=10, context=gateway) as book:  # noqa: S310
            assert sorted(json.load(book)["ibkr_portal"]) == sorted(portal["accounts"])
        with urllib.request.urlopen(f"{portal['base_url']}/sso/validate", timeout=10, context=gateway) as login:  # noqa: S310
            assert json.load(login)["RESULT"] is True
    finally:
        sandbox.send_signal(signal.SIGTERM)
        _, error = sandbox.communicate(timeout=30)
    assert (sandbox.returncode, error) == (0, b"")


def test_sandbox_names_the_faults_there_are(terminal: Terminal) -> None:
    there_are = terminal.fails(2, "sandbox", "--fault", "gremlins")
    assert all(name in there_are for name in ("html_page", "tickle_fails", "invalid_nonce"))
