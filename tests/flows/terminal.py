"""A person at a terminal, and the files they import."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

from flows.cli import app
from tests.importing import RECORDED

ROOT = Path(__file__).parents[2]
PLAIN = RECORDED / "01_plain_stock_buys_and_sells" / "1.xml"
ONE_BAD_ROW = RECORDED / "24_one_bad_row_among_good" / "1.xml"
REBOOKED = sorted((RECORDED / "05_cancel_keeps_commission_then_rebook").glob("*.xml"))
CHANGING = sorted((RECORDED / "41_value_that_changes_and_changes_back").glob("*.xml"))


class Terminal:
    """A person at a terminal with a home of their own."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.environment = {"FILLHOUSE_HOME": str(home), "COLUMNS": "160"}

    def run(self, *arguments: object, **environment: str) -> Any:
        return CliRunner().invoke(app, [str(one) for one in arguments], env={**self.environment, **environment})

    def fails(self, exit_code: int, *arguments: object) -> str:
        """Run a command that must fail with one line on stderr; gives that line."""
        result = self.run(*arguments)
        assert (result.exit_code, result.stderr.count("\n")) == (exit_code, 1), result.output
        assert "Traceback" not in result.output
        return str(result.stderr)

    def start(self, *arguments: object) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [sys.executable, "-m", "flows.cli", *map(str, arguments)],
            cwd=ROOT,
            env={**os.environ, **self.environment},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
