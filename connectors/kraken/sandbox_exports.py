"""Kraken's export reports: asked for, queued, processed over time, fetched as a zip, removed.

A report holds what happened from `starttm` through `endtm`, oldest first. Without `starttm` it begins with the current month,
which is rarely what was meant; without `endtm` it ends now. Undocumented, and chosen: both ends are inclusive, against the
fractional time; times are cut to four decimals; an unknown id, a report that is not ready, and a `cancel` or `delete` at the
wrong moment are invalid arguments; a fetched report stays until it is removed; tokenised stocks are in base units. Which grain
the trades have is a setting, since nobody has said.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from random import Random
from string import ascii_uppercase

from connectors.kraken.sandbox_account import NO_POSITION, Account, Entry, Row, Timeline, Trade
from connectors.kraken.sandbox_faults import Faults, Refused
from connectors.kraken.sandbox_history import HIDDEN_EVERY
from connectors.kraken.sandbox_market import CURRENCY, TOKENIZED
from connectors.kraken.sandbox_wire import EPOCH, TICKS, Exact, fixed, moment_of, ticks

Params = Mapping[str, str]
Json = dict[str, object]

OLD_TRADES = "txid ordertxid pair time type ordertype price cost fee vol margin misc ledgers".split()
NEW_TRADES = (
    "txid ordertxid pair aclass subclass time type ordertype price cost fee vol margin misc ledgers posttxid "
    "posstatuscode cprice ccost cfee cvol cmargin net trades"
).split()
OLD_LEDGERS = "txid refid time type subtype aclass asset amount fee balance".split()
NEW_LEDGERS = "txid refid time type subtype aclass subclass asset wallet amount fee balance amountusd".split()
COLUMNS = {
    ("trades", "old"): OLD_TRADES, ("trades", "new"): NEW_TRADES,
    ("ledgers", "old"): OLD_LEDGERS, ("ledgers", "new"): NEW_LEDGERS,
}  # fmt: skip
SEPARATORS = {"CSV": ",", "TSV": "\t"}
KEPT_FOR = timedelta(seconds=209_600)
MEGABYTE = 2**20


@dataclass(frozen=True, slots=True)
class Export:
    id: str
    report: str
    description: str
    form: str
    fields: str
    start: int  # unix seconds
    end: int
    asked_at: datetime
    begun_at: datetime
    done_at: datetime

    def status(self, now: datetime) -> str:
        if now < self.begun_at:
            return "Queued"
        return "Processing" if now < self.done_at else "Processed"


@dataclass(slots=True)
class Exports:
    """The office that writes reports. `grain` is `fine` or `consolidated`, `layout` is `old` or `new`."""

    account: Account
    faults: Faults
    queued_for: timedelta
    processed_in: timedelta
    grain: str
    layout: str
    bomb_megabytes: int
    seed: int
    _exports: dict[str, Export] = field(default_factory=dict)
    _issued: int = 0

    def add(self, params: Params, now: datetime) -> Json:
        report, form = params.get("report", ""), params.get("format", "CSV").upper()
        if report not in {"trades", "ledgers"}:
            raise Refused("EGeneral:Invalid arguments:report")
        if not params.get("description"):
            raise Refused("EGeneral:Invalid arguments:description")
        if form not in SEPARATORS:
            raise Refused("EGeneral:Invalid arguments:format")
        fields = params.get("fields", "all")
        if fields != "all" and not set(fields.split(",")) <= set(COLUMNS[report, self.layout]):
            raise Refused("EGeneral:Invalid arguments:fields")
        month = now.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
        start, end = _seconds(params, "starttm", month), _seconds(params, "endtm", now)
        if start > end:
            raise Refused("EGeneral:Invalid arguments:starttm")
        self._issued += 1
        export_id = "".join(Random(f"{self.seed}/export/{self._issued}").choices(ascii_uppercase, k=4))
        begun = now + self.queued_for
        self._exports[export_id] = Export(
            export_id, report, params["description"], form, fields, start, end, now, begun, begun + self.processed_in
        )
        return {"id": export_id}

    def status(self, params: Params, now: datetime) -> list[Json]:
        """Tell of every export of a kind, newest first; all values are strings."""
        report = params.get("report", "")
        if report not in {"trades", "ledgers"}:
            raise Refused("EGeneral:Invalid arguments:report")
        stuck = self.faults.strikes("export_stuck", "ExportStatus")
        return [
            self._told(export, now, stuck=stuck)
            for export in reversed(self._exports.values())
            if export.report == report
        ]

    def retrieve(self, params: Params, now: datetime) -> bytes:
        """Hand over a finished report as the bytes of a zip."""
        export = self._exports.get(params.get("id", ""))
        if export is None or export.status(now) != "Processed":
            raise Refused("EGeneral:Invalid arguments:id")
        return self._zipped(export)

    def remove(self, params: Params, now: datetime) -> Json:
        export, wish = self._exports.get(params.get("id", "")), params.get("type", "")
        if export is None:
            raise Refused("EGeneral:Invalid arguments:id")
        if wish != ("delete" if export.status(now) == "Processed" else "cancel"):
            raise Refused("EGeneral:Invalid arguments:type")
        del self._exports[export.id]
        return {wish: True}

    # -- inside ------------------------------------------------------------------------------------------------------

    def _told(self, export: Export, now: datetime, *, stuck: bool) -> Json:
        status = export.status(now)
        status = "Processing" if stuck and status == "Processed" else status
        done = status == "Processed"
        return {
            "id": export.id,
            "descr": export.description,
            "format": export.form,
            "report": export.report,
            "subtype": "all",
            "status": status,
            "flags": "0",
            "fields": export.fields,
            "createdtm": _unix(export.asked_at),
            "expiretm": _unix(export.asked_at + KEPT_FOR),
            "starttm": str(export.start),
            "completedtm": _unix(export.done_at) if done else "0",
            "datastarttm": str(export.start),
            "dataendtm": str(export.end),
            "aclass": "forex" if export.report == "trades" else CURRENCY,
            "asset": "all",
        }

    def _zipped(self, export: Export) -> bytes:
        method, packed = "RetrieveExport", io.BytesIO()
        name = f"{export.report}.{export.form.lower()}"
        name = f"../../{name}" if self.faults.strikes("zip_traversal", method) else name
        with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
            if self.faults.strikes("zip_bomb", method):
                with archive.open(name, "w", force_zip64=True) as member:
                    for _ in range(self.bomb_megabytes):
                        member.write(b" " * MEGABYTE)
            else:
                archive.writestr(name, self._written(export))
            if self.faults.strikes("zip_two_members", method):
                archive.writestr("README.txt", "This archive holds your report.")
        content = packed.getvalue()
        return content[: len(content) // 2] if self.faults.strikes("zip_broken", method) else content

    def _written(self, export: Export) -> str:
        every, separator = COLUMNS[export.report, self.layout], SEPARATORS[export.form]
        columns = every if export.fields == "all" else [name for name in every if name in export.fields.split(",")]
        lines = list(self._lines(export))
        if self.faults.strikes("export_short", "RetrieveExport"):
            lines = lines[: len(lines) * 9 // 10]
        rows = [columns, *([line[column] for column in columns] for line in lines)]
        return "".join(separator.join(map(_cell, row)) + "\n" for row in rows)

    def _lines(self, export: Export) -> Iterator[dict[str, str]]:
        if export.report == "ledgers":
            for entry in _between(self.account.ledger, export):
                yield self._ledger_line(entry)
            return
        trades = self.account.consolidated if self.grain == "consolidated" else self.account.trades
        hides = self.faults.strikes("export_hides_trades", "RetrieveExport")
        for trade in _between(trades, export):
            if not hides or (trades.place(trade.id) or 0) % HIDDEN_EVERY:
                yield self._trade_line(trade)

    def _trade_line(self, trade: Trade) -> dict[str, str]:
        pair, opened = trade.pair, trade.opened
        decimals, tokenized = pair.cost_decimals, pair.base.aclass == TOKENIZED
        closed = opened.closed_volume if opened else Decimal(0)
        return {
            "txid": trade.id,
            "ordertxid": trade.order_id,
            "pair": pair.wsname if self.layout == "new" else pair.key,
            "aclass": TOKENIZED if tokenized else "forex",
            "subclass": "stock" if tokenized else "crypto",
            "time": _csv_time(trade.at),
            "type": trade.side,
            "ordertype": trade.order_type,
            "price": _number(trade.price, pair.printed_decimals),
            "cost": _number(trade.cost, decimals),
            "fee": _number(trade.fee, decimals),
            "vol": _number(trade.volume, 8),
            "margin": _number(trade.margin, decimals),
            "misc": trade.misc,
            "ledgers": ",".join(trade.ledger_ids),
            "posttxid": "" if trade.position_id == NO_POSITION else trade.position_id,
            "posstatuscode": ("open" if opened.still_open else "closed") if opened else "",
            "cprice": _number(opened.closed_cost / closed, pair.printed_decimals) if opened and closed else "",
            "ccost": _number(opened.closed_cost, decimals) if opened else "",
            "cfee": _number(opened.closed_fee, decimals) if opened else "",
            "cvol": _number(closed, 8) if opened else "",
            "cmargin": _number(opened.closed_margin, decimals) if opened else "",
            "net": _number(opened.net, decimals) if opened else "",
            "trades": ",".join(opened.closed_by) if opened else "",
        }

    def _ledger_line(self, entry: Entry) -> dict[str, str]:
        """Print a ledger row; one still pending has neither id nor balance."""
        asset, pending = entry.asset, entry.balance is None
        suffix = asset.code.partition(".")[2]
        wallet = {"S": "earn / bonded", "B": "earn / bonded", "F": "earn / flexible", "M": "earn / flexible"}
        return {
            "txid": "" if pending else entry.id,
            "refid": entry.refid,
            "time": _csv_time(entry.at),
            "type": entry.type,
            "subtype": entry.subtype,
            "aclass": asset.aclass,
            "subclass": "stock" if asset.aclass == TOKENIZED else "crypto",
            "asset": asset.code,
            "wallet": wallet.get(suffix, "spot / main"),
            "amount": _number(entry.amount, asset.decimals),
            "fee": _number(entry.fee, asset.decimals),
            "balance": "" if entry.balance is None else _number(entry.balance, asset.decimals),
            "amountusd": _number(entry.amount * Decimal(str(asset.usd)), 2),
        }


def _between(rows: Timeline[Row], export: Export) -> list[Row]:
    return rows.rows[rows.until(export.start * TICKS - 1) : rows.until(min(export.end * TICKS, ticks(export.asked_at)))]


def _cell(text: str) -> str:
    """Quote what is not a number, as Kraken's files do."""
    return text if isinstance(text, Exact) else '"' + text.replace('"', '""') + '"'


def _number(number: Decimal, decimals: int) -> Exact:
    return Exact(fixed(number, decimals))


def _csv_time(at: int) -> str:
    moment = moment_of(at)
    return f"{moment:%Y-%m-%d %H:%M:%S}.{moment.microsecond // 100:04d}"


def _seconds(params: Params, name: str, otherwise: datetime) -> int:
    text = params.get(name, "")
    if not text:
        return int((otherwise - EPOCH).total_seconds())
    if not text.isascii() or not text.isdecimal():
        raise Refused(f"EGeneral:Invalid arguments:{name}")
    return int(text)


def _unix(moment: datetime) -> str:
    return str(int((moment - EPOCH).total_seconds()))
