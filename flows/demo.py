"""Show the whole house at work, without credentials: set the scene, then let `flows.demo_story` tell the story.

The scene is the folder `.demo` in the current one, emptied first, and a Prefect server of its own. Nothing outside is
read or written: no `.env`, Prefect profile or variable of the user's counts. The story is a process of its own, so that
Prefect has delivered its last log line when the server stops.
"""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

PATIENCE_SECONDS = 90.0
CODE = Path(__file__).resolve().parents[1]


def main() -> int:
    """Run the demonstration; gives 0 when the warehouse came to hold exactly what the broker's book holds."""
    started = time.monotonic()
    folder = Path.cwd() / ".demo"
    shutil.rmtree(folder, ignore_errors=True)
    for inside in ("prefect", "tmp"):
        (folder / inside).mkdir(parents=True)
    port = _free_port()
    environment = _environment(folder, port)
    _say("1. Prefect: starting a server of its own")
    with _prefect_server(folder, environment, port):
        story = subprocess.run([sys.executable, "-m", "flows.demo_story"], cwd=folder, env=environment, check=False)
    _say(f"\nDone in {time.monotonic() - started:.0f} seconds; all of it is in the folder .demo.")
    return story.returncode


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _environment(folder: Path, port: int) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "FILLHOUSE_"))}
    return kept | {
        "FILLHOUSE_HOME": str(folder / "data"),
        "PREFECT_HOME": str(folder / "prefect"),
        "PREFECT_API_URL": f"http://127.0.0.1:{port}/api",
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "PREFECT_LOGGING_LOGGERS_PREFECT_TASK_RUNS_LEVEL": "WARNING",
        "PREFECT_LOGGING_INTERNAL_LEVEL": "ERROR",
        "DO_NOT_TRACK": "1",
        "TMPDIR": str(folder / "tmp"),
        "PYTHONPATH": os.pathsep.join(filter(None, [str(CODE), os.environ.get("PYTHONPATH")])),
    }


def _free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


@contextmanager
def _prefect_server(folder: Path, environment: dict[str, str], port: int) -> Iterator[None]:
    """Run a Prefect server for as long as the block lasts."""
    log = folder / "prefect" / "server.log"
    command = [sys.executable, "-m", "prefect", "server", "start", "--host", "127.0.0.1", "--port", str(port)]
    with (
        log.open("wb") as written,
        subprocess.Popen(command, cwd=folder, env=environment, stdout=written, stderr=written) as server,  # noqa: S603
    ):
        try:
            if not _comes_up(server, f"http://127.0.0.1:{port}/api/health"):
                raise SystemExit(f"The Prefect server did not start; {log} says why.")
            yield
        finally:
            server.terminate()
            try:
                server.wait(timeout=10)
            except subprocess.TimeoutExpired:
                server.kill()


def _comes_up(server: subprocess.Popen[bytes], health: str) -> bool:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urlopen(health, timeout=5):  # noqa: S310  (loopback)
                return True
        except OSError:
            time.sleep(0.2)
    return False


if __name__ == "__main__":
    sys.exit(main())
