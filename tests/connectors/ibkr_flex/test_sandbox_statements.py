"""What the statements of the Flex sandbox hold, and that their figures agree."""

from collections import Counter, defaultdict
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from xml.etree import ElementTree

import httpx

from connectors.ibkr_flex.sandbox import CONFIRMS_QUERY_ID, FlexBroker, running
from tests.connectors.ibkr_flex.caller import Caller, trades
from tests.connectors.standing import FRIDAY_EVENING, Clock


def test_activity_shows_a_day_only_when_it_is_over_in_new_york(caller: Caller, clock: Clock) -> None:
    assert "20260306" not in {trade["reportDate"] for trade in trades(caller.download(p="5"))}
    clock.moment = datetime(2026, 3, 7, 4, 58, tzinfo=UTC)  # Saturday in London, still Friday in New York
    assert "20260306" not in {trade["reportDate"] for trade in trades(caller.download(p="5"))}
    clock.moment = datetime(2026, 3, 7, 5, 1, tzinfo=UTC)
    assert "20260306" in {trade["reportDate"] for trade in trades(caller.download(p="5"))}


def test_confirmations_show_today_and_carry_the_same_execution_ids(caller: Caller, clock: Clock) -> None:
    confirms = [c.attrib for c in caller.download(CONFIRMS_QUERY_ID).iter("TradeConfirm")]
    today = {c["execID"]: c for c in confirms if c["reportDate"] == "20260306"}
    assert today and not any("transactionID" in c for c in confirms)
    clock.pass_seconds(86400)
    final = {t["ibExecID"]: t for t in trades(caller.download(p="2")) if t["reportDate"] == "20260306"}
    for exec_id, confirm in today.items():
        trade = final[exec_id]
        assert (confirm["tradeID"], confirm["price"], confirm["amount"], confirm["commission"], confirm["tax"]) == (
            trade["tradeID"], trade["tradePrice"], trade["tradeMoney"], trade["ibCommission"], trade["taxes"],
        )  # fmt: skip


def test_five_years_hold_every_kind_of_row(quiet: Caller) -> None:
    rows = trades(*quiet.download_all())
    assert {t["assetCategory"] for t in rows} == {"STK", "OPT", "FUT", "CASH"}
    assert {t["transactionType"] for t in rows} == {"ExchTrade", "BookTrade", "TradeCancel"}
    assert {"A", "Ep", "Ca", "FP", "AFx"} <= {t["notes"] for t in rows}
    assert {"O", "C", "C;O", ""} == {t["openCloseIndicator"] for t in rows}
    assert any(Decimal(t["ibCommission"]) > 0 for t in rows if t["transactionType"] == "ExchTrade")
    assert any(Decimal(t["taxes"]) < 0 for t in rows)
    assert any(Decimal(t["quantity"]) % 1 for t in rows if t["assetCategory"] == "STK")
    assert any(t["tradeDate"] != t["dateTime"][:8] for t in rows)
    assert all(t["ibExecID"] == "" for t in rows if t["transactionType"] != "ExchTrade")
    at_once = Counter((t["symbol"], t["dateTime"], t["tradePrice"]) for t in rows if t["quantity"] in {"1", "-1"})
    assert max(at_once.values()) == 9
    ids = [int(t["transactionID"]) for t in rows]
    assert len(ids) == len(set(ids))


def test_signs_are_ibkrs(quiet: Caller) -> None:
    for trade in trades(quiet.download()):
        number = {
            name: Decimal(trade[name])
            for name in (
                "quantity",
                "tradePrice",
                "multiplier",
                "tradeMoney",
                "proceeds",
                "ibCommission",
                "taxes",
                "netCash",
            )
        }
        assert (number["quantity"] < 0) == (trade["buySell"] in {"SELL", "BUY (Ca.)"})
        assert number["tradeMoney"] == number["quantity"] * number["tradePrice"] * number["multiplier"]
        assert number["proceeds"] == -number["tradeMoney"]
        if trade["assetCategory"] in {"STK", "OPT"}:
            assert number["netCash"] == number["proceeds"] + number["ibCommission"] + number["taxes"]
        if trade["assetCategory"] == "CASH":
            assert number["netCash"] == 0
            assert trade["ibCommissionCurrency"] == "EUR" != trade["currency"]


def test_orders_and_cash_report_agree_with_the_rows(quiet: Caller) -> None:
    for statement in quiet.download().iter("FlexStatement"):
        rows = trades(statement)
        for name in ("quantity", "proceeds", "ibCommission", "netCash", "fifoPnlRealized"):
            orders = sum(Decimal(order.attrib[name]) for order in statement.iter("Order"))
            assert orders == sum(Decimal(trade[name]) for trade in rows)
        commissions: defaultdict[str, Decimal] = defaultdict(Decimal)
        traded: defaultdict[str, Decimal] = defaultdict(Decimal)
        for trade in rows:
            commissions[trade["ibCommissionCurrency"]] += Decimal(trade["ibCommission"])
            if trade["assetCategory"] != "FUT":
                traded[trade["currency"]] += Decimal(trade["proceeds"])
            if trade["assetCategory"] == "CASH":
                traded[trade["symbol"][:3]] += Decimal(trade["quantity"])
        report = {line.attrib["currency"]: line.attrib for line in statement.iter("CashReportCurrency")}
        assert report.keys() >= commissions.keys() | {"BASE_SUMMARY"}
        for currency, line in report.items():
            if currency != "BASE_SUMMARY":
                assert Decimal(line["commissions"]) == commissions[currency]
                assert Decimal(line["netTradesSales"]) + Decimal(line["netTradesPurchases"]) == traded[currency]


def test_the_book_is_the_sum_of_all_statement_rows(caller: Caller, base: str, broker: FlexBroker) -> None:
    broker.cancel_and_rebook(refund=False, revise_exec_id=True)
    httpx.post(base + "/sandbox/advance", params={"days": "3"})
    stated: defaultdict[tuple[str, str, str], Decimal] = defaultdict(Decimal)
    for trade in trades(*caller.download_all()):
        stated[trade["accountId"], "quantity", trade["symbol"]] += Decimal(trade["quantity"])
        stated[trade["accountId"], "commission", trade["ibCommissionCurrency"]] -= Decimal(trade["ibCommission"])
    held: defaultdict[tuple[str, str, str], Decimal] = defaultdict(Decimal)
    book = httpx.get(base + "/sandbox/book").json()["ibkr_flex"]
    for account, executions in book.items():
        for execution in executions:
            sign = 1 if execution["side"] == "BUY" else -1
            held[account, "quantity", execution["symbol"]] += sign * Decimal(execution["quantity"])
            held[account, "commission", execution["commission_currency"]] += Decimal(execution["commission"])
            assert datetime.fromisoformat(execution["time"]).utcoffset() == timedelta(0)
    assert {key: total for key, total in held.items() if total} == {
        key: total for key, total in stated.items() if total
    }


def test_the_same_seed_and_clock_give_the_same_bytes(caller: Caller, clock: Clock) -> None:
    first = caller.download()
    clock.moment = FRIDAY_EVENING
    with running(FlexBroker(now=clock, executions=300)) as url:
        again = Caller(url, clock).download()
    assert ElementTree.tostring(first) == ElementTree.tostring(again)
