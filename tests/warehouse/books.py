"""Invent the book of an IBKR account: executions, cancels that name much or little, bookings made again, expiries."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

from tests.warehouse.test_channels import CANCEL, TRADE, statement, trade

DAYS = ("20260105", "20260106", "20260107")
MORNING = "20260110;0430"


@dataclass(slots=True)
class Book:
    """What happened in an account: every row in IBKR's words, in the order of its transaction ids, and which of them stand."""

    account: str
    chance: Random
    rows: list[dict[str, str]] = field(default_factory=list)
    standing: set[str] = field(default_factory=set)

    def book(self, **said: str) -> dict[str, str]:
        """Add a row that stands."""
        number = str(1000 + len(self.rows))
        row = {**TRADE, "accountId": self.account, "commission": "-1", **said, "transactionID": number}
        self.rows.append(row)
        self.standing.add(number)
        return row

    def fill(self, day: str, place: int) -> None:
        """Fill an order in one to three parts, often of equal terms."""
        for part in range(self.chance.choice((1, 2, 3))):
            ids = {
                "tradeID": f"T{len(self.rows)}",
                "ibExecID": f"0000aaaa.{place:08}.{part:02}.01",
                "orderID": str(place),
            }
            time = f"{day};10{self.chance.choice(('00', '00', '01'))}00"
            terms = {"price": self.chance.choice(("5", "5", "6")), "quantity": self.chance.choice(("10", "10", "20"))}
            self.book(**ids, **terms, dateTime=time, tradeDate=day, reportDate=day, notes="P")

    def expire(self, day: str) -> None:
        """Book an expiry: it has no execution id and no price."""
        said = {"assetCategory": "OPT", "symbol": "AAA C", "conid": "9", "price": "0", "commission": "0", "notes": "Ep"}
        when = {"dateTime": f"{day};162000", "tradeDate": day, "reportDate": day}
        self.book(**said, **when, transactionType="BookTrade", tradeID=f"T{len(self.rows)}")

    def cancel(self, day: str) -> None:
        """Cancel what stands, mostly to book it again: under the same ids, as it was, as a revision or in other terms."""
        known = [
            row for row in self.rows if row["transactionID"] in self.standing and row["transactionType"] == "ExchTrade"
        ]
        if not known:
            return
        original = self.chance.choice(known)
        self.standing.remove(original["transactionID"])
        pointers = {"origTradeID": original["tradeID"], "origTransactionID": original["transactionID"]}
        names = self.chance.choice((("origTradeID", "origTransactionID"), ("origTransactionID",), ("origTradeID",)))
        no_ids = {
            "tradeID": "",
            "ibExecID": "",
            "reportDate": day,
            "notes": "Ca",
            "quantity": f"-{original['quantity']}",
        }
        refund = {"commission": self.chance.choice(("0", "1"))}
        told = {**original, **CANCEL, **no_ids, **refund, **{name: pointers[name] for name in names}}
        self.standing.remove(self.book(**told)["transactionID"])
        again = self.chance.choice(({}, {}, {"price": "5.1"}, {"ibExecID": original["ibExecID"][:-2] + "02"}, None))
        if again is not None:
            self.book(**{**original, **again, "reportDate": day, "commission": self.chance.choice(("-1", "0.3", "0"))})


def invented(account: str, chance: Random) -> Book:
    """Live through some days."""
    book = Book(account, chance)
    for number, day in enumerate(DAYS):
        for step in range(chance.choice((1, 2, 3))):
            what = chance.random()
            if what < 0.45:
                book.cancel(day)
            elif what < 0.9:
                book.fill(day, 10 * number + step + 1)
            else:
                book.expire(day)
    return book


def told(books: list[Book], since: str, until: str, minute: int, unticked: tuple[str, ...] = ()) -> bytes:
    """Write the statement of some days for all books, by a query that does not print some boxes."""
    rows = [
        trade(**{name: "" if name in unticked else text for name, text in row.items()})
        for book in books
        for row in book.rows
        if since <= row["reportDate"] <= until
    ]
    return statement(*rows, since=since, until=until, generated=f"{MORNING}{minute:02}")
