"""Everything at once, for one machine: Prefect's server, our deployments on it, a worker, and the keeper of sessions.

Each is a process of its own, started anew when it ends by itself; one Ctrl-C ends them in order, the server last.
"""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

import httpx
from filelock import Timeout
from prefect.context import refresh_global_settings_context
from prefect.exceptions import PrefectHTTPStatusError

from flows import alerts, blocks, deployments, encryption, locks, server, surroundings
from flows.children import Child
from flows.connections import Connection, NotConfigured
from flows.policy import WORK_POOL
from flows.questions import BadInput

LOOK_SECONDS = 1.0
CONNECTIONS_EVERY = 30.0  # seconds between looks at which connections there are
STOPPED = "Stopped: nothing is lost, the next run goes on from there."
LEFT_BEHIND = "Whoever carried it is gone: nothing is lost, the next run goes on from there."

NONE_YET = "No connection is configured yet: save a block of one of our types in the UI under Blocks, or see README."

Say = Callable[[str], None]


@dataclass(slots=True)
class Known:
    """What the server knows of us, as far as a person may change it in Prefect's UI."""

    names: list[str] | None = None
    notified: list[UUID] = field(default_factory=list)
    keeps_awake: bool = False  # whether there is a session somebody wants kept
    trouble: str = ""  # why the settings cannot be read just now


def up(home: Path, port: int, ended: threading.Event, *, say: Say) -> None:
    """Run everything until `ended`. Raises `BadInput` where it cannot begin."""
    with ExitStack() as held:
        _be_the_only_one(home, held)
        surroundings.prefer(home)
        api, children = surroundings.configured_api(), []
        if api is None:
            api, child = _serve(home, port, ended, held, say)
            children.append(child)
        else:
            say(f"Using the Prefect server at {api}.")
        if ended.is_set():
            return
        os.environ[surroundings.API_URL] = api
        refresh_global_settings_context()  # Prefect has read its settings already
        _tell_the_server(api)
        named = f"fillhouse on {socket.gethostname()}"
        worker = _child(home, "worker", ("prefect", "worker", "start", "--pool", WORK_POOL, "--name", named), api)
        keeper = _child(home, "live", ("flows.cli", "--home", str(home), "live"), api)
        if children:
            deployments.end_left_runs(LEFT_BEHIND)
            held.callback(_end_left_runs, children[0])
        children.append(worker)
        for child in (worker, keeper):
            held.callback(child.stop)
        worker.start()
        say(f"Up: {api.removesuffix('/api')} shows runs and deployments. Ctrl-C stops it all.")
        _watch(children, keeper, ended, say)
        say("Stopping.")


def _be_the_only_one(home: Path, held: ExitStack) -> None:
    try:
        held.enter_context(locks.alone(home, surroundings.UP).acquire(timeout=0))
    except Timeout:
        where = surroundings.running_api(home) or "it is starting"
        raise BadInput(f"Fillhouse is up already for {home}: {where.removesuffix('/api')}") from None
    surroundings.announce(home, "")


def _serve(home: Path, port: int, ended: threading.Event, held: ExitStack, say: Say) -> tuple[str, Child]:
    """Start a server of our own, which other commands of this home will find, and wait until it answers."""
    _require_free(port)
    api = server.api_at(port)
    environment = surroundings.of_server(os.environ | encryption.key_of(surroundings.prefect_home()), api)
    child = server.at(port, environment, home / "logs")
    say("Starting Prefect's server; the first time that takes half a minute.")
    held.callback(child.stop)
    child.start()
    server.wait_for(child, port, ended)
    surroundings.announce(home, api)
    return api, child


def _require_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((server.HOST, port))
        except OSError:
            raise BadInput(
                f"Port {port} is in use. Take another with --port; if a Prefect server of yours is there, set "
                f"PREFECT_API_URL={server.api_at(port)}, and that one is used."
            ) from None


def _tell_the_server(api: str) -> None:
    try:
        deployments.register()
    except (deployments.NotDeployed, httpx.HTTPError, PrefectHTTPStatusError) as exc:
        raise BadInput(f"The Prefect server at {api} did not take the deployments: {exc}") from exc


def _child(home: Path, name: str, arguments: tuple[str, ...], api: str) -> Child:
    return Child(name, arguments, surroundings.of_worker(os.environ, api), home / "logs")


def _watch(children: Sequence[Child], keeper: Child, ended: threading.Event, say: Say) -> None:
    """Start anew what has ended; and follow which connections there are."""
    known = Known()
    look_at = 0.0
    while not ended.wait(LOOK_SECONDS):
        for child in (*children, *([keeper] if known.keeps_awake else [])):
            child.keep(say)
        if time.monotonic() < look_at:
            continue
        look_at = time.monotonic() + CONNECTIONS_EVERY
        _follow_if_possible(known, keeper, say)


def _follow_if_possible(known: Known, keeper: Child, say: Say) -> None:
    """Follow the connections, unless the server is being started anew, or somebody is in the middle of changing settings."""
    trouble = ""
    try:
        _follow(known, keeper, say)
    except (httpx.HTTPError, PrefectHTTPStatusError):
        return
    except NotConfigured as exc:
        trouble = str(exc)
        if trouble != known.trouble:
            say(f"{trouble} What was known before stays so.")
    known.trouble = trouble


def _follow(known: Known, keeper: Child, say: Say) -> None:
    """Offer new connections in the run form, keep awake those that want it, and tell whoever wants to be told."""
    names, notified = blocks.known_names(), alerts.notified()
    if names != known.names:
        say(f"Connections: {', '.join(names)}." if names else NONE_YET)
        deployments.offer(names)
    known.keeps_awake = any(connection.keeps_alive for connection in _readable())
    if not known.keeps_awake:
        keeper.stop()
    if notified != known.notified:
        say("Alarms go to the notification block fillhouse." if notified else "Alarms go to nobody any more.")
        alerts.register(notified)
    known.names, known.notified = names, notified


def _readable() -> list[Connection]:
    try:
        return blocks.every_connection()
    except NotConfigured:
        return []


def _end_left_runs(serving: Child) -> None:
    if serving.is_running:
        with suppress(httpx.HTTPError, PrefectHTTPStatusError):
            deployments.end_left_runs(STOPPED)
