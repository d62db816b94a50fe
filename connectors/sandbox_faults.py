"""What a sandbox broker is told to do wrong: faults by name, for all calls or some, now or later."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Self


@dataclass(slots=True)
class Fault:
    """A fault that is on."""

    at: str | None
    calls_left: int | None
    calls_before: int


@dataclass(slots=True)
class Faults:
    """The faults that are switched on; a broker's own kind says which there are."""

    known: ClassVar[Mapping[str, str]] = {}

    _on: dict[str, Fault] = field(default_factory=dict)

    @classmethod
    def of(cls, *names: str) -> Self:
        """Switch some on for good."""
        faults = cls()
        for name in names:
            faults.on(name)
        return faults

    def on(self, name: str, *, at: str | None = None, calls: int | None = None, after: int = 0) -> None:
        """Switch a fault on: for one path or method or for all, for so many calls or until switched off, `after` calls from now."""
        if name not in self.known:
            message = f"no fault is called {name!r}"
            raise LookupError(message)
        self._on[name] = Fault(at, calls, after)

    def off(self, name: str) -> None:
        """Switch a fault off, if it is on."""
        self._on.pop(name, None)

    def clear(self) -> None:
        """Switch all off."""
        self._on.clear()

    def strikes(self, name: str, at: str) -> bool:
        """Tell whether this call suffers; to ask uses up one of the calls that the fault is limited to."""
        fault = self._on.get(name)
        if fault is None or fault.at not in {None, at}:
            return False
        if fault.calls_before > 0:
            fault.calls_before -= 1
            return False
        if fault.calls_left is not None:
            fault.calls_left -= 1
            if fault.calls_left <= 0:
                del self._on[name]
        return True

    def any_of(self, names: Iterable[str], at: str) -> str | None:
        """Name the first of these faults that strikes."""
        return next((name for name in names if self.strikes(name, at)), None)

    def __contains__(self, name: str) -> bool:
        return name in self._on

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._on))
