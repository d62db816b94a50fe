"""The Kraken sandbox as other people's clients see it, which know nothing of its inside."""

import io
import zipfile
from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal
from typing import Any

import ccxt
import pytest
from kraken.exceptions import KrakenInvalidNonceError, KrakenInvalidSignatureError
from kraken.spot import Market, User

from connectors.kraken.sandbox import API_SECRET, KrakenBroker, running
from connectors.kraken.sandbox_admission import Key
from tests.connectors.kraken.caller import NOW
from tests.connectors.standing import Clock


class HurryingClock(Clock):
    """Ten seconds pass at each look, so that clients that know only real time never fill the counter."""

    def __call__(self) -> datetime:
        self.pass_seconds(10)
        return self.moment


@pytest.fixture(scope="module")
def hurrying() -> Iterator[tuple[KrakenBroker, str]]:
    keys = {name: Key(API_SECRET) for name in ("ccxt", "sdk")}  # their nonces count in different units
    broker = KrakenBroker(clock=HurryingClock(), trades=260, keys=keys)
    with running(broker) as url:
        yield broker, url


@pytest.fixture
def exchange(hurrying: tuple[KrakenBroker, str]) -> ccxt.kraken:
    _, url = hurrying
    urls = {"api": {"public": url, "private": url}}
    return ccxt.kraken({"apiKey": "ccxt", "secret": API_SECRET, "enableRateLimit": False, "urls": urls})


@pytest.fixture
def user(hurrying: tuple[KrakenBroker, str]) -> User:
    return User(key="sdk", secret=API_SECRET, url=hurrying[1])


def executions(broker: KrakenBroker, kind: str = "TRADE") -> list[dict[str, Any]]:
    wanted = {"TRADE", "BOOK"} if kind == "TRADE" else {kind}
    return [row for row in broker.book()["kraken"]["main"] if row["exec_type"] in wanted]


def test_ccxt_brings_home_every_trade(hurrying: tuple[KrakenBroker, str], exchange: ccxt.kraken) -> None:
    broker, _ = hurrying
    found: dict[str, Any] = {}
    for ofs in range(0, 300, 50):
        params = {"ofs": ofs, "consolidate_taker": "false", "rebase_multiplier": "base"}
        found |= {trade["id"]: trade for trade in exchange.fetch_my_trades(params=params)}
    book = {row["exec_id"]: row for row in executions(broker)}
    assert found.keys() == book.keys()
    for trade_id, trade in found.items():
        row = book[trade_id]
        assert (trade["side"].upper(), trade["order"]) == (row["side"], row["order_id"])
        assert (trade["amount"], trade["price"]) == (float(row["quantity"]), float(row["price"]))
        assert trade["fee"]["cost"] == float(row["stated_fee"])
        if trade["symbol"] in exchange.markets:  # of a pair that is not listed ccxt guesses the name, sometimes wrongly
            assert trade["symbol"] == row["symbol"]
    assert broker.rate_limit_refusals == []


def test_ccxt_asks_for_a_window_in_milliseconds(hurrying: tuple[KrakenBroker, str], exchange: ccxt.kraken) -> None:
    broker, _ = hurrying
    since, until = (NOW - 86400 * days for days in (300, 200))
    found = exchange.fetch_my_trades(since=since * 1000, params={"until": until * 1000, "consolidate_taker": "false"})
    times = [Decimal(row["time_raw"]) for row in executions(broker)]
    assert len(found) == sum(since < at <= until + 1 for at in times) > 0


def test_ccxt_reads_the_ledger_and_the_balance(hurrying: tuple[KrakenBroker, str], exchange: ccxt.kraken) -> None:
    broker, _ = hurrying
    rows = [row for ofs in range(0, 1000, 50) for row in exchange.fetch_ledger(params={"ofs": ofs})]
    assert {row["id"] for row in rows} == {entry.id for entry in broker.account.ledger.rows}
    assert {row["currency"] for row in rows} >= {"BTC", "EUR", "USD", "DOGE"}
    euros = exchange.fetch_ledger("EUR")
    assert {row["currency"] for row in euros} == {"EUR"}
    assert exchange.fetch_balance()["EUR"]["total"] == float(broker.account.balances["ZEUR"])


def test_ccxt_tells_the_errors_apart(hurrying: tuple[KrakenBroker, str], exchange: ccxt.kraken) -> None:
    broker, _ = hurrying
    for name, error in {
        "rate_limit_exceeded": ccxt.DDoSProtection,
        "invalid_nonce": ccxt.InvalidNonce,
        "invalid_key": ccxt.AuthenticationError,
        "permission_denied": ccxt.PermissionDenied,
        "unavailable": ccxt.ExchangeNotAvailable,
        "http_520": ccxt.ExchangeNotAvailable,
    }.items():
        broker.faults.on(name, at="TradesHistory", calls=1)
        with pytest.raises(error):
            exchange.fetch_my_trades()


def test_python_kraken_sdk_brings_home_every_trade(hurrying: tuple[KrakenBroker, str], user: User) -> None:
    broker, _ = hurrying
    found: dict[str, Any] = {}
    while len(page := user.get_trades_history(ofs=len(found), consolidate_taker=False, ledgers=True)["trades"]) > 0:
        found |= page
    assert found.keys() == {row["exec_id"] for row in executions(broker)}
    some = list(found)[:20]
    assert list(user.get_trades_info(txid=some)) == some
    entry = found[some[0]]["ledgers"][0]
    assert user.get_ledgers(id_=entry)[entry]["refid"] == some[0]


def test_python_kraken_sdk_reads_ledgers_positions_and_balances(hurrying: tuple[KrakenBroker, str], user: User) -> None:
    broker, _ = hurrying
    told = user.get_ledgers_info(asset=["KFEE", "EUR"])
    assert {row["asset"] for row in told["ledger"].values()} == {"KFEE", "ZEUR"}
    deposits = [entry for entry in broker.account.ledger.rows if entry.type == "deposit"]
    assert user.get_ledgers_info(type_="deposit")["count"] == sum(d.asset.aclass == "currency" for d in deposits)
    assert set(user.get_open_positions()) == {position.id for position in broker.account.open_positions}
    assert Decimal(user.get_account_balance()["ZEUR"]) == broker.account.balances["ZEUR"]


def test_python_kraken_sdk_exports_a_report(user: User) -> None:
    start = NOW - 86400 * 365
    export = user.request_export_report(report="trades", description="a year", starttm=start, endtm=NOW)["id"]
    for _ in range(5):
        status = user.get_export_report_status(report="trades")[0]
        if status["status"] == "Processed":
            break
    assert (status["id"], status["descr"], status["starttm"]) == (export, "a year", str(start))
    reply: Any = user.retrieve_export(id_=export)
    with zipfile.ZipFile(io.BytesIO(reply.content)) as archive:
        assert archive.read("trades.csv").startswith(b'"txid","ordertxid","pair"')
    assert user.delete_export_report(id_=export) == {"delete": True}


def test_python_kraken_sdk_tells_the_errors_apart(hurrying: tuple[KrakenBroker, str], user: User) -> None:
    broker, url = hurrying
    broker.faults.on("invalid_nonce", calls=1)
    with pytest.raises(KrakenInvalidNonceError):
        user.get_account_balance()
    with pytest.raises(KrakenInvalidSignatureError):
        User(key="sdk", secret="Zm9yZ2Vy", url=url).get_account_balance()


def test_python_kraken_sdk_reads_the_public_listings(hurrying: tuple[KrakenBroker, str]) -> None:
    market = Market(url=hurrying[1])
    assert market.get_assets(assets=["BTC", "EUR"]).keys() == {"XXBT", "ZEUR"}
    assert market.get_asset_pairs(pair=["BTC/USD"])["XXBTZUSD"]["wsname"] == "XBT/USD"
    assert market.get_system_status()["status"] == "online"
