"""The portal's words and what they are called here: vocabularies only, no code."""

from __future__ import annotations

BROKER = "ibkr"
SOURCE, RANK = "ibkr_portal", 10

SIDES = {"B": "BUY", "BUY": "BUY", "BOT": "BUY", "S": "SELL", "SELL": "SELL", "SLD": "SELL"}
EXPIRES = "X"  # an option that ran out: a booking, of neither side
DAYS = 7  # the current day and six before it; smaller numbers were seen to give nothing at all

SECURITY_TYPES = {
    "STK": "CS",
    "OPT": "OPT",
    "FUT": "FUT",
    "FOP": "FOP",
    "WAR": "WAR",
    "IOPT": "IOPT",
    "BOND": "BOND",
    "BILL": "BILL",
    "CFD": "CFD",
    "CASH": "CASH",
    "CRYPTO": "CRYPTO",
    "FUND": "FUND",
    "CMDTY": "CMDTY",
}
POSITION_EFFECTS = {"O": "OPEN", "C": "CLOSE", "C;O": "CLOSE_OPEN"}

TRADE_FIELDS = frozenset(
    """execution_id symbol supports_tax_opt side order_description trade_time trade_time_r size price order_ref submitter
    exchange commission net_amount account accountCode account_allocation_name company_name contract_description_1
    contract_description_2 sec_type listing_exchange conid conidEx conidex directed_exchange open_close position clearing_id
    clearing_name liquidation_trade is_event_trading order_id""".split()
)
