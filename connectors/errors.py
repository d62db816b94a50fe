"""The five errors, sorted by what the runner does next.

ConnectorError
├── AuthRequired        a human acts; never retried
├── RateLimited         wait until `retry_after` has passed, then again
├── Transient           again, by the flow's retry policy
├── Rejected            somebody corrects the question (a setting, a query, a window)
└── ContractViolation   somebody reads the landed bytes: the broker said what no table knows
"""

from __future__ import annotations

UNREACHABLE = "ConnectError"  # the code of a Transient where nobody was there: refused, or no such name
BOUNDED = "bounded"  # the code of an error that says: the key may not read all times
GRAIN = "grain"  # the code of an error that says: an export tells trades otherwise than the pages do
SIGNED_OUT = "signed_out"  # the code of an AuthRequired where what was handed out for a while is no longer good


class ConnectorError(Exception):
    """Base of all errors a conversation may end with; never raised itself."""

    def __init__(self, message: str, *, code: str = "", remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.remedy = remedy

    def __str__(self) -> str:
        """Say what happened, then what to do, on one line."""
        return f"{self.message} {self.remedy}".strip()


class AuthRequired(ConnectorError):
    """The broker wants a person: an expired token, a session that only a login revives."""


class RateLimited(ConnectorError):
    """The broker wants silence for `retry_after` seconds, from every process that uses the key."""

    def __init__(self, message: str, *, retry_after: float, code: str = "", remedy: str = "") -> None:
        super().__init__(message, code=code, remedy=remedy)
        self.retry_after = retry_after


class Transient(ConnectorError):
    """The broker or the network is unwell; the same question may succeed later."""


class Rejected(ConnectorError):
    """The question itself is wrong and stays wrong until somebody corrects it."""


class ContractViolation(ConnectorError):
    """The reply is not what the protocol promises; its bytes are landed and never become data."""
