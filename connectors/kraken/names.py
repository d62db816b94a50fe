"""Find out what Kraken's names mean: `XXBTZUSD`, `XBTUSD`, `XBT/USD` and `BTC/USD` are one pair, `XXBT` and `XBT.F` one asset.

Kraken's own answers decide: each old name, short name and modern name is an alias of one asset. Where a pair is listed
no more, or only a file is at hand, a closed list of the first assets and of the currencies that pairs are quoted in does.
Nothing is ever stripped by rule: XTZ, ZRX and XCN begin with these letters too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from connectors.kraken.dialect import FIAT, FIRST_ASSETS, FIRST_PARTNERS, OTHER_NAMES, QUOTES

# Staked, rewards, on hold, a tokenised stock (whose own name ends in x): the same asset for a trader.
VARIANT = re.compile(r"^(?P<asset>.+?)(?:\.(?:S|M|F|B|P|HOLD)|(?<=x)\.T)$")
BOOKED_MONEY = {"JPY": 2, "KRW": 2}
BONDED = re.compile(r"^(?P<asset>[A-Z]+?)(?P<days>\d+)$")  # GRT28.S is bonded for 28 days


@dataclass(frozen=True, slots=True)
class Pair:
    """A market: its own asset and the one it is priced in, by their modern names."""

    base: str
    quote: str

    def __str__(self) -> str:
        """Write the pair as everybody does."""
        return f"{self.base}/{self.quote}"


@dataclass(frozen=True, slots=True)
class Names:
    """What is known of names: aliases of assets, and pairs by every name they have."""

    assets: Mapping[str, str] = field(default_factory=dict)
    pairs: Mapping[str, Pair] = field(default_factory=dict)
    decimals: Mapping[str, int] = field(default_factory=dict)  # to which an asset is booked

    @classmethod
    def of(cls, assets: Iterable[Mapping[str, Any]], pairs: Iterable[Mapping[str, Any]]) -> Names:
        """Learn from the results of Assets and AssetPairs, old and modern ones together."""
        aliases: dict[str, str] = {}
        decimals: dict[str, int] = {}
        for listing in assets:
            for name, said in listing.items():
                short = str(said.get("altname") or name)
                aliases[name] = aliases[short] = _modern(short)
                decimals[_modern(short)] = int(said.get("decimals") or 0)
        known = cls(aliases)
        markets: dict[str, Pair] = {}
        for listing in pairs:
            for name, said in listing.items():
                if said.get("base") and said.get("quote"):
                    pair = Pair(known.asset(str(said["base"])), known.asset(str(said["quote"])))
                    aliased = (name, said.get("altname"), said.get("wsname"), str(pair))
                    markets |= {str(alias): pair for alias in aliased if alias}
        return cls(aliases, markets, decimals)

    def booked_to(self, asset: str) -> int:
        """Tell to how many decimals an asset (by its modern name) is booked: as listed, else as most of its kind are."""
        return self.decimals.get(asset) or (BOOKED_MONEY.get(asset, 4) if asset in FIAT else 8)

    def asset(self, name: str) -> str:
        """Give an asset's modern name, whatever it is called and however it is held."""
        told = self.assets.get(name, name)
        modern = FIRST_ASSETS.get(told) or OTHER_NAMES.get(told) or told
        return self._held(modern) if "." in modern else modern

    def _held(self, name: str) -> str:
        variant = VARIANT.match(name)
        if not variant:
            return name
        asset = variant["asset"]
        bonded = BONDED.match(asset)
        is_own_name = asset in self.assets or asset == "ETH2" or not name.endswith(".S")
        return self.asset(asset if is_own_name or bonded is None else bonded["asset"])

    def pair(self, name: str) -> Pair | None:
        """Give the pair a name means; None where nothing tells."""
        return self.pairs.get(name) or self._split(name)

    def _split(self, name: str) -> Pair | None:
        """Read a pair that is not listed: `ALGO/EUR`, `XXBTZJPY`, `ALGOEUR`."""
        if "/" in name:
            base, _, quote = name.partition("/")
            return Pair(self.asset(base), self.asset(quote)) if base and quote else None
        for first in FIRST_ASSETS:
            base = name.removesuffix(first)
            if base != name and (base in FIRST_ASSETS or base in FIRST_PARTNERS):
                return Pair(self.asset(base), self.asset(first))
        ends = [quote for quote in QUOTES if name.endswith(quote) and name != quote]
        if len(ends) > 1:  # HAPPYUSD is HAPPY in USD or HAP in PYUSD, unless one of them is an asset
            ends = [quote for quote in ends if self._is_known(name.removesuffix(quote))]
        quote = max(ends, key=len, default="")
        return Pair(self.asset(name.removesuffix(quote)), self.asset(quote)) if quote else None

    def _is_known(self, asset: str) -> bool:
        return any(asset in known for known in (self.assets, FIRST_ASSETS, OTHER_NAMES, QUOTES)) or asset.endswith("x")

    def market_of(self, one: str, other: str) -> Pair:
        """Say which of two assets is priced in the other: as Kraken lists them, else, or where it lists both, by custom."""
        listed = [pair for pair in (Pair(one, other), Pair(other, one)) if str(pair) in self.pairs]
        if len(listed) == 1:
            return listed[0]
        base, quote = sorted((one, other), key=lambda asset: (_place(asset), asset))
        return Pair(base, quote)


def _place(asset: str) -> int:
    return QUOTES.index(asset) if asset in QUOTES else -1


def _modern(name: str) -> str:
    return OTHER_NAMES.get(name, name)
