"""What Kraken trades: assets under their three names, pairs in their mixed styles, and what the public listings say of them.

The names are Kraken's own, since no rule leads from one to another: `XXBT`/`XBT`/`BTC`, but `XTZ` and `ZRX` are just that.
A listing leaves out pairs that were delisted and, unless it is asked for them, tokenised stocks. `assetVersion=1` gives modern
names.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal

from connectors.kraken.sandbox_faults import Refused

CURRENCY, TOKENIZED = "currency", "tokenized_asset"
Json = dict[str, object]


@dataclass(frozen=True, slots=True)
class Asset:
    """What can be owned: `code` is REST's name for it, `name` the modern one, `usd` the level its price wanders around."""

    code: str
    altname: str
    name: str
    decimals: int
    usd: float
    aclass: str = CURRENCY
    listed: bool = True

    @property
    def unit(self) -> Decimal:
        return Decimal(1).scaleb(-self.decimals)

    @property
    def plain(self) -> str:
        """The modern name without the suffix of a variant: `DOT` for `DOT.S`."""
        return self.name.partition(".")[0]

    def variant(self, suffix: str) -> Asset:
        name = f"{self.altname}.{suffix}"
        return Asset(name, name, f"{self.name}.{suffix}", self.decimals, self.usd)


@dataclass(frozen=True, slots=True)
class Pair:
    """What is traded for what; `key` is what TradesHistory calls it."""

    key: str
    altname: str
    base: Asset
    quote: Asset
    price_decimals: int
    cost_decimals: int
    leverage: tuple[int, ...] = ()
    listed: bool = True

    @property
    def symbol(self) -> str:
        return f"{self.base.name}/{self.quote.name}"

    @property
    def wsname(self) -> str:
        return f"{self.base.altname}/{self.quote.altname}"

    @property
    def printed_decimals(self) -> int:
        """How many decimals a trade prints its price with, which is more than an order may have."""
        return max(5, self.price_decimals, self.cost_decimals)


def _assets() -> dict[str, Asset]:
    plain = (
        Asset("ZUSD", "USD", "USD", 4, 1.0),
        Asset("ZEUR", "EUR", "EUR", 4, 1.09),
        Asset("ZGBP", "GBP", "GBP", 4, 1.27),
        Asset("USDT", "USDT", "USDT", 8, 1.0),
        Asset("XXBT", "XBT", "BTC", 10, 64_000.0),
        Asset("XETH", "ETH", "ETH", 10, 3_100.0),
        Asset("SOL", "SOL", "SOL", 10, 142.0),
        Asset("XXDG", "XDG", "DOGE", 8, 0.14),
        Asset("XXRP", "XRP", "XRP", 8, 0.56),
        Asset("DOT", "DOT", "DOT", 10, 6.4),
        Asset("XTZ", "XTZ", "XTZ", 8, 0.92),
        Asset("ZRX", "ZRX", "ZRX", 10, 0.41),
        Asset("NANO", "NANO", "NANO", 10, 1.08, listed=False),
        Asset("XREP", "REP", "REP", 10, 11.3, listed=False),
        Asset("AAPLx", "AAPLx", "AAPLx", 10, 214.0, TOKENIZED),
        Asset("TSLAx", "TSLAx", "TSLAx", 10, 251.0, TOKENIZED),
        Asset("KFEE", "FEE", "FEE", 2, 0.01),
    )
    by_code = {asset.code: asset for asset in plain}
    variants = (
        *(by_code["DOT"].variant(suffix) for suffix in ("S", "B")),
        by_code["XXBT"].variant("M"),
        by_code["XETH"].variant("F"),
        by_code["ZUSD"].variant("M"),
        by_code["ZEUR"].variant("HOLD"),
        by_code["XTZ"].variant("S"),
    )
    return by_code | {asset.code: asset for asset in variants}


ASSETS = _assets()


def _pairs() -> dict[str, Pair]:
    def pair(key: str, altname: str, base: str, quote: str, price: int, *leverage: int, listed: bool = True) -> Pair:
        cost = {"USDT": 8, "XXBT": 10}.get(quote, 5)
        return Pair(key, altname, ASSETS[base], ASSETS[quote], price, cost, leverage, listed)

    every = (
        pair("XXBTZUSD", "XBTUSD", "XXBT", "ZUSD", 1, 2, 3, 4, 5),
        pair("XXBTZEUR", "XBTEUR", "XXBT", "ZEUR", 1, 2, 3, 4, 5),
        pair("XXBTZGBP", "XBTGBP", "XXBT", "ZGBP", 1),
        pair("XBTUSDT", "XBTUSDT", "XXBT", "USDT", 1),
        pair("XETHZUSD", "ETHUSD", "XETH", "ZUSD", 2, 2, 3, 4, 5),
        pair("XETHZEUR", "ETHEUR", "XETH", "ZEUR", 2, 2, 3, 4, 5),
        pair("XETHXXBT", "ETHXBT", "XETH", "XXBT", 5),
        pair("SOLUSD", "SOLUSD", "SOL", "ZUSD", 2, 2, 3),
        pair("SOLEUR", "SOLEUR", "SOL", "ZEUR", 2),
        pair("XDGUSD", "XDGUSD", "XXDG", "ZUSD", 7),
        pair("XXRPZEUR", "XRPEUR", "XXRP", "ZEUR", 5),
        pair("DOTUSDT", "DOTUSDT", "DOT", "USDT", 4),
        pair("XTZEUR", "XTZEUR", "XTZ", "ZEUR", 4),
        pair("ZRXUSD", "ZRXUSD", "ZRX", "ZUSD", 5),
        pair("USDTZUSD", "USDTUSD", "USDT", "ZUSD", 4),
        pair("NANOEUR", "NANOEUR", "NANO", "ZEUR", 4, listed=False),
        pair("XREPZUSD", "REPUSD", "XREP", "ZUSD", 3, listed=False),
        pair("AAPLxUSD", "AAPLxUSD", "AAPLx", "ZUSD", 2),
        pair("TSLAxUSD", "TSLAxUSD", "TSLAx", "ZUSD", 2),
    )
    return {each.key: each for each in every}


PAIRS = _pairs()
TAKER_FEES = [[0, 0.26], [50_000, 0.24], [100_000, 0.22], [250_000, 0.2]]
MAKER_FEES = [[0, 0.16], [50_000, 0.14], [100_000, 0.12], [250_000, 0.1]]


def find_asset(name: str) -> Asset:
    """Find an asset by any of its names, in any case."""
    wanted = name.upper()
    for asset in ASSETS.values():
        if wanted in {asset.code.upper(), asset.altname.upper(), asset.name.upper()}:
            return asset
    raise Refused("EQuery:Unknown asset")


def list_assets(params: Mapping[str, str]) -> dict[str, Json]:
    """Answer the public method Assets."""
    modern = params.get("assetVersion") == "1"
    aclass = params.get("aclass", CURRENCY)
    wanted = [find_asset(name) for name in _names(params.get("asset"))]
    return {
        asset.name if modern else asset.code: {
            "aclass": asset.aclass,
            "altname": asset.altname,
            "decimals": asset.decimals,
            "display_decimals": min(5, asset.decimals),
            "status": "enabled",
        }
        for asset in wanted or ASSETS.values()
        if asset.aclass == aclass and asset.listed
    }


def list_pairs(params: Mapping[str, str]) -> dict[str, Json]:
    """Answer the public method AssetPairs."""
    modern = params.get("assetVersion") == "1"
    aclass = params.get("aclass_base") or params.get("aclass") or CURRENCY
    listed = [pair for pair in PAIRS.values() if pair.listed and pair.base.aclass == aclass]
    names = _names(params.get("pair"))
    wanted = [_find_pair(name, listed) for name in names] if names else listed
    return {
        pair.symbol if modern else pair.key: _described(pair, params.get("info", "info"), modern=modern)
        for pair in wanted
    }


def _find_pair(name: str, among: Iterable[Pair]) -> Pair:
    wanted = name.upper()
    for pair in among:
        if wanted in {text.upper() for text in (pair.key, pair.altname, pair.wsname, pair.symbol)}:
            return pair
    raise Refused("EQuery:Unknown asset pair")


def _described(pair: Pair, info: str, *, modern: bool) -> Json:
    leverage: Json = {"leverage_buy": list(pair.leverage), "leverage_sell": list(pair.leverage)}
    fees: Json = {"fees": TAKER_FEES, "fees_maker": MAKER_FEES, "fee_volume_currency": "ZUSD"}
    margin: Json = {"margin_call": 80, "margin_stop": 40}
    if info in {"leverage", "fees", "margin"}:
        return {"leverage": leverage, "fees": fees, "margin": margin}[info]
    if info != "info":
        raise Refused("EGeneral:Invalid arguments:info")
    return {
        "altname": pair.altname,
        "wsname": pair.wsname,
        "aclass_base": pair.base.aclass,
        "base": pair.base.name if modern else pair.base.code,
        "aclass_quote": pair.quote.aclass,
        "quote": pair.quote.name if modern else pair.quote.code,
        "lot": "unit",
        "cost_decimals": pair.cost_decimals,
        "pair_decimals": pair.price_decimals,
        "lot_decimals": 8,
        "lot_multiplier": 1,
        **leverage,
        **fees,
        **margin,
        "ordermin": "0.0001",
        "costmin": "0.5",
        "tick_size": f"{Decimal(1).scaleb(-pair.price_decimals):f}",
        "status": "online",
        "execution_venue": "international",
    }


def _names(listed: str | None) -> list[str]:
    return [name for name in (listed or "").split(",") if name]
