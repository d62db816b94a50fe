"""`fillhouse status`, from the outside: what is there, what is wrong, and what to do."""

from __future__ import annotations

from tests.flows.terminal import ONE_BAD_ROW, PLAIN, REBOOKED, Terminal
from warehouse import db


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
