"""`fillhouse doctor`, from the outside: what it looks at, and what it says."""

from __future__ import annotations

from pathlib import Path

import pytest

from connectors.ibkr_flex.sandbox import QUERY_ID, SERVICE_PATH, TOKEN, FlexBroker, running
from tests.flows.terminal import Terminal
from tests.importing import RECORDED


def test_doctor_looks_at_the_folder_the_env_file_and_what_the_query_prints(
    terminal: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "prefect"))
    assert "bad   No connection is configured" in terminal.run("doctor").stdout
    monkeypatch.setenv("FILLHOUSE_JITTR", "3")
    assert "look  FILLHOUSE_JITTR is no setting (FILLHOUSE_JITTER?)" in terminal.run("doctor").stdout
    monkeypatch.delenv("FILLHOUSE_JITTR")
    with running(FlexBroker(years=1, executions=60, generation_seconds=0.0)) as address:
        monkeypatch.setenv("FILLHOUSE_IBKR_FLEX_TOKEN", TOKEN)
        monkeypatch.setenv("FILLHOUSE_IBKR_FLEX_QUERY_ID", QUERY_ID)
        monkeypatch.setenv("FILLHOUSE_IBKR_FLEX_BASE_URL", address + SERVICE_PATH)
        first = terminal.run("doctor")
    assert (first.exit_code, "ok    ibkr-flex: token and query are good." in first.stdout) == (0, True)
    assert "ibkr-flex: IBKR is making the statement; waiting 3 s" in first.stderr
    (tmp_path / ".env").touch(mode=0o644)
    (tmp_path / ".env").chmod(0o644)
    monkeypatch.delenv("FILLHOUSE_IBKR_FLEX_TOKEN")
    monkeypatch.delenv("FILLHOUSE_IBKR_FLEX_QUERY_ID")
    terminal.run("import", RECORDED / "31_box_ticked_later" / "1.xml")
    result = terminal.run("doctor")
    assert result.exit_code == 1
    assert "look  .env has mode 0644, and others may read it. chmod 600 .env" in result.stdout
    assert "does not print" in result.stdout


def test_doctor_says_that_prefect_is_away_in_one_line(terminal: Terminal, tmp_path: Path) -> None:
    terminal.environment |= {"PREFECT_API_URL": "http://127.0.0.1:9/api", "PREFECT_HOME": str(tmp_path / "prefect")}
    asked = terminal.start("doctor")
    said, error = asked.communicate(timeout=60)
    assert (asked.returncode, error) == (1, b"")
    assert b"look  Prefect's server does not answer" in said
