"""The order of tests: what waits long begins first, so that the others go on meanwhile."""

from __future__ import annotations

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put those first that wait long."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)
