"""Give each Flex row the key that stays its own in every later statement.

In order of trust (`key_rank`): 4 `transactionID`; 3 the execution id; 2 `tradeID` with quantity and price; 1 what the row
says of itself. A cancelled and re-booked trade keeps its execution and trade ids and often its terms, so below rank 4 the
report date is part of the key, and rows that still share one are counted: a statement tells report dates whole, so the
count is the same in each. Where the query prints no report date, a booking behind a cancel of its trade is at least the
second, even in a statement that no longer holds the original.
"""

from __future__ import annotations

import polars as pl

UNIQUE = 4
REVISED = r"^[^.]+\.[^.]+\.\d{2}\.(\d{2})$"  # four groups, the last two of two digits: the last is the revision


def identified(rows: pl.DataFrame) -> pl.DataFrame:
    """Add `row_key`, `key_rank`, `exec_id`, `exec_rev` and `row_order`."""
    revision = pl.col("full_exec_id").str.extract(REVISED, 1)
    rows = rows.with_columns(
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
    named = pl.coalesce("conid", "symbol")
    cancels = pl.when(pl.col("exec_type") == "CANCEL").then(pl.lit("CANCEL"))
    return rows.with_columns(named=named, cancels=cancels).with_columns(identity=_identity()).pipe(_counted)


def _identity() -> pl.Expr:
    execution = ["full_exec_id", "cancels", "side", "named", "reportDate"]
    trade = ["trade_id", "cancels", "side", "quantity", "tradePrice", "named", "reportDate"]
    whole = [
        "account",
        "named",
        "wall_time",
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
        pl.when(pl.col("full_exec_id").is_not_null()).then(pl.lit("x:") + _written(execution)),
        pl.when(pl.col("trade_id").is_not_null()).then(pl.lit("d:") + _written(trade)),
        pl.lit("h:") + _written(whole),
    )


def _written(names: list[str]) -> pl.Expr:
    """Write values behind one another; decimals without the zeros of their scale, so that 2 and 2.0 are the same."""
    numbers = ("quantity", "tradePrice")
    written = (pl.col(name).cast(pl.String).fill_null("") for name in names)
    return pl.concat_str(
        [
            text.str.replace(r"(\.\d*?)0+$", "$1").str.strip_suffix(".") if name in numbers else text
            for name, text in zip(names, written, strict=True)
        ],
        separator="|",
    )


def _counted(rows: pl.DataFrame) -> pl.DataFrame:
    """Count the rows that share an identity inside one statement; a transactionID is never numbered."""
    same = ["statement", "source", "account", "identity"]
    ordered = (
        rows.with_columns(position=pl.int_range(pl.len()))
        .pipe(_with_cancels_before)
        .sort("statement", "source", "reportDate", "wall_time", "exec_rev", "raw_row")
        .with_columns(occurrence=pl.int_range(1, pl.len() + 1, dtype=pl.Int64).over(same))
    )
    missing = (pl.col("cancels_before") + 1 - pl.col("occurrence")).cum_max().over(same)
    number = pl.col("occurrence") + pl.max_horizontal(missing, 0)
    numbered = (pl.col("key_rank") < UNIQUE) & (number > 1)
    return ordered.sort("position").with_columns(
        row_key=pl.when(numbered).then(pl.concat_str("identity", pl.lit("#"), number)).otherwise("identity")
    )


def _with_cancels_before(rows: pl.DataFrame) -> pl.DataFrame:
    """Count, for bookings without report date, the cancels in the statement that ended an earlier booking of the same trade.

    A cancel concerns the trade it names; one that names none, the bookings of its terms that were made by then. It came
    before a booking if it is printed before it, or has another price or quantity than every booking it could be of.
    """
    undated = rows.filter(pl.col("reportDate").is_null() & (pl.col("key_rank") < UNIQUE))
    cancels = undated.filter(pl.col("cancels").is_not_null())
    bookings = undated.filter(pl.col("cancels").is_null())
    if cancels.is_empty() or bookings.is_empty():
        return rows.with_columns(cancels_before=pl.lit(0, pl.Int64))
    same = ["statement", "source", "account"]
    terms = ["named", "side", "size", "price"]
    sized = pl.col("quantity").abs().alias("size"), pl.col("tradePrice").alias("price")
    about = cancels.select(*same, *terms[:2], *sized, "ref_trade_id", cancel="position", cancelled_at="wall_time")
    of = bookings.select(*same, *terms[:2], *sized, "trade_id", "key_rank", booking="position", booked_at="wall_time")
    alike = [pl.col(name).eq_missing(pl.col(f"{name}_right")) for name in terms[2:]]
    named = of.join(about, left_on=[*same, "trade_id"], right_on=[*same, "ref_trade_id"], suffix="_right").filter(
        (pl.col("side") == pl.col("side_right")) & (pl.col("named") == pl.col("named_right"))
    )
    unnamed = of.join(
        about.filter(pl.col("ref_trade_id").is_null()), on=[*same, *terms], nulls_equal=True, suffix="_right"
    ).filter((pl.col("cancelled_at") >= pl.col("booked_at")).fill_null(value=True))
    elsewhere = ~pl.all_horizontal(alike).any().over("cancel")
    before = pl.concat(
        [
            named.with_columns(elsewhere=elsewhere).select(
                "booking",
                counts=pl.when(pl.col("key_rank") == 3)  # noqa: PLR2004  (a trade id's own key holds the terms)
                .then(pl.col("elsewhere") | (pl.col("cancel") < pl.col("booking")))
                .otherwise(pl.all_horizontal(alike) & (pl.col("cancel") < pl.col("booking"))),
            ),
            unnamed.select("booking", counts=pl.col("cancel") < pl.col("booking")),
        ]
    )
    counted = before.group_by("booking").agg(cancels_before=pl.col("counts").sum().cast(pl.Int64))
    return rows.join(counted, left_on="position", right_on="booking", how="left", maintain_order="left").with_columns(
        pl.col("cancels_before").fill_null(0)
    )
