"""Days that pass at the Flex sandbox, with the corrections they bring."""

from decimal import Decimal

import httpx

from connectors.ibkr_flex.sandbox import FlexBroker
from tests.connectors.ibkr_flex.caller import Caller, trades


def test_a_cancel_and_its_rebooking_appear_only_in_the_next_statement(caller: Caller, broker: FlexBroker) -> None:
    before = trades(caller.download(p="20"))
    cancelled, rebooked = broker.cancel_and_rebook()
    assert rebooked is not None
    assert trades(caller.download(p="20")) == before
    caller.clock.pass_seconds(86400)
    after = {t["transactionID"]: t for t in trades(caller.download(p="21"))}
    original = next(
        t for t in before if t["transactionID"] == after[str(cancelled.transaction_id)]["origTransactionID"]
    )
    cancel, again = after[str(cancelled.transaction_id)], after[str(rebooked.transaction_id)]
    assert original == after[original["transactionID"]]
    assert cancel["buySell"] == original["buySell"] + " (Ca.)"
    assert Decimal(cancel["quantity"]) == -Decimal(original["quantity"])
    assert (cancel["tradeID"], cancel["ibExecID"], cancel["exchange"], cancel["notes"]) == ("", "", "--", "Ca")
    assert cancel["origTradeID"] == original["tradeID"]
    assert Decimal(cancel["ibCommission"]) == -Decimal(original["ibCommission"])
    assert (again["tradeID"], again["ibExecID"]) == (original["tradeID"], original["ibExecID"])
    assert again["reportDate"] > original["reportDate"]


def test_a_cancel_without_refund_leaves_its_commission_in_the_family(
    caller: Caller, broker: FlexBroker, base: str
) -> None:
    cancelled, rebooked = broker.cancel_and_rebook(refund=False, revise_exec_id=True)
    assert rebooked is not None and cancelled.cancels is not None
    assert cancelled.commission == 0
    assert rebooked.exec_id == cancelled.cancels.exec_id[:-2] + "02"
    caller.clock.pass_seconds(86400)
    book = httpx.get(base + "/sandbox/book").json()["ibkr_flex"][rebooked.account]
    entry = next(execution for execution in book if execution["exec_id"] == rebooked.exec_id)
    assert Decimal(entry["commission"]) == -cancelled.cancels.commission - rebooked.commission


def test_advancing_brings_a_new_day_and_first_of_all_a_correction(caller: Caller, base: str) -> None:
    before = {t["transactionID"] for t in trades(caller.download(p="30"))}
    answer = httpx.post(base + "/sandbox/advance", params={"days": "1"})
    assert answer.json()["today"] == "2026-03-07"
    new = [t for t in trades(caller.download(p="30")) if t["transactionID"] not in before]
    assert {t["reportDate"] for t in new} == {"20260306"}
    assert [t["origTransactionID"] in before for t in new if t["transactionType"] == "TradeCancel"] == [True]
    assert sum(t["transactionType"] == "ExchTrade" for t in new) > 2
    assert httpx.post(base + "/sandbox/advance", params={"days": "1"}).json()["today"] == "2026-03-10"
    assert httpx.post(base + "/sandbox/advance", params={"days": "x"}).status_code == 400
