"""Hold a conversation with a broker and land all it says: who is asked, about what, at which pace. Prefect is not needed here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, StrEnum, auto
from pathlib import Path
from typing import TYPE_CHECKING, Any

from connectors.checkup import Checkup, Finding
from connectors.connector import Connector
from connectors.errors import ConnectorError, Rejected
from connectors.registry import connector
from connectors.wire import Call, Conversation, Pause, Progress, Window
from flows.locks import holding
from flows.signing import signed_in
from flows.timing import utc_now, wait
from warehouse import landing

if TYPE_CHECKING:
    import httpx

    from connectors.pace import Pace

OK = "ok"


class Way(StrEnum):
    """How deep history is fetched, where a broker leaves the choice."""

    PAGES = "pages"
    EXPORT = "export"


@dataclass(frozen=True, slots=True)
class Question:
    """A window to ask for, and how; one that ends now ends by the broker's clock."""

    window: Window
    way: Way = Way.PAGES
    is_up_to_now: bool = False
    may_fall_back: bool = False  # to pages, where the faster way turns out to tell something else

    def __str__(self) -> str:
        """Write it as a person says it."""
        return f"{self.window} by export" if self.way is Way.EXPORT else str(self.window)


class About(Enum):
    """What else a conversation may be about."""

    NAMES = auto()  # how the broker names assets and instruments
    SESSION = auto()  # whether it is ready, before all else
    LOOK = auto()  # whether it is ready, where nothing else follows
    SETUP = auto()  # whether it is as it must be


@dataclass(frozen=True, slots=True)
class Contracts:
    """Instruments to be described, by the broker's ids of them."""

    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Executions:
    """Executions that the login should know, by the broker's ids of them."""

    ids: tuple[str, ...]


Topic = Question | Contracts | Executions | About


@dataclass(frozen=True, slots=True)
class Fetched:
    """A conversation that was held and landed: where it lies and how it ended."""

    conversation_id: str
    requests: int
    waited_seconds: float
    error: ConnectorError | None
    findings: tuple[Finding, ...] = ()


def fetch(
    home: Path,
    name: str,
    connection: str,
    credentials: Any,
    topic: Topic,
    run_id: str,
    *,
    flow: str,
    clock: Callable[[], datetime] = utc_now,
    sleep: Callable[[float], None] = wait,
    on_wait: Callable[[Pause], None] = lambda _pause: None,
    on_progress: Callable[[Progress], None] = lambda _progress: None,
    say: Callable[[str], None] = lambda _text: None,
) -> Fetched:
    """Hold one conversation with a broker and land all it says. A connector's error is a result here: it is the verdict.

    What is landed of a check of the set-up never becomes a fill, nor does it cover anything.
    """
    from connectors import http  # noqa: PLC0415  (httpx is for those who talk)
    from connectors.nonces import Nonces  # noqa: PLC0415

    broker = connector(name)
    key = broker.pace_key(credentials)
    pace = pace_of(home, broker, key, clock, sleep)
    nonces = Nonces(home / "pace" / f"{key}.nonce", lambda: clock().timestamp())
    landed = landing.Conversation(home, name, connection, run_id, clock())
    landed.open(
        {
            "flow": flow,
            **_asked_for(topic),
            "account": getattr(credentials, "account", None),
            "is_check": topic is About.SETUP,
        }
    )
    error: ConnectorError | None = None
    findings: list[Finding] = []
    tally = http.Tally()
    alone_with_key = holding(home, key, say) if broker.is_one_at_a_time else nullcontext()
    try:
        with alone_with_key, client_of(broker, credentials) as client:
            recent = pace.recent()
            http.converse(
                signed_in(broker, credentials, lambda held: _conversation(broker, held, topic, recent, clock()), clock),
                client=client,
                limits=broker.limits,
                landing=landed,
                pace=pace,
                nonces=nonces,
                clock=clock,
                sleep=sleep,
                on_wait=on_wait,
                on_progress=on_progress,
                on_finding=findings.append,
                tally=tally,
            )
    except ConnectorError as exc:
        error = exc
    except BaseException:
        landed.flush()
        raise
    footer = {
        "verdict": verdict_of(error),
        "code": error.code if error else None,
        "requests": tally.requests,
        "waited_seconds": round(tally.waited_seconds, 3),
    }
    landed.close(clock(), footer)
    return Fetched(landed.conversation_id, tally.requests, tally.waited_seconds, error, tuple(findings))


def pace_of(
    home: Path, broker: Connector, key: str, clock: Callable[[], datetime], sleep: Callable[[float], None]
) -> Pace:
    """Give the pace of a key, which all processes keep."""
    from connectors.pace import Pace  # noqa: PLC0415

    limits = broker.limits
    return Pace(home / "pace" / f"{key}.json", limits.rules, lambda: clock().timestamp(), sleep, limits.remembered)


@contextmanager
def client_of(broker: Connector, credentials: Any) -> Iterator[httpx.Client]:
    """Open a client that trusts the certificate a local gateway is known by, where a connection names one.

    Raises `Rejected` where that cannot be read, and names the setting.
    """
    from connectors import http  # noqa: PLC0415

    named: Path | None = getattr(credentials, "certificate", None)
    with ExitStack() as opened:
        try:
            client = opened.enter_context(http.client(broker.limits, certificate=named))
        except Rejected as exc:
            exc.remedy = (
                f"Set FILLHOUSE_{broker.name.upper()}_CERTIFICATE, or 'Certificate' in the connection's block, to the "
                "file (PEM) of the gateway's own certificate."
            )
            raise
        yield client


def _asked_for(topic: Topic) -> dict[str, object]:
    """Say which window is asked for, as the header of what is landed holds it."""
    if not isinstance(topic, Question):
        return {"since": None, "until": None, "is_up_to_now": False}
    return {"since": topic.window.since, "until": topic.window.until, "is_up_to_now": topic.is_up_to_now}


def _conversation(  # noqa: PLR0911  (a topic each)
    broker: Connector, credentials: Any, topic: Topic, recent: Sequence[Call], now: datetime
) -> Conversation | Checkup:
    """Choose what to say: a broker without a faster way to history is asked in the plain one."""
    match topic:
        case Question(window=window, way=Way.EXPORT) if broker.export is not None:
            return broker.export(credentials, window, recent)
        case Question(window=window):
            return broker.backfill(credentials, window, recent)
        case Contracts(ids=ids) if broker.describe is not None:
            return broker.describe(credentials, ids)
        case Executions(ids=ids) if broker.recognise is not None:
            return broker.recognise(credentials, ids, recent)
        case About.NAMES if broker.reference is not None:
            return broker.reference(credentials, recent)
        case About.SESSION if broker.preflight is not None:
            return broker.preflight(credentials, recent, now)
        case About.LOOK if broker.look is not None:
            return broker.look(credentials, recent, now)
        case About.SETUP if broker.check is not None:
            return broker.check(credentials, recent, now)
    message = f"{broker.name} has nothing to say about {topic}."
    raise ValueError(message)


def verdict_of(error: ConnectorError | None) -> str:
    """Write how a conversation ended, as its footer holds it."""
    return f"{type(error).__name__} {error.code}: {error}" if error else OK
