"""The Flex sandbox, spoken to over loopback HTTP by clients that know nothing of its inside."""

import warnings
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import count
from xml.etree import ElementTree

import httpx
import ibflex
import pytest
from ibflex import client as ibflex_client

from connectors.ibkr_flex.sandbox import (
    CONFIRMS_QUERY_ID,
    EXPIRED_TOKEN,
    FAULTS,
    FOREIGN_URL,
    ONE_ACCOUNT_QUERY_ID,
    QUERY_ID,
    TOKEN,
    FlexBroker,
    running,
)

SEND = "/AccountManagement/FlexWebService/SendRequest"
GET = "/AccountManagement/FlexWebService/GetStatement"
FRIDAY_EVENING = datetime(2026, 3, 6, 22, 30, tzinfo=UTC)  # 17:30 in New York


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.moment = FRIDAY_EVENING

    def __call__(self) -> datetime:
        return self.moment

    def pass_seconds(self, seconds: float) -> None:
        self.moment += timedelta(seconds=seconds)


class Caller:
    """Just enough of a Flex client: it lets seven seconds pass before each call, unless told to hurry."""

    def __init__(self, base: str, clock: Clock) -> None:
        self.clock = clock
        self.http = httpx.Client(base_url=base, headers={"User-Agent": "Python/3.11"}, timeout=10)

    def call(self, path: str, *, token: str = TOKEN, v: str = "3", wait: float = 7, **params: str) -> httpx.Response:
        self.clock.pass_seconds(wait)
        return self.http.get(path, params={"t": token, "v": v, **params})

    def envelope(self, path: str, *, wait: float = 7, **params: str) -> dict[str, str]:
        reply = self.call(path, wait=wait, **params)
        assert reply.status_code == 200
        root = ElementTree.fromstring(reply.content)
        assert root.tag == "FlexStatementResponse"
        return {child.tag: child.text or "" for child in root}

    def code(self, path: str, *, wait: float = 7, **params: str) -> tuple[str, str]:
        envelope = self.envelope(path, wait=wait, **params)
        return envelope["Status"], envelope["ErrorCode"]

    def download(self, q: str = QUERY_ID, **params: str) -> ElementTree.Element:
        reference = self.envelope(SEND, wait=7, q=q, **params)["ReferenceCode"]
        root = ElementTree.fromstring(self.call(GET, q=reference).content)
        assert root.tag == "FlexQueryResponse"
        return root

    def download_all(self) -> list[ElementTree.Element]:
        """All five years of both accounts, a piece of 365 days at a time."""
        pieces, last = [], self.clock.moment.date() + timedelta(days=400)
        for _ in range(7):
            first = last - timedelta(days=364)
            envelope = self.envelope(SEND, q=QUERY_ID, fd=f"{first:%Y%m%d}", td=f"{last:%Y%m%d}")
            if envelope["Status"] == "Success":
                pieces.append(ElementTree.fromstring(self.call(GET, q=envelope["ReferenceCode"]).content))
            last = first - timedelta(days=1)
        return pieces


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def broker(clock: Clock) -> FlexBroker:
    return FlexBroker(now=clock, executions=300)


@pytest.fixture
def base(broker: FlexBroker) -> Iterator[str]:
    with running(broker) as url:
        yield url


@pytest.fixture
def caller(base: str, clock: Clock) -> Iterator[Caller]:
    calling = Caller(base, clock)
    yield calling
    calling.http.close()


@pytest.fixture(scope="module")
def quiet() -> Iterator[Caller]:
    """Give a caller of a broker that no test changes, shared because a server takes a moment to stop."""
    clock = Clock()
    with running(FlexBroker(now=clock, executions=300)) as url:
        calling = Caller(url, clock)
        yield calling
        calling.http.close()


def trades(*roots: ElementTree.Element) -> list[dict[str, str]]:
    return [dict(trade.attrib) for root in roots for trade in root.iter("Trade")]


# -- the protocol


def test_a_statement_is_asked_for_and_fetched_at_the_url_the_service_names(caller: Caller, base: str) -> None:
    accepted = caller.envelope(SEND, q=QUERY_ID)
    assert accepted["Status"] == "Success"
    assert accepted["Url"] == base + GET
    reply = caller.call(accepted["Url"], q=accepted["ReferenceCode"])
    statements = list(ElementTree.fromstring(reply.content).iter("FlexStatement"))
    assert [s.get("accountId") for s in statements] == ["U7350211", "U7350211F"]
    assert {s.get("period") for s in statements} == {"Last365CalendarDays"}
    assert {(s.get("fromDate"), s.get("toDate")) for s in statements} == {("20250306", "20260305")}


def test_a_statement_is_not_ready_until_the_generation_time_has_passed(caller: Caller, broker: FlexBroker) -> None:
    broker.generation_seconds = 20
    reference = caller.envelope(SEND, q=QUERY_ID)["ReferenceCode"]
    assert caller.code(GET, q=reference) == ("Warn", "1019")
    assert caller.code(GET, q=reference) == ("Warn", "1019")
    assert caller.call(GET, q=reference).text.startswith("<FlexQueryResponse")


def test_own_dates_leave_the_period_empty_and_are_cut_to_what_exists(caller: Caller) -> None:
    statement = next(caller.download(fd="20260301", td="20260401").iter("FlexStatement"))
    assert statement.attrib | {"whenGenerated": ""} == {
        "accountId": "U7350211", "fromDate": "20260301", "toDate": "20260305", "period": "", "whenGenerated": "",
    }  # fmt: skip
    assert statement.get("whenGenerated") == "20260306;173014"


def test_a_number_of_days_can_be_asked_for(quiet: Caller) -> None:
    statement = next(quiet.download(p="10").iter("FlexStatement"))
    assert (statement.get("fromDate"), statement.get("toDate")) == ("20260224", "20260305")


@pytest.mark.parametrize(
    ("params", "code"),
    [
        ({"q": QUERY_ID, "token": "999"}, "1015"),
        ({"q": QUERY_ID, "token": EXPIRED_TOKEN}, "1012"),
        ({"q": QUERY_ID, "token": ""}, "1020"),
        ({"q": "1"}, "1014"),
        ({"q": QUERY_ID, "v": "2"}, "1001"),
        ({"q": QUERY_ID, "v": ""}, "1001"),
        ({"q": QUERY_ID, "fd": "20250101", "td": "20260101"}, "1020"),
        ({"q": QUERY_ID, "fd": "20260102", "td": "20260101"}, "1020"),
        ({"q": QUERY_ID, "fd": "2026-01-01", "td": "20260102"}, "1020"),
        ({"q": QUERY_ID, "fd": "20260230", "td": "20260302"}, "1020"),
        ({"q": QUERY_ID, "fd": "20260101"}, "1020"),
        ({"q": QUERY_ID, "p": "366"}, "1020"),
        ({"q": QUERY_ID, "fd": "20260306", "td": "20260306"}, "1003"),
        ({"q": QUERY_ID, "fd": "20150101", "td": "20150201"}, "1003"),
    ],
)
def test_a_wrong_request_fails_with_the_documented_code(quiet: Caller, params: dict[str, str], code: str) -> None:
    assert quiet.code(SEND, wait=7, **params) == ("Fail", code)


def test_a_missing_or_blank_user_agent_is_refused(quiet: Caller) -> None:
    silent = quiet.http.build_request("GET", SEND, params={"t": TOKEN, "q": QUERY_ID, "v": "3"})
    del silent.headers["user-agent"]
    blank = quiet.http.build_request("GET", silent.url, headers={"User-Agent": ""})
    assert all("<ErrorCode>1020<" in quiet.http.send(request).text for request in (silent, blank))


def test_a_missing_version_counts_as_version_two(quiet: Caller) -> None:
    quiet.clock.pass_seconds(7)
    assert "<ErrorCode>1001<" in quiet.http.get(SEND, params={"t": TOKEN, "q": QUERY_ID}).text


def test_the_retired_addresses_fail_forever(quiet: Caller) -> None:
    for name in ("SendRequest", "GetStatement"):
        assert quiet.code(f"/Universal/servlet/FlexStatementService.{name}", q=QUERY_ID, v="2") == ("Fail", "1001")


def test_a_reference_belongs_to_the_token_that_asked(caller: Caller, broker: FlexBroker) -> None:
    broker.tokens["another"] = None
    reference = caller.envelope(SEND, q=QUERY_ID)["ReferenceCode"]
    assert caller.code(GET, q=reference, token="another") == ("Fail", "1017")
    assert caller.code(GET, q="42") == ("Fail", "1017")


def test_a_token_expires_on_its_day(caller: Caller, broker: FlexBroker) -> None:
    broker.tokens["short"] = FRIDAY_EVENING + timedelta(seconds=10)
    assert caller.envelope(SEND, q=QUERY_ID, token="short")["Status"] == "Success"
    assert caller.code(SEND, q=QUERY_ID, token="short") == ("Fail", "1012")


def test_a_second_call_within_a_second_is_refused_whatever_it_asks(caller: Caller, broker: FlexBroker) -> None:
    broker.tokens["another"] = None
    reference = caller.envelope(SEND, q=QUERY_ID)["ReferenceCode"]
    assert caller.code(SEND, q=ONE_ACCOUNT_QUERY_ID, wait=0.5) == ("Fail", "1018")
    assert caller.code(GET, q=reference, wait=0.4) == ("Fail", "1018")
    assert caller.envelope(SEND, q=QUERY_ID, token="another", wait=0)["Status"] == "Success"
    assert caller.envelope(SEND, q=QUERY_ID, wait=0.1)["Status"] == "Success"


def test_ten_calls_a_minute_are_all_a_token_gets(caller: Caller, base: str) -> None:
    answers = [caller.envelope(SEND, q=q, wait=2)["Status"] for q in [QUERY_ID, CONFIRMS_QUERY_ID] * 6]
    assert answers == ["Success"] * 10 + ["Fail"] * 2
    assert caller.envelope(SEND, q=QUERY_ID, wait=40)["Status"] == "Success"
    assert httpx.get(base + "/sandbox/requests").json() == {
        "SendRequest": 13, "GetStatement": 0, "legacy": 0, "refused_1018": 2,
    }  # fmt: skip


# -- what statements hold


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


# -- time goes on


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


# -- other people's client


def test_ibflex_downloads_and_parses_a_statement(
    broker: FlexBroker, base: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = count()
    broker.now = lambda: FRIDAY_EVENING + timedelta(seconds=next(calls))  # it calls twice without a pause
    monkeypatch.setattr(ibflex_client, "REQUEST_URL", base + SEND)
    monkeypatch.setattr(ibflex_client, "STMT_URL", base + GET)
    for query in (QUERY_ID, CONFIRMS_QUERY_ID):
        content = ibflex_client.download(TOKEN, query)
        with warnings.catch_warnings():
            warnings.simplefilter("error")  # ibflex warns of each attribute that it does not know
            response = ibflex.parser.parse(content)
        rows = [row for statement in response.FlexStatements for row in (*statement.Trades, *statement.TradeConfirms)]
        assert len(response.FlexStatements) == 2
        assert len(rows) == len(ElementTree.fromstring(content).findall(".//*[@buySell]"))


# -- faults


@pytest.mark.parametrize(
    ("fault", "path", "status", "code"),
    [
        ("heavy_load_1009", SEND, "Fail", "1009"),
        ("generate_fail_1001", SEND, "Fail", "1001"),
        ("locked_1025", SEND, "Warn", "1025"),
        ("token_expired", SEND, "Fail", "1012"),
        ("ip_restricted_1013", SEND, "Fail", "1013"),
        ("not_ready_1005", GET, "Fail", "1005"),
        ("slow", GET, "Warn", "1019"),
        ("warn_envelope_as_when_available", GET, "WhenAvailable", "1019"),
    ],
)
def test_a_fault_answers_with_its_code_until_it_is_switched_off(
    caller: Caller, base: str, fault: str, path: str, status: str, code: str
) -> None:
    def control(on: str) -> None:
        assert httpx.post(base + "/sandbox/fault", params={"name": fault, "on": on}).status_code == 200

    q, wait = QUERY_ID, 7.0
    if path == GET:
        if fault == "slow":
            control("1")
        q = caller.envelope(SEND, q=QUERY_ID)["ReferenceCode"]
        wait = 1.5
    control("1")
    assert caller.code(path, q=q, wait=wait) == (status, code)
    control("0")
    assert "ErrorCode" not in caller.call(path, q=q, wait=20).text


def test_faults_of_the_transport_answer_no_envelope(caller: Caller, broker: FlexBroker) -> None:
    broker.faults = {"html_page"}
    assert caller.call(SEND, q=QUERY_ID).text.startswith("<!DOCTYPE html>")
    broker.faults = {"http_503"}
    assert caller.call(SEND, q=QUERY_ID).status_code == 503
    broker.faults = {"empty_body"}
    assert caller.call(SEND, q=QUERY_ID).content == b""
    broker.faults = {"foreign_url"}
    assert caller.envelope(SEND, q=QUERY_ID)["Url"] == FOREIGN_URL


def test_a_truncated_statement_is_not_well_formed(caller: Caller, broker: FlexBroker) -> None:
    broker.faults = {"truncated"}
    reference = caller.envelope(SEND, q=QUERY_ID)["ReferenceCode"]
    reply = caller.call(GET, q=reference)
    assert reply.text.startswith("<FlexQueryResponse")
    with pytest.raises(ElementTree.ParseError):
        ElementTree.fromstring(reply.content)


def test_a_short_range_says_which_days_it_covers(caller: Caller, broker: FlexBroker) -> None:
    broker.faults = {"short_range"}
    root = caller.download(fd="20260101", td="20260131")
    assert next(root.iter("FlexStatement")).get("fromDate") == "20260116"
    assert all(trade["reportDate"] >= "20260116" for trade in trades(root))


def test_a_hanging_service_outlasts_an_impatient_client(caller: Caller, broker: FlexBroker) -> None:
    broker.faults, broker.hang_seconds = {"hang"}, 0.4
    with pytest.raises(httpx.ReadTimeout):
        caller.http.get(SEND, params={"t": TOKEN, "q": QUERY_ID, "v": "3"}, timeout=0.1)


def test_an_unknown_fault_is_refused_with_the_table_of_faults(base: str) -> None:
    answer = httpx.post(base + "/sandbox/fault", params={"name": "sulk"})
    assert answer.status_code == 400
    assert answer.json()["faults"] == FAULTS
