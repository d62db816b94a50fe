"""Give each Flex row the key that stays its own in every later statement.

In order of trust (`key_rank`): 4 `transactionID`; 3 the execution id; 2 `tradeID` with side, quantity and price; 1 what
the row says of itself. A cancelled and re-booked trade keeps its execution and trade ids, so where rows repeat an
identity they are counted: the first is the original, and a row behind a cancel of its trade is at least the second,
even in a statement that no longer holds the original.
"""

from __future__ import annotations

import polars as pl

UNIQUE = 4
REVISED = r"^[^.]+\.[^.]+\.\d{2}\.(\d{2})$"  # four groups, the last two of two digits: the last is the revision


def identified(rows: pl.DataFrame) -> pl.DataFrame:
    """Add `row_key`, `key_rank`, `exec_id`, `exec_rev` and `row_order`."""
    revision = pl.col("full_exec_id").str.extract(REVISED, 1)
    rows = rows.with_columns(named=pl.coalesce("conid", "symbol")).with_columns(
        key_rank=pl.when(pl.col("transaction_id").is_not_null())
        .then(UNIQUE)
        .when(pl.col("full_exec_id").is_not_null())
        .then(3)
        .when(pl.col("trade_id").is_not_null())
        .then(2)
        .otherwise(1)
        .cast(pl.Int8),
        exec_rev=revision.cast(pl.Int32),
        exec_id=pl.when(revision.is_null()).then("full_exec_id").otherwise(pl.col("full_exec_id").str.head(-3)),
        row_order=pl.coalesce(pl.col("transaction_id").cast(pl.Int64, strict=False), pl.col("raw_row").cast(pl.Int64)),
    )
    if rows.filter(pl.col("key_rank") < UNIQUE).is_empty():
        return rows.with_columns(row_key=pl.lit("t:") + pl.col("transaction_id"))
    return rows.with_columns(identity=_identity()).pipe(_counted)


def _identity() -> pl.Expr:
    trade = ["trade_id", "side", "quantity", "tradePrice"]
    whole = [
        "account",
        "named",
        "transact_time",
        "book_date",
        "reportDate",
        "side",
        "quantity",
        "tradePrice",
        "currency",
        "exec_type",
        "ibOrderID",
    ]
    return pl.coalesce(
        pl.lit("t:") + pl.col("transaction_id"),
        pl.lit("x:") + pl.col("full_exec_id"),
        pl.when(pl.col("trade_id").is_not_null()).then(pl.lit("d:") + _written(trade)),
        pl.lit("h:") + _written(whole),
    )


def _written(names: list[str]) -> pl.Expr:
    """Write values behind one another; decimals without the zeros of their scale, so that 2 and 2.0 are the same."""
    return pl.concat_str(
        [
            pl.col(name).cast(pl.String).fill_null("").str.replace(r"(\.\d*?)0+$", "$1").str.strip_suffix(".")
            for name in names
        ],
        separator="|",
    )


def _counted(rows: pl.DataFrame) -> pl.DataFrame:
    """Count the rows that share an identity inside one statement; a transactionID is never numbered."""
    cancels = pl.col("exec_type") == "CANCEL"
    target = pl.coalesce(pl.when(cancels).then("ref_trade_id"), "trade_id").alias("target")
    same = ["statement", "source", "account"]
    number = pl.max_horizontal("occurrence", pl.col("cancels_before").fill_null(0) + 1)
    numbered = (pl.col("key_rank") < UNIQUE) & (number > 1)
    return (
        rows.with_columns(position=pl.int_range(pl.len()))
        .sort("statement", "source", "reportDate", "raw_row")
        .with_columns(
            occurrence=pl.int_range(1, pl.len() + 1).over(*same, "identity"),
            cancels_before=pl.when(target.is_not_null() & ~cancels).then(
                cancels.cast(pl.Int64).cum_sum().over(*same, target)
            ),
        )
        .sort("position")
        .with_columns(
            row_key=pl.when(numbered).then(pl.concat_str("identity", pl.lit("#"), number)).otherwise("identity")
        )
    )
