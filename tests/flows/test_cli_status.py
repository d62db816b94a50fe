"""`fillhouse status`, from the outside: what is there, what is wrong, and what to do."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tests.flows.terminal import ONE_BAD_ROW, PLAIN, REBOOKED, Terminal
from warehouse import connections, db, publish


def test_status_of_nothing_says_how_to_begin(terminal: Terminal) -> None:
    result = terminal.run("status")
    assert result.exit_code == 0
    assert "fillhouse import" in result.stdout


def test_status_counts_fills_and_says_how_far_they_reach(terminal: Terminal) -> None:
    terminal.run("import", *REBOOKED)
    result = terminal.run("status")
    assert result.exit_code == 0
    printed = [line.split() for line in result.stdout.splitlines()]
    assert ["ibkr", "U7654321", "1", "3", "2026-04-22", "2026-04-23"] in printed
    assert "published" in result.stdout


def test_status_groups_findings_and_exits_1_for_errors(terminal: Terminal) -> None:
    terminal.run("import", ONE_BAD_ROW)
    result = terminal.run("status")
    assert result.exit_code == 1
    assert "error: 10 x quarantine" in result.stdout


def test_status_exits_3_while_a_connection_waits_for_a_person(terminal: Terminal) -> None:
    terminal.run("import", PLAIN)
    with db.writer(terminal.home) as con:  # what is not published yet is told all the same
        con.execute("insert into connections (connection, state, remedy) values ('x', 'needs_reauth', 'Make a token.')")
    result = terminal.run("status")
    assert result.exit_code == 3
    assert "Make a token." in result.stdout


def test_status_tells_what_was_published_while_somebody_writes(terminal: Terminal) -> None:
    terminal.run("import", *REBOOKED)
    with db.locked(terminal.home):
        result = terminal.run("status")
    assert (result.exit_code, "ibkr_flex" in result.stdout) == (0, True)


def test_a_connection_that_is_no_more_is_forgotten_and_its_fills_are_not(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal.run("import", PLAIN)
    with db.writer(terminal.home) as con:
        fills = con.execute("select * from fills order by all").fetchall()
        connections.record_state(
            con, "old", "ibkr_portal", "a gateway", "needs_reauth",
            reason="No login.", remedy="Log in.", moment=datetime.now(UTC), retry_at=None, success=False,
        )  # fmt: skip
    publish.publish(terminal.home, now=True)
    with monkeypatch.context() as configured:
        configured.setenv("FILLHOUSE_IBKR_PORTAL_NAME", "old")
        configured.setenv("FILLHOUSE_IBKR_PORTAL_BASE_URL", "https://127.0.0.1:9/v1/api")
        assert "still configured" in terminal.fails(2, "forget", "old")
    assert "old stands in status" in terminal.run("doctor").stdout
    assert "there are: old" in terminal.fails(2, "forget", "another")
    assert terminal.run("status").exit_code == 3
    assert terminal.run("forget", "old").exit_code == 0
    assert terminal.run("status").exit_code == 0
    with db.reader(terminal.home) as con:
        assert con.execute("select * from fills order by all").fetchall() == fills
