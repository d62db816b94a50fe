"""The one place that talks HTTP: runs a conversation, and lands every exchange before the conversation judges it."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Protocol

import httpx

from connectors.checkup import Checkup, Finding
from connectors.connector import Limits
from connectors.errors import UNREACHABLE, ContractViolation, RateLimited, Rejected, Transient
from connectors.nonces import Nonces
from connectors.pace import Pace
from connectors.wire import CERTIFICATE, MASK, Conversation, Pause, Progress, Remark, Request, Response, Step

KEPT_HEADERS = frozenset({"content-type", "content-length", "date", "retry-after", "server", "location"})

_in_flight: ContextVar[tuple[str, ...]] = ContextVar("secrets_in_flight", default=())


class Landing(Protocol):
    """Where exchanges are landed; the warehouse has one."""

    def exchange(
        self,
        *,
        endpoint: str,
        request: dict[str, object],
        status: int | None,
        headers: dict[str, str],
        body: bytes,
        body_is_secret: bool,
        requested_at: datetime,
        answered_at: datetime,
    ) -> str:
        """Keep one exchange and give its id."""


@dataclass(slots=True)
class Tally:
    """What a conversation cost."""

    requests: int = 0
    waited_seconds: float = 0.0


class _MaskSecrets(logging.Filter):
    """Takes secrets out of what httpx logs of a request: the URL may carry a token."""

    def filter(self, record: logging.LogRecord) -> bool:
        secrets = _in_flight.get()
        if secrets:
            message = record.getMessage()
            for secret in secrets:
                message = message.replace(secret, MASK)
            record.msg, record.args = message, ()
        return True


@contextmanager
def client(limits: Limits, *, certificate: Path | None = None) -> Iterator[httpx.Client]:
    """Open a client that verifies TLS, follows no redirect and times out; a local gateway may pin its own certificate.

    A pinned certificate is trusted instead of all others. It may name any host: it is known by itself, not by its name.
    Raises `Rejected` where it cannot be read.
    """
    context = _trusting(certificate) if certificate else ssl.create_default_context()
    logger = logging.getLogger("httpx")
    mask = _MaskSecrets()
    logger.addFilter(mask)
    try:
        with httpx.Client(verify=context, follow_redirects=False, timeout=limits.timeout_seconds) as opened:
            yield opened
    finally:
        logger.removeFilter(mask)


def _trusting(certificate: Path) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=str(certificate))
    except ssl.SSLError as exc:
        raise Rejected(f"The file {certificate} holds no certificate in the form PEM.", code=CERTIFICATE) from exc
    except OSError as exc:
        raise Rejected(f"The certificate {certificate} cannot be read: {exc.strerror}.", code=CERTIFICATE) from exc
    context.check_hostname = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context


def converse(
    conversation: Conversation | Checkup,
    *,
    client: httpx.Client,
    limits: Limits,
    landing: Landing,
    pace: Pace,
    nonces: Nonces,
    clock: Callable[[], datetime],
    sleep: Callable[[float], None],
    on_wait: Callable[[Pause], None] = lambda _pause: None,
    on_progress: Callable[[Progress], None] = lambda _progress: None,
    on_finding: Callable[[Finding], None] = lambda _finding: None,
    tally: Tally,
) -> None:
    """Run a conversation to its end, counting into `tally`. Raises what it raises; the generator is closed whatever happens.

    Trouble on the wire is thrown into the conversation as `Transient`: it may know another way.
    """
    wire = _Wire(client, limits, landing, nonces, clock)
    asked: Request | None = None
    try:
        step = next(conversation)
        while True:
            if isinstance(step, Pause):
                on_wait(step)
                sleep(step.seconds)
                tally.waited_seconds += step.seconds
            if isinstance(step, Remark) and asked is not None:
                pace.remark(asked.endpoint, asked.origin, step.came_to)
            if isinstance(step, Progress):
                on_progress(step)
            if isinstance(step, Finding):
                on_finding(step)
            if not isinstance(step, Request):
                step = conversation.send(None)
                continue
            tally.waited_seconds += pace.take_turn(step.endpoint, step.origin, on_wait)
            tally.requests += 1
            asked = step
            step = wire.answer(conversation, step)
    except StopIteration:
        return
    except RateLimited as limit:
        pace.shut_for(limit.retry_after)
        raise
    finally:
        conversation.close()


@dataclass(frozen=True, slots=True)
class _Wire:
    """The way to one broker and back, with a copy of every answer to the landing zone."""

    client: httpx.Client
    limits: Limits
    landing: Landing
    nonces: Nonces
    clock: Callable[[], datetime]

    def answer(self, conversation: Conversation | Checkup, request: Request) -> Step | Finding:
        """Send the conversation the answer to its request, or throw the trouble there was into it; gives its next step."""
        try:
            response = self._exchange(request)
        except Transient as trouble:
            return conversation.throw(trouble)
        return conversation.send(response)

    def _exchange(self, request: Request) -> Response:
        """Send one request and land the answer; no answer is landed too, with what went wrong."""
        requested_at = self.clock()
        secrets = tuple(request.params[name] for name in request.secret_params if request.params.get(name))
        token = _in_flight.set(secrets)
        try:
            with _as_sent(request, self.nonces, self.clock) as sent:
                response = self._send(sent)
        except httpx.HTTPError as exc:
            trouble = f"{type(exc).__name__}: no answer from {httpx.URL(request.url).host}"
            self._land(request, Response(0, {"x-trouble": trouble}, b"", self.clock()), requested_at)
            code = CERTIFICATE if _distrusts(exc) else type(exc).__name__
            raise Transient(_trouble(request, exc, code), code=code) from exc
        except ContractViolation as exc:
            self._land(request, Response(0, {"x-trouble": exc.message}, b"", self.clock()), requested_at)
            raise
        finally:
            _in_flight.reset(token)
        response = replace(response, answered_at=self.clock())
        self._land(request, response, requested_at)
        return response

    def _send(self, request: Request) -> Response:
        with self.client.stream(
            request.method,
            request.url,
            params=dict(request.params) or None,
            headers=dict(request.headers),
            content=request.body or None,
        ) as answer:
            body, most = bytearray(), self.limits.max_reply_bytes
            for chunk in answer.iter_bytes():
                body += chunk
                if len(body) > most:
                    raise ContractViolation(f"{request.endpoint} answered with more than {most:,} bytes.")
            headers = {name.lower(): value for name, value in answer.headers.items()}
            return Response(answer.status_code, headers, bytes(body))

    def _land(self, request: Request, response: Response, requested_at: datetime) -> None:
        self.landing.exchange(
            endpoint=request.endpoint,
            request={"method": request.method, "url": _without_query(request.url), "params": request.masked_params()},
            status=response.status or None,
            headers=_kept(response.headers),
            body=response.body,
            body_is_secret=request.secret_reply,
            requested_at=requested_at,
            answered_at=response.answered_at,
        )


def _distrusts(exc: BaseException | None) -> bool:
    """Tell whether there was no answer because the other side's certificate is none that is trusted."""
    while exc is not None:
        if isinstance(exc, ssl.SSLCertVerificationError):
            return True
        exc = exc.__cause__ or exc.__context__
    return False


def _trouble(request: Request, exc: httpx.HTTPError, code: str) -> str:
    if code == UNREACHABLE:
        return f"{httpx.URL(request.url).netloc.decode()} cannot be reached ({exc})."
    return f"{request.endpoint} got no answer ({code})."


@contextmanager
def _as_sent(request: Request, nonces: Nonces, clock: Callable[[], datetime]) -> Iterator[Request]:
    """Give the request as it goes over the wire: signed with the key's next nonce where the broker wants one."""
    if request.signed is None:
        yield request
        return
    with nonces.following() as nonce:
        yield request.signed(nonce, clock().timestamp())


def _kept(headers: Mapping[str, str]) -> dict[str, str]:
    """Give the headers that are landed; of a redirect's address not the question, which may hold a secret."""
    kept = {name: value for name, value in headers.items() if name in KEPT_HEADERS or name.startswith("x-trouble")}
    return {name: _without_query(value) if name == "location" else value for name, value in kept.items()}


def _without_query(url: str) -> str:
    return url.partition("?")[0]
