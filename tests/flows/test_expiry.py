"""A token that is about to expire is spoken of 30, 7 and 1 days ahead, once each, and no longer once it is renewed."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import duckdb
import pytest

from connectors.ibkr_flex.endpoints import Credentials
from flows import policy, reauth_check
from flows.connections import Connection
from warehouse import db

TODAY = date(2026, 3, 5)


def of(expires_on: date | None) -> Connection:
    return Connection("ibkr-flex", "ibkr_flex", Credentials("1", "2"), expires_on=expires_on)


@pytest.mark.parametrize(
    ("days", "due"), [(400, None), (31, None), (30, 30), (8, 30), (7, 7), (2, 7), (1, 1), (0, 1), (-3, 1)]
)
def test_which_warning_is_due(days: int, due: int | None) -> None:
    assert policy.notice_of(TODAY + timedelta(days=days), TODAY) == due
    assert policy.notice_of(None, TODAY) is None


def test_each_warning_is_given_once(tmp_path: Path) -> None:
    ends = TODAY + timedelta(days=40)
    with db.writer(tmp_path) as con:
        said = [reauth_check.due_notice(con, of(ends), TODAY + timedelta(days=day)) for day in range(42)]
        assert {day: ahead for day, ahead in enumerate(said) if ahead is not None} == {10: 30, 33: 7, 39: 1}
        assert findings(con) == [f"The token of ibkr-flex expires on {ends}"]
        renewed = ends + timedelta(days=365)
        assert reauth_check.due_notice(con, of(renewed), ends) is None
        assert findings(con) == []
        assert reauth_check.due_notice(con, of(renewed), renewed - timedelta(days=5)) == 7


def findings(con: duckdb.DuckDBPyConnection) -> list[str]:
    return [what for (what,) in con.execute("select what from data_health where kind = 'token_expires'").fetchall()]
