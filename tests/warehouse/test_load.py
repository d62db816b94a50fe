from __future__ import annotations

import re
from collections import defaultdict
from datetime import timedelta
from pathlib import Path
from xml.etree import ElementTree

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.importing import RECORDED
from tests.warehouse.loading import empty_warehouse, load_statement, table
from warehouse.judging import derive_again

# Cases whose rows say the same in every statement that holds them: only then may their days be dealt out at will.
TANGLED = (
    "04_cancel_next_day_refunds_commission",
    "05_cancel_keeps_commission_then_rebook",
    "06_rebook_with_exec_rev_02",
    "07_cancel_without_any_pointer",
    "08_cancel_arrives_before_its_original",
    "09_fully_cancelled_family_keeps_cost_in_executions",
    "11_book_trades",
    "15_nine_identical_one_share_fills",
    "38_cancel_picks_exactly_one_of_equals",
    "39_leftover_cost_goes_once_to_the_latest_standing_row",
    "42_rebooked_twice_in_three_files",
)
WHEN_KNOWN = ("first_seen_at", "last_changed_at", "exchange_id", "raw_row")


def days_of(case: str, leaving_out: tuple[str, ...] = ()) -> dict[str, list[str]]:
    """Cut a case into days: the `<Trade>` elements of all its statements by report date, each once."""
    days: dict[str, list[str]] = defaultdict(list)
    for path in sorted((RECORDED / case).glob("*.xml")):
        for statement in ElementTree.parse(path).getroot().iter("FlexStatement"):
            for trade in statement.iter("Trade"):
                trade.tail = ""
                for name in leaving_out:
                    trade.attrib.pop(name, None)
                trade.set("accountId", trade.get("accountId") or statement.get("accountId") or "")
                text = ElementTree.tostring(trade, encoding="unicode")
                day = trade.get("reportDate") or trade.get("tradeDate") or ""
                if text not in days[day]:
                    days[day].append(text)
    return dict(days)


def statement_of(days: dict[str, list[str]], chosen: list[str]) -> bytes:
    """Write a statement of some days, as the broker would: rows in the order of their report dates."""
    trades = "".join("".join(days[day]) for day in sorted(chosen))
    bounds = f'fromDate="{min(chosen)}" toDate="{max(chosen)}"'
    return (
        f'<FlexQueryResponse queryName="q" type="AF"><FlexStatements count="1"><FlexStatement accountId="U7654321" {bounds}'
        f' period="" whenGenerated="20260601;080000"><Trades>{trades}</Trades></FlexStatement></FlexStatements>'
        "</FlexQueryResponse>"
    ).encode()


def everything_at_once(days: dict[str, list[str]]) -> list[tuple[object, ...]]:
    con = empty_warehouse()
    load_statement(con, statement_of(days, list(days)))
    return table(con, "fills", leaving_out=WHEN_KNOWN)


@pytest.mark.parametrize("case", TANGLED)
@settings(max_examples=2, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_days_dealt_out_in_any_split_order_and_repetition_give_the_same_fills(case: str, data: st.DataObject) -> None:
    days = days_of(case)
    extra = data.draw(st.lists(st.lists(st.sampled_from(sorted(days)), min_size=1, unique=True), max_size=2))
    groups = data.draw(st.permutations([*([day] for day in days), *extra]))
    con = empty_warehouse()
    for hour, chosen in enumerate(groups):
        load_statement(con, statement_of(days, chosen), hour=hour)
    assert table(con, "fills", leaving_out=WHEN_KNOWN) == everything_at_once(days)


@pytest.mark.parametrize("case", sorted(path.name for path in RECORDED.glob("[0-9]*") if "refused" not in path.name))
def test_judging_everything_anew_changes_nothing(case: str) -> None:
    con = empty_warehouse()
    for hour, path in enumerate(sorted((RECORDED / case).glob("*.xml"))):
        if case != "34_mandatory_fields_missing":
            load_statement(con, path.read_bytes(), hour=hour)
    before = {name: table(con, name) for name in ("execution_reports", "merged_rows", "links", "fills", "executions")}
    derive_again(con)
    assert {name: table(con, name) for name in before} == before


def test_the_same_statement_again_changes_nothing() -> None:
    con = empty_warehouse()
    body = (RECORDED / "05_cancel_keeps_commission_then_rebook" / "2.xml").read_bytes()
    assert load_statement(con, body).added > 0
    before = {name: table(con, name) for name in ("execution_reports", "merged_rows", "links", "past_fills")}
    again = load_statement(con, body, hour=1)
    assert not again.changed
    assert {name: table(con, name) for name in before} == before


def test_what_stood_before_a_cancel_can_still_be_asked() -> None:
    con = empty_warehouse()
    case = RECORDED / "05_cancel_keeps_commission_then_rebook"
    load_statement(con, (case / "1.xml").read_bytes(), hour=0)
    then = con.execute("select row_key, commission from fills").fetchall()
    loaded = load_statement(con, (case / "2.xml").read_bytes(), hour=24)
    assert loaded.cancelled == 1
    as_of = "select row_key, commission from fills_as_of(timestamp '2026-06-01 12:00:00' + to_hours(?))"
    assert con.execute(as_of, [23]).fetchall() == then
    assert con.execute(as_of, [24]).fetchall() == con.execute("select row_key, commission from fills").fetchall()
    assert con.execute("select count(*) from fills_as_of(timestamp '2026-06-01 11:59:59')").fetchall() == [(0,)]


def test_a_late_fee_is_a_new_version_and_the_old_one_stays_readable() -> None:
    con = empty_warehouse()
    case = RECORDED / "29_late_fee_restatement"
    for hour, name in enumerate(("1.xml", "2.xml")):
        load_statement(con, (case / name).read_bytes(), hour=hour)
    versions = con.execute(
        "select row_key, version, commission from execution_reports qualify max(version) over (partition by row_key) > 1"
    ).fetchall()
    assert len({commission for _, _, commission in versions}) == len(versions) > 1


def test_a_load_that_fails_leaves_nothing() -> None:
    con = empty_warehouse()
    con.execute("drop view data_health")
    con.execute("drop table drift")
    with pytest.raises(duckdb.CatalogException):
        load_statement(con, (RECORDED / "01_plain_stock_buys_and_sells" / "1.xml").read_bytes())
    counted = [
        con.execute(f"select count(*) from {name}").fetchall()[0][0]
        for name in ("execution_reports", "exchanges", "coverage")
    ]
    assert counted == [0, 0, 0]


def test_every_table_view_and_column_says_what_it_is() -> None:
    con = empty_warehouse()
    ours = "schema_name = 'main' and not internal"
    nameless = con.execute(
        f"""
        select table_name from duckdb_tables() where {ours} and comment is null and table_name <> 'schema_migrations'
        union all
        select view_name from duckdb_views() where {ours} and comment is null and view_name <> 'execution_rows'
        union all
        select table_name || '.' || column_name
        from duckdb_columns()
        where {ours} and comment is null and table_name not in ('schema_migrations', 'execution_rows')
        """
    ).fetchall()
    assert nameless == []


def test_no_table_has_a_key_or_an_index() -> None:
    con = empty_warehouse()
    assert con.execute("select * from duckdb_indexes()").fetchall() == []
    kinds = con.execute(
        "select distinct constraint_type from duckdb_constraints() where schema_name = 'main'"
    ).fetchall()
    assert kinds == []
    scripts = Path(__file__).parents[2] / "warehouse"
    for script in scripts.rglob("*.sql"):
        assert not re.search(r"primary key|on conflict|create (unique )?index", script.read_text()), script


def test_a_confirmed_fill_was_provisional_before_and_is_counted_once() -> None:
    con = empty_warehouse()
    case = RECORDED / "17_trade_confirmations_then_activity"
    load_statement(con, (case / "1.xml").read_bytes(), hour=0)
    provisional = con.execute("select count(*) from fills where status = 'provisional'").fetchall()[0][0]
    load_statement(con, (case / "2.xml").read_bytes(), hour=24)
    before = con.execute(
        "select count(*), any_value(status) from fills_as_of(timestamp '2026-06-01 12:00:00' + to_hours(23))"
    ).fetchall()
    assert provisional > 0
    assert before == [(provisional, "provisional")]
    assert con.execute("select min(first_seen_at) from fills where status = 'final'").fetchall()[0][0].day == 1


def test_a_confirmation_that_the_activity_statement_passes_over_leaves_fills_and_is_a_finding() -> None:
    con = empty_warehouse()
    load_statement(con, (RECORDED / "17_trade_confirmations_then_activity" / "1.xml").read_bytes(), hour=0)
    accounts = con.execute("select distinct account, book_date from fills").fetchall()
    day = max(day for _, day in accounts)
    silent = "".join(
        f'<FlexStatement accountId="{account}" fromDate="{day - timedelta(days=30):%Y%m%d}" '
        f'toDate="{day + timedelta(days=7):%Y%m%d}" period="" whenGenerated="20260601;080000"><Trades /></FlexStatement>'
        for account in {account for account, _ in accounts}
    )
    count = len({account for account, _ in accounts})
    opening = f'<FlexQueryResponse queryName="q" type="AF"><FlexStatements count="{count}">'
    load_statement(con, f"{opening}{silent}</FlexStatements></FlexQueryResponse>".encode(), hour=240)
    assert con.execute("select count(*) from fills").fetchall() == [(0,)]
    for summed in ("executions", "fees", "cash_legs"):
        assert con.execute(f"select count(*) from {summed}").fetchall() == [(0,)]
    assert con.execute("select count(*) from execution_reports").fetchall()[0][0] > 0
    assert con.execute("select distinct kind from data_health where severity = 'error'").fetchall() == [
        ("unconfirmed",)
    ]
    assert con.execute("select count(*) from fills_as_of(timestamp '2026-06-02')").fetchall()[0][0] > 0


def test_a_statement_without_a_section_for_trades_proves_nothing() -> None:
    con = empty_warehouse()
    opening = '<FlexQueryResponse queryName="q" type="AF"><FlexStatements count="1">'
    frame = opening + '<FlexStatement accountId="U1" {}>{}</FlexStatement>'
    dates = 'fromDate="20260401" toDate="20260430" period="" whenGenerated="20260601;080000"'
    closing = "</FlexStatements></FlexQueryResponse>"
    load_statement(con, (frame.format(dates, "<CashTransactions />") + closing).encode(), hour=0)
    assert con.execute("select status, row_count from coverage").fetchall() == [("partial", 0)]
    assert con.execute("select count(*) from watermarks").fetchall() == [(0,)]
    load_statement(con, (frame.format(dates, "<Trades />") + closing).encode(), hour=1)
    assert con.execute("select status, row_count from coverage where status = 'complete'").fetchall() == [
        ("complete", 0)
    ]
    assert con.execute("select verified_until::date::varchar from watermarks").fetchall() == [("2026-05-01",)]


@pytest.mark.parametrize("case", TANGLED[::2])
@settings(max_examples=2, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_what_stood_after_any_load_can_be_asked_ever_after(case: str, data: st.DataObject) -> None:
    days = days_of(case)
    order = data.draw(st.permutations([[day] for day in days]))
    con = empty_warehouse()
    columns = "row_key, signed_qty, last_px, commission, comm_currency, taxes, status"
    stood = []
    for hour, chosen in enumerate(order):
        load_statement(con, statement_of(days, chosen), hour=hour)
        stood.append(sorted(con.execute(f"select {columns} from fills").fetchall(), key=repr))
    as_of = f"select {columns} from fills_as_of(timestamp '2026-06-01 12:00:00' + to_hours(?))"
    for hour, fills in enumerate(stood):
        assert sorted(con.execute(as_of, [hour]).fetchall(), key=repr) == fills
