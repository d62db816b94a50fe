"""A system that `fillhouse up` runs, as its user meets it: through Prefect's API, the terminal and the folder it works in."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx

from connectors.ibkr_flex.sandbox import QUERY_ID, SERVICE_PATH, TOKEN
from connectors.ibkr_portal.sandbox import Running
from connectors.kraken.sandbox import API_KEY, API_SECRET

ROOT = Path(__file__).resolve().parents[2]
START_SECONDS = 150.0
STOP_SECONDS = 60.0
PATIENCE_SECONDS = 120.0  # with a server whose database is busy
RUN_SECONDS = 120.0
ENDED = {"COMPLETED", "FAILED", "CRASHED", "CANCELLED"}
Json = dict[str, Any]


@dataclass(slots=True)
class System:
    """Everything that `fillhouse up` started."""

    folder: Path
    environment: Mapping[str, str]
    port: int
    process: subprocess.Popen[str]
    said: list[str] = field(default_factory=list)

    @property
    def api(self) -> str:
        return f"http://127.0.0.1:{self.port}/api"

    def ask(self, method: str, path: str, **content: Any) -> Any:
        """Ask the server, which answers 503 while its database is busy."""
        for _ in range(20):
            answer = httpx.request(method, self.api + path, timeout=PATIENCE_SECONDS, **content)
            if answer.status_code != httpx.codes.SERVICE_UNAVAILABLE:
                break
            time.sleep(0.3)
        return answer.json() if answer.content else None

    def all(self, what: str, **filtered: Any) -> list[Json]:
        found: list[Json] = self.ask("POST", f"/{what}/filter", json=filtered)
        return found

    def deployment(self, name: str) -> Json:
        return next(each for each in self.all("deployments") if each["name"] == name)

    def press(self, name: str, **parameters: Any) -> Json:
        """Press Run: what comes back is the run, or why the form refuses it."""
        path = f"/deployments/{self.deployment(name)['id']}/create_flow_run"
        run: Json = self.ask("POST", path, json={"parameters": parameters, "state": {"type": "SCHEDULED"}})
        return run

    def run(self, run: Json) -> Json:
        found: Json = self.ask("GET", f"/flow_runs/{run['id']}")
        return found

    def end_of(self, run: Json, within: float = RUN_SECONDS) -> Json:
        self.wait_for(lambda: self.run(run)["state_type"] in ENDED, within)
        return self.run(run)

    def states_of(self, run: Json) -> dict[str, datetime]:
        """Give when a run entered each of its states."""
        states = self.ask("GET", f"/flow_run_states/?flow_run_id={run['id']}")
        return {state["name"]: datetime.fromisoformat(state["timestamp"]) for state in states}

    def wait_for(self, has_come: Callable[[], Any], within: float = RUN_SECONDS) -> Any:
        deadline = time.monotonic() + within
        while not (found := has_come()):
            assert time.monotonic() < deadline, f"it never came; so far: {self.log('worker')[-2000:]}"
            time.sleep(0.25)
        return found

    def log(self, name: str) -> str:
        return (self.folder / "data" / "logs" / f"{name}.log").read_text()

    def command(self, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
        """Run another command of ours beside it, in a terminal of its own."""
        return subprocess.run(
            [sys.executable, "-m", "flows.cli", *arguments],
            cwd=self.folder,
            env={**self.environment, **environment},
            capture_output=True,
            text=True,
            timeout=RUN_SECONDS,
            check=False,
        )

    def child(self, words: str) -> int:
        """Find the process that `up` started with these words in its command."""
        return next(pid for pid, args in self._children(self.process.pid) if words in args)

    def children(self, parent: int) -> list[int]:
        return [pid for pid, _ in self._children(parent)]

    @staticmethod
    def _children(parent: int) -> list[tuple[int, str]]:
        listed = subprocess.run(["ps", "-eo", "pid,ppid,args"], capture_output=True, text=True, check=True).stdout  # noqa: S607
        rows = [line.split(maxsplit=2) for line in listed.splitlines()[1:]]
        return [(int(pid), args) for pid, of, args in rows if int(of) == parent]

    def answers(self) -> bool:
        try:
            return httpx.get(f"{self.api}/health", timeout=2).is_success
        except httpx.HTTPError:
            return False

    def read(self) -> str:
        """Read the line that the terminal shows next."""
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        assert line, f"it ended: {self.said} {self.log('server')[-2000:]}"
        self.said.append(line.strip())
        return line

    def read_until(self, words: str) -> None:
        while words not in self.read():
            pass

    def stop(self) -> float:
        """Press Ctrl-C; gives how long it took."""
        began = time.monotonic()
        self.process.send_signal(signal.SIGINT)
        self.process.wait(timeout=STOP_SECONDS)
        return time.monotonic() - began


def settings_of(flex_url: str, portal: Running, kraken_url: str) -> dict[str, str]:
    """Give the settings that name all three sandbox brokers."""
    return {
        "FILLHOUSE_IBKR_FLEX_TOKEN": TOKEN,
        "FILLHOUSE_IBKR_FLEX_QUERY_ID": QUERY_ID,
        "FILLHOUSE_IBKR_FLEX_BASE_URL": flex_url + SERVICE_PATH,
        "FILLHOUSE_IBKR_PORTAL_BASE_URL": portal.base_url,
        "FILLHOUSE_IBKR_PORTAL_CERTIFICATE": str(portal.ca_file),
        "FILLHOUSE_KRAKEN_KEY": API_KEY,
        "FILLHOUSE_KRAKEN_SECRET": API_SECRET,
        "FILLHOUSE_KRAKEN_BASE_URL": kraken_url,
        "FILLHOUSE_KRAKEN_TIER": "pro",
    }


@contextmanager
def up(folder: Path, settings: Mapping[str, str], *arguments: str) -> Iterator[System]:
    """Start it in a folder that has nothing in it but a file .env, as a user would; nothing of it outlives the block."""
    folder.mkdir(exist_ok=True)
    env_file = folder / ".env"
    env_file.write_text("".join(f"{name}={value}\n" for name, value in settings.items()))
    env_file.chmod(0o600)
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "FILLHOUSE_"))
    } | {"HOME": str(folder), "PYTHONPATH": str(ROOT), "NO_COLOR": "1"}
    port = _free_port()
    process = subprocess.Popen(
        [sys.executable, "-m", "flows.cli", "up", "--port", str(port), *arguments],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    system = System(folder, environment, port, process)
    try:
        system.read_until("Up:")
        yield system
    finally:
        if process.poll() is None:
            system.stop()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
