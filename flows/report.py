"""What a run came to, as text for a person: the table of its artifact, and the lines a terminal prints."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal

from flows.policy import ENDINGS, Outcome, State, worst
from warehouse.coverage import Asked
from warehouse.news import Told

NEWS = ("UTC", "account", "what", "commission", "id")
MEASURES: tuple[tuple[str, Callable[[Outcome], int]], ...] = (
    ("windows", lambda outcome: outcome.windows),
    ("rows", lambda outcome: outcome.totals.rows),
    ("added", lambda outcome: outcome.totals.added),
    ("revised", lambda outcome: outcome.totals.revised),
    ("cancelled", lambda outcome: outcome.totals.cancelled),
    ("rejected", lambda outcome: outcome.totals.rejected),
    ("gaps", lambda outcome: len(outcome.gaps)),
    ("requests", lambda outcome: outcome.totals.requests),
    ("seconds waited", lambda outcome: round(outcome.totals.waited_seconds)),
)
MOST_GAPS = 20
BROKEN = "Failed"


@dataclass(frozen=True, slots=True)
class Summary:
    """A run over some connections: what it asked for, and what came of it."""

    run_id: str
    asked: Asked | None  # None: what was new
    outcomes: tuple[Outcome, ...]
    recovered: int = 0  # conversations that an earlier run had landed and not loaded

    @property
    def worst(self) -> Outcome:
        """Give the outcome the run is named after."""
        return worst(self.outcomes)

    @property
    def name(self) -> str:
        """Give the name of the run's final state."""
        return BROKEN if self.worst.is_broken else ENDINGS[self.worst.state]

    def lines(self) -> list[str]:
        """Say it in lines: one a connection, then what to do."""
        return [line for outcome in self.outcomes for line in _lines(outcome)]

    def message(self) -> str:
        """Say it in a line: what is wrong and what to do, else what was brought."""
        if self.worst.state is State.ACTIVE:
            return " ".join(self.lines())
        return f"{self.worst.connection}: {_trouble(self.worst)}"

    def markdown(self) -> str:
        """Lay it out as the run's artifact."""
        asked = (
            [f"Asked for every day from {self.asked.since} up to, and without, {self.asked.until}."]
            if self.asked
            else []
        )
        parts = [f"# {self.name}", *asked, _table(self.outcomes)]
        if self.recovered:
            parts.append(f"Loaded {self.recovered} conversations that an earlier run had landed.")
        for outcome in self.outcomes:
            if outcome.reason:
                parts.append(f"## {outcome.connection}: what to do\n\n{_trouble(outcome)}")
            if outcome.news:
                parts.append(f"## {outcome.connection}: what it brought\n\n{_news(outcome)}")
            if outcome.gaps:
                parts.append(f"## {outcome.connection}: gaps\n\n{_gaps(outcome)}")
        return "\n\n".join(parts) + "\n"


@dataclass(frozen=True, slots=True)
class Intent:
    """What a run would ask for: by connection, its windows."""

    windows: dict[str, tuple[str, ...]]

    def lines(self) -> list[str]:
        """Say it in lines, one a window."""
        return [
            line
            for name, windows in self.windows.items()
            for line in ([f"{name}: {window}" for window in windows] or [f"{name}: nothing, all of it is covered"])
        ]

    def message(self) -> str:
        """Say it in a line."""
        counted = ", ".join(f"{len(windows)} of {name}" for name, windows in self.windows.items())
        return f"Nothing was asked. Windows that would be: {counted}."

    def markdown(self) -> str:
        """Lay it out as the run's artifact."""
        listed = "\n".join(f"- {line}" for line in self.lines())
        return f"# Dry run\n\n{self.message()}\n\n{listed}\n"


def _lines(outcome: Outcome) -> list[str]:
    covered = f"Already covered up to {outcome.covered_until:%Y-%m-%d %H:%M:%S}. " if outcome.covered_until else ""
    brought = f"{outcome.connection}: {outcome.state}. {covered}{_brought(outcome)}"
    return [brought, _trouble(outcome)] if outcome.reason else [brought]


def _brought(outcome: Outcome) -> str:
    """Say what was brought; where nothing was asked for, only that."""
    totals = outcome.totals
    if outcome.is_recalled or not (outcome.windows or totals.requests or outcome.gaps):
        return "No fills were asked for."
    return (
        f"{_count(outcome.windows, 'window')}, {_count(totals.rows, 'row')}: "
        f"{totals.added:,} added, {totals.revised:,} revised, {totals.cancelled:,} cancelled, "
        f"{totals.rejected:,} rejected; {_count(len(outcome.gaps), 'gap')}; {_count(totals.requests, 'request')}, "
        f"{totals.waited_seconds:.0f} s waited."
    )


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}" if number == 1 else f"{number:,} {what}s"


def _trouble(outcome: Outcome) -> str:
    until = f" Nothing is asked before {outcome.retry_at:%Y-%m-%d %H:%M:%S} UTC." if outcome.retry_at else ""
    return f"{outcome.reason}{until} {outcome.remedy}".strip()


def _table(outcomes: Sequence[Outcome]) -> str:
    """Lay out what came of each connection, a column each: Prefect's page is too narrow for a row each."""
    measured = [(what, *(f"{measure(outcome):,}" for outcome in outcomes)) for what, measure in MEASURES]
    states = ("state", *(str(outcome.state) for outcome in outcomes))
    return _laid_out(("", *(outcome.connection for outcome in outcomes)), [states, *measured])


def _laid_out(headings: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    """Write a table as Markdown."""
    return "\n".join(f"| {' | '.join(row)} |" for row in (headings, tuple("---" for _ in headings), *rows))


def _news(outcome: Outcome) -> str:
    """List the newest executions, each with the id that `fillhouse explain` takes."""
    table = _laid_out(NEWS, [_told(told) for told in outcome.news])
    changed = outcome.totals.added + outcome.totals.revised + outcome.totals.cancelled
    shown = f"The newest {len(outcome.news)} of {changed:,}. " if changed > len(outcome.news) else ""
    return f"{table}\n\n{shown}`fillhouse explain ID` shows what each came from."


def _told(told: Told) -> tuple[str, ...]:
    at = f"{told.transact_time:%Y-%m-%d %H:%M:%S}" if told.transact_time else str(told.book_date)
    price = f" at {_plain(told.last_px)} {told.currency or ''}".rstrip() if told.last_px is not None else ""
    what = f"{told.side or told.exec_type} {_plain(told.last_qty)} {told.symbol}{price}"
    paid = f"{_plain(told.commission)} {told.comm_currency or ''}".strip()
    cells = (at, told.account, what if told.stands else f"gone: {what}", paid, told.named)
    return tuple(cell.replace("|", "\\|") for cell in cells)


def _plain(number: Decimal | None) -> str:
    """Write a number without the zeros its column pads it with."""
    return "" if number is None else f"{number.normalize():f}"


def _gaps(outcome: Outcome) -> str:
    shown = [f"- {gap}" for gap in outcome.gaps[:MOST_GAPS]]
    more = len(outcome.gaps) - len(shown)
    return "\n".join([*shown, *([f"- and {more} more"] if more > 0 else [])])
