"""Which connections there may be together."""

from __future__ import annotations

from pathlib import Path

import pytest

from flows.connections import Connection, NotConfigured, connections, kraken


def key(name: str, account: str) -> Connection:
    return kraken(name, f"key-{name}", "c2VjcmV0", otp="", tier="pro", account=account, base_url="http://127.0.0.1:9")


def test_two_accounts_of_a_broker_that_names_none_need_names_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(NotConfigured, match="one and two both call their account main"):
        connections(stored=[key("one", "main"), key("two", "main")])
    assert len(connections(stored=[key("one", "main"), key("two", "second")])) == 2
