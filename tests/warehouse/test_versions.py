"""What a row says is, column by column, what the latest reply says that says anything: in whatever order replies arrive."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import duckdb
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.warehouse.loading import empty_warehouse, load_statement, table
from tests.warehouse.test_channels import AF_IDS, TRADE, statement, trade
from warehouse.judging import derive_again

# An attribute that a query may leave out, what it may say, and the column that tells it.
OPTIONAL: dict[str, tuple[str, tuple[str, ...]]] = {
    "price": ("last_px", ("5", "6")),
    "commission": ("commission", ("-1", "-2")),
    "taxes": ("taxes", ("-0.1", "-0.2")),
    "exchange": ("last_mkt", ("NYSE", "IEX")),
    "orderID": ("order_id", ("7", "8")),
    "fxRateToBase": ("fx_rate_to_base", ("1.1", "1.2")),
    "settleDateTarget": ("settl_date", ("20260106", "20260107")),
    "tradeID": ("trade_id", ("T1", "T2")),
    "conid": ("instrument_id", ("1",)),
    "tradeDate": ("trade_date", ("20260105", "20260106")),
}
REPLIES = st.lists(
    st.fixed_dictionaries({name: st.sampled_from(("", *said)) for name, (_, said) in OPTIONAL.items()}),
    min_size=2,
    max_size=5,
)


def reply(said: dict[str, str], clock: int) -> bytes:
    dates = said if said["tradeDate"] else {**said, "dateTime": "20260104;230000"}
    return statement(
        trade(**{**TRADE, "transactionID": AF_IDS["transactionID"], **dates}), generated=f"202602{clock + 1:02};080000"
    )


def final_row(con: duckdb.DuckDBPyConnection) -> dict[str, Any]:
    columns = [*(column for column, _ in OPTIONAL.values()), "book_date", "fee_status"]
    answer = con.execute(f"select {', '.join(columns)} from fills").fetchall()
    assert len(answer) == 1
    return dict(zip(columns, answer[0], strict=True))


def written(value: Any) -> str | None:
    if isinstance(value, Decimal):
        return f"{value.normalize():f}"
    return None if value is None else str(value).replace("-", "")


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(replies=REPLIES, data=st.data())
def test_each_column_is_what_the_latest_reply_that_tells_it_tells(
    replies: list[dict[str, str]], data: st.DataObject
) -> None:
    order = data.draw(st.permutations(range(len(replies))))
    again = data.draw(st.lists(st.sampled_from(order), max_size=1))
    con = empty_warehouse()
    for hour, place in enumerate([*order, *again]):
        load_statement(con, reply(replies[place], place), hour=hour)
    found = final_row(con)
    for name, (column, _) in OPTIONAL.items():
        told = [said[name] for said in replies if said[name]]
        latest = told[-1] if told else None
        if column == "commission" and latest:
            latest = latest.removeprefix("-")
        if column == "instrument_id":
            latest = f"ibkr:{latest or 'CS:AAA'}"
        if column == "taxes" and latest:
            assert str(found["taxes"]).startswith(latest)
            continue
        assert written(found[column]) == latest, (column, order)
    assert found["book_date"] == (found["trade_date"] or found["book_date"])
    assert found["fee_status"] == ("pending" if found["commission"] is None else "known")
    before = {name: table(con, name) for name in ("execution_reports", "merged_rows", "links")}
    derive_again(con)
    assert {name: table(con, name) for name in before} == before


def test_a_value_taken_from_a_neighbour_gives_way_to_one_told_in_between() -> None:
    con = empty_warehouse()
    told = dict.fromkeys(OPTIONAL, "")
    for hour, (clock, price) in enumerate(((0, "5"), (2, ""), (1, "6"))):
        load_statement(con, reply({**told, "price": price, "taxes": "" if price else "-0.1"}, clock), hour=hour)
    assert con.execute("select last_px::double, taxes::double, version from fills").fetchall() == [(6.0, -0.1, 2)]


def test_a_commission_that_a_later_query_leaves_out_stays_known() -> None:
    con = empty_warehouse()
    told = dict.fromkeys(OPTIONAL, "")
    for clock, paid in enumerate(("-1", "")):
        load_statement(con, reply({**told, "commission": paid}, clock), hour=clock)
    assert con.execute("select commission::double, fee_status from executions").fetchall() == [(1.0, "known")]
