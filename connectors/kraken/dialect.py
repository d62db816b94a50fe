"""Kraken's words and what they are called here: vocabularies only, no code."""

from __future__ import annotations

BROKER = "kraken"
DEFAULT_ACCOUNT = "main"  # Kraken's replies name none

REST, REST_RANK = "kraken_rest", 60
EXPORT, EXPORT_RANK = "kraken_export", 50
LEDGER, LEDGER_RANK = "kraken_ledger", 30

SIDES = {"buy": "BUY", "sell": "SELL", "b": "BUY", "s": "SELL"}
SETTLES = "settle-position"  # the order type of a margin position that is delivered, not traded

# Attributes of a trade, in replies and in exports of every known layout.
TRADE_FIELDS = frozenset(
    """txid ordertxid postxid posttxid pair time type ordertype price cost fee vol margin leverage misc ledgers trade_id
    maker posstatus posstatuscode cprice ccost cfee cvol cmargin net trades aclass subclass cl_ord_id""".split()
)
LEDGER_FIELDS = frozenset(
    """txid refid time type subtype aclass subclass asset wallet amount fee balance amountusd feeusd balanceusd
    feecurrency""".split()
)

# https://docs.kraken.com/api/docs/rest-api/get-ledgers, and what exports hold besides
LEDGER_TYPES = frozenset(
    """trade deposit withdrawal transfer margin adjustment rollover spend receive settled credit staking reward dividend
    sale conversion nfttrade nft_rebate nftcreatorfee nftrebate custodytransfer earn none reserve invite""".split()
) | {"margin trade"}
TRADES_AND_PURCHASES = ("trade", "spend", "receive")  # only these can be the two legs of a fill
EXCHANGES = (*TRADES_AND_PURCHASES, "conversion")  # what swaps one asset for another, whether or not it is a fill
MARGIN_TYPES = ("margin", "margin trade", "settled")  # about an execution, but money moves by fees and profit only
ABOUT_EXECUTIONS = (*EXCHANGES, *MARGIN_TYPES)
ABOUT_TRADES = ("trade", *MARGIN_TYPES)  # entries whose reference is the id of a trade
TRADE_ID = "T[A-Z0-9]{5}-[A-Z0-9]{5}-[A-Z0-9]{6}"
FEE_CREDITS = "KFEE"
NO_REFERENCE = ("", "unknown", "pending")

# Kraken's first assets have codes of four letters, X for a coin and Z for a currency. No later asset got one, so this
# list is whole; it is used only where AssetPairs does not list a pair (any more).
FIRST_ASSETS = {
    "XXBT": "BTC",
    "XETH": "ETH",
    "XETC": "ETC",
    "XLTC": "LTC",
    "XXDG": "DOGE",
    "XXRP": "XRP",
    "XXLM": "XLM",
    "XXMR": "XMR",
    "XZEC": "ZEC",
    "XREP": "REP",
    "XMLN": "MLN",
    "XICN": "ICN",
    "XDAO": "DAO",
    "XNMC": "NMC",
    "XXVN": "XVN",
    "ZUSD": "USD",
    "ZEUR": "EUR",
    "ZGBP": "GBP",
    "ZCAD": "CAD",
    "ZJPY": "JPY",
    "ZAUD": "AUD",
    "ZKRW": "KRW",
}
FIRST_PARTNERS = ("USDT",)  # the one later asset that is paired with a four-letter currency: USDTZUSD
OTHER_NAMES = {"XBT": "BTC", "XDG": "DOGE", "FEE": FEE_CREDITS}

FIAT = ("USD", "EUR", "GBP", "CAD", "AUD", "JPY", "CHF", "NZD", "AED", "KRW")

# What pairs are quoted in, and which of two assets is the base where no pair says so: the one further up.
QUOTES = (
    "POL", "DOT", "SOL", "XRP", "BNB", "ETH", "XBT", "BTC", "DAI", "PYUSD", "RLUSD", "USDG", "USDQ", "USDR", "USD1", "EURT",
    "EURQ", "EURR", "EURC", "USDC", "USDT", "EUR", "GBP", "AUD", "NZD", "USD", "CAD", "CHF", "AED", "JPY", "KRW",
)  # fmt: skip
