"""Locks that die with their process: who talks over a connection, or with a key, talks alone."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from flows.timing import utc_now


class InUse(Exception):
    """Another run holds it just now."""


@contextmanager
def holding(home: Path, name: str, say: Callable[[str], None], *, waits: bool = True) -> Iterator[None]:
    """Hold a connection, or a key, alone; while another run holds it, say who does, and wait.

    Raises `InUse` instead where it `waits` for nobody.
    """
    lock = alone(home, name)
    holder = home / "locks" / f"{name}.holder"
    try:
        lock.acquire(timeout=0)
    except Timeout:
        if not waits:
            raise InUse(name) from None
        say(f"{name} is in use by {_read_text(holder) or 'another run'}: waiting for it to end.")
        lock.acquire()
    try:
        holder.write_text(f"process {os.getpid()}, since {utc_now():%Y-%m-%d %H:%M:%S} UTC")
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()


def require_free(home: Path, name: str) -> None:
    """Raise `InUse` where another run holds it just now."""
    try:
        alone(home, name).acquire(timeout=0).lock.release()
    except Timeout:
        raise InUse(name) from None


def _read_text(path: Path) -> str:
    try:
        return path.read_text()
    except FileNotFoundError:
        return ""


def alone(home: Path, name: str) -> FileLock:
    """Give the lock of whoever holds a conversation over a connection, or with a key. It dies with its process."""
    (home / "locks").mkdir(parents=True, exist_ok=True)
    return FileLock(home / "locks" / f"{name}.lock")
