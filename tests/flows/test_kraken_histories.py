"""Whole accounts of Kraken, saved in pieces by somebody careless: whatever the files and their order, the books are Kraken's.

An account trades on spot and margin, pays fees in either asset or in credits, buys at once, converts, stakes, and holds coins
that are listed no more. Its trades come as pages and exports of both layouts, its ledger as pages and exports, in
windows that overlap, whole or cut within a second, with or without the listings, in any order.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from itertools import count, pairwise
from pathlib import Path
from random import Random
from typing import Any

import pytest

from connectors.kraken.sandbox import KrakenBroker
from connectors.kraken.sandbox_exports import Export, Exports
from connectors.kraken.sandbox_market import list_assets, list_pairs
from connectors.kraken.sandbox_wire import to_json
from flows import importing
from tests.connectors.kraken.desk import executions_in, executions_of
from tests.connectors.standing import FRIDAY_EVENING
from tests.warehouse.loading import prepared
from warehouse import db

FAR = timedelta(seconds=1)
File = tuple[str, bytes]


def account_of(seed: int, trades: int) -> KrakenBroker:
    """Let an account live; nothing is served."""
    return KrakenBroker(clock=lambda: FRIDAY_EVENING, seed=seed, trades=trades, years=1)


def windows(chance: Random, pieces: int) -> list[tuple[int, int]]:
    """Cut the year into pieces that overlap, ends at whole seconds."""
    start, end = (int(when.timestamp()) for when in (FRIDAY_EVENING - timedelta(days=367), FRIDAY_EVENING + FAR))
    cuts = sorted([start, *(chance.randrange(start, end) for _ in range(pieces - 1)), end])
    reach = (end - start) // 20
    return [(max(since - chance.randrange(reach), start), until) for since, until in pairwise(cuts)]


def pages(broker: KrakenBroker, method: str, span: tuple[int, int]) -> Iterator[File]:
    """Save the pages of a window."""
    ask = {"TradesHistory": broker.archive.trades_history, "Ledgers": broker.archive.ledgers}[method]
    params = {"start": str(span[0]), "end": str(span[1]), "consolidate_taker": "false", "rebase_multiplier": "base"}
    for offset in count(step=50):
        result = ask({**params, "ofs": str(offset)}, FRIDAY_EVENING)
        if not result["trades" if method == "TradesHistory" else "ledger"]:
            return
        yield f"{method}-{span[0]}-{offset}.json", to_json({"error": [], "result": result}).encode()


def report(broker: KrakenBroker, kind: str, span: tuple[int, int], layout: str, grain: str = "fine") -> Iterator[File]:
    """Save the export of a window."""
    exports: Exports = replace(broker.exports, layout=layout, grain=grain)
    asked = FRIDAY_EVENING + FAR
    export = Export("XXXX", kind, "all", "CSV", "all", span[0] + 1, span[1], asked, asked, asked)
    yield f"{kind}-{layout}-{grain}-{span[0]}.csv", exports._written(export).encode()  # noqa: SLF001  (the file in the zip)


def listings() -> Iterator[File]:
    """Save what Kraken says of names."""
    for name, told in {
        "assets": list_assets({}),
        "modern-assets": list_assets({"assetVersion": "1"}),
        "pairs": list_pairs({}),
        "modern-pairs": list_pairs({"assetVersion": "1"}),
        "token-pairs": list_pairs({"aclass_base": "tokenized_asset"}),
    }.items():
        yield f"{name}.json", to_json({"error": [], "result": told}).encode()


def saved(broker: KrakenBroker, chance: Random) -> list[File]:
    """Save everything once at least, in pieces of all kinds, and shuffle the files."""
    ways: dict[str, tuple[Callable[[tuple[int, int]], Iterator[File]], ...]] = {
        "trades": (
            lambda span: pages(broker, "TradesHistory", span),
            lambda span: report(broker, "trades", span, "old"),
            lambda span: report(broker, "trades", span, "new"),
        ),
        "ledgers": (
            lambda span: pages(broker, "Ledgers", span),
            lambda span: report(broker, "ledgers", span, "old"),
            lambda span: report(broker, "ledgers", span, "new"),
        ),
    }
    files = list(listings()) if chance.random() < 0.7 else []
    for ways_of_one in ways.values():
        for span in windows(chance, chance.randint(1, 4)):
            for way in chance.sample(ways_of_one, chance.choice((1, 1, 2))):
                files += way(span)
    if chance.random() < 0.5:  # and an export that tells trades in one which the pages tell one by one
        span = chance.choice(windows(chance, 2))
        files += [*pages(broker, "TradesHistory", span), *report(broker, "trades", span, "new", "consolidated")]
    return chance.sample(files, len(files))


def roughly(executions: dict[str, Any]) -> dict[str, Any]:
    """Leave out what an export cuts off: the digits of a time behind the fourth."""
    return {
        exec_id: {**told, "time": told["time"].replace(microsecond=told["time"].microsecond // 100 * 100)}
        for exec_id, told in executions.items()
    }


@pytest.mark.parametrize("seed", range(4))
def test_what_is_brought_home_in_any_pieces_is_the_brokers_book(seed: int, tmp_path: Path) -> None:
    chance = Random(seed)  # noqa: S311
    broker = account_of(seed, trades=130)
    told = saved(broker, chance)
    home = prepared(tmp_path / "home")
    for place, (name, body) in enumerate(told):
        file = tmp_path / f"{place}-{name}"
        file.write_bytes(body)
        [done] = importing.import_files(home, "kraken", [file], account="main")
        assert not done.refused
    with db.writer(home) as con:
        here, there = roughly(executions_in(con)), roughly(executions_of(broker, FRIDAY_EVENING + FAR))
        assert {
            key: (here.get(key), there.get(key))
            for key in here.keys() | there.keys()
            if here.get(key) != there.get(key)
        } == {}
        differing = con.execute("select * from ledger_reconciliation where finding = 'differs'").fetchall()
        rejected = con.execute("select * from quarantine").fetchall()
        doubts = con.execute(
            "select kind, what from data_health where severity <> 'note' and kind not in ('gap', 'ledger_unmatched')"
        ).fetchall()
        booked = con.execute(
            "select asset_raw, sum(amount - fee) from ledger_entries where status = 'booked' group by all"
        ).fetchall()
    assert differing == rejected == doubts == []
    moved: dict[str, Decimal] = defaultdict(Decimal)
    for entry in broker.account.ledger.rows:
        if entry.balance is not None:
            moved[entry.asset.code] += entry.amount - entry.fee
    assert {asset: Decimal(amount) for asset, amount in booked} == dict(moved)
