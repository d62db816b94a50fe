"""IBKR's words and what they are called here: vocabularies only, no code."""

from __future__ import annotations

BROKER = "ibkr"

ACTIVITY, ACTIVITY_RANK = "ibkr_flex", 30
CONFIRMS, CONFIRMS_RANK = "ibkr_flex_tcf", 20

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
    "FXCFD": "FXCFD",
    "CASH": "CASH",
    "CRYPTO": "CRYPTO",
    "FUND": "FUND",
    "CMDTY": "CMDTY",
    "FSFOP": "FSFOP",
    "FSOPT": "FSOPT",
}

TRADES = ("ExchTrade", "FracShare", "DvpTrade")
BOOKINGS = ("BookTrade", "Assignment", "Exercise", "Expiration", "Expire")
BOOKING_CODES = r"(?:^|;) *(?:A|AEx|Ep|Ex|GEA|MEx) *(?:;|$)"  # notes of a booking, for queries that print no type
CORRECTION = "TradeCorrect"
CANCELS = ("TradeCancel", "FracShareCancel", "BookTradeCancel", "DvpTradeCancel", "ExchTradeCancel")

LEVELS = frozenset({"EXECUTION", "ORDER", "CLOSED_LOT", "SYMBOL_SUMMARY", "ASSET_SUMMARY", "WASH_SALE"})

POSITION_EFFECTS = {"O": "OPEN", "C": "CLOSE", "C;O": "CLOSE_OPEN", "O;C": "CLOSE_OPEN"}

# https://www.ibkrguides.com/reportingreference/reportguide/codes.htm
NOTES = frozenset(
    """A ADR AEx AFx Adj Al Aw B Bo C CD CP Ca Co Cx D ETF Ep Ex FP FPA G GEA HC HFI HFR I IA INV IPO Inv L LD LI LT Lo
    M MEx ML MLG MLL MSG O P PE PI PTA Po Pr R RED RI RP RPA Rb Re Ri SI SL SO SP SS ST SX SY T TA Tp U V W Xx""".split()
)

# Without one of these a row is no fill at all; the names in a tuple are alternatives.
MANDATORY = (
    ("symbol",),
    ("quantity",),
    ("currency",),
    ("tradePrice", "price"),
    ("dateTime", "tradeDate"),
)
# Without these a fill is poorer, and some questions cannot be answered.
RECOMMENDED = (
    "accountId",
    "assetCategory",
    "conid",
    "multiplier",
    "transactionID",
    "tradeID",
    "origTradeID",
    "reportDate",
    "settleDateTarget",
    "transactionType",
    "proceeds",
    "taxes",
    "ibCommission",
    "ibCommissionCurrency",
    "netCash",
    "buySell",
    "openCloseIndicator",
    "notes",
    "ibOrderID",
    "ibExecID",
    "levelOfDetail",
    "fifoPnlRealized",
    "fxRateToBase",
    "exchange",
)

ATTRIBUTES = frozenset(
    """accountId acctAlias model currency fxRateToBase assetCategory subCategory symbol description conid securityID
    securityIDType cusip isin figi listingExchange underlyingConid underlyingSymbol underlyingSecurityID
    underlyingListingExchange issuer issuerCountryCode multiplier strike expiry putCall principalAdjustFactor tradeID
    reportDate dateTime date tradeDate tradeTime settleDateTarget settleDate transactionType exchange quantity tradePrice
    price tradeMoney amount proceeds taxes tax salesTax otherTax tradeCharge ibCommission commission
    ibCommissionCurrency commissionCurrency brokerExecutionCommission brokerClearingCommission
    thirdPartyExecutionCommission thirdPartyClearingCommission thirdPartyRegulatoryCommission otherCommission netCash
    netCashWithBillable closePrice openCloseIndicator notes code cost fifoPnlRealized capitalGainsPnl fxPnl mtmPnl
    origTradePrice origTradeDate origTradeID origOrderID origTransactionID clearingFirmID transactionID buySell
    ibOrderID orderID ibExecID execID relatedTransactionID relatedTradeID rtn brokerageOrderID orderReference
    volatilityOrderLink exchOrderId extExecID blockID orderTime orderPlacementTime openDateTime holdingPeriodDateTime whenRealized
    whenReopened levelOfDetail changeInPrice changeInQuantity orderType traderID isAPIOrder accruedInt
    initialInvestment positionActionID serialNumber deliveryType commodityType fineness weight allocatedTo rfqID
    sortField""".split()
)
