"""Every recorded file of the Client Portal in the shared corpus, through the import command's own path, and its sessions."""

from __future__ import annotations

import csv
import json
from decimal import Decimal
from pathlib import Path

import pytest

from connectors.errors import Transient
from connectors.ibkr_portal import replies
from connectors.ibkr_portal.replies import Tier
from connectors.wire import Response
from flows import importing
from tests.importing import rows
from tests.warehouse.loading import prepared

CORPUS = Path(__file__).parents[2] / "shared" / "corpus"
FILES = sorted((CORPUS / "ibkr_cpapi_trades").glob("*.json"))
SESSIONS = sorted((CORPUS / "ibkr_cpapi_session").glob("*.json"))
REFUSED = {"tradesResponse": "no list", "ws_str": "no list"}  # a schema, and a message of the websocket

pytestmark = pytest.mark.skipif(not FILES, reason="the shared corpus is not beside this checkout")


def stated(name: str) -> list[dict[str, str]]:
    """Read a table of the corpus's own expectations."""
    path = CORPUS / "expected" / name
    return list(csv.DictReader(path.open(newline=""))) if path.exists() else []


def of_portal(table: list[dict[str, str]]) -> list[dict[str, str]]:
    return [row for row in table if row["file"].startswith("ibkr_cpapi_trades/")]


def imported(home: Path, path: Path) -> importing.Imported:
    [done] = importing.import_files(prepared(home), "ibkr_portal", [path], endpoint="trades")
    return done


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_every_row_is_a_fill_or_rejected(path: Path, tmp_path: Path) -> None:
    done = imported(tmp_path, path)
    reason = next((reason for part, reason in REFUSED.items() if part in path.name), None)
    if reason:
        assert reason in done.refused
        return
    assert not done.refused
    [told] = rows(
        tmp_path, "select (select count(*) from fills) as fills, (select count(*) from quarantine) as rejected"
    )
    assert told["fills"] + told["rejected"] == len(json.loads(path.read_text()))


@pytest.mark.parametrize("fill", of_portal(stated("expected_fills.csv")), ids=lambda fill: fill["trade_identifier"])
def test_a_fill_is_what_others_state(fill: dict[str, str], tmp_path: Path) -> None:
    imported(tmp_path, CORPUS / fill["file"])
    [found] = rows(
        tmp_path,
        """
        select side, last_qty, last_px, commission, symbol, strftime(transact_time, '%Y-%m-%dT%H:%M:%SZ') as time
        from fills
        where exec_id || '.' || lpad(exec_rev::varchar, 2, '0') = ?
        """,
        [fill["trade_identifier"]],
    )
    assert (found["side"], found["symbol"], found["time"]) == (fill["side"], fill["asset"], fill["datetime"])
    numbers = {"last_qty": "qty", "last_px": "price", "commission": "fee"}
    assert {name: Decimal(found[name]) for name in numbers} == {
        name: Decimal(fill[column]) for name, column in numbers.items()
    }


@pytest.mark.parametrize("count", of_portal(stated("expected_counts.csv")), ids=lambda count: Path(count["file"]).name)
def test_as_many_executions_as_others_state(count: dict[str, str], tmp_path: Path) -> None:
    imported(tmp_path, CORPUS / count["file"])
    assert rows(tmp_path, "select count(*) as executions from executions") == [{"executions": int(count["expected"])}]


@pytest.mark.parametrize("path", SESSIONS, ids=lambda path: path.name)
def test_recorded_sessions_are_ready(path: Path) -> None:
    body = path.read_bytes()
    if "openapi_response" in path.name or "portfolio" in path.name or "suppress" in path.name:
        pytest.skip("a schema, or the answer of an endpoint that is never asked")
    endpoint = next(
        endpoint
        for part, endpoint in {
            "auth-status": "auth_status", "auth_status": "auth_status", "ssodh": "ssodh_init", "tickle": "tickle",
            "accounts": "accounts", "switch": "switch_account",
        }.items()
        if part in path.name
    )  # fmt: skip
    if "fail" in path.name:
        with pytest.raises(Transient):
            replies.read(Response(200, {}, body), endpoint)
        return
    said = replies.read(Response(200, {}, body), endpoint)
    assert getattr(said, "tier", Tier.READY) is Tier.READY
    assert getattr(said, "accounts", ("U1234567",)) == ("U1234567",)
