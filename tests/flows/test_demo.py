"""What the demonstration asks and compares; `make demo` itself tells the story."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from flows import demo, demo_books, demo_questions
from tests.warehouse.loading import empty_warehouse

NOON = datetime(2026, 3, 5, 17, tzinfo=UTC)  # a Thursday, noon in New York
QUESTIONS = {
    name: text
    for name, text in vars(demo_questions).items()
    if name.isupper() and isinstance(text, str) and name != "QUESTION"
}


@pytest.mark.parametrize("name", sorted(QUESTIONS))
def test_every_question_can_be_asked(name: str) -> None:
    text = QUESTIONS[name]
    values: Any = {"moment": NOON.replace(tzinfo=None), "shown": 3, "exec_id": "x"}
    named = {key: value for key, value in values.items() if f"${key}" in text}
    con = empty_warehouse()
    assert con.execute(text, named or ([3] if "?" in text else [])).fetchall() == []


def test_the_gateways_list_is_of_seven_days_of_new_york() -> None:
    assert demo_books.listed_at(NOON) == (datetime(2026, 2, 27, 5, tzinfo=UTC), NOON)


def test_what_the_gateway_does_not_list_is_not_compared() -> None:
    row = {"exec_id": "1.2.01.01", "side": "BUY", "quantity": "3", "price": "1.50", "commission": "1"}
    moments = (NOON - timedelta(days=8), NOON - timedelta(days=1), NOON + timedelta(seconds=1))
    book = {"U1": [{**row, "time": moment.isoformat()} for moment in moments]}
    assert list(demo_books.portal_of(book, demo_books.listed_at(NOON))) == [
        ("U1", "1.2.01.01", "BUY", Decimal(3), Decimal("1.5"), Decimal(1), NOON - timedelta(days=1))
    ]


def test_the_demonstration_keeps_its_files_in_its_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FILLHOUSE_KRAKEN_KEY", "the user's own")
    said = demo._environment(tmp_path, 4200)  # noqa: SLF001
    assert "FILLHOUSE_KRAKEN_KEY" not in said
    for name in ("FILLHOUSE_HOME", "PREFECT_HOME", "TMPDIR"):
        assert Path(said[name]).is_relative_to(tmp_path)
