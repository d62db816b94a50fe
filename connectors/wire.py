"""What a conversation with a broker is made of: plain values, no I/O.

A conversation is a generator. It yields a `Request` (or a `Pause`) and is sent a `Response` (or None after a pause);
it returns when the broker has answered all it asked, and raises one of the five errors otherwise. It never connects,
sleeps, logs or reads the clock: the shell in `connectors.http` does that, and lands every exchange before the
conversation sees it.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import TypeVar

MASK = "***"


@dataclass(frozen=True, slots=True)
class Request:
    """A question to a broker, as plain data."""

    endpoint: str  # stable name, "SendRequest": used in landing, logs and fixtures
    method: str
    url: str
    params: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    body: bytes = field(default=b"", repr=False)
    secret_params: frozenset[str] = frozenset()  # masked wherever the request is shown or landed
    secret_reply: bool = False  # the reply is itself a credential: its hash is landed, not its body

    def masked_params(self) -> dict[str, str]:
        """Give the parameters as they may be shown."""
        return {name: MASK if name in self.secret_params else value for name, value in self.params.items()}

    def __repr__(self) -> str:
        """Show the request without its secrets."""
        return f"Request({self.endpoint}, {self.method} {self.url}, {self.masked_params()})"


@dataclass(frozen=True, slots=True)
class Response:
    """A broker's answer, as plain data."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Pause:
    """Waiting as data: the shell sleeps, a test reads it."""

    seconds: float
    why: str


@dataclass(frozen=True, slots=True)
class Window:
    """A half-open span of broker days, `[since, until)`."""

    since: date
    until: date

    def __post_init__(self) -> None:
        if self.until <= self.since:
            message = f"The window {self.since} to {self.until} is empty: its end must be after its start."
            raise ValueError(message)

    @property
    def last_day(self) -> date:
        """Give the last day inside the window."""
        return self.until - timedelta(days=1)

    def __str__(self) -> str:
        """Write the window as a person says it, both ends inclusive."""
        return f"{self.since} to {self.last_day}"


Result = TypeVar("Result")
Exchanging = Generator[Request | Pause, Response | None, Result]
"""A part of a conversation that comes to a result."""
Conversation = Exchanging[None]


def ask(request: Request) -> Exchanging[Response]:
    """Yield a request and give its response; the shell answers every request with one, or throws into the generator."""
    response = yield request
    if response is None:
        message = "The shell answered a request with nothing."
        raise TypeError(message)
    return response
