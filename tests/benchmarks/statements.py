"""Write a large activity statement (Flex, AF) with every attribute a Trade can have, row by row."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from pathlib import Path

ACCOUNT = "U7654321"
FIRST_DAY = date(2025, 4, 1)
SATURDAY = 5
OPENING = 34_200  # 09:30 in seconds
SYMBOLS = 3_000
PAIRS = {"USD": 12_087_792, "CHF": 14_000_037, "JPY": 14_000_074}
RATES = {
    "USD": "1",
    "EUR": "1.08571",
    "GBP": "1.2703",
    "JPY": "0.0066915",
    "HKD": "0.12784",
    "CAD": "0.73",
    "CHF": "1.13",
}
OF_THE_INSTRUMENT = (
    "accountId acctAlias model currency fxRateToBase assetCategory subCategory symbol description conid securityID"
    " securityIDType cusip isin figi listingExchange underlyingConid underlyingSymbol underlyingSecurityID"
    " underlyingListingExchange issuer issuerCountryCode multiplier strike expiry putCall principalAdjustFactor"
)
LINES_A_WRITE = 1_000

HEAD = (
    '<FlexQueryResponse queryName="Fills" type="AF">\n<FlexStatements count="1">\n'
    f'<FlexStatement accountId="{ACCOUNT}" fromDate="20250401" toDate="20260331" period="Last365CalendarDays"'
    ' whenGenerated="20260401;061502">\n<Trades>\n'
)
TAIL = "</Trades>\n</FlexStatement>\n</FlexStatements>\n</FlexQueryResponse>\n"


@dataclass(frozen=True, slots=True)
class Instrument:
    """What all trades of an instrument have in common: its attributes as XML, and how it trades."""

    attributes: str
    currency: str
    category: str
    exchange: str
    multiplier: int
    price: int  # in units of the last decimal
    decimals: int


@dataclass(frozen=True, slots=True)
class Order:
    """What the fills of an order have in common; the last five fields are ready XML."""

    instrument: Instrument
    day: str
    second: int  # after the opening
    sign: int
    settling: str
    order_id: str
    audit: str
    kind: str
    notes: str


def write_statement(path: Path | str, trades: int, seed: int = 7) -> None:
    """Write a statement of `trades` executions over a year; the same arguments give the same bytes."""
    chance = random.Random(seed)
    instruments = [_instrument(chance, number) for number in range(min(SYMBOLS, max(5, trades)))]
    with Path(path).open("w", encoding="utf-8", newline="\n") as file:
        file.write(HEAD)
        lines: list[str] = []
        for line in _trades(chance, instruments, trades, seed):
            lines.append(line)
            if len(lines) == LINES_A_WRITE:
                file.writelines(lines)
                lines.clear()
        file.writelines(lines)
        file.write(TAIL)


def _instrument(chance: random.Random, number: int) -> Instrument:
    """Invent an instrument: six in ten are stocks, the others options, futures, their options and currency pairs."""
    category = ("STK", "STK", "STK", "STK", "STK", "STK", "OPT", "FUT", "FOP", "CASH")[number % 10]
    root = "".join(chance.choice("ABCDEFGHIJKLMNOPQRSTUVWXYZ") for _ in range(3)) + f"{number:X}"
    told = {"symbol": root, "description": f"{root} HOLDINGS &amp; CO", "conid": f"{700_000_000 + number * 37}"}
    currency = chance.choice(("USD", "USD", "USD", "USD", "EUR", "GBP", "JPY", "HKD", "CAD"))
    exchange = chance.choice(("ISLAND", "ARCA", "IBKRATS", "DARK", "NYSE", "BATS"))
    multiplier, decimals = 1, chance.choice((2, 2, 3, 4))
    if category == "STK":
        isin = f"US{100_000_000 + number * 7:09d}{number % 10}"
        told |= {
            "subCategory": "COMMON",
            "securityID": isin,
            "securityIDType": "ISIN",
            "cusip": isin[2:11],
            "isin": isin,
        }
        told |= {"figi": f"BBG{number:09d}", "issuerCountryCode": "US"}
    elif category == "CASH":
        currency, exchange, decimals = chance.choice(("USD", "CHF", "JPY")), "IDEALFX", 5
        told |= {"symbol": f"EUR.{currency}", "description": f"EUR.{currency}", "conid": f"{PAIRS[currency]}"}
    else:
        exchange = "CBOE" if category == "OPT" else "CME"
        multiplier = 100 if category == "OPT" else chance.choice((5, 50, 1000))
        told |= {"symbol": f"{root}M6", "description": f"{root} 19JUN26", "expiry": "20260619"}
        told |= {"underlyingConid": f"{710_000_000 + number * 37}", "underlyingSymbol": root}
    if category in {"OPT", "FOP"}:
        right, strike = chance.choice("CP"), chance.randrange(10, 900, 5)
        told |= {
            "symbol": f"{root:<6}260619{right}{strike * 1000:08d}",
            "description": f"{root} 19JUN26 {strike} {right}",
        }
        told |= {"strike": f"{strike}", "putCall": right, "subCategory": right}
    told |= {"accountId": ACCOUNT, "currency": currency, "fxRateToBase": RATES[currency], "assetCategory": category}
    told |= {"listingExchange": "" if category == "CASH" else exchange, "multiplier": f"{multiplier}"}
    attributes = "<Trade " + " ".join(f'{name}="{told.get(name, "")}"' for name in OF_THE_INSTRUMENT.split())
    price = chance.randrange(90_000, 170_000) if category == "CASH" else chance.randrange(100, 400 * 10**decimals)
    return Instrument(attributes, currency, category, exchange, multiplier, price, decimals)


def _trades(chance: random.Random, instruments: list[Instrument], trades: int, seed: int) -> Iterator[str]:
    """Yield the Trade elements in the order of their times; an order has one to eight fills."""
    days = [day for day in (FIRST_DAY + timedelta(days=n) for n in range(365)) if day.weekday() < SATURDAY]
    shift = seed % 1000
    number = 0
    while number < trades:
        fills = min(chance.choice((1, 1, 1, 2, 2, 3, 4, 8)), trades - number)
        today, rest = divmod(number * len(days), trades)
        day, settles = (one.strftime("%Y%m%d") for one in (days[today], days[min(today + 1, len(days) - 1)]))
        when, ids = (day, settles, rest * 23_000 // trades), (number, shift)
        order = _order(chance, chance.choice(instruments), when, ids, "P" if fills > 1 else "")
        for part in range(fills):
            yield _trade(chance, order, number, shift, OPENING + order.second + part)
            number += 1


def _order(
    chance: random.Random, instrument: Instrument, when: tuple[str, str, int], ids: tuple[int, int], notes: str
) -> Order:
    """Invent an order: the attributes its fills share."""
    (day, settles, second), (number, shift) = when, ids
    return Order(
        instrument,
        day,
        second,
        chance.choice((1, -1)),
        f'settleDateTarget="{settles}" transactionType="ExchTrade" exchange="{instrument.exchange}"',
        f'ibOrderID="{4_000_000_000 + shift * 1_000_000 + number}"',
        f'brokerageOrderID="{0x2B10000 + shift:08x}.{0x1AB00 + number:08x}.{0x68000000 + number:08x}.0001"'
        ' orderReference="" volatilityOrderLink="" exchOrderId="N/A"',
        f'orderType="{chance.choice(("LMT", "LMT", "MKT", "STP", "MIDPX"))}"',
        notes,
    )


def _trade(chance: random.Random, order: Order, number: int, shift: int, second: int) -> str:
    """Write one Trade; quantity, proceeds, commission and net cash agree with each other."""
    instrument, sign = order.instrument, order.sign
    stock, future, pair = (instrument.category == one for one in ("STK", "FUT", "CASH"))
    price = Decimal(instrument.price + chance.randrange(-50, 50)).scaleb(-instrument.decimals)
    fraction = Decimal(chance.randrange(1, 10_000)).scaleb(-4) if stock and number % 11 == 0 else Decimal(0)
    quantity = sign * (chance.choice((1, 5, 10, 100, 250)) * (1000 if pair else 1) + fraction)
    money = quantity * price * instrument.multiplier
    commission = Decimal(chance.randrange(-250_000_000, 10_000_000)).scaleb(-chance.choice((6, 7, 8)))
    taxes = Decimal(chance.randrange(-500, 0)).scaleb(-2) if stock and number % 13 == 0 else Decimal(0)
    moved = Decimal(chance.randrange(-9999, 9999)).scaleb(-2) if future else -money
    net = Decimal(0) if pair else moved + commission + taxes
    realized = Decimal(chance.randrange(-9_000_000, 9_000_000)).scaleb(-4) if sign < 0 and not pair else Decimal(0)
    effect = "" if pair else "O" if sign > 0 else "C;O" if number % 97 == 0 else "C"
    at = f"{order.day};{second // 3600:02d}{second // 60 % 60:02d}{second % 60:02d}"
    return (
        f'{instrument.attributes} tradeID="{6_000_000_000 + shift * 10_000_000 + number * 3}" relatedTradeID=""'
        f' reportDate="{order.day}" dateTime="{at}" tradeDate="{order.day}" {order.settling} quantity="{quantity:f}"'
        f' tradePrice="{price:f}" tradeMoney="{money:f}" proceeds="{-money:f}" taxes="{taxes:f}"'
        f' ibCommission="{commission:f}" ibCommissionCurrency="{"USD" if pair else instrument.currency}"'
        f' netCash="{net:f}" closePrice="{price:f}" openCloseIndicator="{effect}" notes="{order.notes}"'
        f' cost="{-net:f}" fifoPnlRealized="{realized:f}" mtmPnl="{realized:f}" origTradePrice="0" origTradeDate=""'
        ' origTradeID="" origOrderID="0" origTransactionID="0" clearingFirmID=""'
        f' transactionID="{30_000_000_000 + shift * 10_000_000 + number * 5}" relatedTransactionID="" rtn=""'
        f' buySell="{"BUY" if sign > 0 else "SELL"}" {order.order_id}'
        f' ibExecID="{0x1F800 + shift:08x}.{0x68000000 + number:08x}.01.01" {order.audit}'
        f' extExecID="{71_000_000 + number}B" orderTime="{at}" openDateTime="" holdingPeriodDateTime=""'
        ' whenRealized="" whenReopened="" levelOfDetail="EXECUTION" changeInPrice="0" changeInQuantity="0"'
        f' {order.kind} traderID="" isAPIOrder="{"Y" if number % 3 else "N"}" accruedInt="0" initialInvestment=""'
        ' positionActionID="" serialNumber="" deliveryType="" commodityType="" fineness="0.0" weight="0.0" />\n'
    )
