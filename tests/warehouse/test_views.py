"""Views follow their text: a warehouse made by an older version has those of today once it is opened."""

from __future__ import annotations

from tests.warehouse.loading import empty_warehouse
from warehouse.migrate import migrate


def test_views_of_an_older_version_are_made_anew() -> None:
    con = empty_warehouse()
    con.execute("create or replace view executions as select 1 as one")
    con.execute("update schema_migrations set name = 'views of yesterday' where name like 'views %'")
    assert migrate(con) == []
    assert con.execute("select count(*) from executions where row_key is not null").fetchall() == [(0,)]
    assert con.execute("select count(*) from schema_migrations where name like 'views %'").fetchall() == [(1,)]


def test_views_of_today_are_left_alone() -> None:
    con = empty_warehouse()
    con.execute("create or replace view executions as select 1 as one")
    migrate(con)
    assert con.execute("select one from executions").fetchall() == [(1,)]
