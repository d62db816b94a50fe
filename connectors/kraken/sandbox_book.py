"""The book of the Kraken sandbox: every execution that truly happened, to compare with what a client brings home.

Trades stand in it at the finest grain, and so do the fills that only the ledger tells. `commission` is the single fee of kind
`trade`, null when there is none or several; `fees` tells them all. `stated_fee` is what TradesHistory prints, in the quote
currency, whatever the fee was paid with. Quantities of tokenised stocks are base units. Of a ledger fill the price is rounded to
12 decimals, the cost is exact; of its two assets the one that comes first in `MONEY` is the currency, otherwise the one given away.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from decimal import Decimal

from connectors.kraken.sandbox_account import KFEE, NO_POSITION, Account, Entry, Fee, Trade
from connectors.kraken.sandbox_wire import moment_of, plain, seconds_text

MONEY = ("USD", "EUR", "GBP", "USDT", "BTC", "ETH")
TWELVE_PLACES = Decimal("1e-12")
Row = dict[str, object]


def tell(account: Account, until: int) -> list[Row]:
    """Tell what happened up to this time, oldest first."""
    told = [(trade.at, _booked(trade)) for trade in account.trades.rows if trade.at <= until]
    told += [(legs[0].at, _booked_swap(legs)) for legs in account.swaps if legs[0].at <= until]
    return [row for _, row in sorted(told, key=lambda pair: pair[0])]


def _booked(trade: Trade) -> Row:
    return {
        "exec_id": trade.id,
        "order_id": trade.order_id,
        "trade_id": str(trade.trade_id),
        "exec_type": "BOOK" if trade.order_type == "settle-position" else "TRADE",
        "symbol": trade.pair.symbol,
        "side": trade.side.upper(),
        "quantity": plain(trade.volume),
        "price": plain(trade.price),
        "cost": plain(trade.cost),
        **_charged(trade.paid),
        "stated_fee": plain(trade.fee),
        "stated_fee_currency": trade.pair.quote.name,
        "time": moment_of(trade.at).isoformat(),
        "time_raw": seconds_text(trade.at, trade.places),
        "maker": trade.maker,
        "margin": plain(trade.margin),
        "position_id": None if trade.position_id == NO_POSITION else trade.position_id,
        "status": "final",
    }


def _booked_swap(legs: tuple[Entry, ...]) -> Row:
    """Tell a fill from its legs: variants are one asset, legs that cancel out are none."""
    net: defaultdict[str, Decimal] = defaultdict(Decimal)
    for leg in legs:
        net[leg.asset.plain] += leg.amount
    gave, got = sorted((name for name, amount in net.items() if amount), key=lambda name: net[name])
    sells = _rank(got) < _rank(gave)
    base, quote = (gave, got) if sells else (got, gave)
    quantity, cost = abs(net[base]), abs(net[quote])
    fees = tuple(Fee(leg.asset, leg.fee) for leg in legs if leg.fee)
    return {
        "exec_id": legs[0].refid,
        "order_id": None,
        "trade_id": None,
        "exec_type": "LEDGER",
        "symbol": f"{base}/{quote}",
        "side": "SELL" if sells else "BUY",
        "quantity": plain(quantity),
        "price": plain((cost / quantity).quantize(TWELVE_PLACES)),
        "cost": plain(cost),
        **_charged(fees),
        "stated_fee": None,
        "stated_fee_currency": None,
        "time": moment_of(legs[0].at).isoformat(),
        "time_raw": seconds_text(legs[0].at, legs[0].places),
        "maker": None,
        "margin": "0",
        "position_id": None,
        "status": "final",
    }


def _charged(fees: Sequence[Fee]) -> Row:
    trading = [fee for fee in fees if fee.kind == "trade"]
    single = trading[0] if len(trading) == 1 else None
    return {
        "commission": plain(single.amount) if single else None,
        "commission_currency": single.asset.plain if single else None,
        "fees": [
            {
                "asset": "KFEE" if fee.asset is KFEE else fee.asset.plain,
                "amount": plain(fee.amount),
                "kind": fee.kind,
            }
            for fee in fees
        ],
    }


def _rank(name: str) -> int:
    return MONEY.index(name) if name in MONEY else len(MONEY)
