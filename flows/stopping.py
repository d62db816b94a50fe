"""Ctrl-C and SIGTERM end a run that was started by hand: within seconds, wherever it stands, and nothing stays behind.

Left to itself such a run goes on for minutes: the same Ctrl-C ends Prefect's temporary server, which is of the same
terminal, and Prefect then tries again and again to tell that server that the run was stopped.
"""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, NoReturn

SIGNALS = (signal.SIGINT, signal.SIGTERM)
DONE = b"\0"
PATIENCE_SECONDS = 1.0  # until what is in hand is put down
PATIENCE_WITH_A_SERVER = 2.5  # one that goes on without us is told that the run was stopped


@contextmanager
def on_signals(say: Callable[[], None]) -> Iterator[None]:
    """Let SIGINT and SIGTERM end this process, with a word, from here on; what the block has in hand is put down first.

    Putting down is unwinding: answers that wait in memory are landed, locks are given back. A thread of its own sees that
    this comes to an end, for the main one may be deep in DuckDB, or in one of Prefect's waits.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    heard, told = os.pipe()
    os.set_blocking(told, False)
    stopped = threading.Event()
    threading.Thread(target=_end, args=(heard, stopped, say), name="signals", daemon=True).start()
    signal.set_wakeup_fd(told, warn_on_full_buffer=False)
    _answer(_put_down)
    try:
        yield
    except BaseException as exc:
        if not isinstance(exc, Exception):  # KeyboardInterrupt, or what Prefect makes of SIGTERM
            stopped.wait(PATIENCE_SECONDS)
        raise
    finally:
        _answer(_leave_it_to_the_thread)
        os.write(told, DONE)
        if stopped.is_set():
            threading.Event().wait()  # for the other thread to end the process


@contextmanager
def unheard_by_children() -> Iterator[None]:
    """Start a child that Ctrl-C does not reach; a signal meanwhile waits until the child can be found again."""
    before = [(number, signal.getsignal(number)) for number in SIGNALS]
    _answer(_leave_it_to_the_thread)
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})  # which children inherit; the other thread hears it still
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
        for number, answer in before:
            signal.signal(number, answer)


@contextmanager
def kept() -> Iterator[None]:
    """Keep a signal one: Prefect, where it reaches it at work, makes an error of its own of it."""
    try:
        yield
    except Exception as exc:
        if stop := _behind(exc):
            raise stop from None
        raise


def _behind(exc: BaseException | None) -> BaseException | None:
    """Give the signal that an error was made of, if it was."""
    from prefect.exceptions import ExternalSignal  # noqa: PLC0415

    while exc is not None and not isinstance(exc, KeyboardInterrupt | ExternalSignal):
        exc = exc.__cause__ or exc.__context__
    return exc


def _answer(how: Callable[[int, Any], None]) -> None:
    for number in SIGNALS:
        signal.signal(number, how)


def _put_down(_number: int, _frame: Any) -> NoReturn:
    sys.unraisablehook = lambda _unraisable: None  # it may be raised where nobody can catch it
    raise KeyboardInterrupt


def _leave_it_to_the_thread(_number: int, _frame: Any) -> None:
    pass


def _end(heard: int, stopped: threading.Event, say: Callable[[], None]) -> None:
    """Wait for a signal, then for what is in hand to be put down, and end the process; a second signal ends it at once."""
    while (number := os.read(heard, 1)[0]) not in SIGNALS:
        pass
    try:
        stopped.set()
        select.select([heard], [], [], PATIENCE_SECONDS if _temporary_server() else PATIENCE_WITH_A_SERVER)
        if server := _temporary_server():
            server.kill()
            with suppress(subprocess.TimeoutExpired):
                server.wait(timeout=PATIENCE_SECONDS)
        say()
        sys.stdout.flush()
    finally:  # whatever becomes of the word: the screen may be gone
        os._exit(128 + number)


def _temporary_server() -> Any:
    """Give the process of Prefect's temporary server, where it runs."""
    module = sys.modules.get("prefect.server.api.server")
    server = getattr(module, "SubprocessASGIServer", None)
    return server().server_process if server else None
