"""Map Kraken's dialect to FIX words: replies and exports in, execution reports, ledger entries and what stands around them out."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from functools import lru_cache
from typing import Any

import polars as pl

from connectors.connector import Reply
from connectors.contract import DRIFT, FEE, MONEY, Normalized, check, read_decimals
from connectors.kraken import clock, dialect, instruments, ledger, spans
from connectors.kraken.names import Names
from connectors.kraken.reading import (
    EXPORTS,
    LEDGER_REPLIES,
    LEDGER_TEXT,
    TRADE_REPLIES,
    TRADE_TEXT,
    Answer,
    answers_in,
    read_rows,
)

NUMBERS = ["price", "cost", "fee", "vol", "margin", "leverage"]
NO_TEXT = pl.lit(None, pl.String)


def normalize(replies: Sequence[Reply]) -> Normalized:
    """Read a conversation's replies, or saved ones, together: names explain trades, trades and ledger explain each other.

    What is an error or a page holds no rows. Raises `ContractViolation` for an export that is broken or ambiguous.
    """
    names = _names(replies)
    answers = answers_in([reply for reply in replies if not reply.is_context])
    told = [answer for answer in answers if answer.endpoint in TRADE_REPLIES]
    booked_in = [answer for answer in answers if answer.endpoint in LEDGER_REPLIES]
    trades, printed = read_rows(told, TRADE_TEXT)
    entries, entry_attributes = read_rows(booked_in, LEDGER_TEXT)
    booked, unreadable = ledger.entries_of(entries, names)
    trades = _each_telling_once(trades)
    trades = _named(trades, names, lambda: _entries_known(replies, booked, names))
    reports, quarantine = check(_reports(trades))
    bought = ledger.fills_of(booked, names)
    purchases, odd = check(_with_all_columns(bought.join(reports, on=ledger.OF_ONE, how="anti")))
    return Normalized(
        reports=pl.concat([reports, purchases]),
        instruments=instruments.describe(answers, trades, bought, names),
        statements=spans.told_in_full(answers, ledger.unlisted(booked, trades), ledger.unsettled(booked)),
        quarantine=pl.concat([quarantine, unreadable, odd]),
        drift=_drift(answers, printed, entry_attributes, booked),
        ledger=booked,
    )


def fills_of_legs(legs: pl.DataFrame, replies: Sequence[Reply]) -> Normalized:
    """Make fills of ledger entries that came in different conversations, and describe their markets."""
    names = _names(replies)
    bought = ledger.fills_of(legs, names)
    reports, quarantine = check(_with_all_columns(bought))
    return replace(
        Normalized.union([]), reports=reports, instruments=instruments.describe_bought(bought), quarantine=quarantine
    )


def _names(replies: Sequence[Reply]) -> Names:
    listings = (reply for reply in replies if reply.endpoint in ("Assets", "AssetPairs"))
    return _learned(tuple((reply.endpoint, reply.body) for reply in listings))


@lru_cache(maxsize=4)
def _learned(listings: tuple[tuple[str, bytes], ...]) -> Names:
    """Read listings; the same ones explain conversation after conversation."""
    told = answers_in([Reply("", endpoint, body, datetime.min) for endpoint, body in listings])  # noqa: DTZ901  (not looked at)
    return Names.of(
        [answer.result for answer in told if answer.endpoint == "Assets"],
        [answer.result for answer in told if answer.endpoint == "AssetPairs"],
    )


def _each_telling_once(trades: pl.DataFrame) -> pl.DataFrame:
    """Leave out what is told again in the same words; where the words differ, the load decides, as between two replies."""
    is_first = pl.col("txid").is_first_distinct() | pl.col("txid").is_null()
    again = trades.filter(~is_first)
    if again.is_empty():
        return trades
    words = pl.struct("source", *TRADE_TEXT)
    told_otherwise = trades.filter(pl.col("txid").is_in(again["txid"].implode())).filter(words.is_first_distinct())
    return pl.concat([trades.filter(is_first), told_otherwise.filter(pl.col("txid").cum_count().over("txid") > 1)])


def _entries_known(replies: Sequence[Reply], booked: pl.DataFrame, names: Names) -> pl.DataFrame:
    """Give the ledger entries of these replies, and of those that are here to explain them."""
    earlier = answers_in([reply for reply in replies if reply.is_context])
    text, _ = read_rows([answer for answer in earlier if answer.endpoint in LEDGER_REPLIES], LEDGER_TEXT)
    return pl.concat([booked, ledger.entries_of(text, names)[0]])


def _named(trades: pl.DataFrame, names: Names, entries: Callable[[], pl.DataFrame]) -> pl.DataFrame:
    """Read numbers and times, and say which market each trade was on; where no name tells, the ledger's entries may."""
    markets = {name: names.pair(name) for name in trades.get_column("pair").drop_nulls().unique().to_list()}
    parts: dict[str, Callable[[Any], str]] = {
        "base": lambda pair: pair.base,
        "quote": lambda pair: pair.quote,
        "market": str,
    }
    told = {
        part: pl.col("pair").replace_strict(
            {name: give(pair) for name, pair in markets.items() if pair}, default=None, return_dtype=pl.String
        )
        for part, give in parts.items()
    }
    named = trades.with_columns(**told, reading_fault=NO_TEXT)
    if None in markets.values():
        named = _by_ledger(named, ledger.markets_told(named.filter(pl.col("market").is_null()), entries()))
    frame = read_decimals(named, NUMBERS)
    return clock.read_times(frame, "time")


def _by_ledger(trades: pl.DataFrame, told: pl.DataFrame) -> pl.DataFrame:
    """Name the markets that the ledger tells of (`account`, `txid`, `base`, `quote`)."""
    market = pl.concat_str("base", pl.lit("/"), "quote")
    named = trades.join(told.with_columns(market=market), on=["account", "txid"], how="left", maintain_order="left")
    return named.with_columns(pl.coalesce(part, f"{part}_right").alias(part) for part in ("base", "quote", "market"))


def _reports(trades: pl.DataFrame) -> pl.DataFrame:
    """Name the columns of `contract.REPORT`."""
    side = pl.col("type").str.to_lowercase().replace_strict(dialect.SIDES, default=None, return_dtype=pl.String)
    sells = side == "SELL"
    closes = pl.col("misc").str.contains("(?:^|,)closing(?:,|$)").fill_null(value=False)
    opens = pl.col("posstatus").is_not_null() | (pl.col("margin") > 0).fill_null(value=False)
    on_margin = closes | opens
    nothing = pl.lit(0, MONEY)
    is_signed = pl.min_horizontal("vol", "cost") < 0  # the side says which way, and nothing else does
    return trades.with_columns(
        reading_fault=pl.coalesce("reading_fault", pl.when(is_signed).then(pl.lit("side_contradicts_quantity"))),
        broker=pl.lit(dialect.BROKER),
        row_key="txid",
        key_rank=pl.lit(5, pl.Int8),
        exec_id="txid",
        exec_type=pl.when(pl.col("ordertype") == dialect.SETTLES).then(pl.lit("BOOK")).otherwise(pl.lit("TRADE")),
        order_id="ordertxid",
        instrument_id=instruments.instrument_id(),
        symbol="pair",
        security_type=instruments.security_type(),
        side=side,
        last_qty=pl.col("vol"),
        signed_qty=pl.when(sells).then(nothing - pl.col("vol")).otherwise("vol"),
        last_px="price",
        currency="quote",
        gross_trade_amt=pl.when(sells).then("cost").otherwise(nothing - pl.col("cost")),
        commission="fee",
        comm_currency=pl.when(pl.col("fee").is_not_null()).then("quote"),
        fee_status=pl.when(pl.col("fee").is_null()).then(pl.lit("pending")).otherwise(pl.lit("known")),
        last_liquidity_ind=pl.col("maker").replace_strict({"true": "ADDED", "false": "REMOVED"}, default=None),
        position_effect=pl.when(closes).then(pl.lit("CLOSE")).when(opens).then(pl.lit("OPEN")),
        position_id=pl.when(on_margin).then("postxid"),
        transact_time_raw="time",
        book_date=pl.col("transact_time").dt.date(),
        status=pl.lit("final"),
        row_order=pl.col("transact_time").dt.epoch("us"),
    ).pipe(_with_all_columns)


def _with_all_columns(rows: pl.DataFrame) -> pl.DataFrame:
    """Add the columns of a report that Kraken tells nothing for."""
    untold: dict[str, Any] = {
        "exec_rev": pl.Int32,
        "exec_ref_id": pl.String,
        "ref_row_key": pl.String,
        "ref_trade_id": pl.String,
        "order_id": pl.String,
        "cl_ord_id": pl.String,
        "trade_id": pl.String,
        "last_px": MONEY,
        "contract_multiplier": MONEY,
        "net_money": MONEY,  # a trade states cost and fee; what moved stands in the ledger
        "fee_entries": pl.List(FEE),
        "taxes": MONEY,
        "fx_rate_to_base": MONEY,
        "realized_pnl": MONEY,
        "last_liquidity_ind": pl.String,
        "position_effect": pl.String,
        "last_mkt": pl.String,
        "leverage": MONEY,
        "margin": MONEY,
        "position_id": pl.String,
        "trade_date": pl.Date,
        "settl_date": pl.Date,
        "report_date": pl.Date,
    }
    return rows.with_columns(
        pl.lit(None, dtype).alias(name) for name, dtype in untold.items() if name not in rows.columns
    )


def _drift(
    answers: Sequence[Answer],
    trade_attributes: dict[str, frozenset[str]],
    entry_attributes: dict[str, frozenset[str]],
    booked: pl.DataFrame,
) -> pl.DataFrame:
    """Name what no table here knows: attributes, and types of ledger entries."""
    by_id = {answer.reply.exchange_id: answer for answer in answers}
    found: dict[tuple[str, str, str], str] = {}
    for printed, known, sources in (
        (trade_attributes, dialect.TRADE_FIELDS, (dialect.REST, dialect.EXPORT)),
        (entry_attributes, dialect.LEDGER_FIELDS, (dialect.LEDGER, dialect.LEDGER)),
    ):
        for exchange_id, attributes in printed.items():
            source = sources[by_id[exchange_id].endpoint in EXPORTS]
            for name in sorted(attributes - known):
                found.setdefault((source, "attribute", name), exchange_id)
    unknown = booked.filter(~pl.col("entry_type").is_in(dialect.LEDGER_TYPES)).unique("entry_type", maintain_order=True)
    for kind, exchange_id in unknown.select("entry_type", "exchange_id").iter_rows():
        found.setdefault((dialect.LEDGER, "ledger type", str(kind)), exchange_id)
    return pl.DataFrame(
        [
            (dialect.BROKER, source, kind, name, exchange_id, by_id[exchange_id].answered_at)
            for (source, kind, name), exchange_id in found.items()
        ],
        schema=DRIFT,
        orient="row",
    )
