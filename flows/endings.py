"""How a command ends that could not do what it was asked: its exit code, and an error in one line."""

from __future__ import annotations

import re

from flows.questions import BadInput

LOOK = 1
BAD_INPUT = 2
NEEDS_REAUTH = 3
STOPPED = 130
GOES_ON = "Stopped. What was landed is kept; the next run goes on from there."
WHAT_THERE_IS = 'The tables: fillhouse sql "show tables"; their columns: fillhouse sql "describe fills".'


def readable(exc: Exception) -> tuple[str, int] | None:  # noqa: PLR0911  (a table)
    """Give an error's line and exit code; None for what nobody foresaw."""
    import duckdb  # noqa: PLC0415

    from connectors.errors import AuthRequired, ConnectorError  # noqa: PLC0415
    from flows.connections import NotConfigured  # noqa: PLC0415
    from warehouse.backup import BadBackup  # noqa: PLC0415
    from warehouse.compact import CorruptLanding  # noqa: PLC0415
    from warehouse.db import HalfRestored, WarehouseBusy  # noqa: PLC0415

    text = str(exc)
    match exc:
        case BadInput() | NotConfigured() | BadBackup():
            return text, BAD_INPUT
        case AuthRequired():
            return text, NEEDS_REAUTH
        case ConnectorError() | CorruptLanding() | HalfRestored():
            return text, LOOK
        case WarehouseBusy():
            return f"{text} Wait for it to end, or end it, and try again.", LOOK
        case RuntimeError() if isinstance(exc.__cause__, KeyboardInterrupt):  # DuckDB was at work when Ctrl-C came
            return GOES_ON, STOPPED
        case duckdb.ProgrammingError() | duckdb.DataError():
            said = re.split(r"\n\nLINE \d+:", text)[0].rstrip(".")
            quoted = re.search(r'Referenced column "(.+?)" not found', said)
            as_text = f" If {quoted[1]} is a text, write it in single quotes: '{quoted[1]}'." if quoted else ""
            return f"{said}.{as_text} {WHAT_THERE_IS}", BAD_INPUT
        case duckdb.Error():
            return text, LOOK
        case FileNotFoundError() if exc.filename is None:
            return text, BAD_INPUT
        case OSError():
            return f"{exc.filename or 'The system'}: {exc.strerror or text}. Correct that and try again.", LOOK
        case _:
            return None
