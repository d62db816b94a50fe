"""Keep a broker's pace across all processes that use one key, through a small file and its lock."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from filelock import FileLock

from connectors.connector import Limit
from connectors.errors import RateLimited
from connectors.wire import REMEMBERED_SECONDS, Call, Pause

SHORTEST_WAIT = 0.001  # what floating point leaves over is no reason to ask again and again


@dataclass(frozen=True, slots=True)
class Pace:
    """Asks for turns under some rules. `clock` gives seconds since 1970, because other processes read them."""

    file: Path
    rules: tuple[Limit, ...]
    clock: Callable[[], float]
    sleep: Callable[[float], None]
    remembered: Mapping[str, float] = field(default_factory=dict)  # seconds, of endpoints that matter for longer

    def take_turn(
        self, endpoint: str, origin: str = "", on_wait: Callable[[Pause], None] = lambda _pause: None
    ) -> float:
        """Wait until a call is allowed and count it; gives the seconds waited. Raises `RateLimited` while shut."""
        waited = 0.0
        while True:
            seconds = self._claim(endpoint, origin)
            if seconds <= 0:
                return waited
            seconds = max(seconds, SHORTEST_WAIT)
            on_wait(Pause(seconds, "the pace that the broker allows"))
            self.sleep(seconds)
            waited += seconds

    def recent(self) -> list[Call]:
        """Give the calls of the last minutes, whoever made them: also those of a process that was killed."""
        with self._locked():
            return [call for call in self._read()[0] if call.moment > self.clock() - self._memory_of(call)]

    def remark(self, endpoint: str, origin: str, came_to: str) -> None:
        """Note with the latest call to an endpoint what came of it."""
        with self._locked():
            calls, shut_until = self._read()
            own = [place for place, call in enumerate(calls) if (call.endpoint, call.origin) == (endpoint, origin)]
            if own:
                calls[own[-1]] = replace(calls[own[-1]], came_to=came_to)
                self._write(calls, shut_until)

    def shut_for(self, seconds: float) -> None:
        """Let no process call for so long: the broker has said so."""
        with self._locked():
            calls, shut_until = self._read()
            self._write(calls, max(shut_until, self.clock() + seconds))

    def _claim(self, endpoint: str, origin: str) -> float:
        """Count a call now if the rules allow it (0), else tell how long until they do."""
        with self._locked():
            calls, shut_until = self._read()
            now = self.clock()
            if shut_until > now:
                raise RateLimited("The broker asked for silence.", retry_after=shut_until - now)
            wait = max((self._wait(calls, rule, now) for rule in self.rules if rule.counts(endpoint)), default=0.0)
            if wait <= 0:
                longest = max((rule.seconds for rule in self.rules), default=0.0)
                known = [call for call in calls if call.moment > now - max(longest, self._memory_of(call))]
                self._write([*known, Call(endpoint, now, origin)], 0.0)
            return wait

    def _memory_of(self, call: Call) -> float:
        return self.remembered.get(call.endpoint, REMEMBERED_SECONDS)

    @staticmethod
    def _wait(calls: list[Call], rule: Limit, now: float) -> float:
        recent = [call.moment for call in calls if rule.counts(call.endpoint) and call.moment > now - rule.seconds]
        return recent[-rule.calls] + rule.seconds - now if len(recent) >= rule.calls else 0.0

    def _locked(self) -> FileLock:
        self.file.parent.mkdir(parents=True, exist_ok=True)
        return FileLock(f"{self.file}.lock", timeout=30)

    def _read(self) -> tuple[list[Call], float]:
        try:
            state = json.loads(self.file.read_text())
        except (FileNotFoundError, json.JSONDecodeError):  # none yet, or a machine died while writing it
            return [], 0.0
        calls = [Call(str(endpoint), float(moment), *map(str, more)) for endpoint, moment, *more in state["calls"]]
        return calls, float(state["shut_until"])

    def _write(self, calls: list[Call], shut_until: float) -> None:
        temporary = self.file.with_suffix(".tmp")
        said = {
            "calls": [(call.endpoint, call.moment, call.origin, call.came_to) for call in calls],
            "shut_until": shut_until,
        }
        temporary.write_text(json.dumps(said))
        temporary.replace(self.file)
