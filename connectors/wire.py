"""What a conversation with a broker is made of: plain values, no I/O.

A conversation is a generator. It yields a `Request` (or a `Pause`, a `Remark`, or its `Progress`) and is sent a
`Response` (or None); it returns when the broker has answered all it asked, and raises one of the five errors otherwise.
It never connects, sleeps, logs or reads the clock: the shell in `connectors.http` does that, and lands every exchange
before the conversation sees it.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import TypeVar
from urllib.parse import urlsplit

MASK = "***"
CERTIFICATE = (
    "certificate"  # the code of a `Transient`: there was no answer, for the other side is not known by its certificate
)
REMEMBERED_SECONDS = 600.0  # how long calls with a key are remembered for those who count them
NEVER = datetime.min.replace(tzinfo=UTC)


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
    signed: Callable[[int, float], Request] | None = field(default=None, repr=False, compare=False)
    """For a broker that wants a nonce: given the key's next one, and the moment of sending (seconds since 1970), the request
    as it goes over the wire. It is landed and shown as it stands here, without nonce, key, signature and one-time code."""

    @property
    def origin(self) -> str:
        """Name the server that is asked: scheme, host and port."""
        return origin_of(self.url)

    def masked_params(self) -> dict[str, str]:
        """Give the parameters as they may be shown."""
        return {name: MASK if name in self.secret_params else value for name, value in self.params.items()}

    def __repr__(self) -> str:
        """Show the request without its secrets."""
        return f"Request({self.endpoint}, {self.method} {self.url}, {self.masked_params()})"


def origin_of(url: str) -> str:
    """Take the scheme, host and port out of an address."""
    split = urlsplit(url)
    return f"{split.scheme}://{split.netloc}"


@dataclass(frozen=True, slots=True)
class Response:
    """A broker's answer, as plain data."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)
    answered_at: datetime = NEVER  # the shell knows


@dataclass(frozen=True, slots=True)
class Call:
    """A request that some process made with the same key a short while ago."""

    endpoint: str
    moment: float  # seconds since 1970
    origin: str = ""  # of the server that was asked; several may share a key
    came_to: str = ""  # what the conversation made of the answer, where it said so in a `Remark`


@dataclass(frozen=True, slots=True)
class Pause:
    """Waiting as data: the shell sleeps, a test reads it."""

    seconds: float
    why: str


@dataclass(frozen=True, slots=True)
class Remark:
    """What a conversation makes of the latest answer, in a word, for those that follow; the shell keeps it with the call."""

    came_to: str


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a conversation has come; the shell shows it."""

    what: str  # "trades"
    done: int
    of: int
    pages: int  # that were read
    pages_of: int
    budget: str = ""  # what is left of what the broker allows, in its own terms
    seconds_left: float = 0.0  # at the least that the broker's pace allows

    def __str__(self) -> str:
        """Say it in a line."""
        left = f", about {_spoken(self.seconds_left)} left" if self.seconds_left >= 1 else ""
        budget = f"; {self.budget}" if self.budget else ""
        return f"page {self.pages:,} of {self.pages_of:,}{left}: {self.done:,} of {self.of:,} {self.what}{budget}"


def _spoken(seconds: float) -> str:
    if seconds < 100:  # noqa: PLR2004  (people count seconds up to about there)
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"  # noqa: PLR2004


@dataclass(frozen=True, slots=True)
class Window:
    """A half-open span `[since, until)`: moments in UTC, or the broker's days as their midnights; both without a zone."""

    since: datetime
    until: datetime

    def __post_init__(self) -> None:
        if self.until <= self.since:
            message = f"The window from {self.since} to {self.until} is empty: its end must be after its start."
            raise ValueError(message)

    @property
    def last_day(self) -> date:
        """Give the last day inside the window."""
        return (self.until - timedelta(microseconds=1)).date()

    def __str__(self) -> str:
        """Write whole days as a person says them, both ends inclusive; else the moments."""
        if self.since.time() == self.until.time() == time.min:
            return f"{self.since:%Y-%m-%d} to {self.last_day}"
        return f"{self.since:%Y-%m-%d %H:%M:%S} to {self.until:%Y-%m-%d %H:%M:%S}"


Result = TypeVar("Result")
Step = Request | Pause | Progress | Remark
Exchanging = Generator[Step, Response | None, Result]
"""A part of a conversation that comes to a result."""
Conversation = Exchanging[None]


def ask(request: Request) -> Exchanging[Response]:
    """Yield a request and give its response; the shell answers every request with one, or throws into the generator."""
    response = yield request
    if response is None:
        message = "The shell answered a request with nothing."
        raise TypeError(message)
    return response
