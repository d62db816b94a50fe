"""Map the portal's dialect to FIX words: executions of the last days in, provisional reports out, contracts as instruments."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl

from connectors.connector import Reply
from connectors.contract import DRIFT, FEE, INSTRUMENT, MONEY, STATEMENT, Normalized, check, read_decimals
from connectors.errors import ContractViolation
from connectors.ibkr_portal import dialect
from connectors.ibkr_portal.replies import is_anothers, rows_of

NUMBERS = ["size", "price", "commission", "net_amount"]
CONTRACT_NUMBERS = ["multiplier", "strike"]
REVISED = r"^[^.]+\.[^.]+\.\d{2}\.(\d{2})$"  # four groups, the last two of two digits: the last is the revision
CONID = r"^([^@]+)"  # a venue may follow: 265598@SMART
ACCOUNT_NUMBER = r"^[A-Z]{1,3}\d{4,}[A-Z]?$"  # a segment has a letter behind it; an alias is whatever the user likes
PAIR = r"^[A-Z]{3}\.[A-Z]{3}$"
NOTHING = ("", "-", "--", "N/A", "???")
MIDNIGHT_AT = ZoneInfo("America/New_York")
CONTRACT_FIELDS = (
    "conid", "currency", "name", "fullName", "assetClass", "expiry", "putOrCall", "strike", "ticker", "undConid", "multiplier",
    "listingExchange",
)  # fmt: skip


def normalize(replies: Sequence[Reply]) -> Normalized:
    """Read lists of executions and descriptions of contracts. Raises `ContractViolation` for what is neither."""
    lists = [reply for reply in replies if reply.endpoint == "trades"]
    told = [(reply, held) for reply in lists if (held := _rows(reply)) is not None]
    rows = _read(told)
    reports, quarantine = check(_reports(rows))
    contracts = [reply for reply in replies if reply.endpoint == "secdef"]
    described = [(reply, held) for reply in contracts if (held := _rows(reply)) is not None]
    return Normalized(
        reports=reports,
        instruments=pl.concat([_traded(rows), _described(described)]).unique(
            "instrument_id", keep="last", maintain_order=True
        ),
        statements=_statements(told),
        quarantine=quarantine,
        drift=_drift(told),
    )


def _rows(reply: Reply) -> list[Any] | None:
    """Give the rows of an answer. One that was no answer was asked for again, if it came from the gateway; a file is refused."""
    try:
        return rows_of(reply.body, reply.endpoint)
    except ContractViolation:
        if reply.is_live:
            return None
        raise


def _read(told: Sequence[tuple[Reply, list[Any]]]) -> pl.DataFrame:
    """Lay the executions out as text, a column an attribute, and read numbers and times."""
    laid_out = [
        {
            **{name: _text(row, name) for name in dialect.TRADE_FIELDS},
            "exchange_id": reply.exchange_id,
            "raw_row": place,
            "answered_at": reply.answered_at.replace(tzinfo=None),
            "asked_account": reply.params.get("accountId") or reply.asked_account,
            "broker_clock": reply.answered_at.replace(tzinfo=None) if reply.is_live else None,
        }
        for reply, rows in told
        for place, row in enumerate(rows)
    ]
    schema: dict[str, Any] = {
        **dict.fromkeys(sorted(dialect.TRADE_FIELDS), pl.String),
        "exchange_id": pl.String,
        "raw_row": pl.Int32,
        "answered_at": pl.Datetime("us"),
        "asked_account": pl.String,
        "broker_clock": pl.Datetime("us"),
    }
    frame = pl.DataFrame(laid_out, schema=schema).with_columns(reading_fault=pl.lit(None, pl.String))
    return _with_times(read_decimals(frame, NUMBERS, grouped=True)).with_columns(
        conid=pl.coalesce("conid", "conidEx", "conidex").str.extract(CONID, 1)
    )


def _text(row: Any, name: str) -> str | None:
    """Give an attribute as printed; what says nothing is null, and so is everything of a row that is none."""
    value = row.get(name) if isinstance(row, Mapping) else None
    text = "" if value is None else str(value).strip()
    return None if text in NOTHING else text


def _with_times(frame: pl.DataFrame) -> pl.DataFrame:
    """Read the instant: milliseconds since 1970, else the text, which is UTC."""
    by_count = pl.from_epoch(pl.col("trade_time_r").cast(pl.Int64, strict=False), "ms").cast(pl.Datetime("us"))
    by_text = pl.col("trade_time").str.to_datetime("%Y%m%d-%H:%M:%S", strict=False, time_unit="us")
    printed = pl.col("trade_time_r").is_not_null() | pl.col("trade_time").is_not_null()
    return frame.with_columns(
        transact_time=pl.coalesce(by_count, by_text),
        transact_time_raw=pl.coalesce(
            pl.when(by_count.is_not_null()).then("trade_time_r"), "trade_time", "trade_time_r"
        ),
        time_zone_assumed=pl.when(by_count.is_null() & by_text.is_not_null()).then(pl.lit("UTC")),
    ).with_columns(
        reading_fault=pl.coalesce(
            "reading_fault",
            pl.when(printed & pl.col("transact_time").is_null()).then(pl.lit("time_unreadable in trade_time")),
        )
    )


def _reports(rows: pl.DataFrame) -> pl.DataFrame:
    """Name the columns of `contract.REPORT`."""
    word = pl.col("side").str.to_uppercase()
    side = word.replace_strict(dialect.SIDES, default=None, return_dtype=pl.String)
    nothing = pl.lit(0, MONEY)
    revision = pl.col("execution_id").str.extract(REVISED, 1).cast(pl.Int32)
    execution = pl.when(revision.is_null()).then("execution_id").otherwise(pl.col("execution_id").str.head(-3))
    signed = {
        "BUY": (pl.col("size"), nothing - pl.col("net_amount")),
        "SELL": (nothing - pl.col("size"), pl.col("net_amount")),
    }
    untold: dict[str, Any] = {
        "exec_ref_id": pl.String, "ref_row_key": pl.String, "ref_trade_id": pl.String, "trade_id": pl.String,
        "contract_multiplier": MONEY, "currency": pl.String, "net_money": MONEY, "comm_currency": pl.String,
        "fee_entries": pl.List(FEE), "taxes": MONEY, "fx_rate_to_base": MONEY, "realized_pnl": MONEY,
        "last_liquidity_ind": pl.String, "leverage": MONEY, "margin": MONEY, "position_id": pl.String,
        "trade_date": pl.Date, "settl_date": pl.Date, "report_date": pl.Date,
    }  # fmt: skip
    return rows.with_columns(
        **{name: pl.lit(None, dtype) for name, dtype in untold.items()},
        broker=pl.lit(dialect.BROKER),
        account=pl.coalesce(_if_number("accountCode"), _if_number("account"), "asked_account"),
        row_key=pl.concat_str(
            pl.lit("x:"),
            execution,
            pl.lit("|"),
            pl.coalesce(side.str.head(1), word, pl.lit("")),  # B, BUY and BOT are one side
            pl.lit("|"),
            pl.coalesce("conid", "symbol", pl.lit("")),
        ),
        key_rank=pl.lit(3, pl.Int8),
        exec_id=execution,
        exec_rev=revision,
        exec_type=pl.when(word == dialect.EXPIRES).then(pl.lit("BOOK")).otherwise(pl.lit("TRADE")),
        cl_ord_id="order_ref",
        instrument_id=_instrument_id(),
        security_type=_security_type(),
        side=side,
        last_qty="size",
        signed_qty=pl.when(side == "BUY").then(signed["BUY"][0]).when(side == "SELL").then(signed["SELL"][0]),
        last_px="price",
        # printed without a sign; where the price is below zero nobody has seen which way it goes
        gross_trade_amt=pl.when(pl.col("price") < 0)
        .then(None)
        .when(side == "BUY")
        .then(signed["BUY"][1])
        .when(side == "SELL")
        .then(signed["SELL"][1]),
        fee_status=pl.when(pl.col("commission").is_null()).then(pl.lit("pending")).otherwise(pl.lit("known")),
        position_effect=pl.col("open_close").replace_strict(
            dialect.POSITION_EFFECTS, default=None, return_dtype=pl.String
        ),
        last_mkt="exchange",
        book_date=pl.col("transact_time").dt.date(),
        source=pl.lit(dialect.SOURCE),
        source_rank=pl.lit(dialect.RANK, pl.Int8),
        status=pl.lit("provisional"),
        # a later revision is the later word, also where nobody knows when a saved answer was given
        broker_clock=pl.coalesce(
            "broker_clock", pl.from_epoch(revision.fill_null(0).cast(pl.Int64), "s").cast(pl.Datetime("us"))
        ),
        row_order=pl.col("transact_time").dt.epoch("us"),
    ).with_columns(row_key=pl.when(pl.col("execution_id").is_not_null()).then("row_key"))


def _if_number(column: str) -> pl.Expr:
    return pl.when(pl.col(column).str.contains(ACCOUNT_NUMBER)).then(column)


def _security_type() -> pl.Expr:
    return pl.col("sec_type").replace(dialect.SECURITY_TYPES)


def _instrument_id() -> pl.Expr:
    named = pl.concat_str(pl.lit("ibkr:"), _security_type().fill_null("?"), pl.lit(":"), "symbol")
    return pl.coalesce(pl.lit("ibkr:") + pl.col("conid"), named)


def _traded(rows: pl.DataFrame) -> pl.DataFrame:
    """Describe instruments as executions do: by name, without their terms."""
    told: dict[str, Any] = {
        "instrument_id": _instrument_id(),
        "broker": pl.lit(dialect.BROKER),
        "broker_symbol": pl.col("symbol"),
        "security_type": _security_type(),
        "description": pl.coalesce("contract_description_2", "company_name"),
        "conid": pl.col("conid"),
        "listing_exchange": pl.col("listing_exchange"),
        "broker_clock": pl.lit(datetime.fromtimestamp(0, UTC).replace(tzinfo=None)),
    }
    return rows.filter(pl.col("symbol").is_not_null()).select(
        told.get(name, pl.lit(None)).cast(dtype).alias(name) for name, dtype in INSTRUMENT.items()
    )


def _described(told: Sequence[tuple[Reply, list[Any]]]) -> pl.DataFrame:
    """Describe contracts as IBKR does: currency, multiplier, strike, expiry."""
    laid_out = [
        {name: _text(row, name) for name in CONTRACT_FIELDS}
        | {
            "broker_clock": reply.answered_at.replace(tzinfo=None)
            if reply.is_live
            else datetime.fromtimestamp(0, UTC).replace(tzinfo=None)
        }
        for reply, rows in told
        for row in rows
    ]
    schema: dict[str, Any] = {
        **dict.fromkeys(CONTRACT_FIELDS, pl.String),
        "broker_clock": pl.Datetime("us"),
        "reading_fault": pl.String,
    }
    frame = read_decimals(pl.DataFrame(laid_out, schema=schema).filter(pl.col("conid").is_not_null()), CONTRACT_NUMBERS)
    currency = pl.when(pl.col("currency").str.contains("^[A-Z0-9]{3,5}$")).then("currency")
    named = pl.coalesce(pl.col("name", "fullName").str.extract(PAIR, 0))
    pair = pl.when(pl.col("assetClass") == "CASH").then(named)
    columns: dict[str, Any] = {
        "instrument_id": pl.lit("ibkr:") + pl.col("conid"),
        "broker": pl.lit(dialect.BROKER),
        "broker_symbol": pl.col("ticker"),
        "canonical_symbol": pair.str.replace(".", "/", literal=True),
        "base_asset": pair.str.head(3),
        "quote_asset": pair.str.tail(3),
        "security_type": pl.col("assetClass").replace(dialect.SECURITY_TYPES),
        "description": pl.coalesce("fullName", "name"),
        "conid": pl.col("conid"),
        "listing_exchange": pl.col("listingExchange"),
        "underlying_id": pl.when(pl.col("undConid") != "0").then(pl.lit("ibkr:") + pl.col("undConid")),
        "contract_multiplier": pl.when(pl.col("multiplier") == 0).then(pl.lit(1, MONEY)).otherwise("multiplier"),
        "strike_price": pl.when(pl.col("strike") != 0).then("strike"),
        "maturity_date": pl.col("expiry").str.to_date("%Y%m%d", strict=False),
        "put_or_call": pl.col("putOrCall").replace({"P": "PUT", "C": "CALL"}),
        "broker_clock": pl.col("broker_clock"),
        "currency": currency,
    }
    return frame.select(columns.get(name, pl.lit(None)).cast(dtype).alias(name) for name, dtype in INSTRUMENT.items())


def _statements(told: Sequence[tuple[Reply, list[Any]]]) -> pl.DataFrame:
    """Say what the last list of each account covers: the current day in New York and the six before it.

    A single empty list covers nothing: it may have been the first of a session. Nor does that of another account.
    """
    by_account: dict[str, list[tuple[Reply, list[Any]]]] = {}
    for reply, rows in told:
        if reply.is_live and (account := reply.params.get("accountId")):
            by_account.setdefault(account, []).append((reply, rows))
    found = [
        {
            "broker": dialect.BROKER,
            "source": dialect.SOURCE,
            "source_rank": dialect.RANK,
            "account": account,
            "returned_since": _first_moment(answers[-1][0].answered_at),
            "returned_until": answers[-1][0].answered_at.replace(tzinfo=None),
            "broker_clock": answers[-1][0].answered_at.replace(tzinfo=None),
            "holds_section": True,
            "row_count": len(answers[-1][1]),
            "broker_count": None,
            "exchange_id": answers[-1][0].exchange_id,
            "answered_at": answers[-1][0].answered_at.replace(tzinfo=None),
        }
        for account, answers in by_account.items()
        if (len(answers) > 1 or answers[0][1]) and not is_anothers(answers[-1][1], account)
    ]
    return pl.DataFrame(found, schema=STATEMENT)


def _first_moment(answered_at: datetime) -> datetime:
    aware = answered_at if answered_at.tzinfo else answered_at.replace(tzinfo=UTC)
    first_day = aware.astimezone(MIDNIGHT_AT).date() - timedelta(days=dialect.DAYS - 1)
    return datetime.combine(first_day, time.min, MIDNIGHT_AT).astimezone(UTC).replace(tzinfo=None)


def _drift(told: Sequence[tuple[Reply, list[Any]]]) -> pl.DataFrame:
    """Name attributes and kinds of securities that no table here knows."""
    found: dict[tuple[str, str], Reply] = {}
    for reply, rows in told:
        for row in rows:
            if isinstance(row, Mapping):
                for name in sorted(row.keys() - dialect.TRADE_FIELDS):
                    found.setdefault(("attribute", str(name)), reply)
                kind = _text(row, "sec_type")
                if kind is not None and kind not in dialect.SECURITY_TYPES:
                    found.setdefault(("sec_type", kind), reply)
    return pl.DataFrame(
        [
            (dialect.BROKER, dialect.SOURCE, kind, name, reply.exchange_id, reply.answered_at.replace(tzinfo=None))
            for (kind, name), reply in found.items()
        ],
        schema=DRIFT,
        orient="row",
    )
