"""Read Flex dates and times: every unambiguous format, a printed zone or New York with its daylight saving.

No zone is printed in the default format; the field evidence for America/New_York, whatever the exchange, is a capture
that prints EDT for NASDAQ fills and a Taiwan trade stamped the evening before its trade date. Dates with slashes are
refused: one row cannot tell MM/dd from dd/MM.
"""

from __future__ import annotations

import polars as pl

from connectors.errors import ContractViolation

NEW_YORK = "America/New_York"
ZONES = {  # hours east of Greenwich of the abbreviations that mean one thing only
    "Z": 0,
    "UTC": 0,
    "GMT": 0,
    "EST": -5,
    "EDT": -4,
    "CET": 1,
    "CEST": 2,
    "HKT": 8,
    "JST": 9,
    "AEST": 10,
    "AEDT": 11,
}
MONTHS = {
    name: number
    for number, name in enumerate(
        ("JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"), start=1
    )
}
PATTERN = (
    r"^(?:(?<y>\d{4})-?(?<m>\d{2})-?(?<d>\d{2})|(?<dd>\d{1,2})-(?<mon>[A-Za-z]{3})-(?<yy>\d{2}|\d{4}))"
    r"(?:[;, T]*(?<H>\d{2}):?(?<M>\d{2}):?(?<S>\d{2})(?<f>\.\d{1,6})?)?"
    r"\s*(?<zone>[A-Z]{1,5}|[+-]\d{2}:?\d{2})?$"
)


PLAIN = r"^\d{8};\d{2}[0-5]\d[0-5]\d$"  # as IBKR writes them unless told otherwise


def require_unambiguous(text: pl.Series, attribute: str) -> None:
    """Refuse dates written with slashes, naming the attribute and the setting that mends it."""
    slashed = text.filter(text.str.contains("/", literal=True))
    if not slashed.is_empty():
        raise ContractViolation(
            f"{attribute}={slashed[0]!r} is ambiguous: MM/dd and dd/MM cannot be told apart.",
            remedy="Set the date format of the Flex query to yyyyMMdd (and the time format to HHmmss), then download it again.",
        )


def read_dates(frame: pl.DataFrame, columns: list[str]) -> pl.DataFrame:
    """Turn text columns into dates. What is no date becomes null and `time_unreadable in <column>` in `reading_fault`."""
    told = frame.select(pl.col(columns).drop_nulls().unique().implode())
    for column in columns:
        require_unambiguous(told.item(0, column), column)
    words = pl.concat([told.item(0, column) for column in columns]).unique()
    days = words.to_frame("word").select("word", day=pl.col("word").str.extract_groups(PATTERN).pipe(_day))
    read = [
        pl.col(column).replace_strict(days["word"], days["day"], default=None, return_dtype=pl.Date).alias(column)
        for column in columns
    ]
    unread = [
        pl.when(day.is_null() & pl.col(column).is_not_null() & (pl.col(column) != "MULTI")).then(_unreadable(column))
        for column, day in zip(columns, read, strict=True)
    ]
    return frame.with_columns(pl.coalesce("reading_fault", *unread).alias("reading_fault"), *read)


def read_times(frame: pl.DataFrame, column: str, order: str, called: str) -> pl.DataFrame:
    """Read a text column of instants; `order` is a column of increasing ids, for the hour that November repeats.

    `called` is the broker's name of the column, for complaints.

    Adds `transact_time` (UTC, null where the text has no time of day), `time_zone_assumed`, `clock_date` (the date as
    printed) and `wall_time` (New York's clock, whose repeated hour is one: it does not depend on other rows). Text that is
    no time is `time_unreadable`.
    """
    text = frame.get_column(column)
    require_unambiguous(text, called)
    frame = _as_always(frame, column) if text.str.contains(PLAIN).all() else _in_parts(frame, column)
    frame = frame.with_columns(new_york=_new_york(frame, order))
    timed = pl.col("is_timed")
    unzoned = pl.col("printed_zone").is_null()
    utc = pl.when(unzoned).then(pl.col("new_york")).otherwise(pl.col("local") - pl.duration(minutes="offset"))
    unread = pl.col(column).is_not_null() & (pl.col("clock_date").is_null() | (timed & utc.is_null()))
    return frame.with_columns(
        transact_time=pl.when(timed).then(utc),
        wall_time=pl.when(timed).then(pl.when(unzoned).then(pl.col("local")).otherwise(_wall_time(utc))),
        time_zone_assumed=pl.when(timed & unzoned).then(pl.lit(NEW_YORK)),
        reading_fault=pl.coalesce("reading_fault", pl.when(unread).then(_unreadable(called))),
    ).drop("printed_zone", "local", "offset", "is_timed", "new_york")


def _in_parts(frame: pl.DataFrame, column: str) -> pl.DataFrame:
    """Read times of any format: the date, the time as printed, its zone and that zone's distance from Greenwich."""
    part = pl.col("part")
    return (
        frame.with_columns(part=pl.col(column).str.extract_groups(PATTERN))
        .with_columns(clock_date=_day(part), printed_zone=part.struct.field("zone"))
        .with_columns(local=_local(part), offset=_offset(), is_timed=part.struct.field("H").is_not_null())
        .drop("part")
    )


def _as_always(frame: pl.DataFrame, column: str) -> pl.DataFrame:
    """Do the same where all times look as IBKR writes them unless told otherwise, in a tenth of the time."""
    days = pl.col(column).str.head(8).str.to_date("%Y%m%d", strict=False)
    local = pl.col(column).str.to_datetime("%Y%m%d;%H%M%S", time_unit="us", strict=False)
    return frame.with_columns(
        clock_date=days,
        local=local,
        printed_zone=pl.lit(None, pl.String),
        offset=pl.lit(None, pl.Int32),
        is_timed=pl.col(column).is_not_null(),
    )


def _wall_time(utc: pl.Expr) -> pl.Expr:
    return utc.dt.replace_time_zone("UTC").dt.convert_time_zone(NEW_YORK).dt.replace_time_zone(None)


def _unreadable(column: str) -> pl.Expr:
    return pl.lit(f"time_unreadable in {column}")


def _number(part: pl.Expr, name: str) -> pl.Expr:
    return part.struct.field(name).cast(pl.Int32)


def _day(part: pl.Expr) -> pl.Expr:
    """Make a date of the groups that `PATTERN` found; null where they are none."""
    month = part.struct.field("mon").str.to_uppercase().replace_strict(MONTHS, default=None, return_dtype=pl.Int32)
    short = _number(part, "yy")
    year = pl.when(short < 100).then(short + 2000).otherwise(short)  # noqa: PLR2004  (two digits: IBKR began in 1993, queries in 2005)
    written = pl.concat_str(
        pl.coalesce(_number(part, "y"), year).cast(pl.String).str.zfill(4),
        pl.coalesce(_number(part, "m"), month).cast(pl.String).str.zfill(2),
        pl.coalesce(_number(part, "d"), _number(part, "dd")).cast(pl.String).str.zfill(2),
    )
    return written.str.to_date("%Y%m%d", strict=False)


def _local(part: pl.Expr) -> pl.Expr:
    """Build the time as printed. 25:00:00 is no time and becomes null, as does a date without a time of day."""
    micros = part.struct.field("f").str.strip_chars_start(".").str.pad_end(6, "0").cast(pl.Int32).fill_null(0)
    hour, minute, second = (_number(part, name) for name in ("H", "M", "S"))
    valid = (hour < 24) & (minute < 60) & (second < 60)  # noqa: PLR2004
    return pl.when(valid).then(
        pl.col("clock_date").cast(pl.Datetime("us"))
        + pl.duration(hours=hour, minutes=minute, seconds=second, microseconds=micros)
    )


def _offset() -> pl.Expr:
    """Give a printed zone as minutes east of Greenwich, null for an abbreviation that no table knows."""
    zone = pl.col("printed_zone")
    signed = zone.str.extract(r"^([+-]\d{2})", 1).cast(pl.Int32) * 60
    minutes = zone.str.extract(r"^[+-]\d{2}:?(\d{2})$", 1).cast(pl.Int32)
    numeric = pl.when(zone.str.starts_with("-")).then(signed - minutes).otherwise(signed + minutes)
    named = zone.replace_strict(
        {name: hours * 60 for name, hours in ZONES.items()}, default=None, return_dtype=pl.Int32
    )
    return pl.coalesce(numeric, named)


def _new_york(frame: pl.DataFrame, order: str) -> pl.Series:
    """Read local times as New York's. In November's repeated hour the first pass is meant, unless ids say the second."""
    local = frame.get_column("local")
    first, second = (
        local.dt.replace_time_zone(NEW_YORK, ambiguous=fold, non_existent="null")
        .dt.convert_time_zone("UTC")
        .dt.replace_time_zone(None)
        for fold in ("earliest", "latest")
    )
    repeated = (first != second).fill_null(value=False)
    if not repeated.any():
        return first
    running = (
        frame.select(order, "local", "clock_date")
        .with_columns(repeated=repeated, position=pl.int_range(pl.len()))
        .filter("repeated")
        .sort(order, "position")
        .with_columns(turned_back=(pl.col("local") < pl.col("local").cum_max()).over("clock_date"))
    )
    turned_back = set(running.filter("turned_back").get_column("position").to_list())
    return pl.select(
        pl.when(pl.int_range(local.len()).is_in(turned_back)).then(second).otherwise(first).alias("new_york")
    ).to_series()
