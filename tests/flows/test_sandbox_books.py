"""One history for both of Interactive Brokers' sandboxes: what the gateway tells today, Flex prints tomorrow, and more."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from xml.etree import ElementTree

import pytest

from connectors.ibkr_flex.sandbox import QUERY_ID, TOKEN, FlexBroker
from connectors.ibkr_portal.sandbox import Clock, Gateway, running
from flows.sandbox_books import gateway_book, gateway_of
from tests.connectors.ibkr_portal.caller import Caller

THURSDAY = date(2026, 3, 5)
EVENING = datetime(2026, 3, 5, 23, 30, tzinfo=UTC)  # 18:30 in New York: all markets of the day are closed
Told = dict[tuple[str, str], tuple[Decimal, Decimal, int]]


@pytest.fixture
def clock() -> Clock:
    return Clock(EVENING)


@pytest.fixture
def flex(clock: Clock) -> FlexBroker:
    return FlexBroker(now=clock, executions=400, years=1, seed=11)


@pytest.fixture
def gateway(flex: FlexBroker, clock: Clock) -> Gateway:
    return Gateway(clock=clock, book=gateway_book(flex))


@pytest.fixture
def told_by_gateway(gateway: Gateway, clock: Clock) -> Iterator[list[dict[str, object]]]:
    with running(gateway) as where:
        caller = Caller(where, clock)
        caller.get_ready()
        yield [row for account in gateway.accounts for row in caller.trades(account.number)]
        caller.http.close()


def statement(flex: FlexBroker, clock: Clock) -> list[dict[str, str]]:
    """Fetch the activity statement of the day after, over all days the query prints."""
    clock.advance(86_400)
    asked = flex.send_request({"t": TOKEN, "q": QUERY_ID, "v": "3"}, "Python/3.11", "")
    reference = ElementTree.fromstring(asked.body).findtext("ReferenceCode") or ""
    clock.advance(10)
    body = flex.get_statement({"t": TOKEN, "q": reference, "v": "3"}, "Python/3.11").body
    return [trade.attrib for trade in ElementTree.fromstring(body).iter("Trade")]


def of_gateway(rows: list[dict[str, object]], exec_ids: set[str]) -> Told:
    return {
        (str(row["accountCode"]), str(row["execution_id"])): (
            Decimal(str(row["size"])) * (1 if row["side"] == "B" else -1), Decimal(str(row["price"])), int(str(row["conid"])),
        )
        for row in rows
        if row["execution_id"] in exec_ids
    }  # fmt: skip


def of_flex(rows: list[dict[str, str]]) -> Told:
    return {
        (row["accountId"], row["ibExecID"]): (Decimal(row["quantity"]), Decimal(row["tradePrice"]), int(row["conid"]))
        for row in rows
    }


def of_thursday(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    """Keep what was executed that day and is told for the first time."""
    return [row for row in rows if row["tradeDate"] == f"{THURSDAY:%Y%m%d}" and row["transactionType"] == "ExchTrade"]


def test_flex_prints_a_day_later_what_the_gateway_told(
    flex: FlexBroker, clock: Clock, told_by_gateway: list[dict[str, object]]
) -> None:
    printed = of_thursday(statement(flex, clock))
    ids = {row["ibExecID"] for row in printed}
    assert len(ids) > 3 and of_gateway(told_by_gateway, ids) == of_flex(printed)
    began = datetime(2026, 3, 5, 14, tzinfo=UTC).timestamp() * 1000  # 9:00 in New York
    assert {row["execution_id"] for row in told_by_gateway if int(str(row["trade_time_r"])) >= began} <= ids
    at = {row["execution_id"]: row["trade_time_r"] for row in told_by_gateway}
    for row in flex.book()["ibkr_flex"][flex.history.accounts[0]]:
        if row["exec_id"] in at:
            assert datetime.fromisoformat(row["time"]).timestamp() * 1000 == at[row["exec_id"]]


def test_a_correction_and_a_cancel_that_is_booked_again_only_flex_tells(
    flex: FlexBroker, clock: Clock, gateway: Gateway, told_by_gateway: list[dict[str, object]]
) -> None:
    clock.advance(86_400)
    fills = [row for row in flex.visible() if row.trade_date == THURSDAY and row.exec_id and row.cancels is None]
    revised, rebooked = fills[0], fills[1]
    friday = flex.today
    flex.cancel_and_rebook(
        revised.transaction_id, quantity=revised.quantity * 2, revise_exec_id=True, report_date=friday
    )
    flex.cancel_and_rebook(rebooked.transaction_id, price=rebooked.price + 1, report_date=friday)
    printed = [row for row in statement(flex, clock) if row["reportDate"] == f"{friday:%Y%m%d}"]
    again = of_flex([row for row in printed if row["transactionType"] == "ExchTrade"])
    cancelled = [row["origTransactionID"] for row in printed if row["transactionType"] == "TradeCancel"]
    assert {str(revised.transaction_id), str(rebooked.transaction_id)} <= set(cancelled)
    corrected = (revised.account, f"{revised.exec_id[:-2]}02")
    assert again[corrected][0] == 2 * revised.quantity
    assert again[rebooked.account, rebooked.exec_id][1] == rebooked.price + 1
    told = of_gateway(told_by_gateway, {revised.exec_id, rebooked.exec_id, corrected[1]})
    assert told == {
        (row.account, row.exec_id): (row.quantity, row.price, row.instrument.conid) for row in (revised, rebooked)
    }
    book = gateway.tell_book()["ibkr_portal"][revised.account]
    assert corrected[1] not in {row["exec_id"] for row in book}


def test_the_gateway_tells_of_no_booking_and_no_cancel(flex: FlexBroker, gateway: Gateway) -> None:
    told = {row["exec_id"] for rows in gateway.tell_book()["ibkr_portal"].values() for row in rows}
    kinds = {row.kind for row in flex.history.rows if row.exec_id in told}
    assert kinds == {"ExchTrade"} and {row.kind for row in flex.history.rows} > kinds
    standing = {row["exec_id"] for rows in flex.book()["ibkr_flex"].values() for row in rows if row["exec_id"]}
    assert {exec_id[:-3] for exec_id in standing} <= {str(exec_id)[:-3] for exec_id in told}


def test_executions_appear_in_the_gateway_when_they_happen(flex: FlexBroker, gateway: Gateway, clock: Clock) -> None:
    before = gateway.tell_book()
    clock.advance(timedelta(hours=20).total_seconds())
    after = gateway.tell_book()
    fresh = [
        row
        for account, rows in after["ibkr_portal"].items()
        for row in rows
        if row not in before["ibkr_portal"][account]
    ]
    assert fresh and all(EVENING < datetime.fromisoformat(str(row["time"])) <= clock() for row in fresh)
    assert {row["exec_id"] for row in fresh} <= {row.exec_id for row in flex.history.rows}


def test_a_trade_of_this_second_is_told_by_the_gateway_now_and_by_flex_when_the_day_is_over(flex: FlexBroker) -> None:
    gateway = gateway_of(flex)
    traded = gateway.trade_now(flex.history.accounts[1])

    def told() -> set[object]:
        return {row["exec_id"] for row in gateway.tell_book()["ibkr_portal"][traded.account]}

    def printed() -> set[object]:
        return {row["exec_id"] for row in flex.book()["ibkr_flex"][traded.account]}

    assert traded.exec_id in told() - printed()
    gateway.now.advance(86_400)
    assert flex.today == THURSDAY + timedelta(days=1)
    assert traded.exec_id in told() & printed()


def test_a_day_that_passes_at_flex_ends_the_login_at_the_gateway(flex: FlexBroker) -> None:
    gateway = gateway_of(flex)
    gateway.log_in()
    assert gateway.session.logged_in(gateway.now())
    flex.advance()
    assert not gateway.session.logged_in(gateway.now())


def test_the_gateway_tells_of_days_long_after_it_was_made(flex: FlexBroker) -> None:
    gateway = gateway_of(flex)
    gateway.now.advance(40 * 86_400)
    latest = max(str(row["time"]) for rows in gateway.tell_book()["ibkr_portal"].values() for row in rows)
    assert gateway.now() - datetime.fromisoformat(latest) < timedelta(days=5)
