"""Read Kraken's times: seconds since 1970 with a fraction in replies, UTC without saying so in exports."""

from __future__ import annotations

import polars as pl

SECONDS = r"^(\d{1,11})(?:\.(\d+))?$"
WRITTEN = r"^(\d{4}-\d{2}-\d{2})[ T](\d{2}:\d{2}:\d{2})(?:\.(\d+))?(?:Z|\+00:00)?$"


def read_times(frame: pl.DataFrame, column: str) -> pl.DataFrame:
    """Add `transact_time` (UTC, digits behind the microsecond cut off) and `time_zone_assumed`; name what cannot be read.

    The digits are read, never a float: seven of them behind ten do not fit into one.
    """
    text = pl.col(column)
    counted = text.str.extract_groups(SECONDS).struct
    micros = counted.field("1").cast(pl.Int64, strict=False) * 1_000_000 + _micros(counted.field("2"))
    frame = frame.with_columns(transact_time=micros.cast(pl.Datetime("us")), time_zone_assumed=pl.lit(None, pl.String))
    if frame.filter(text.is_not_null() & pl.col("transact_time").is_null()).is_empty():
        return frame
    zoneless = text.str.contains(WRITTEN) & ~text.str.contains(r"(Z|\+00:00)$")
    told = pl.coalesce("transact_time", _written(text))
    return frame.with_columns(
        transact_time=told,
        time_zone_assumed=pl.when(zoneless).then(pl.lit("UTC")),
        reading_fault=pl.coalesce(
            "reading_fault", pl.when(told.is_null() & text.is_not_null()).then(pl.lit("time_unreadable"))
        ),
    )


def _written(text: pl.Expr) -> pl.Expr:
    day_and_time = pl.concat_str(text.str.extract(WRITTEN, 1), pl.lit(" "), text.str.extract(WRITTEN, 2))
    whole = day_and_time.str.to_datetime("%Y-%m-%d %H:%M:%S", strict=False, time_unit="us")
    return whole + pl.duration(microseconds=_micros(text.str.extract(WRITTEN, 3)))


def _micros(digits: pl.Expr) -> pl.Expr:
    return digits.fill_null("").str.head(6).str.pad_end(6, "0").cast(pl.Int64)
