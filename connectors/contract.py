"""What every connector's `normalize` must return: the columns of an execution report, and the rules a row must keep.

Text becomes a decimal only here. A cast in Polars (or DuckDB) drops digits without a word, so the text is looked at
first: at most 16 integer digits and 12 significant decimals, exponents expanded.
"""

from __future__ import annotations

import re
import types
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING, Any

import polars as pl

if TYPE_CHECKING:
    import dataframely

MONEY = pl.Decimal(28, 12)
TIME = pl.Datetime("us")  # UTC, without a zone: so the tables say it
FEE = pl.Struct({"asset": pl.String, "amount": MONEY, "kind": pl.String})

REPORT: dict[str, Any] = {
    "broker": pl.String,
    "account": pl.String,
    "row_key": pl.String,
    "key_rank": pl.Int8,
    "exec_id": pl.String,
    "exec_rev": pl.Int32,
    "exec_type": pl.String,
    "exec_ref_id": pl.String,
    "ref_row_key": pl.String,
    "ref_trade_id": pl.String,
    "order_id": pl.String,
    "cl_ord_id": pl.String,
    "trade_id": pl.String,
    "instrument_id": pl.String,
    "symbol": pl.String,
    "security_type": pl.String,
    "side": pl.String,
    "last_qty": MONEY,
    "signed_qty": MONEY,
    "last_px": MONEY,
    "contract_multiplier": MONEY,
    "currency": pl.String,
    "gross_trade_amt": MONEY,
    "net_money": MONEY,
    "commission": MONEY,
    "comm_currency": pl.String,
    "fee_status": pl.String,
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
    "transact_time": TIME,
    "transact_time_raw": pl.String,
    "time_zone_assumed": pl.String,
    "trade_date": pl.Date,
    "settl_date": pl.Date,
    "report_date": pl.Date,
    "book_date": pl.Date,
    "source": pl.String,
    "source_rank": pl.Int8,
    "status": pl.String,
    "broker_clock": TIME,
    "row_order": pl.Int64,
    "exchange_id": pl.String,
    "raw_row": pl.Int32,
    "answered_at": TIME,
}
"""Columns of a report, in table order. `key_rank` says how good the row key is (4 best); `row_order` sorts rows that
share a report date; `broker_clock` is when the broker wrote the reply; `ref_*` name the row a cancel or correction is about."""

INSTRUMENT: dict[str, Any] = {
    "instrument_id": pl.String,
    "broker": pl.String,
    "broker_symbol": pl.String,
    "canonical_symbol": pl.String,
    "security_type": pl.String,
    "description": pl.String,
    "conid": pl.String,
    "isin": pl.String,
    "cusip": pl.String,
    "figi": pl.String,
    "listing_exchange": pl.String,
    "underlying_symbol": pl.String,
    "underlying_id": pl.String,
    "contract_multiplier": MONEY,
    "strike_price": MONEY,
    "maturity_date": pl.Date,
    "put_or_call": pl.String,
    "base_asset": pl.String,
    "quote_asset": pl.String,
    "broker_clock": TIME,
    "currency": pl.String,  # of its prices
}

QUARANTINE: dict[str, Any] = {
    "broker": pl.String,
    "account": pl.String,
    "rule": pl.String,
    "detail": pl.String,
    "exchange_id": pl.String,
    "raw_row": pl.Int32,
    "answered_at": TIME,
    "exec_id": pl.String,  # the execution that the row tells of, where that could be read
}

DRIFT: dict[str, Any] = {
    "broker": pl.String,
    "source": pl.String,
    "kind": pl.String,  # attribute, notes code, asset category, transaction type, missing attribute
    "field": pl.String,
    "exchange_id": pl.String,
    "answered_at": TIME,
}

STATEMENT: dict[str, Any] = {
    "broker": pl.String,
    "source": pl.String,
    "source_rank": pl.Int8,
    "account": pl.String,
    "returned_since": TIME,  # or the broker's day, as its midnight
    "returned_until": TIME,  # half-open
    "broker_clock": TIME,
    "holds_section": pl.Boolean,  # False: the reply has no place for executions, so it cannot tell that there were none
    "row_count": pl.Int64,
    "broker_count": pl.Int64,
    "exchange_id": pl.String,
    "answered_at": TIME,
}


LEDGER: dict[str, Any] = {
    "broker": pl.String,
    "account": pl.String,
    "entry_id": pl.String,
    "ref_id": pl.String,
    "exec_id": pl.String,  # the execution that the entry is a leg or a fee of
    "entry_type": pl.String,
    "entry_subtype": pl.String,
    "asset": pl.String,  # its modern name, however it is held
    "asset_raw": pl.String,
    "asset_class": pl.String,
    "wallet": pl.String,
    "amount": MONEY,
    "fee": MONEY,
    "balance": MONEY,
    "fee_asset": pl.String,
    "fee_digits": pl.Int8,  # decimals that the broker printed: it may round what it told elsewhere
    "fee_kind": pl.String,
    "status": pl.String,  # booked, pending
    "entry_time": TIME,
    "entry_time_raw": pl.String,
    "book_date": pl.Date,
    "source": pl.String,
    "broker_clock": TIME,
    "exchange_id": pl.String,
    "raw_row": pl.Int32,
    "answered_at": TIME,
}
"""Columns of a ledger entry. `fee_kind` says what the fee of a leg is: `trade`, `margin` (of a position, too), or `credit`
(the whole entry pays a fee); null where the entry is about no execution."""


@dataclass(frozen=True, slots=True)
class Normalized:
    """Everything a set of replies says: frames in the schemas above."""

    reports: pl.DataFrame
    instruments: pl.DataFrame
    statements: pl.DataFrame
    quarantine: pl.DataFrame
    drift: pl.DataFrame
    ledger: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=LEDGER))

    @classmethod
    def union(cls, parts: Iterable[Normalized]) -> Normalized:
        """Put the frames of several replies under one another."""
        every = list(parts)
        return cls(
            reports=_stack([part.reports for part in every], REPORT),
            instruments=_stack([part.instruments for part in every], INSTRUMENT),
            statements=_stack([part.statements for part in every], STATEMENT),
            quarantine=_stack([part.quarantine for part in every], QUARANTINE),
            drift=_stack([part.drift for part in every], DRIFT),
            ledger=_stack([part.ledger for part in every], LEDGER),
        )


def _stack(frames: Sequence[pl.DataFrame], schema: dict[str, Any]) -> pl.DataFrame:
    return pl.concat(frames) if frames else pl.DataFrame(schema=schema)


PLAIN_DECIMAL = r"^-?[0-9]{1,16}(\.[0-9]{1,12})?$"
GROUPED_DECIMAL = re.compile(r"^[+-]?[1-9][0-9]{0,2}(,[0-9]{3})+(\.[0-9]*)?$")
ANY_DECIMAL = re.compile(r"^[+-]?([0-9]+(\.[0-9]*)?|\.[0-9]+)([eE][+-]?[0-9]{1,4})?$")
INTEGER_DIGITS = 16
DECIMALS = 12


def read_decimals(frame: pl.DataFrame, columns: Sequence[str], *, grouped: bool = False) -> pl.DataFrame:
    """Cast text columns to `MONEY`, and name in `reading_fault` the rule a text broke and its column (first one wins).

    `not_a_number` is text that is none; `decimal_loss` is a number that `DECIMAL(28,12)` cannot hold exactly. The
    cell becomes null in both cases: the row is for the quarantine. `grouped` says that the broker may print commas between
    thousands; where it does not, a comma may be a decimal point that some program has put there.
    """
    texts = (pl.col(column) for column in columns)
    odd = frame.select(text.filter(~text.str.contains(PLAIN_DECIMAL)).unique().implode() for text in texts)
    for column in columns:
        if not odd.item(0, column).is_empty():
            frame = _read_odd_decimals(frame, column, odd.item(0, column).to_list(), grouped=grouped)
    return frame.with_columns(pl.col(column).cast(MONEY) for column in columns)


def _read_odd_decimals(frame: pl.DataFrame, column: str, odd: list[str], *, grouped: bool) -> pl.DataFrame:
    texts, faults = {}, {}
    for text in odd:
        texts[text], faults[text] = _plain_decimal(text, grouped=grouped)
    cell = pl.col(column)
    fault = cell.replace_strict(faults, default=None, return_dtype=pl.String) + f" in {column}"
    plain = (
        pl.when(cell.is_in(odd)).then(cell.replace_strict(texts, default=None, return_dtype=pl.String)).otherwise(cell)
    )
    return frame.with_columns(pl.coalesce("reading_fault", fault).alias("reading_fault"), plain.alias(column))


def _plain_decimal(text: str, *, grouped: bool) -> tuple[str | None, str | None]:
    """Write a number without exponent, grouping or superfluous zeros; else name the rule it breaks."""
    bare = text.strip()
    bare = bare.replace(",", "") if grouped and GROUPED_DECIMAL.match(bare) else bare
    if not ANY_DECIMAL.match(bare):
        return None, "not_a_number"
    sign, digits, exponent = Decimal(bare).as_tuple()
    assert isinstance(exponent, int)  # noqa: S101  (the pattern lets no NaN or Infinity through)
    written = "".join(map(str, digits)).rstrip("0")
    exponent += len(digits) - len(written)
    if not written:
        return "0", None
    if -exponent > DECIMALS or len(written.lstrip("0")) + exponent > INTEGER_DIGITS:
        return None, "decimal_loss"
    return f"{Decimal((sign, tuple(map(int, written)), exponent)):f}", None


def _unread(fault: str) -> pl.Expr:
    """Hold unless `reading_fault` is this rule, alone or as in "not_a_number in tradePrice"."""
    return ~pl.col("reading_fault").str.starts_with(fault).fill_null(value=False)


RULES: dict[str, pl.Expr] = {
    "not_a_number": _unread("not_a_number"),
    "decimal_loss": _unread("decimal_loss"),
    "time_unreadable": _unread("time_unreadable"),
    "side_contradicts_quantity": _unread("side_contradicts_quantity"),
    "account_missing": pl.col("account").is_not_null(),
    "id_missing": pl.col("row_key").is_not_null(),
    "symbol_missing": pl.col("symbol").is_not_null(),
    "quantity_missing": pl.col("signed_qty").is_not_null()
    | (pl.col("side").is_null() & pl.col("last_qty").is_not_null())
    | pl.col("reading_fault").is_not_null(),
    "date_missing": pl.col("book_date").is_not_null() | pl.col("reading_fault").is_not_null(),
    # A row that another channel confirms may leave it to that, or to its instrument's record.
    "currency_unknown": (
        pl.col("currency").str.contains("^[A-Z0-9]{3,5}$")
        | ((pl.col("security_type") == "CRYPTO") & pl.col("currency").str.contains("^[A-Za-z0-9.]+$"))
    ).fill_null(pl.col("status") == "provisional"),
    "side_missing": pl.col("side").is_in(["BUY", "SELL"]).fill_null(value=False)
    | (pl.col("exec_type") == "BOOK")
    | pl.col("reading_fault").is_not_null(),
}
"""The contract of a report row: the rule's name, and what is true of a row that keeps it."""


@cache
def _report_schema() -> type[dataframely.Schema]:
    """Build the contract for dataframely, which says what a bad row broke. Imported late: it costs a third of a second."""
    import dataframely as dy  # noqa: PLC0415

    columns = {name: dy.Any() for name in (*REPORT, "reading_fault")}
    rules = {name: dy.rule()(_holding(holds)) for name, holds in RULES.items()}
    schema: type[dataframely.Schema] = types.new_class(
        "Report", (dy.Schema,), exec_body=lambda namespace: namespace.update({**columns, **rules})
    )
    return schema


def _holding(holds: pl.Expr) -> Callable[[Any], pl.Expr]:
    return lambda _schema: holds


def check(frame: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Split rows into those that keep the contract (`REPORT`) and those that do not (`QUARANTINE`).

    `frame` has the columns of `REPORT` and `reading_fault`. A row that breaks several rules is rejected once, with
    all their names in `detail`, and the column where one cell broke it, and the first as its `rule`.
    """
    if frame.select(pl.all_horizontal(RULES.values()).all()).item():
        return _reports_of(frame), pl.DataFrame(schema=QUARANTINE)
    kept, failures = _report_schema().filter(frame)
    broken = failures.details()
    names = list(RULES)
    first = pl.coalesce(pl.when(pl.col(name) == "invalid").then(pl.lit(name)) for name in names)
    fault = pl.col("reading_fault")
    said = [pl.when(fault.str.starts_with(name)).then(fault).otherwise(pl.lit(name)) for name in names]
    every = pl.concat_str(
        [pl.when(pl.col(name) == "invalid").then(text) for name, text in zip(names, said, strict=True)],
        separator=", ",
        ignore_nulls=True,
    )
    rejected = broken.with_columns(rule=first, detail=every).select(
        pl.col(name).cast(dtype) for name, dtype in QUARANTINE.items()
    )
    return _reports_of(kept), rejected


def _reports_of(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.select(pl.col(name).cast(dtype) for name, dtype in REPORT.items())
