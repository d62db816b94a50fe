"""Prefect's server as a process on this machine: where it is, and when it can be asked."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import httpx

from flows.children import Child
from flows.questions import BadInput

HOST = "127.0.0.1"  # whoever reaches the server may read the credentials in its blocks
START_SECONDS = 180.0  # a server that makes its database first has taken 30 on a slow machine
ANSWER_SECONDS = 1.0
LOOK_SECONDS = 0.25


def api_at(port: int) -> str:
    """Give the address of the API of a server at this port."""
    return f"http://{HOST}:{port}/api"


def at(port: int, environment: Mapping[str, str], logs: Path, folder: Path | None = None) -> Child:
    """Give a server that is still to be started, and the folder it works in."""
    arguments = ("prefect", "server", "start", "--host", HOST, "--port", str(port))
    return Child("server", arguments, environment, logs, folder)


def wait_for(server: Child, port: int, ended: threading.Event) -> None:
    """Wait until the server answers, or somebody has had enough. Raises `BadInput` where it does not start."""
    deadline = time.monotonic() + START_SECONDS
    while not ended.wait(LOOK_SECONDS):
        with suppress(httpx.HTTPError):
            if httpx.get(f"{api_at(port)}/health", timeout=ANSWER_SECONDS).is_success:
                return
        if not server.is_running or time.monotonic() > deadline:
            raise BadInput(f"Prefect's server did not start. What it said is in {server.log}.")
