"""The columns of an execution report, by the part they play when versions and channels are merged."""

from __future__ import annotations

KEY = ("broker", "account", "row_key")

# A change of one of these is a new version of the row.
VERSIONED = (
    "exec_type",
    "exec_ref_id",
    "ref_row_key",
    "ref_trade_id",
    "side",
    "last_qty",
    "signed_qty",
    "last_px",
    "currency",
    "gross_trade_amt",
    "net_money",
    "commission",
    "comm_currency",
    "fee_entries",
    "taxes",
    "realized_pnl",
    "trade_date",
    "settl_date",
    "report_date",
)

# These are restated in place, with their lineage.
IN_PLACE = (
    "exec_id",
    "exec_rev",
    "order_id",
    "cl_ord_id",
    "trade_id",
    "instrument_id",
    "symbol",
    "security_type",
    "contract_multiplier",
    "fee_status",
    "fx_rate_to_base",
    "last_liquidity_ind",
    "position_effect",
    "last_mkt",
    "leverage",
    "margin",
    "position_id",
    "transact_time",
    "transact_time_raw",
    "time_zone_assumed",
    "book_date",
    "status",
    "row_order",
    "key_rank",
    "source_rank",
)

# Columns a lower channel may fill where the higher one told nothing.
FILLABLE = (
    "exec_id",
    "exec_rev",
    "order_id",
    "cl_ord_id",
    "trade_id",
    "security_type",
    "contract_multiplier",
    "gross_trade_amt",
    "net_money",
    "taxes",
    "fx_rate_to_base",
    "realized_pnl",
    "last_liquidity_ind",
    "position_effect",
    "last_mkt",
    "leverage",
    "margin",
    "position_id",
    "transact_time",
    "transact_time_raw",
    "time_zone_assumed",
    "trade_date",
    "settl_date",
)

# Of these, what follows from quantity and price.
OF_EQUAL_TERMS = ("gross_trade_amt", "net_money")

# The columns people read, in the order of the tables.
PUBLIC = (
    "broker",
    "account",
    "row_key",
    "version",
    "exec_id",
    "exec_rev",
    "exec_type",
    "exec_ref_id",
    "order_id",
    "cl_ord_id",
    "trade_id",
    "instrument_id",
    "symbol",
    "security_type",
    "side",
    "last_qty",
    "signed_qty",
    "last_px",
    "contract_multiplier",
    "currency",
    "gross_trade_amt",
    "net_money",
    "commission",
    "comm_currency",
    "fee_status",
    "fee_entries",
    "taxes",
    "fx_rate_to_base",
    "realized_pnl",
    "last_liquidity_ind",
    "position_effect",
    "last_mkt",
    "leverage",
    "margin",
    "position_id",
    "transact_time",
    "transact_time_raw",
    "time_zone_assumed",
    "trade_date",
    "settl_date",
    "report_date",
    "book_date",
    "source",
    "status",
    "first_seen_at",
    "last_changed_at",
    "exchange_id",
    "raw_row",
)


def listed(columns: tuple[str, ...], form: str = "{0}") -> str:
    """Write a column list for SQL, one a line; `form` says what each looks like. Names are constants of this module."""
    return ",\n    ".join(form.format(column) for column in columns)
