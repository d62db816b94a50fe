"""Serve a sandbox broker over loopback, in a thread, for as long as a block lasts."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn
from starlette.applications import Starlette


@contextmanager
def serving(
    app: Starlette, host: str, port: int, *, certificate: Path | None = None, key: Path | None = None
) -> Iterator[str]:
    """Serve and yield host and port; port 0 takes a free one. With a certificate it is HTTPS."""
    # asyncio switches Nagle's delay off only where the protocol is named; without that a call takes 40 ms longer
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((host, port))
        server = uvicorn.Server(
            uvicorn.Config(
                app, lifespan="off", log_level="warning", timeout_graceful_shutdown=1,
                ssl_certfile=certificate, ssl_keyfile=key,
            )
        )  # fmt: skip
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        listener.listen(128)  # connections queue from here on, so there is nothing to wait for
        thread.start()
        try:
            yield f"{host}:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(timeout=10)
