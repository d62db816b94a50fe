"""What Kraken's private methods answer from the account: pages of trades and ledger rows, lookups, positions, balances.

Fifty rows a page, newest first; `ofs` counts from the newest row there is at that moment, so it shifts when one arrives. `start`
is exclusive and `end` inclusive, whole seconds against fractional times, or the id of a row. Of `start` alone the page holds the
newest rows, not those that follow it. Undocumented, and chosen: a merged fill keeps the ids of its first part; unknown ids, like
more than 20 of them, are invalid arguments; the ledger of a caller who names no `aclass` holds all classes (as recorded ones do).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from decimal import Decimal

from connectors.kraken.sandbox_account import Account, Entry, Position, Row, Timeline, Trade
from connectors.kraken.sandbox_faults import Faults, Refused
from connectors.kraken.sandbox_market import TOKENIZED, find_asset
from connectors.kraken.sandbox_wire import TICKS, fixed, seconds_text, ticks

PAGE = 50
MOST_IDS = 20
HIDDEN_EVERY = 17
TRADE_TYPES = {"all", "any position", "closed position", "closing position", "no position"}
LEDGER_TYPES = {
    "all", "trade", "deposit", "withdrawal", "transfer", "margin", "adjustment", "rollover", "credit", "settled",
    "staking", "dividend", "sale", "nft_rebate", "spend", "receive", "reward", "conversion", "earn",
}  # fmt: skip
NEWER_FIELDS = {"trade_id", "maker", "leverage", "aclass"}
Params = Mapping[str, str]
Json = dict[str, object]


@dataclass(slots=True)
class Archive:
    """Reads an account for the private methods; `multipliers` turn base units of tokenised stocks into rebased ones."""

    account: Account
    faults: Faults
    multipliers: dict[str, Decimal]
    late: timedelta
    _walks: Counter[tuple[str, ...]] = field(default_factory=Counter)

    def trades_history(self, params: Params, now: datetime) -> Json:
        wanted = params.get("type", "all")
        if wanted not in TRADE_TYPES:
            raise Refused("EGeneral:Invalid arguments:type")
        merged = said(params, "consolidate_taker", default=True)
        rows: Timeline[Trade] = self.account.consolidated if merged else self.account.trades
        fits = None if wanted == "all" else lambda trade: _is_of_type(trade, wanted)
        page, count = self._page("TradesHistory", rows, params, now, fits)
        related, ledgers = said(params, "trades"), said(params, "ledgers")
        told = {row.id: self.trade(row, self._rebase(params, row), related=related, ledgers=ledgers) for row in page}
        if self.faults.strikes("old_fields", "TradesHistory"):
            told = {row_id: {n: v for n, v in row.items() if n not in NEWER_FIELDS} for row_id, row in told.items()}
        return _counted({"trades": told}, count, params)

    def ledgers(self, params: Params, now: datetime) -> Json:
        wanted, aclass = params.get("type", "all"), params.get("aclass", "all")
        if wanted not in LEDGER_TYPES:
            raise Refused("EGeneral:Invalid arguments:type")
        names = [name for name in params.get("asset", "all").split(",") if name]
        assets = None if names in ([], ["all"]) else {find_asset(name) for name in names}
        anything = wanted == "all" and aclass == "all" and assets is None

        def fits(entry: Entry) -> bool:
            return (
                wanted in {"all", entry.type}
                and aclass in {"all", entry.asset.aclass}
                and (assets is None or entry.asset in assets)
            )

        page, count = self._page("Ledgers", self.account.ledger, params, now, None if anything else fits)
        told = {row.id: self.entry(row, self._rebase_entry(params, row)) for row in page}
        return _counted({"ledger": told}, count, params)

    def query_trades(self, params: Params, now: datetime) -> Json:
        related = said(params, "trades")
        found = self._looked_up(self.account.trades, params.get("txid", ""), "txid", now)
        return {row.id: self.trade(row, self._rebase(params, row), related=related, ledgers=False) for row in found}

    def query_ledgers(self, params: Params, now: datetime) -> Json:
        found = self._looked_up(self.account.ledger, params.get("id", ""), "id", now)
        return {row.id: self.entry(row, self._rebase_entry(params, row)) for row in found}

    def open_positions(self, params: Params, _: datetime) -> Json:
        wanted = [name for name in params.get("txid", "").split(",") if name]
        positions = [p for p in self.account.open_positions if not wanted or p.id in wanted]
        return {position.id: _position(position, docalcs=said(params, "docalcs")) for position in positions}

    def balance(self, _: Params, __: datetime) -> Json:
        return {code: f"{amount:f}" for code, amount in sorted(self.account.balances.items())}

    def extended_balance(self, _: Params, __: datetime) -> Json:
        return {
            code: {"balance": f"{amount:f}", "hold_trade": "0.0000"}
            for code, amount in sorted(self.account.balances.items())
        }

    # -- rows --------------------------------------------------------------------------------------------------------

    def trade(self, trade: Trade, multiplier: Decimal, *, related: bool, ledgers: bool) -> Json:
        """Print a trade; only `time`, `trade_id` and `maker` are not strings."""
        pair = trade.pair
        printed: Json = {
            "ordertxid": trade.order_id,
            "postxid": trade.position_id,
            "pair": pair.key,
            "aclass": TOKENIZED if pair.base.aclass == TOKENIZED else "forex",
            "time": seconds_text(trade.at, trade.places),
            "type": trade.side,
            "ordertype": trade.order_type,
            "price": fixed(trade.price / multiplier, pair.printed_decimals),
            "cost": fixed(trade.cost, pair.cost_decimals),
            "fee": fixed(trade.fee, pair.cost_decimals),
            "vol": fixed(trade.volume * multiplier, 8),
            "margin": fixed(trade.margin, pair.cost_decimals),
            "leverage": str(trade.leverage),
            "misc": trade.misc,
            "trade_id": trade.trade_id,
            "maker": trade.maker,
        }
        if trade.opened is not None:
            printed |= _closed_so_far(trade.opened, related=related)
        if ledgers:
            printed["ledgers"] = list(trade.ledger_ids)
        return printed

    def entry(self, entry: Entry, multiplier: Decimal) -> Json:
        decimals = entry.asset.decimals
        balance = "" if entry.balance is None else fixed(entry.balance * multiplier, decimals)
        return {
            "refid": entry.refid,
            "time": seconds_text(entry.at, entry.places),
            "type": entry.type,
            "subtype": entry.subtype,
            "aclass": entry.asset.aclass,
            "asset": entry.asset.code,
            "amount": fixed(entry.amount * multiplier, decimals),
            "fee": fixed(entry.fee * multiplier, decimals),
            "balance": balance,
        }

    def _rebase(self, params: Params, trade: Trade) -> Decimal:
        return self._multiplier(params, trade.pair.base.code)

    def _rebase_entry(self, params: Params, entry: Entry) -> Decimal:
        return self._multiplier(params, entry.asset.code)

    def _multiplier(self, params: Params, code: str) -> Decimal:
        mode = params.get("rebase_multiplier", "rebased")
        if mode not in {"rebased", "base"}:
            raise Refused("EGeneral:Invalid arguments:rebase_multiplier")
        return self.multipliers.get(code, Decimal(1)) if mode == "rebased" else Decimal(1)

    # -- pages -------------------------------------------------------------------------------------------------------

    def _page(
        self, method: str, rows: Timeline[Row], params: Params, now: datetime, fits: Callable[[Row], bool] | None
    ) -> tuple[list[Row], int]:
        """Cut a page out of a window, and count the window; this is where pages lie when a fault tells them to."""
        offset = _whole(params, "ofs") or 0
        low, high = self._window(method, rows, params, now)
        first_walk = self._is_first_walk(method, params, offset)
        hidden = self.faults.strikes("hidden", method) and first_walk
        withheld = self.faults.strikes("withheld", method) and first_walk
        if fits is None and not hidden:
            count = high - low
            places: range | list[int] = range(high - 1 - offset, max(low, high - offset - PAGE) - 1, -1)
        else:
            shown = [p for p in range(high - 1, low - 1, -1) if fits is None or fits(rows.rows[p])]
            shown = [p for p in shown if p % HIDDEN_EVERY] if hidden else shown
            count, places = len(shown), shown[offset : offset + PAGE]
        page = [rows.rows[p] for p in places if p % HIDDEN_EVERY or not withheld]
        if self.faults.strikes("shuffled", method):
            page.sort(key=lambda row: row.id[::-1])
        if offset and self.faults.strikes("early_empty_page", method):
            page = []
        count -= 7 * self.faults.strikes("count_too_small", method)
        count += 7 * self.faults.strikes("count_too_large", method)
        return page, max(0, count)

    def _window(self, method: str, rows: Timeline[Row], params: Params, now: datetime) -> tuple[int, int]:
        """Find the rows after `start`, up to and including `end`, that may be seen by now."""
        seen_until = now - self.late if self.faults.strikes("late", method) else now
        low = _bound(rows, params, "start")
        end = _bound(rows, params, "end")
        high = rows.until(ticks(seen_until))
        high = high if end is None else min(high, end)
        return min(low or 0, high), high

    def _is_first_walk(self, method: str, params: Params, offset: int) -> bool:
        """Tell the first walk over a window from a second one, which begins when page one is asked for again."""
        window = (method, *(params.get(name, "") for name in ("start", "end", "type", "asset", "consolidate_taker")))
        if offset == 0:
            self._walks[window] += 1
        return self._walks[window] <= 1

    def _looked_up(self, rows: Timeline[Row], listed: str, name: str, now: datetime) -> list[Row]:
        ids = [row_id.strip() for row_id in listed.split(",") if row_id.strip()]
        found = [row for row in map(rows.get, ids) if row is not None and row.at <= ticks(now)]
        if not ids or len(ids) > MOST_IDS or len(found) < len(ids):
            raise Refused(f"EGeneral:Invalid arguments:{name}")
        return found


def said(params: Params, name: str, *, default: bool = False) -> bool:
    """Read a flag, as JSON and as clients in several languages print it."""
    text = params.get(name, "").lower()
    if text not in {"", "true", "false", "1", "0"}:
        raise Refused(f"EGeneral:Invalid arguments:{name}")
    return default if not text else text in {"true", "1"}


def _bound(rows: Timeline[Row], params: Params, name: str) -> int | None:
    """Count the rows up to and including a bound: a time in whole seconds, or a row's id."""
    text = params.get(name, "")
    if not text:
        return None
    place = rows.place(text)
    if place is not None:
        return place + 1
    seconds = _whole(params, name)
    return None if seconds is None else rows.until(seconds * TICKS)


def _whole(params: Params, name: str) -> int | None:
    text = params.get(name, "")
    if not text:
        return None
    if not text.isascii() or not text.isdecimal():
        raise Refused(f"EGeneral:Invalid arguments:{name}")
    return int(text)


def _counted(result: Json, count: int, params: Params) -> Json:
    return result if said(params, "without_count") else {**result, "count": count}


def _is_of_type(trade: Trade, wanted: str) -> bool:
    return {
        "any position": bool(trade.margin),
        "closed position": trade.opened is not None and not trade.opened.still_open,
        "closing position": trade.misc == "closing",
        "no position": not trade.margin,
    }[wanted]


def _closed_so_far(position: Position, *, related: bool) -> Json:
    decimals, closed = position.pair.cost_decimals, position.closed_volume
    price = position.closed_cost / closed if closed else Decimal(0)
    printed: Json = {
        "posstatus": "open" if position.still_open else "closed",
        "cprice": fixed(price, position.pair.printed_decimals),
        "ccost": fixed(position.closed_cost, decimals),
        "cfee": fixed(position.closed_fee, decimals),
        "cvol": fixed(closed, 8),
        "cmargin": fixed(position.closed_margin, decimals),
        "net": f"{position.net:+.{decimals}f}",
    }
    return {**printed, "trades": list(position.closed_by)} if related else printed


def _position(position: Position, *, docalcs: bool) -> Json:
    decimals = position.pair.cost_decimals
    value = position.price * (position.volume - position.closed_volume)
    printed: Json = {
        "ordertxid": position.order_id,
        "posstatus": "open",
        "pair": position.pair.key,
        "time": seconds_text(position.at, 7),
        "type": position.side,
        "ordertype": "limit",
        "cost": fixed(position.price * position.volume, decimals),
        "fee": fixed(position.fee, decimals),
        "vol": fixed(position.volume, 8),
        "vol_closed": fixed(position.closed_volume, 8),
        "margin": fixed(position.margin, decimals),
        "terms": "0.0200% per 4 hours",
        "rollovertm": str(position.next_rollover // TICKS),
        "misc": "",
        "oflags": "",
    }
    return printed | ({"value": fixed(value, 1), "net": "+0.0000"} if docalcs else {})
