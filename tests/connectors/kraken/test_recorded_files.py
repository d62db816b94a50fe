"""The recorded cases are whole: each says why, and its expected figures follow from its own rows, read here by hand."""

from __future__ import annotations

import csv
import io
import json
import re
import zipfile
from collections import defaultdict
from datetime import UTC, datetime, timedelta
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any, NamedTuple

import pytest

RECORDED = Path(__file__).parent / "recorded"
CASES = sorted(folder for folder in RECORDED.iterdir() if re.match(r"\d\d_", folder.name))
ENVELOPES = RECORDED / "envelopes"
ALWAYS = set("why imports fills executions execution_reports quarantine ledger_entries findings any_order".split())
SOMETIMES = set("fees instruments drift after refused".split())
ENDPOINTS = set("TradesHistory Ledgers AssetPairs Assets QueryTrades".split())
RULES = set(
    "decimal_loss not_a_number time_unreadable symbol_missing quantity_missing date_missing currency_unknown "
    "side_missing id_missing".split()
)
CLASSES = set("ok AuthRequired RateLimited Transient Rejected ContractViolation".split())
DECIMAL = re.compile(r"-?(0|[1-9]\d*)(\.\d*[1-9])?")
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{6})?Z")
DECIMAL_COLUMNS = set("last_qty signed_qty last_px gross_trade_amt net_money commission leverage margin".split())
ASSETS = dict(
    each.split("=")
    for each in "XXBT=BTC XBT=BTC XETH=ETH XLTC=LTC XXDG=DOGE XDG=DOGE XXRP=XRP ZEUR=EUR ZUSD=USD".split()
)
PAIRS = dict(
    each.split("=")
    for each in (
        "XXBTZUSD=BTC/USD XBTUSD=BTC/USD XBT/USD=BTC/USD BTC/USD=BTC/USD XXBTZEUR=BTC/EUR XBT/EUR=BTC/EUR "
        "XETHZEUR=ETH/EUR ETH/EUR=ETH/EUR XETHXXBT=ETH/BTC XBTUSDT=BTC/USDT USDTZUSD=USDT/USD ZEURZUSD=EUR/USD "
        "XDGUSD=DOGE/USD XDG/USD=DOGE/USD DOGE/USD=DOGE/USD SOLUSD=SOL/USD SOL/USD=SOL/USD ALGOEUR=ALGO/EUR "
        "ALGO/EUR=ALGO/EUR XTZUSD=XTZ/USD ZRXUSD=ZRX/USD XCNUSD=XCN/USD XZECXXBT=ZEC/BTC XXRPZEUR=XRP/EUR "
        "ZETAUSD=ZETA/USD FHCXBT=FHC/BTC AAPLxUSD=AAPLx/USD AAPLx/USD=AAPLx/USD"
    ).split()
)

each_case = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


def expected(case: Path) -> dict[str, Any]:
    """Read what the case must give."""
    found: dict[str, Any] = json.loads((case / "expected.json").read_text(encoding="utf-8"))
    return found


READ = [case for case in CASES if "refused" not in expected(case)]
each_read_case = pytest.mark.parametrize("case", READ, ids=lambda case: case.name)


class Row(NamedTuple):
    """A row of trades or ledgers, with its place in its file."""

    file: str
    place: int
    channel: str
    words: dict[str, Any]


def digits(body: bytes) -> Any:
    """Read JSON with every number kept as the digits that stand there."""
    return json.loads(body, parse_float=str, parse_int=str)


def table(path: Path) -> list[dict[str, str]]:
    """Read a CSV or TSV export, zipped or not."""
    body = path.read_bytes()
    if path.suffix == ".zip":
        with zipfile.ZipFile(io.BytesIO(body)) as archive:
            (member,) = archive.namelist()
            body = archive.read(member)
    text = body.decode("utf-8-sig")
    return list(csv.DictReader(io.StringIO(text, newline=""), delimiter="\t" if path.suffix == ".tsv" else ","))


def rows(case: Path, kind: str) -> list[Row]:
    """List the rows of `trades` or of `ledgers` of all files, in the order of the files."""
    found = []
    for told in expected(case)["imports"]:
        path = case / told["file"]
        if told["endpoint"] is None:
            read = table(path)
            channel = "kraken_export" if not read or "ordertxid" in read[0] else "kraken_ledger"
        else:
            result = digits(path.read_bytes())["result"]
            channel = {"Ledgers": "kraken_ledger", "AssetPairs": "", "Assets": ""}.get(told["endpoint"], "kraken_rest")
            named = {"TradesHistory": "trades", "Ledgers": "ledger"}.get(told["endpoint"])
            read = [{"txid": txid, **row} for txid, row in (result[named] if named else result).items()]
        if (channel == "kraken_ledger") == (kind == "ledgers") and channel:
            found += [Row(path.name, place, channel, row) for place, row in enumerate(read)]
    return found


def good(case: Path, kind: str) -> list[Row]:
    """List the rows that are not expected in quarantine; where no file is named, the only file with such rows is meant."""
    bad = {(row.get("file"), row["raw_row"]) for row in expected(case)["quarantine"]}
    return [row for row in rows(case, kind) if not bad & {(row.file, row.place), (None, row.place)}]


def asset(name: str) -> str:
    """Give an asset's canonical name: `XXBT`, `XBT.M` and `BTC` are one, `DOT28.S` is DOT."""
    bare = re.sub(r"\d*\.[SMFB]$", "", name)
    return ASSETS.get(bare, bare)


def moment(text: str) -> str:
    """Write Kraken's time, seconds or a date with a time, as ISO in UTC, digits below a microsecond dropped."""
    whole, _, fraction = text.partition(".")
    micro = int((fraction + "000000")[:6])
    start = (
        datetime.fromtimestamp(int(whole), UTC)
        if whole.isdigit()
        else datetime.strptime(whole, "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
    )
    return (start + timedelta(microseconds=micro)).isoformat().replace("+00:00", "Z")


class Exchanged(NamedTuple):
    """What the legs of one refid come to: amounts by asset, fees by asset, times, types."""

    amounts: dict[str, Decimal]
    fees: dict[str, Decimal]
    precision: dict[str, Decimal]
    times: list[str]
    types: set[str]


def exchanged(case: Path) -> dict[str, Exchanged]:
    """Net the legs of each refid that can make a fill; a refid with a leg in quarantine cannot."""
    legs: dict[str, list[Row]] = defaultdict(list)
    for row in {row.words["txid"]: row for row in good(case, "ledgers")}.values():
        legs[row.words["refid"]].append(row)
    whole = {row.words["refid"] for row in rows(case, "ledgers") if row not in good(case, "ledgers")}
    found = {}
    for refid, group in legs.items():
        amounts: dict[str, Decimal] = defaultdict(Decimal)
        fees: dict[str, Decimal] = defaultdict(Decimal)
        precision = {}
        for row in group:
            amounts[asset(row.words["asset"])] += Decimal(row.words["amount"])
            paid_in = asset(row.words.get("feecurrency") or row.words["asset"])
            fees[paid_in] += Decimal(row.words["fee"])
            precision[paid_in] = Decimal(1).scaleb(int(Decimal(row.words["fee"]).as_tuple().exponent))
        sums = {name: amount for name, amount in amounts.items() if amount}
        types = {row.words["type"] for row in group}
        exchange = len(sums) == 2 and len({amount > 0 for amount in sums.values()}) == 2
        if exchange and types <= {"trade", "spend", "receive"} and refid not in {"", "Unknown", *whole}:
            paid = {name: fee for name, fee in fees.items() if fee}
            found[refid] = Exchanged(sums, paid, precision, sorted(moment(row.words["time"]) for row in group), types)
    return found


def standing(case: Path) -> dict[str, Row]:
    """Give the trade row of each txid: of REST where it tells it, else of the export, the latest told."""
    best: dict[str, Row] = {}
    for row in good(case, "trades"):
        before = best.get(row.words["txid"])
        if before is None or before.channel == "kraken_export" or row.channel == "kraken_rest":
            best[row.words["txid"]] = row
    return {txid: row for txid, row in best.items() if not consolidated(row, best, case)}


def consolidated(row: Row, best: dict[str, Row], case: Path) -> bool:
    """Say whether this row of the export is told by REST as finer rows that come to the same quantity."""
    order = row.words["ordertxid"]
    coarse = {
        each.words["txid"]: Decimal(each.words["vol"])
        for each in good(case, "trades")
        if each.channel == "kraken_export" and each.words["ordertxid"] == order
    }
    fine = {
        txid: Decimal(each.words["vol"])
        for txid, each in best.items()
        if each.channel == "kraken_rest" and each.words["ordertxid"] == order
    }
    other_ids = not set(fine) <= set(coarse)
    return row.channel == "kraken_export" and other_ids and sum(fine.values()) == sum(coarse.values())


def fees_of(row: Row | None, group: Exchanged | None, quote: str) -> dict[str, Decimal] | None:
    """Tell what was paid: what the ledger took, but the trade row's own figure where the ledger only rounds it."""
    told = Decimal(row.words["fee"]) if row and row.words["fee"] else None
    if group is None:
        return None if told is None else {quote: told}
    if told is not None and set(group.fees) <= {quote}:
        taken = group.fees.get(quote, Decimal(0))
        return {quote: told} if abs(told - taken) < group.precision[quote] else {quote: taken}
    return group.fees or {quote: Decimal(0)}


def in_order(fill: dict[str, Any]) -> tuple[str, str]:
    return fill["transact_time"], fill["exec_id"]


def test_there_are_cases() -> None:
    assert len(CASES) >= 60
    assert [case.name[:2] for case in CASES] == [f"{number:02}" for number in range(1, len(CASES) + 1)]


@each_case
def test_a_case_has_its_files_and_nothing_else(case: Path) -> None:
    imports = expected(case)["imports"]
    assert {file.name for file in case.iterdir()} == {"expected.json", *(told["file"] for told in imports)}
    assert [told["file"].split("_")[0] for told in imports] == [str(n) for n in range(1, len(imports) + 1)] != []
    for told in imports:
        assert told["endpoint"] in (ENDPOINTS if told["file"].endswith(".json") else {None})


@each_case
def test_the_expectation_is_well_written(case: Path) -> None:
    want = expected(case)
    assert set(want) >= ALWAYS
    assert set(want) <= ALWAYS | SOMETIMES
    assert {row["rule"] for row in want["quarantine"]} <= RULES
    assert want["fills"] == sorted(want["fills"], key=in_order)
    assert all(set(finding) == {"about", "says"} for finding in want["findings"])
    for fill in want["fills"]:
        assert TIME.fullmatch(fill["transact_time"])
        assert fill["account"] == "main"
        assert fill["side"] in {"BUY", "SELL"}
        assert fill.get("net_money") is None
        assert fill["signed_qty"] == ("" if fill["side"] == "BUY" else "-") + fill["last_qty"]
        for column in DECIMAL_COLUMNS & set(fill):
            assert fill[column] is None or DECIMAL.fullmatch(fill[column]), (column, fill[column])


@each_case
def test_a_refused_case_loads_nothing(case: Path) -> None:
    want = expected(case)
    loaded = [want[name] for name in ("fills", "executions", "execution_reports", "ledger_entries", "quarantine")]
    assert "refused" not in want or not any(loaded)


@each_read_case
def test_the_rows_come_to_the_counts(case: Path) -> None:
    want = expected(case)
    trades, groups = standing(case), exchanged(case)
    assert {fill["exec_id"] for fill in want["fills"]} == set(trades) | set(groups)
    assert want["executions"] == len(want["fills"]) == len(set(trades) | set(groups))
    terms = ("txid", "type", "vol", "price", "cost", "fee")
    reports = {(row.channel, *(row.words[name] for name in terms)) for row in good(case, "trades")}
    assert want["execution_reports"] == len(reports) + len(groups)
    assert want["ledger_entries"] == len({row.words["txid"] or row.place for row in good(case, "ledgers")})
    places = [(row.file, row.place) for row in (*rows(case, "trades"), *rows(case, "ledgers"))]
    for bad in want["quarantine"]:
        assert sum(place == bad["raw_row"] and bad.get("file", file) == file for file, place in places) == 1


@each_read_case
def test_each_fill_tells_what_its_trade_row_tells(case: Path) -> None:
    trades = standing(case)
    for fill in expected(case)["fills"]:
        if fill["source"] == "kraken_ledger":
            continue
        row = trades[fill["exec_id"]]
        words = row.words
        assert (fill["source"], fill["symbol"], fill["side"]) == (row.channel, words["pair"], words["type"].upper())
        assert fill["currency"] == PAIRS[words["pair"]].split("/")[1]
        assert (Decimal(fill["last_qty"]), Decimal(fill["last_px"])) == (Decimal(words["vol"]), Decimal(words["price"]))
        sign = -1 if words["type"] == "buy" else 1
        assert Decimal(fill["gross_trade_amt"]) == sign * Decimal(words["cost"])
        assert fill["transact_time"] == moment(words["time"])
        assert fill.get("book_date", fill["transact_time"][:10]) == fill["transact_time"][:10]
        assert fill.get("transact_time_raw", words["time"]) == words["time"]
        assert fill.get("order_id", words["ordertxid"]) == words["ordertxid"]
        assert fill.get("trade_id", words.get("trade_id")) == words.get("trade_id")
        assert fill.get("time_zone_assumed", "UTC") == "UTC"
        liquidity = {True: "ADDED", False: "REMOVED", None: None}[words.get("maker")]
        assert fill.get("last_liquidity_ind", liquidity) == liquidity
        assert fill.get("leverage", words.get("leverage")) == words.get("leverage")
        kind = "CASH" if PAIRS[words["pair"]] == "EUR/USD" else "CRYPTO"
        assert fill.get("security_type", kind) == kind
        assert Decimal(fill.get("margin", words["margin"])) == Decimal(words["margin"])
        assert fill["exec_type"] == ("BOOK" if words["ordertype"] == "settle-position" else "TRADE")
        assert fill["status"] == "final"
        if fill.get("position_effect") or fill.get("position_id"):
            assert fill["position_effect"] == ("CLOSE" if "closing" in words["misc"].split(",") else "OPEN")
            assert fill["position_id"] == words.get("postxid", words.get("posttxid"))


@each_read_case
def test_each_ledger_fill_is_its_two_netted_assets(case: Path) -> None:
    groups = exchanged(case)
    for fill in expected(case)["fills"]:
        if fill["source"] != "kraken_ledger":
            continue
        group = groups[fill["exec_id"]]
        base, quote = fill["symbol"].split("/")
        assert set(group.amounts) == {base, quote}
        assert fill["currency"] == quote
        assert Decimal(fill["signed_qty"]) == group.amounts[base]
        assert Decimal(fill["gross_trade_amt"]) == group.amounts[quote]
        assert (fill["last_px"], fill["exec_type"], fill["transact_time"]) == (None, "LEDGER", group.times[0])
        assert fill.get("order_id") is None
        assert fill.get("security_type", "CASH") == "CASH"
        assert fill["status"] == ("provisional" if "trade" in group.types else "final")


@each_read_case
def test_the_fees_are_those_that_the_rows_tell(case: Path) -> None:
    want = expected(case)
    trades, groups = standing(case), exchanged(case)
    listed: dict[str, dict[str, Decimal]] = defaultdict(dict)
    for fee in want.get("fees", ()):
        assert fee["kind"] == ("credit" if fee["asset"] == "KFEE" else "trade")
        listed[fee["exec_id"]][fee["asset"]] = Decimal(fee["amount"])
    for fill in want["fills"]:
        paid = fees_of(trades.get(fill["exec_id"]), groups.get(fill["exec_id"]), fill["currency"])
        charged = listed.get(fill["exec_id"], paid)
        assert charged == paid or {asset: fee for asset, fee in (charged or {}).items() if fee} == paid
        money = paid and (
            {asset: fee for asset, fee in paid.items() if asset != "KFEE"} or {fill["currency"]: Decimal(0)}
        )
        if money is not None and len(money) == 1:
            assert {fill["comm_currency"]: Decimal(fill["commission"])} == money
            assert fill.get("fee_status", "known") == "known"
        else:
            assert (fill["commission"], fill["comm_currency"]) == (None, None)
            assert fill["fee_status"] == ("multiple" if paid else "pending")
            assert not paid or fill["exec_id"] in listed


@each_read_case
def test_the_sums_are_those_of_the_rows(case: Path) -> None:
    want = expected(case)
    told: dict[str, Decimal] = defaultdict(Decimal)
    found: dict[str, Decimal] = defaultdict(Decimal)
    trades = standing(case)
    for row in trades.values():
        sign = -1 if row.words["type"] == "buy" else 1
        base, quote = PAIRS[row.words["pair"]].split("/")
        told[quote] += sign * Decimal(row.words["cost"])
        told[base] -= sign * Decimal(row.words["vol"])
    for refid, group in exchanged(case).items():
        for name, amount in group.amounts.items():
            told[name] += 0 if refid in trades else amount
    for fill in want["fills"]:
        found[fill["currency"]] += Decimal(fill["gross_trade_amt"])
        found[PAIRS.get(fill["symbol"], fill["symbol"]).split("/")[0]] += Decimal(fill["signed_qty"])
    assert dict(found) == dict(told)


@each_read_case
def test_instruments_are_canonical(case: Path) -> None:
    for row in expected(case).get("instruments", ()):
        assert row["canonical_symbol"] == f"{row['base_asset']}/{row['quote_asset']}"
        assert row["canonical_symbol"] == PAIRS.get(row["symbol"], row["symbol"])


@each_read_case
def test_counts_grow_to_the_end(case: Path) -> None:
    want = expected(case)
    end = {"fills": len(want["fills"]), "executions": want["executions"]}
    assert want.get("after", {}).get(str(len(want["imports"])), end) == end


def test_what_is_quarantined_for_its_digits_has_them() -> None:
    for case in READ:
        places = {(row.file, row.place): row for row in (*rows(case, "trades"), *rows(case, "ledgers"))}
        for bad in expected(case)["quarantine"]:
            if bad["rule"] == "decimal_loss":
                row = next(row for (_, place), row in places.items() if place == bad["raw_row"])
                assert any(too_long(str(row.words.get(name))) for name in ("vol", "cost", "price", "amount"))


def too_long(text: str) -> bool:
    try:
        number = Decimal(text).normalize()
    except InvalidOperation:
        return False
    return -int(number.as_tuple().exponent) > 12 or number.adjusted() >= 16


def test_every_envelope_says_what_to_make_of_it() -> None:
    want = json.loads((ENVELOPES / "expected.json").read_text(encoding="utf-8"))
    assert {file.name for file in ENVELOPES.iterdir()} == {"expected.json", *want}
    for name, told in want.items():
        assert told["class"] in CLASSES
        if told["class"] in {"AuthRequired", "Rejected"}:
            assert told["remedy"]
        if told["class"] == "RateLimited":
            least, most = told["retry_after"]
            assert 0 <= least <= most
        if told["status"] != 200:
            assert told["class"] in {"Transient", "RateLimited"}
        if "code" in told:
            assert told["code"] in json.loads((ENVELOPES / name).read_bytes())["error"], name


def test_envelopes_that_are_no_json_are_transient_or_a_zip() -> None:
    want = json.loads((ENVELOPES / "expected.json").read_text(encoding="utf-8"))
    for name, told in want.items():
        body = (ENVELOPES / name).read_bytes()
        try:
            json.loads(body)
        except ValueError:
            is_zip = told["endpoint"] == "RetrieveExport" and zipfile.is_zipfile(io.BytesIO(body))
            assert (is_zip and told["class"] == "ok") or told["class"] in {"Transient", "RateLimited"}, name


def test_a_throttle_is_waited_for_until_its_time() -> None:
    for name, told in json.loads((ENVELOPES / "expected.json").read_text(encoding="utf-8")).items():
        until = re.search(r"Throttled: (\d+)$", told.get("code", ""))
        if until:
            answered = datetime.fromisoformat(told["answered_at"]).timestamp()
            assert told["retry_after"][0] == max(0, int(until[1]) - answered), name


def test_every_documented_error_has_its_envelope() -> None:
    want = json.loads((ENVELOPES / "expected.json").read_text(encoding="utf-8"))
    codes = {told.get("code", "") for told in want.values()}
    documented = (
        "EAPI:Rate limit exceeded|EService:Throttled|EService: Throttled|EService:Unavailable|EService:Busy|"
        "EService:Deadline elapsed|EGeneral:Internal error|EDatabase:Internal error|EService:Market in cancel_only mode|"
        "EService:Market in post_only mode|EAPI:Invalid nonce|EAPI:Invalid key|EAPI:Invalid signature|"
        "EGeneral:Permission denied|EAccount:Invalid permissions|EGeneral:Temporary lockout|EAuth:Rate limit exceeded|"
        "EAuth:Too many requests|EGeneral:Too many requests|EAuth:Account temporary disabled|EAuth:Account unconfirmed|"
        "EAuth:Failed|EQuery:Unknown asset pair|EQuery:Unknown asset|EGeneral:Invalid arguments|EGeneral:Unknown method|"
        "ETrade:Invalid request|EAPI:Bad request|EOrder:|EFunding:|EEarnings:"
    )
    for text in documented.split("|"):
        assert any(code.startswith(text) for code in codes), text
