"""Map IBKR's dialect to FIX words: a statement's text in, execution reports and what stands around them out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl

from connectors.connector import Reply
from connectors.contract import (
    DRIFT,
    FEE,
    INSTRUMENT,
    MONEY,
    STATEMENT,
    Normalized,
    check,
    read_decimals,
)
from connectors.errors import Rejected
from connectors.ibkr_flex import clock, dialect, identity
from connectors.ibkr_flex.replies import as_statement, holds_rows
from connectors.ibkr_flex.statement import CONFIRMATIONS, Statement, read_statement

NUMBERS = ["quantity", "tradePrice", "multiplier", "strike", "proceeds", "ibCommission", "netCash", "fxRateToBase"]
ACTIVITY_NUMBERS = [*NUMBERS, "taxes", "fifoPnlRealized"]
CONFIRM_NUMBERS = [*NUMBERS, "tax", "salesTax", "otherTax"]
DATES = ["tradeDate", "reportDate", "settleDateTarget", "expiry"]


def normalize(replies: Sequence[Reply]) -> Normalized:
    """Read Flex statements, activity and confirmations alike; the envelopes of the protocol hold no rows.

    Raises `ContractViolation` for a statement that is broken or ambiguous, `Rejected` where the query prints too little.
    """
    return Normalized.union(_one(reply) for reply in replies if holds_rows(reply.body))


def _one(reply: Reply) -> Normalized:
    statement = read_statement(as_statement(reply.body))
    _require_mandatory(statement)
    headers = _headers(statement, reply)
    rows = _activity(statement, headers, reply)
    if statement.confirms.height:
        rows = pl.concat([rows, _confirmed(statement, headers, reply)], how="diagonal")
    reports, quarantine = check(_reports(identity.identified(_classified(rows))))
    return Normalized(
        reports=reports,
        instruments=_instruments(rows),
        statements=_statements(headers, rows, statement, reply),
        quarantine=quarantine,
        drift=_drift(rows, statement, reply),
    )


def _require_mandatory(statement: Statement) -> None:
    for element, names in statement.attributes.items():
        missing = [alternatives[0] for alternatives in dialect.MANDATORY if names.isdisjoint(alternatives)]
        if missing:
            raise Rejected(
                f"The query behind this statement does not print {', '.join(missing)} on <{element}>.",
                remedy="Tick these boxes in the Trades section of the Flex query, then download it again.",
            )


def _headers(statement: Statement, reply: Reply) -> pl.DataFrame:
    """Read the statements' own attributes: account, first and last day, when IBKR wrote it."""
    blank = pl.lit(None, pl.String)
    frame = statement.headers.with_columns(reading_fault=blank)
    frame = clock.read_dates(frame, ["fromDate", "toDate"])
    frame = clock.read_times(frame, "whenGenerated", order="statement", called="whenGenerated")
    return frame.select(
        "statement",
        "reading_fault",
        account=pl.coalesce("accountId", pl.lit(reply.asked_account, pl.String)),
        returned_since="fromDate",
        # A day is told in full only by a statement written after it.
        returned_until=pl.min_horizontal(pl.col("toDate").dt.offset_by("1d"), "clock_date"),
        broker_clock=pl.coalesce("transact_time", pl.col("clock_date").cast(pl.Datetime("us"))),
    )


def _activity(statement: Statement, headers: pl.DataFrame, reply: Reply) -> pl.DataFrame:
    return _rows(statement.trades, headers, reply, ACTIVITY_NUMBERS).with_columns(
        source=pl.lit(dialect.ACTIVITY),
        source_rank=dialect.ACTIVITY_RANK,
        status=pl.lit("final"),
        charged_taxes="taxes",
    )


def _confirmed(statement: Statement, headers: pl.DataFrame, reply: Reply) -> pl.DataFrame:
    return _rows(statement.confirms, headers, reply, CONFIRM_NUMBERS).with_columns(
        source=pl.lit(dialect.CONFIRMS),
        source_rank=dialect.CONFIRMS_RANK,
        status=pl.lit("provisional"),
        charged_taxes=_sum_of("tax", "salesTax", "otherTax"),
    )


def _rows(text: pl.DataFrame, headers: pl.DataFrame, reply: Reply, numbers: list[str]) -> pl.DataFrame:
    """Read numbers, dates and times of rows that are still in IBKR's words."""
    attached = headers.select("statement", "broker_clock", statement_account="account")
    frame = text.join(attached, on="statement", how="left", maintain_order="left").with_columns(
        reading_fault=pl.lit(None, pl.String),
        raw_time=_printed_time(),
        id_order=pl.coalesce("transactionID", "tradeID").cast(pl.Int64, strict=False),
        account=pl.coalesce("accountId", "statement_account"),
        exchange_id=pl.lit(reply.exchange_id),
        answered_at=pl.lit(reply.answered_at.replace(tzinfo=None), pl.Datetime("us")),
    )
    frame = read_decimals(frame, numbers, grouped=True)
    frame = clock.read_dates(frame, DATES)
    return clock.read_times(frame, "raw_time", order="id_order", called="dateTime")


def _printed_time() -> pl.Expr:
    """Give the printed instant: `dateTime`, or the `tradeDate` and `tradeTime` of older queries."""
    separate = pl.concat_str("tradeDate", "tradeTime", separator=";")
    return pl.coalesce("dateTime", separate, "tradeDate")


def _sum_of(*columns: str) -> pl.Expr:
    told = pl.any_horizontal(pl.col(column).is_not_null() for column in columns)
    total = pl.lit(0, MONEY)
    for column in columns:
        total = total + pl.col(column).fill_null(pl.lit(0, MONEY))
    return pl.when(told).then(total)


def _classified(rows: pl.DataFrame) -> pl.DataFrame:
    """Say what each row is (`exec_type`), which side it is about, and what it points at."""
    kind = pl.col("transactionType").fill_null("")
    printed = pl.col("buySell").fill_null("")
    marked = printed.str.contains("(Ca.)", literal=True)
    cancels = kind.str.ends_with("Cancel") | marked | _is_noted("Ca")
    side = printed.str.extract(r"^(BUY|SELL)\b", 1)
    by_sign = pl.when(pl.col("quantity") > 0).then(pl.lit("BUY")).when(pl.col("quantity") < 0).then(pl.lit("SELL"))
    opposite = by_sign.replace_strict({"BUY": "SELL", "SELL": "BUY"}, default=None, return_dtype=pl.String)
    contradiction = (
        pl.when(marked).then(side != opposite).when(cancels).then(pl.lit(value=False)).otherwise(side != by_sign)
    ).fill_null(value=False)
    refers = cancels | (kind == dialect.CORRECTION)
    coded = pl.col("notes").fill_null("").str.contains(dialect.BOOKING_CODES)
    booked = kind.is_in(dialect.BOOKINGS) | ((kind == "") & coded & _id("ibExecID").is_null())
    return rows.with_columns(
        exec_type=pl.when(cancels)
        .then(pl.lit("CANCEL"))
        .when(kind == dialect.CORRECTION)
        .then(pl.lit("CORRECT"))
        .when(booked)
        .then(pl.lit("BOOK"))
        .otherwise(pl.lit("TRADE")),
        side=pl.when(cancels).then(opposite).otherwise(pl.coalesce(side, by_sign)),
        reading_fault=pl.coalesce("reading_fault", pl.when(contradiction).then(pl.lit("side_contradicts_quantity"))),
        transaction_id=_id("transactionID"),
        trade_id=_id("tradeID"),
        full_exec_id=_id("ibExecID"),
        ref_transaction_id=pl.when(refers).then(_id("origTransactionID")),
        ref_trade_id=pl.when(refers).then(_id("origTradeID")),
        book_date=pl.coalesce("tradeDate", "clock_date"),
    )


def _is_noted(code: str) -> pl.Expr:
    """Tell whether a code stands among the row's notes, which have semicolons between them."""
    notes = pl.col("notes").fill_null("").str.replace_all(" ", "", literal=True)
    return pl.concat_str(pl.lit(";"), notes, pl.lit(";")).str.contains(f";{code};", literal=True)


def _id(column: str) -> pl.Expr:
    """Read an id: IBKR prints 0 where there is none."""
    return pl.when(pl.col(column) != "0").then(column)


def _negated(column: str) -> pl.Expr:
    """Turn IBKR's "negative = charge" into "positive = we paid", without a negative zero."""
    return pl.lit(0, MONEY) - pl.col(column)


def _reports(rows: pl.DataFrame) -> pl.DataFrame:
    """Name the columns of `contract.REPORT`."""
    commission = _negated("ibCommission")
    nothing: dict[str, Any] = {
        "last_liquidity_ind": pl.String,
        "leverage": MONEY,
        "margin": MONEY,
        "position_id": pl.String,
    }
    return rows.with_columns(
        broker=pl.lit(dialect.BROKER),
        exec_ref_id=pl.coalesce("ref_transaction_id", "ref_trade_id"),
        ref_row_key=pl.lit("t:") + pl.col("ref_transaction_id"),
        order_id=_id("ibOrderID"),
        cl_ord_id="orderReference",
        instrument_id=_instrument_id(),
        security_type=_security_type(),
        last_qty=pl.col("quantity").abs(),
        signed_qty="quantity",
        last_px="tradePrice",
        contract_multiplier="multiplier",
        gross_trade_amt="proceeds",
        net_money="netCash",
        commission=commission,
        comm_currency="ibCommissionCurrency",
        fee_status=pl.when(commission.is_null()).then(pl.lit("pending")).otherwise(pl.lit("known")),
        fee_entries=pl.lit(None, pl.List(FEE)),  # IBKR charges one fee an execution; commission tells it all
        taxes="charged_taxes",
        fx_rate_to_base="fxRateToBase",
        realized_pnl="fifoPnlRealized",
        position_effect=_position_effect(),
        last_mkt="exchange",
        transact_time_raw="raw_time",
        trade_date="tradeDate",
        settl_date="settleDateTarget",
        report_date="reportDate",
        **{name: pl.lit(None, dtype) for name, dtype in nothing.items()},
    )


def _security_type() -> pl.Expr:
    return pl.col("assetCategory").replace(dialect.SECURITY_TYPES)


def _instrument_id() -> pl.Expr:
    named = pl.concat_str(pl.lit("ibkr:"), _security_type().fill_null("?"), pl.lit(":"), "symbol")
    return pl.coalesce(pl.lit("ibkr:") + _id("conid"), named)


def _position_effect() -> pl.Expr:
    """Read O, C and C;O, from their own attribute or (on confirmations) among the codes."""
    printed = pl.col("openCloseIndicator").replace_strict(
        dialect.POSITION_EFFECTS, default=None, return_dtype=pl.String
    )
    opens, closes = _is_noted("O"), _is_noted("C")
    coded = (
        pl.when(opens & closes)
        .then(pl.lit("CLOSE_OPEN"))
        .when(opens)
        .then(pl.lit("OPEN"))
        .when(closes)
        .then(pl.lit("CLOSE"))
    )
    return pl.coalesce(printed, coded)


def _instruments(rows: pl.DataFrame) -> pl.DataFrame:
    """Describe each instrument once, as the latest of these rows describes it."""
    pair = pl.col("symbol").str.split_exact(".", 1)
    is_pair = (pl.col("assetCategory") == "CASH") & pl.col("symbol").str.contains(r"^[A-Z]{3}\.[A-Z]{3}$")
    columns: dict[str, Any] = {
        "instrument_id": _instrument_id(),
        "broker": pl.lit(dialect.BROKER),
        "broker_symbol": pl.col("symbol"),
        "canonical_symbol": pl.when(is_pair)
        .then(pl.col("symbol").str.replace(".", "/", literal=True))
        .otherwise("symbol"),
        "security_type": _security_type(),
        "description": pl.col("description"),
        "conid": _id("conid"),
        "isin": pl.col("isin"),
        "cusip": pl.col("cusip"),
        "figi": pl.col("figi"),
        "listing_exchange": pl.col("listingExchange"),
        "underlying_symbol": pl.col("underlyingSymbol"),
        "underlying_id": pl.lit("ibkr:") + _id("underlyingConid"),
        "contract_multiplier": pl.col("multiplier"),
        "strike_price": pl.col("strike"),
        "maturity_date": pl.col("expiry"),
        "put_or_call": pl.col("putCall").replace({"P": "PUT", "C": "CALL"}),
        "base_asset": pl.when(is_pair).then(pair.struct.field("field_0")),
        "quote_asset": pl.when(is_pair).then(pair.struct.field("field_1")),
        "broker_clock": pl.col("broker_clock"),
        "currency": pl.lit(None),  # each row tells its own
    }
    return (
        rows.filter(pl.col("symbol").is_not_null())
        .with_columns(instrument_id=_instrument_id())
        .unique(subset=["instrument_id"], keep="last", maintain_order=True)
        .select(columns[name].cast(dtype).alias(name) for name, dtype in INSTRUMENT.items())
    )


def _statements(headers: pl.DataFrame, rows: pl.DataFrame, statement: Statement, reply: Reply) -> pl.DataFrame:
    """Say which days of which account each statement covers, and with how many execution rows."""
    confirms = statement.kind == CONFIRMATIONS
    counts = rows.group_by("statement").agg(row_count=pl.len())
    columns: dict[str, Any] = {
        "broker": pl.lit(dialect.BROKER),
        "source": pl.lit(dialect.CONFIRMS if confirms else dialect.ACTIVITY),
        "source_rank": pl.lit(dialect.CONFIRMS_RANK if confirms else dialect.ACTIVITY_RANK),
        "row_count": pl.col("row_count").fill_null(0),
        "broker_count": pl.lit(None),  # Flex counts statements, not rows
        "exchange_id": pl.lit(reply.exchange_id),
        "answered_at": pl.lit(reply.answered_at.replace(tzinfo=None)),
    }
    held = headers.with_columns(holds_section=pl.Series(statement.holds_section, dtype=pl.Boolean))
    return held.join(counts, on="statement", how="left", maintain_order="left").select(
        columns.get(name, pl.col(name)).cast(dtype).alias(name) for name, dtype in STATEMENT.items()
    )


def _drift(rows: pl.DataFrame, statement: Statement, reply: Reply) -> pl.DataFrame:
    """Name what no table here knows: attributes, levels, notes codes, asset categories, types; and what is not printed."""
    printed = frozenset().union(*statement.attributes.values())
    found = [("attribute", name) for name in sorted(printed - dialect.ATTRIBUTES)]
    if "Trade" in statement.attributes:
        found += [("not_printed", name) for name in dialect.RECOMMENDED if name not in statement.attributes["Trade"]]
    found += [("levelOfDetail", level) for level in sorted(statement.levels - dialect.LEVELS)]
    codes = rows.get_column("notes").drop_nulls().unique().str.split(";").explode().str.strip_chars()
    kinds = (*dialect.TRADES, *dialect.BOOKINGS, *dialect.CANCELS, dialect.CORRECTION)
    for kind, values, known in (
        ("notes", codes, {*dialect.NOTES, ""}),
        ("assetCategory", rows.get_column("assetCategory"), set(dialect.SECURITY_TYPES)),
        ("transactionType", rows.get_column("transactionType"), set(kinds)),
    ):
        found += [(kind, value) for value in sorted(set(values.drop_nulls().to_list()) - known)]
    return pl.DataFrame(
        {
            "broker": [dialect.BROKER] * len(found),
            "source": [dialect.CONFIRMS if statement.kind == CONFIRMATIONS else dialect.ACTIVITY] * len(found),
            "kind": [kind for kind, _ in found],
            "field": [field for _, field in found],
            "exchange_id": [reply.exchange_id] * len(found),
            "answered_at": [reply.answered_at.replace(tzinfo=None)] * len(found),
        },
        schema=DRIFT,
    )
