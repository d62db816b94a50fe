"""Whatever happened, whichever boxes a query prints and in whatever order statements come: `executions` is the book."""

from __future__ import annotations

from random import Random

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.warehouse.books import DAYS, invented, told
from tests.warehouse.loading import empty_warehouse, load_statement, table
from tests.warehouse.test_load import WHEN_KNOWN

ACCOUNTS = 40  # a load costs about the same for many as for one
BOXES = ("transactionType", "notes", "buySell", "tradeDate", "conid", "orderID", "commission", "ibExecID", "tradeID")


@settings(max_examples=2, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(chance=st.randoms(use_true_random=True), data=st.data())
def test_the_warehouse_is_the_book(chance: Random, data: st.DataObject) -> None:
    books = [invented(f"U{number}", chance) for number in range(ACCOUNTS)]
    windows = [(DAYS[0], DAYS[1]), (DAYS[2], DAYS[2]), data.draw(st.sampled_from([(day, DAYS[2]) for day in DAYS]))]
    whole = told(books, DAYS[0], DAYS[2], 0)
    parts = [
        told(books, since, until, minute, (data.draw(st.sampled_from(BOXES)),))
        for minute, (since, until) in enumerate(windows, start=1)
    ]
    statements = [whole, *parts]
    places = range(len(statements))
    warehouses = []
    for order in (places, data.draw(st.permutations(places))):
        con = empty_warehouse()
        for hour, place in enumerate(order):
            load_statement(con, statements[place], hour=hour)
        warehouses.append(con)
    found = {
        name: set(con.execute(f"select account, row_key from {name}").fetchall()) for name in ("executions", "fills")
    }
    rows = [(book, row) for book in books for row in book.rows]
    assert found["executions"] == {(book.account, f"t:{row['transactionID']}") for book, row in rows}
    assert found["fills"] == {(book.account, f"t:{number}") for book in books for number in book.standing}
    paid = dict(con.execute("select account, sum(amount)::double from fees group by all").fetchall())
    assert paid == {
        book.account: round(-sum(float(row["commission"]) for row in book.rows), 6) for book in books if book.rows
    }
    first, second = (table(con, "fills", leaving_out=WHEN_KNOWN) for con in warehouses)
    assert first == second
    assert (
        con.execute("select kind from data_health where kind in ('exec_twice', 'orphan_cancel', 'clash')").fetchall()
        == []
    )
