"""The two sessions of the gateway's sandbox: the browser's login, and on top of it the brokerage session.

- a login lasts until the next midnight of the region; then every call is answered 401 until a human logs in again
- a login alone is enough for /portfolio, /trsrv and /sso; /iserver needs the brokerage session, which an init opens
- the brokerage session dies when nothing but its status was asked for `idle`; an init revives it, the login stays good
- one user name has one brokerage session: where TWS logs in, the gateway's ends and `competing` is true; an init that competes
  takes it over and throws TWS out (written down in `kicked_out`), one that does not is refused
- where the connection to IBKR was lost an init that does not compete is refused too, as measured in 2026
- an init without a JSON body opens a session without bridge: authenticated, yet every call is refused with `no bridge`
- reauthenticate ends a healthy session; a new one opens by itself a little later, if nobody competes
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime, time, timedelta
from zoneinfo import ZoneInfo

NEW_YORK = ZoneInfo("America/New_York")
MAC = "98:F2:B3:23:BF:A0"
SERVER_VERSION = "Build 10.44.1d, Mar 3, 2026 1:55:32 PM"
REFUSED_TO_COMPETE = "Force compete capability must be used together with compete flag"
REAUTHENTICATION = timedelta(seconds=5)
SSO_COUNTDOWN = 600_000  # milliseconds; tickle does not lengthen it, near zero it renews itself


class Refused(Exception):
    """The gateway says no: with this status, and a body that is JSON or text."""

    def __init__(self, status: int, body: dict[str, object] | str) -> None:
        super().__init__(f"{status} {body}")
        self.status = status
        self.body = body


def bad_request(words: str, status: int = 400) -> Refused:
    return Refused(status, {"error": words, "statusCode": 400})


@dataclass(slots=True)
class Brokerage:
    """A brokerage session: what was asked in it so far, and the account that is selected."""

    number: int
    started_at: datetime
    last_heard: datetime
    bridge: bool
    selected: str
    accounts_asked: bool = False
    primed: bool = False
    listed_at: dict[str, datetime] = field(default_factory=dict)


@dataclass(slots=True)
class Session:
    """Who is logged in where; nothing happens by itself, the state is judged at the moment of each call."""

    first_account: str
    zone: ZoneInfo = NEW_YORK
    idle: timedelta = timedelta(seconds=330)
    settling: timedelta = timedelta(seconds=3)
    kicked_out: list[datetime] = field(default_factory=list)
    tws_holds: bool = False
    connected: bool = True
    logins: int = 0
    _inits: int = 0
    _logged_in_at: datetime | None = None
    _brokerage: Brokerage | None = None
    _opens_again_at: datetime | None = None

    # -- the login ---------------------------------------------------------------------------------------------------

    def log_in(self, now: datetime) -> None:
        """Log in as a human does in the browser; the brokerage session is not opened by it."""
        self.logins += 1
        self._logged_in_at = now
        self.connected = True
        self._close()

    def let_in(self, now: datetime) -> None:
        """Hold the outer session for a signed call, which needs no login; past midnight it is a new one."""
        if not self.logged_in(now):
            self.log_in(now)

    def log_out(self) -> None:
        self._logged_in_at = None
        self._close()

    def logged_in(self, now: datetime) -> bool:
        return self._logged_in_at is not None and now < self.ends_at(self._logged_in_at)

    def ends_at(self, moment: datetime) -> datetime:
        """Tell the next midnight of the region."""
        tomorrow = moment.astimezone(self.zone).date() + timedelta(days=1)
        return datetime.combine(tomorrow, time(0), self.zone).astimezone(UTC)

    def token(self) -> str:
        """Give the value that tickle calls `session`: another one after each login."""
        return hashlib.md5(f"login {self.logins}".encode(), usedforsecurity=False).hexdigest()

    def sso_expires(self, now: datetime) -> int:
        """Count down from ten minutes to nothing, and again."""
        assert self._logged_in_at is not None
        return SSO_COUNTDOWN - (now - self._logged_in_at) // timedelta(milliseconds=1) % SSO_COUNTDOWN

    @property
    def logged_in_at(self) -> datetime:
        assert self._logged_in_at is not None
        return self._logged_in_at

    # -- the brokerage session ---------------------------------------------------------------------------------------

    def brokerage(self, now: datetime) -> Brokerage | None:
        """Give the brokerage session, if one lives."""
        if not self.logged_in(now):
            return None
        if self._opens_again_at is not None and now >= self._opens_again_at and not self.tws_holds:
            self._open(self._opens_again_at, bridge=True)
        session = self._brokerage
        return session if session is not None and now - session.last_heard < self.idle else None

    def hear(self, now: datetime) -> None:
        """Keep the brokerage session alive; a dead one stays dead."""
        if (session := self.brokerage(now)) is not None:
            session.last_heard = now

    def init(self, now: datetime, *, compete: bool, has_body: bool) -> bool:
        """Open the brokerage session, or tell that it may not be opened without competing."""
        if not compete and (self.tws_holds or not self.connected):
            return False
        if self.tws_holds:
            self.kicked_out.append(now)
            self.tws_holds = False
        self.connected = True
        session = self.brokerage(now)
        if session is None:
            self._open(now, bridge=has_body)
        else:
            session.last_heard = now
            session.bridge = session.bridge or has_body
        return True

    def reauthenticate(self, now: datetime) -> None:
        self._close()
        self._opens_again_at = now + REAUTHENTICATION

    def settled(self, now: datetime) -> bool:
        """Tell whether the brokerage session has been open for a little while."""
        session = self.brokerage(now)
        return session is not None and now - session.started_at >= self.settling

    # -- what others do to it ----------------------------------------------------------------------------------------

    def tws_logs_in(self) -> None:
        """Log in with the same user name elsewhere, which takes the brokerage session away."""
        self.tws_holds = True
        self._close()

    def tws_logs_out(self) -> None:
        self.tws_holds = False

    def lose_connection(self) -> None:
        """Lose the line to IBKR: `connected` is false until an init that competes."""
        self.connected = False
        self._close()

    # -- how it is told ----------------------------------------------------------------------------------------------

    def status(self, now: datetime, *, established: bool = True) -> dict[str, object]:
        session = self.brokerage(now)
        told: dict[str, object] = {
            "authenticated": session is not None,
            "established": session is not None and established,
            "competing": self.tws_holds,
            "connected": self.connected,
            "message": "",
            "MAC": MAC,
            "hardware_info": f"1a2b3c4d|{MAC}",
            "fail": "",
        }
        if session is not None:
            told["serverInfo"] = server_info(session)
        return told

    def _open(self, now: datetime, *, bridge: bool) -> None:
        self._inits += 1
        self._brokerage = Brokerage(self._inits, now, now, bridge, self.first_account)
        self._opens_again_at = None

    def _close(self) -> None:
        self._brokerage = None
        self._opens_again_at = None


def server_info(session: Brokerage) -> dict[str, object]:
    """Name the server that a brokerage session runs on: another one each time."""
    return {"serverName": f"JifN{19_000 + session.number * 37 % 99:05d}", "serverVersion": SERVER_VERSION}
