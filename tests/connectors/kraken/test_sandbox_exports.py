"""Export reports of the Kraken sandbox: asked for, waited for, unpacked, removed."""

import csv
import io
import zipfile
from decimal import Decimal
from typing import Any

import pytest

from connectors.kraken.sandbox import KrakenBroker, running
from connectors.kraken.sandbox_exports import NEW_LEDGERS, NEW_TRADES, OLD_LEDGERS, OLD_TRADES
from tests.connectors.kraken.caller import NOW, Caller
from tests.connectors.standing import Clock

LONG_AGO = NOW - 86400 * 365 * 4


def order(caller: Caller, report: str = "trades", **params: Any) -> str:
    wanted: dict[str, Any] = {"description": "test", "starttm": LONG_AGO, "endtm": NOW}
    export_id: str = caller.ask("AddExport", report=report, **(wanted | params))["id"]
    return export_id


def fetch(caller: Caller, report: str = "trades", **params: Any) -> str:
    """Order a report, wait for it, and unpack it."""
    export_id = order(caller, report, **params)
    reply = caller.send("RetrieveExport", id=export_id, wait=60)
    assert reply.headers["content-type"] == "application/octet-stream"
    with zipfile.ZipFile(io.BytesIO(reply.content)) as archive:
        (name,) = archive.namelist()
        assert name == f"{report}.{str(params.get('format', 'CSV')).lower()}"
        return archive.read(name).decode()


def lines(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def statuses(caller: Caller, report: str = "trades", wait: float = 1) -> list[dict[str, Any]]:
    told: list[dict[str, Any]] = caller.ask("ExportStatus", report=report, wait=wait)
    return told


# -- the life of a report


def test_a_report_is_queued_then_processed_over_time(caller: Caller) -> None:
    export_id = order(caller)
    seen = [statuses(caller, wait=wait)[0]["status"] for wait in (4, 2, 18, 2)]
    assert seen == ["Queued", "Processing", "Processing", "Processed"]
    last = statuses(caller)[0]
    assert {type(value) for value in last.values()} == {str}
    assert (last["id"], last["descr"], last["starttm"], last["completedtm"]) == (
        export_id, "test", str(LONG_AGO), str(NOW + 7 + 25),
    )  # fmt: skip
    assert int(last["expiretm"]) - int(last["createdtm"]) == 209_600


def test_a_report_that_is_not_ready_is_answered_in_json(caller: Caller) -> None:
    export_id = order(caller)
    assert caller.error("RetrieveExport", id=export_id, wait=1) == "EGeneral:Invalid arguments:id"
    assert caller.error("RetrieveExport", id="ZZZZ") == "EGeneral:Invalid arguments:id"


def test_a_report_is_cancelled_before_and_deleted_after_it_is_processed(caller: Caller) -> None:
    first, second = order(caller), order(caller)
    assert caller.error("RemoveExport", id=first, type="delete", wait=1) == "EGeneral:Invalid arguments:type"
    assert caller.ask("RemoveExport", id=first, type="cancel", wait=1) == {"cancel": True}
    assert caller.error("RemoveExport", id=second, type="cancel", wait=60) == "EGeneral:Invalid arguments:type"
    assert caller.ask("RemoveExport", id=second, type="delete") == {"delete": True}
    assert statuses(caller) == []


def test_reports_of_each_kind_are_told_of_apart_newest_first(caller: Caller) -> None:
    first, second, other = order(caller), order(caller), order(caller, "ledgers")
    assert [export["id"] for export in statuses(caller)] == [second, first]
    assert [export["id"] for export in statuses(caller, "ledgers")] == [other]


def test_without_a_start_a_report_begins_with_the_current_month(caller: Caller) -> None:
    order(caller, starttm="", endtm="")
    told = statuses(caller)[0]
    assert (told["starttm"], told["dataendtm"]) == ("1772323200", str(NOW + 7))  # 2026-03-01T00:00Z


@pytest.mark.parametrize(
    "params",
    [
        {"report": "orders"}, {"description": ""}, {"format": "XLS"}, {"fields": "txid,moon"}, {"starttm": "soon"},
        {"starttm": NOW, "endtm": NOW - 1},
    ],
)  # fmt: skip
def test_a_report_cannot_be_ordered_with_arguments_that_mean_nothing(quiet: Caller, params: dict[str, Any]) -> None:
    error = quiet.error("AddExport", **({"report": "trades", "description": "x"} | params))
    assert error.startswith("EGeneral:Invalid arguments:")


# -- what is in it


def test_trades_in_a_report_are_the_trades_of_the_api_at_the_finest_grain(quiet: Caller) -> None:
    trades, report = quiet.trades(), lines(fetch(quiet))
    assert [line["txid"] for line in reversed(report)] == list(trades)
    for line in report:
        trade = trades[line["txid"]]
        assert {name: Decimal(line[name]) for name in ("price", "cost", "fee", "vol", "margin")} == {
            name: Decimal(trade[name]) for name in ("price", "cost", "fee", "vol", "margin")
        }
        assert line["ledgers"].split(",") == trade["ledgers"]
        assert line["posstatuscode"] == trade.get("posstatus", "")


def test_ledger_rows_in_a_report_are_those_of_the_api_pending_ones_without_id(quiet: Caller) -> None:
    ledger, report = quiet.ledger(), lines(fetch(quiet, "ledgers"))
    assert len(report) == len(ledger)
    for line, (entry_id, row) in zip(reversed(report), ledger.items(), strict=True):
        assert line["txid"] == (entry_id if row["balance"] else "")
        assert [line[name] for name in ("refid", "type", "asset", "amount", "fee", "balance")] == [
            row[name] for name in ("refid", "type", "asset", "amount", "fee", "balance")
        ]
    assert {line["wallet"] for line in report} >= {"spot / main", "earn / bonded"}


def test_times_are_utc_without_a_zone_cut_to_four_decimals(quiet: Caller) -> None:
    trades, report = quiet.trades(), lines(fetch(quiet))
    for line in report:
        second = int(trades[line["txid"]]["time"])
        whole, fraction = line["time"].split(".")
        assert len(fraction) == 4 and len(whole) == 19
        assert Decimal(f"{second}.{fraction}") <= trades[line["txid"]]["time"]
    assert report[0]["time"] < report[-1]["time"]


def test_both_ends_of_a_report_are_inclusive(quiet: Caller) -> None:
    on_the_second = next(trade for trade in quiet.trades().values() if trade["time"] % 1 == 0)
    second = int(on_the_second["time"])
    report = lines(fetch(quiet, starttm=second, endtm=second))
    assert on_the_second["ordertxid"] in {line["ordertxid"] for line in report}


def test_text_is_quoted_and_numbers_are_not(quiet: Caller) -> None:
    header, first, *_ = fetch(quiet, fields="txid,price,misc,vol").splitlines()
    assert header == '"txid","price","vol","misc"'
    txid, price, volume, misc = first.split(",")
    assert txid.startswith('"T') and misc == '""' and Decimal(price) > 0 < Decimal(volume)


def test_tabs_separate_a_tsv(quiet: Caller) -> None:
    header = fetch(quiet, format="TSV").splitlines()[0]
    assert header.split("\t") == [f'"{name}"' for name in NEW_TRADES]


@pytest.mark.parametrize(
    ("layout", "trades", "ledgers", "pair"),
    [("old", OLD_TRADES, OLD_LEDGERS, "XXBTZUSD"), ("new", NEW_TRADES, NEW_LEDGERS, "XBT/USD")],
)
def test_columns_and_pairs_depend_on_the_age_of_the_layout(
    clock: Clock, layout: str, trades: list[str], ledgers: list[str], pair: str
) -> None:
    with running(KrakenBroker(clock=clock, trades=200, export_layout=layout)) as url:
        caller = Caller(url, clock)
        report = lines(fetch(caller))
        assert list(report[0]) == trades and pair in {line["pair"] for line in report}
        assert list(lines(fetch(caller, "ledgers"))[0]) == ledgers


def test_a_report_may_have_the_coarser_grain(clock: Clock) -> None:
    with running(KrakenBroker(clock=clock, trades=300, export_grain="consolidated")) as url:
        caller = Caller(url, clock)
        report = {line["txid"]: line for line in lines(fetch(caller))}
        assert report.keys() == caller.walk().keys() < caller.trades().keys()


# -- faults


def test_a_stuck_report_is_never_processed(caller: Caller, broker: KrakenBroker) -> None:
    broker.faults.on("export_stuck")
    order(caller)
    assert {statuses(caller, wait=3600)[0]["status"] for _ in range(5)} == {"Processing"}


def test_a_short_report_lacks_its_last_rows(caller: Caller, broker: KrakenBroker) -> None:
    whole = lines(fetch(caller))
    broker.faults.on("export_short")
    assert lines(fetch(caller)) == whole[: len(whole) * 9 // 10]


def test_a_zip_may_be_broken_or_climb_or_hold_two_members(caller: Caller, broker: KrakenBroker) -> None:
    export_id = order(caller)
    broker.faults.on("zip_broken", calls=1)
    with pytest.raises(zipfile.BadZipFile):
        zipfile.ZipFile(io.BytesIO(caller.send("RetrieveExport", id=export_id, wait=60).content))
    broker.faults.on("zip_traversal", calls=1)
    broker.faults.on("zip_two_members", calls=1)
    with zipfile.ZipFile(io.BytesIO(caller.send("RetrieveExport", id=export_id).content)) as archive:
        assert archive.namelist() == ["../../trades.csv", "README.txt"]


def test_a_zip_may_be_a_bomb(clock: Clock) -> None:
    broker = KrakenBroker(clock=clock, trades=10, bomb_megabytes=8)
    broker.faults.on("zip_bomb")
    with running(broker) as url:
        caller = Caller(url, clock)
        reply = caller.send("RetrieveExport", id=order(caller), wait=60)
        with zipfile.ZipFile(io.BytesIO(reply.content)) as archive:
            assert archive.infolist()[0].file_size == 8 * 2**20 > 500 * len(reply.content)
