"""Read Kraken's ledger: each entry moves one asset; two that belong together can be a purchase that no trade tells of."""

from __future__ import annotations

import polars as pl

from connectors.contract import FEE, LEDGER, MONEY, QUARANTINE, read_decimals
from connectors.kraken import clock, dialect, instruments
from connectors.kraken.names import Names

NUMBERS = ["amount", "fee", "balance"]
NOTHING = pl.lit(0, MONEY)
OF_ONE = ["account", "exec_id"]
SAME_TO_ONE_IN = 1000  # a volume and what was booked of it


def entries_of(text: pl.DataFrame, names: Names) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Give ledger entries in the columns of `contract.LEDGER`, and the rows that cannot be read (`QUARANTINE`)."""
    printed = pl.col("fee").str.extract(r"\.([0-9]+)$", 1).str.len_bytes().fill_null(0)
    frame = clock.read_times(
        read_decimals(text.with_columns(printed=printed, reading_fault=pl.lit(None, pl.String)), NUMBERS), "time"
    )
    named = frame.get_column("asset").append(frame.get_column("feecurrency")).drop_nulls().unique()
    modern = {name: names.asset(name) for name in named.to_list()}
    booked_to = {asset: names.booked_to(asset) for asset in modern.values()}
    fee_asset = pl.coalesce("feecurrency_name", "asset_name")
    kind = pl.col("type").fill_null("none").str.to_lowercase()
    refers = ~pl.col("refid").fill_null("").str.to_lowercase().is_in(dialect.NO_REFERENCE)
    about_execution = refers & kind.is_in((*dialect.TRADES_AND_PURCHASES, *dialect.MARGIN_TYPES))
    frame = frame.with_columns(
        pl.col("asset", "feecurrency")
        .replace_strict(modern, default=None, return_dtype=pl.String)
        .name.suffix("_name"),
        reading_fault=pl.coalesce(
            "reading_fault",
            pl.when(pl.col("txid").is_null() & pl.col("balance").is_not_null()).then(pl.lit("id_missing")),
            pl.when(pl.col("asset").is_null()).then(pl.lit("asset_missing")),
            pl.when(pl.col("amount").is_null()).then(pl.lit("amount_missing")),
        ),
    ).with_columns(
        broker=pl.lit(dialect.BROKER),
        entry_id=pl.coalesce("txid", _own_words()),
        ref_id="refid",
        exec_id=pl.when(about_execution).then("refid"),
        entry_type=kind,
        entry_subtype="subtype",
        asset_raw="asset",
        asset_class="aclass",
        fee=pl.col("fee").fill_null(NOTHING),
        fee_asset=fee_asset,
        # Some files print no zeros at the end: a fee is not known less exactly for that.
        fee_digits=pl.max_horizontal(
            "printed", fee_asset.replace_strict(booked_to, default=None, return_dtype=pl.UInt32)
        ),
        fee_kind=pl.when(kind.is_in(dialect.ABOUT_EXECUTIONS) & (pl.col("asset_name") == dialect.FEE_CREDITS))
        .then(pl.lit("credit"))
        .when(kind.is_in(dialect.MARGIN_TYPES))
        .then(pl.lit("margin"))
        .when(kind.is_in(dialect.EXCHANGES))
        .then(pl.lit("trade")),
        status=pl.when(pl.col("balance").is_null()).then(pl.lit("pending")).otherwise(pl.lit("booked")),
        entry_time="transact_time",
        entry_time_raw="time",
        book_date=pl.col("transact_time").dt.date(),
        source=pl.lit(dialect.LEDGER),
    )
    readable = frame.filter(pl.col("reading_fault").is_null()).with_columns(asset="asset_name")
    unreadable = frame.filter(pl.col("reading_fault").is_not_null())
    spoiled = pl.col("exec_id").is_in(unreadable.get_column("refid").drop_nulls().to_list())
    rule = pl.col("reading_fault").str.split(" in ").list.first()
    rejected = unreadable.with_columns(rule=rule, detail="reading_fault")
    return (
        readable.with_columns(exec_id=pl.when(~spoiled).then("exec_id"))
        .select(pl.col(name).cast(dtype) for name, dtype in LEDGER.items())
        .unique("entry_id", keep="first", maintain_order=True),
        rejected.select(pl.col(name).cast(dtype) for name, dtype in QUARANTINE.items()),
    )


def unlisted(entries: pl.DataFrame, trades: pl.DataFrame) -> pl.DataFrame:
    """Give `account`, `exec_id` and `entry_time` of the trades that entries name and no list of trades has (`txid`)."""
    named = entries.filter(pl.col("entry_type").is_in(dialect.ABOUT_TRADES), pl.col("exec_id").is_not_null())
    listed = trades.select("account", exec_id="txid")
    return (
        named.join(listed, on=OF_ONE, how="anti")
        .filter(pl.col("exec_id").str.contains(f"^{dialect.TRADE_ID}$"))
        .select("account", "exec_id", "entry_time")
        .unique(OF_ONE)
    )


def unsettled(entries: pl.DataFrame) -> pl.DataFrame:
    """Give `account` and `entry_time` of the entries that are still pending and make an execution once they are booked."""
    is_of_execution = pl.col("entry_type").is_in(dialect.TRADES_AND_PURCHASES) & pl.col("exec_id").is_not_null()
    return entries.filter(pl.col("status") == "pending", is_of_execution).select("account", "entry_time")


def _own_words() -> pl.Expr:
    """Name an entry that is not booked yet, and has no id, by what it says."""
    words = ("refid", "type", "subtype", "asset", "time", "amount")
    told = (pl.col(name).cast(pl.String).fill_null("") for name in words)
    return pl.concat_str(pl.lit("h:"), *told, separator="|")


def fills_of(entries: pl.DataFrame, names: Names) -> pl.DataFrame:
    """Make fills of the references whose entries net to exactly two assets of opposite sign.

    Gives the columns of `contract.REPORT` that the ledger tells. It tells no price, so that is null.
    """
    legs = _legs(entries)
    market = pl.concat_str("base", pl.lit("/"), "quote")
    return (
        _legs_in_market(legs, names)
        .join(_references(legs), on=OF_ONE, maintain_order="left")
        .pipe(_with_fees, legs)
        .with_columns(
            broker=pl.lit(dialect.BROKER),
            row_key="exec_id",
            key_rank=pl.lit(5, pl.Int8),
            exec_type=pl.lit("LEDGER"),
            instrument_id=pl.lit(f"{dialect.BROKER}:") + market,
            symbol=market,
            security_type=instruments.security_type(),
            side=pl.when(pl.col("signed_qty") > 0).then(pl.lit("BUY")).otherwise(pl.lit("SELL")),
            last_qty=pl.col("signed_qty").abs(),
            currency="quote",
            time_zone_assumed=pl.lit(None, pl.String),
            book_date=pl.col("transact_time").dt.date(),
            source=pl.lit(dialect.LEDGER),
            source_rank=pl.lit(dialect.LEDGER_RANK, pl.Int8),
            status=pl.when("is_trade").then(pl.lit("provisional")).otherwise(pl.lit("final")),
            row_order=pl.col("entries").cast(pl.Int64),
            reading_fault=pl.lit(None, pl.String),
        )
    )


def markets_told(trades: pl.DataFrame, entries: pl.DataFrame) -> pl.DataFrame:
    """Tell which market trades (`account`, `txid`, `vol`) were on by what moved in each: the base by the trade's volume.

    Gives `account`, `txid`, `base`, `quote`. A trade that moved as much of one asset as of the other is not told.
    """
    volumes = read_decimals(
        trades.select("account", "vol", exec_id="txid", reading_fault=pl.lit(None, pl.String)), ["vol"]
    )
    first, second = ((pl.col("amount").list.get(place).abs() - pl.col("vol")).abs() for place in (0, 1))
    base = pl.when(first < second).then(0).when(second < first).then(1)
    return (
        _swapped(_legs(entries))
        .join(volumes, on=OF_ONE)
        .filter(pl.min_horizontal(first, second) * SAME_TO_ONE_IN <= pl.col("vol"))
        .with_columns(place=base)
        .drop_nulls("place")
        .select(
            "account",
            txid="exec_id",
            base=pl.col("asset").list.get("place"),
            quote=pl.col("asset").list.get(1 - pl.col("place")),
        )
    )


def _legs(entries: pl.DataFrame) -> pl.DataFrame:
    """Leave those entries that can be the legs of a fill."""
    return entries.filter(
        pl.col("exec_id").is_not_null(),
        pl.col("entry_type").is_in(dialect.TRADES_AND_PURCHASES),
        pl.col("status") == "booked",
    )


def _swapped(legs: pl.DataFrame) -> pl.DataFrame:
    """Net each reference by asset, and keep those of two assets, one in and one out."""
    return (
        legs.filter(pl.col("fee_kind") != "credit")
        .group_by(*OF_ONE, "asset", maintain_order=True)
        .agg(pl.col("amount").sum())
        .filter(pl.col("amount") != 0)
        .sort("asset", maintain_order=True)
        .group_by(OF_ONE, maintain_order=True)
        .agg("asset", "amount")
        .filter(pl.col("asset").list.len() == 2, pl.col("amount").list.min() < 0, pl.col("amount").list.max() > 0)  # noqa: PLR2004
    )


def _legs_in_market(legs: pl.DataFrame, names: Names) -> pl.DataFrame:
    """Say of each reference that swaps two assets which one is the base."""
    net = _swapped(legs)
    first, second = pl.col("asset").list.get(0, null_on_oob=True), pl.col("asset").list.get(1, null_on_oob=True)
    pairs = net.select(first=first, second=second).unique().iter_rows()
    bases = pl.DataFrame(
        [(one, other, names.market_of(one, other).base == one) for one, other in pairs],
        schema={"first": pl.String, "second": pl.String, "first_is_base": pl.Boolean},
        orient="row",
    )
    base = pl.when("first_is_base").then(0).otherwise(1)
    return (
        net.with_columns(first=first, second=second)
        .join(bases, on=["first", "second"], maintain_order="left")
        .select(
            *OF_ONE,
            base=pl.col("asset").list.get(base),
            quote=pl.col("asset").list.get(1 - base),
            signed_qty=pl.col("amount").list.get(base),
            gross_trade_amt=pl.col("amount").list.get(1 - base),
        )
    )


def _references(legs: pl.DataFrame) -> pl.DataFrame:
    """Say when each reference was first booked, which landed row tells that, and of how many entries it is made."""
    return (
        legs.sort("entry_time", "entry_id", nulls_last=True)
        .group_by(OF_ONE, maintain_order=True)
        .agg(
            pl.col("entry_time", "entry_time_raw", "exchange_id", "raw_row", "broker_clock", "answered_at").first(),
            is_trade=(pl.col("entry_type") == "trade").any(),
            entries=pl.len(),
        )
        .rename({"entry_time": "transact_time", "entry_time_raw": "transact_time_raw"})
    )


def _with_fees(fills: pl.DataFrame, legs: pl.DataFrame) -> pl.DataFrame:
    """Add what was paid, asset by asset, fee credits apart; who paid no money paid 0 of what the market is priced in."""
    credit = pl.col("fee_kind") == "credit"
    paid = (
        legs.with_columns(fee=pl.when(credit).then(pl.col("fee") - pl.col("amount")).otherwise("fee"))
        .group_by(*OF_ONE, "fee_kind", asset="fee_asset")
        .agg(pl.col("fee").sum())
        .filter(pl.col("fee") != 0)
    )
    free = fills.join(paid.filter(~credit), on=OF_ONE, how="anti").select(
        *OF_ONE, fee_kind=pl.lit("trade"), asset="quote", fee=NOTHING
    )
    trades = pl.col("fee_kind") == "trade"
    entry = pl.struct(asset="asset", amount="fee", kind="fee_kind").cast(FEE)
    every = (
        pl.concat([paid, free])
        .sort(~trades, "asset")
        .group_by(OF_ONE, maintain_order=True)
        .agg(
            fee_entries=entry,
            is_single=trades.sum() == 1,
            commission=pl.col("fee").filter(trades).first(),
            comm_currency=pl.col("asset").filter(trades).first(),
        )
    )
    return fills.join(every, on=OF_ONE, how="left", maintain_order="left").with_columns(
        fee_status=pl.when("is_single").then(pl.lit("known")).otherwise(pl.lit("multiple")),
        commission=pl.when("is_single").then("commission"),
        comm_currency=pl.when("is_single").then("comm_currency"),
        fee_entries=pl.when(pl.col("fee_entries").list.len() > 1).then("fee_entries"),
    )
