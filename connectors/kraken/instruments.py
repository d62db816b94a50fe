"""Describe Kraken's markets: those that AssetPairs lists, and those that were traded and are listed no more."""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from connectors.contract import INSTRUMENT
from connectors.kraken import dialect
from connectors.kraken.names import Names
from connectors.kraken.reading import Answer

NO_TEXT = pl.lit(None, pl.String)
NO_CLOCK = pl.lit(None, pl.Datetime("us"))


def describe(answers: Sequence[Answer], trades: pl.DataFrame, bought: pl.DataFrame, names: Names) -> pl.DataFrame:
    """Give a row a market (`INSTRUMENT`), as listed rather than as traded."""
    traded = trades.filter(pl.col("market").is_not_null()).select("market", "base", "quote", broker_symbol="pair")
    return _instruments(pl.concat([_listed(answers, names), traded, _by_ledger(bought)], how="diagonal"))


def describe_bought(bought: pl.DataFrame) -> pl.DataFrame:
    """Give a row a market (`INSTRUMENT`) that something was bought in, as the ledger's assets tell it."""
    return _instruments(_by_ledger(bought).with_columns(description=NO_TEXT, broker_clock=NO_CLOCK))


def _by_ledger(bought: pl.DataFrame) -> pl.DataFrame:
    return bought.select("base", "quote", market="symbol", broker_symbol="symbol")


def instrument_id() -> pl.Expr:
    """Name a market by its modern pair, else by what the broker calls it."""
    return pl.concat_str(pl.lit(f"{dialect.BROKER}:"), pl.coalesce("market", "pair"))


def security_type() -> pl.Expr:
    """Tell an exchange of currencies from all else."""
    is_money = pl.col("base").is_in(dialect.FIAT) & pl.col("quote").is_in(dialect.FIAT)
    return pl.when(is_money).then(pl.lit("CASH")).otherwise(pl.lit("CRYPTO"))


def _listed(answers: Sequence[Answer], names: Names) -> pl.DataFrame:
    """Lay out what AssetPairs lists, under the old names first: those are what trades print."""
    rows = [
        (name, str(pair), pair.base, pair.quote, said.get("aclass_base"), answer.answered_at)
        for answer in sorted(answers, key=lambda answer: answer.params.get("assetVersion", ""))
        if answer.endpoint == "AssetPairs"
        for name, said in answer.result.items()
        if (pair := names.pair(name))
    ]
    text = ("broker_symbol", "market", "base", "quote", "description")
    return pl.DataFrame(
        rows, schema={**dict.fromkeys(text, pl.String), "broker_clock": pl.Datetime("us")}, orient="row"
    )


def _instruments(pairs: pl.DataFrame) -> pl.DataFrame:
    told = {
        "instrument_id": instrument_id(),
        "broker": pl.lit(dialect.BROKER),
        "broker_symbol": pl.col("broker_symbol"),
        "canonical_symbol": pl.col("market"),
        "security_type": security_type(),
        "description": pl.col("description"),
        "base_asset": pl.col("base"),
        "quote_asset": pl.col("quote"),
        "broker_clock": pl.col("broker_clock"),
    }
    described = pairs.with_columns(pair="broker_symbol").select(
        told.get(name, pl.lit(None)).cast(dtype).alias(name) for name, dtype in INSTRUMENT.items()
    )
    return described.unique("instrument_id", keep="first", maintain_order=True)
