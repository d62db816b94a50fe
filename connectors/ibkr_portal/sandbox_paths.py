"""What each path of the gateway's sandbox answers, once a call has been let in.

Bodies are those of IBKR's documents and of recorded replies; what is told nowhere, like the status of an unknown contract, is the
likeliest. Sources: brokers.md A.2, A.4, A.5 and A.7.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from connectors.ibkr_portal.sandbox_asked import Asked
from connectors.ibkr_portal.sandbox_book import Book
from connectors.ibkr_portal.sandbox_faults import Faults
from connectors.ibkr_portal.sandbox_rows import (
    print_contract_info,
    print_iserver_accounts,
    print_portfolio_account,
    print_secdef,
    print_validation,
)
from connectors.ibkr_portal.sandbox_session import REFUSED_TO_COMPETE, Brokerage, Refused, Session, bad_request
from connectors.ibkr_portal.sandbox_trades import list_trades

USER_ID, USER_NAME, PASSWORD = 104729550, "sandbox77", "open-sesame"
MOST_CONIDS = 200


@dataclass(frozen=True, slots=True)
class Path:
    methods: frozenset[str]
    answer: Callable[[Asked, datetime], object]
    needs_brokerage: bool = False


GET, POST, BOTH = frozenset({"GET"}), frozenset({"POST"}), frozenset({"GET", "POST"})
CONTRACT_INFO = "/iserver/contract/{conid}/info"


class Paths:
    """The paths by their names; an answer is what becomes JSON, or `Refused` is raised."""

    def __init__(self, book: Book, session: Session, faults: Faults, refresh: timedelta) -> None:
        self._book = book
        self._session = session
        self._faults = faults
        self._refresh = refresh
        self._paths = {
            "/iserver/auth/status": Path(BOTH, self._status),
            "/iserver/auth/ssodh/init": Path(POST, self._init),
            "/iserver/reauthenticate": Path(BOTH, self._reauthenticate),
            "/tickle": Path(BOTH, self._tickle),
            "/sso/validate": Path(GET, self._validate),
            "/logout": Path(BOTH, self._log_out),
            "/portfolio/accounts": Path(GET, self._portfolio_accounts),
            "/portfolio/subaccounts": Path(GET, self._portfolio_accounts),
            "/trsrv/secdef": Path(GET, self._secdef),
            "/iserver/accounts": Path(GET, self._accounts, needs_brokerage=True),
            "/iserver/account": Path(POST, self._switch, needs_brokerage=True),
            "/iserver/account/trades": Path(GET, self._trades, needs_brokerage=True),
            CONTRACT_INFO: Path(GET, self._contract_info, needs_brokerage=True),
        }

    def find(self, name: str) -> Path | None:
        if name.startswith("/iserver/contract/") and name.endswith("/info"):
            return self._paths[CONTRACT_INFO]
        return self._paths.get(name)

    # -- sessions ----------------------------------------------------------------------------------------------------

    def _told_status(self, asked: Asked, now: datetime) -> dict[str, object]:
        established = "slow_to_establish" not in self._faults or self._session.settled(now)
        status = self._session.status(now, established=established)
        if self._faults.strikes("bare_status", asked.path):
            return {name: status[name] for name in ("authenticated", "competing", "connected", "MAC")}
        return status

    def _status(self, asked: Asked, now: datetime) -> object:
        return self._told_status(asked, now)

    def _init(self, asked: Asked, now: datetime) -> object:
        told = _read_object(asked.body)
        flags = {**asked.params, **(told or {})}
        if not _is_on(flags.get("publish")):
            raise Refused(500, {"error": "publish must be true", "statusCode": 500})
        compete = _is_on(flags.get("compete"))
        refused = not compete and self._faults.strikes("compete_false_refused", asked.path)
        passed = not refused and self._session.init(now, compete=compete, has_body=told is not None)
        answer = {"passed": passed, **self._told_status(asked, now)}
        return answer if passed else {**answer, "fail": REFUSED_TO_COMPETE}

    def _reauthenticate(self, _: Asked, now: datetime) -> object:
        self._session.reauthenticate(now)
        return {"message": "triggered"}

    def _tickle(self, asked: Asked, now: datetime) -> object:
        if self._faults.strikes("tickle_fails", asked.path):
            return {"error": "failed to process request"}
        self._session.hear(now)
        more = {
            "ssoExpires": self._session.sso_expires(now),
            "collission": self._session.tws_holds,
            "userId": USER_ID,
        }
        return {
            "session": self._session.token(),
            **({} if self._faults.strikes("bare_tickle", asked.path) else more),
            "hmds": {"error": "no bridge"},
            "iserver": {"authStatus": self._told_status(asked, now)},
        }

    def _validate(self, asked: Asked, now: datetime) -> object:
        return print_validation(USER_ID, USER_NAME, asked.address, self._session, now)

    def _log_out(self, asked: Asked, _: datetime) -> object:
        self._session.log_out()
        return {"confirmed" if self._faults.strikes("confirmed_logout", asked.path) else "status": True}

    # -- accounts, trades, contracts ---------------------------------------------------------------------------------

    def _accounts(self, asked: Asked, now: datetime) -> object:
        session = self._brokerage(now)
        session.accounts_asked = True
        accounts = () if self._faults.strikes("no_accounts", asked.path) else self._book.accounts
        return print_iserver_accounts(
            accounts, session, with_all=self._faults.strikes("all_accounts", asked.path)
        )  # fmt: skip

    def _switch(self, asked: Asked, now: datetime) -> object:
        session = self._primed(asked, now)
        wanted = (_read_object(asked.body) or {}).get("acctId")
        if wanted == session.selected:
            return {"success": "Account already set"}
        if wanted not in [account.number for account in self._book.accounts]:
            raise Refused(500, {"error": "Invalid account ID"})
        session.selected = str(wanted)
        if "priming_per_account" in self._faults:
            session.primed = False
        return {"set": True, "acctId": wanted}

    def _trades(self, asked: Asked, now: datetime) -> object:
        session = self._primed(asked, now)
        rows = list_trades(self._book, session, asked.params, now, self._faults, self._refresh)
        if self._faults.strikes("trades_in_object", asked.path):
            return {"trades": rows}
        if self._faults.strikes("items_in_object", asked.path):
            return {"items": rows}
        return rows

    def _portfolio_accounts(self, _: Asked, __: datetime) -> object:
        return [print_portfolio_account(account) for account in self._book.accounts]

    def _secdef(self, asked: Asked, now: datetime) -> object:
        wanted = [text.strip() for text in asked.params.get("conids", "").split(",") if text.strip()]
        if not wanted or not all(text.isdecimal() for text in wanted):
            raise bad_request("Bad Request: conids is missing or invalid")
        if len(wanted) > MOST_CONIDS:
            raise bad_request("Bad Request: too many conids")
        known = self._book.contracts(now)
        return {"secdef": [print_secdef(known[int(text)]) for text in dict.fromkeys(wanted) if int(text) in known]}

    def _contract_info(self, asked: Asked, now: datetime) -> object:
        conid = asked.path.split("/")[3]
        contract = self._book.contracts(now).get(int(conid)) if conid.isdecimal() else None
        if contract is None:
            raise Refused(500, {"error": "Invalid conid", "statusCode": 500})
        return print_contract_info(contract)

    # -- what must have been asked before -----------------------------------------------------------------------------

    def _brokerage(self, now: datetime) -> Brokerage:
        session = self._session.brokerage(now)
        assert session is not None
        return session

    def _primed(self, asked: Asked, now: datetime) -> Brokerage:
        session = self._brokerage(now)
        if not session.accounts_asked:
            status = 500 if self._faults.strikes("accounts_first_500", asked.path) else 400
            raise bad_request("Bad Request: Please query /accounts first", status)
        return session


def _is_on(flag: object) -> bool:
    return flag is True or flag == "true"


def _read_object(body: bytes) -> dict[str, object] | None:
    try:
        told = json.loads(body)
    except ValueError:
        return None
    return told if isinstance(told, dict) else None
