"""What truly happened in the accounts at the gateway's sandbox, to be told to its clients and to be compared with.

An execution has a side, a positive quantity, and a commission that is positive when paid. A correction is the same execution
under the next revision (the last group of the id), known only from a later moment on; from then on it stands, and the one before
does not.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

NEW_YORK = ZoneInfo("America/New_York")
Days = Callable[[date], Iterable["Execution"]]


@dataclass(frozen=True, slots=True)
class Account:
    """An account under the login, and the name that its owner gave it."""

    number: str
    alias: str
    currency: str = "USD"


@dataclass(frozen=True, slots=True)
class Contract:
    """What is traded; `multiplier` is 1 where the gateway tells none, `symbol` the underlying's."""

    conid: int
    sec_type: str
    symbol: str
    name: str
    currency: str
    listing_exchange: str
    exchange: str
    local_symbol: str
    description: str = ""  # of a derivative, e.g. `DEC26 85 C`
    multiplier: Decimal = Decimal(1)
    underlying: int = 0
    strike: Decimal | None = None
    expiry: date | None = None
    put_call: str = ""


@dataclass(frozen=True, slots=True)
class Execution:
    """One revision of one execution: it happened `at`, and the gateway knows it from `known_from` on, or at once."""

    account: str
    contract: Contract
    exec_id: str
    order_id: int
    side: str  # BUY, SELL, or X for an option that expired
    quantity: Decimal
    price: Decimal
    commission: Decimal
    commission_currency: str
    at: datetime
    order_ref: str = ""
    submitter: str = ""
    known_from: datetime | None = None

    @property
    def root(self) -> str:
        return self.exec_id.rpartition(".")[0]

    @property
    def revision(self) -> int:
        return int(self.exec_id.rpartition(".")[2])

    @property
    def net_amount(self) -> Decimal:
        """Give price times quantity times multiplier, without sign and without commission."""
        return self.price * self.quantity * self.contract.multiplier


class Book:
    """The executions of some accounts: those given, and, where `days` is given, each day's when it comes."""

    def __init__(
        self,
        accounts: Iterable[Account],
        executions: Iterable[Execution] = (),
        days: Days | None = None,
        first_day: date | None = None,
    ) -> None:
        self.accounts = tuple(accounts)
        self._executions = list(executions)
        self._days = days
        self._next_day = first_day

    def add(self, execution: Execution) -> None:
        self._executions.append(execution)

    def standing(self, now: datetime) -> list[Execution]:
        """Give what stands at a moment, oldest first: of each execution the latest revision known by then."""
        latest: dict[tuple[str, str], Execution] = {}
        for execution in self.revisions(now):
            key = (execution.account, execution.root)
            if key not in latest or latest[key].revision <= execution.revision:
                latest[key] = execution
        return sorted(latest.values(), key=lambda execution: (execution.at, execution.exec_id))

    def revisions(self, now: datetime) -> list[Execution]:
        """Give every revision that is known by a moment, oldest first, also those that no longer stand."""
        self._extend_to(now)
        known = [each for each in self._executions if max(each.at, each.known_from or each.at) <= now]
        return sorted(known, key=lambda execution: (execution.at, execution.exec_id))

    def contracts(self, now: datetime) -> dict[int, Contract]:
        """Give every contract traded so far, by its conid."""
        return {execution.contract.conid: execution.contract for execution in self.standing(now)}

    def tell(self, now: datetime) -> dict[str, list[dict[str, object]]]:
        """Tell what stands, by account; also what is older than the gateway tells."""
        told: dict[str, list[dict[str, object]]] = {account.number: [] for account in self.accounts}
        for execution in self.standing(now):
            told[execution.account].append(dict(_told(execution)))
        return told

    def _extend_to(self, now: datetime) -> None:
        if self._days is None or self._next_day is None:
            return
        today = now.astimezone(NEW_YORK).date()
        while self._next_day <= today:
            self._executions.extend(self._days(self._next_day))
            self._next_day += timedelta(days=1)


def _told(execution: Execution) -> Iterator[tuple[str, object]]:
    yield "exec_id", execution.exec_id
    yield "trade_id", None  # these two only Flex tells
    yield "transaction_id", None
    yield "order_id", execution.order_id
    yield "conid", execution.contract.conid
    yield "sec_type", execution.contract.sec_type
    yield "symbol", execution.contract.symbol
    yield "local_symbol", execution.contract.local_symbol
    yield "currency", execution.contract.currency
    yield "multiplier", plain(execution.contract.multiplier)
    yield "side", execution.side
    yield "quantity", plain(execution.quantity)
    yield "price", plain(execution.price)
    yield "commission", plain(execution.commission)
    yield "commission_currency", execution.commission_currency
    yield "time", execution.at.isoformat()
    yield "status", "provisional"


def plain(number: Decimal) -> str:
    """Print a number without exponent and without zeros at its end."""
    text = f"{number:f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text in {"", "-0"} else text
