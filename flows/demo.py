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
import threading
import time
from pathlib import Path

from flows import server, surroundings
from flows.questions import BadInput

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
    serving = server.at(port, environment, folder / "prefect", folder)
    try:
        serving.start()
        server.wait_for(serving, port, threading.Event())
        story = subprocess.run([sys.executable, "-m", "flows.demo_story"], cwd=folder, env=environment, check=False)
    except BadInput as exc:
        raise SystemExit(str(exc)) from exc
    finally:
        serving.stop()
    _say(f"\nDone in {time.monotonic() - started:.0f} seconds; all of it is in the folder .demo.")
    return story.returncode


def _say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _environment(folder: Path, port: int) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "FILLHOUSE_"))}
    return (
        kept
        | surroundings.QUIET
        | {
            "FILLHOUSE_HOME": str(folder / "data"),
            "PREFECT_HOME": str(folder / "prefect"),
            "PREFECT_API_URL": server.api_at(port),
            "PREFECT_LOGGING_LOGGERS_PREFECT_TASK_RUNS_LEVEL": "WARNING",
            "TMPDIR": str(folder / "tmp"),
            "PYTHONPATH": os.pathsep.join(filter(None, [str(CODE), os.environ.get("PYTHONPATH")])),
        }
    )


def _free_port() -> int:
    with socket.socket() as free:
        free.bind((server.HOST, 0))
        port: int = free.getsockname()[1]
        return port


if __name__ == "__main__":
    sys.exit(main())
