"""Prefect's own UI in a real browser, as a person uses it; what it showed is kept in `build/screens`."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from playwright.sync_api import Page, TimeoutError, ViewportSize, expect, sync_playwright  # noqa: A004

from connectors.ibkr_flex.sandbox import TOKEN, FlexBroker
from connectors.ibkr_flex.sandbox import running as flex_running
from connectors.ibkr_portal.sandbox import HARDLY_EVER, Gateway
from connectors.ibkr_portal.sandbox import running as portal_running
from connectors.kraken.sandbox import KrakenBroker, own_keys
from connectors.kraken.sandbox import running as kraken_running
from flows.sandbox_books import gateway_of
from tests.flows.operating import ROOT, Json, System, settings_of, up

CHROMIUM = shutil.which("chromium")
QUIET = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]
NO_CALLS_HOME = ["--disable-background-networking", "--disable-component-update"]
SCREENS = ROOT / "build" / "screens"
NAMES = ("ibkr-flex", "ibkr-portal", "kraken")
PATIENCE_MS = 120_000.0
PRESSES = 3
REFUSED_AFTER_SECONDS = 20.0
WAITING = {"SCHEDULED", "PENDING"}
GOING_ON = {"PENDING", "RUNNING"}
AT_ANY_HOUR = {"FILLHOUSE_IBKR_PORTAL_MAINTENANCE": HARDLY_EVER}
SIZE = ViewportSize(width=1280, height=1100)

pytestmark = [
    pytest.mark.whole_system,
    pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium on this machine"),
]


@pytest.fixture
def gateway(tmp_path: Path) -> Iterator[tuple[System, Gateway]]:
    """Everything up, over three brokers; and the gateway, whose login can end."""
    flex = FlexBroker(years=1, executions=60, generation_seconds=0.2, tokens={TOKEN: None})
    kraken = KrakenBroker(trades=1200, years=1, keys=own_keys("pro"))
    gateway = gateway_of(flex)
    gateway.log_in()
    with (
        flex_running(flex) as flex_url,
        kraken_running(kraken) as kraken_url,
        portal_running(gateway) as portal,
        up(tmp_path / "desk", settings_of(flex_url, portal, kraken_url) | AT_ANY_HOUR) as system,
    ):
        yield system, gateway


@pytest.fixture
def page() -> Iterator[Page]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=[*QUIET, *NO_CALLS_HOME])
        page = browser.new_page(viewport=SIZE)
        page.set_default_timeout(PATIENCE_MS)
        expect.set_options(timeout=PATIENCE_MS)
        yield page
        browser.close()


def test_a_person_at_the_ui(gateway: tuple[System, Gateway], page: Page) -> None:
    system, door = gateway
    SCREENS.mkdir(parents=True, exist_ok=True)
    _sync_now(system, page)
    _backfill_from_a_day(system, page)
    door.session.log_out()
    _open_run(system, page, "incremental", lambda: _press(system, page, "incremental", "Quick run"))
    expect(page.get_by_text("NeedsReauth").first).to_be_visible()
    _open_result(page, "incremental")
    expect(page.get_by_text("Log in to the gateway in a browser on its machine").first).to_be_visible()
    page.screenshot(path=SCREENS / "needs-reauth.png")


def _press(system: System, page: Page, deployment: str, how: str) -> None:
    page.goto(f"http://127.0.0.1:{system.port}/v2/deployments")
    expect(page.get_by_role("link", name="renormalize", exact=True).first).to_be_visible()
    page.get_by_role("link", name=deployment, exact=True).first.click()
    page.get_by_role("button", name="Run", exact=True).click()
    page.get_by_role("menuitem", name=how).click()


def _open_run(system: System, page: Page, deployment: str, press: Callable[[], None]) -> None:
    """Press, and open the run that this makes: the notice that links to it is gone within seconds.

    A server that is busy refuses to make one, and one that was made while a scheduled run goes on is cancelled: that one
    brings the same. Then a person presses again.
    """
    of = {"deployment_id": {"any_": [system.deployment(deployment)["id"]]}}

    def runs(*, by_schedule: bool) -> list[Json]:
        return [run for run in system.all("flow_runs", flow_runs=of) if run["auto_scheduled"] is by_schedule]

    def pressed() -> list[Json]:
        return [run for run in runs(by_schedule=False) if run["id"] not in before]

    def begun() -> list[Json]:
        return [run for run in pressed() if run["state_type"] not in WAITING]

    before: set[str] = set()
    for _ in range(PRESSES):
        before.update(run["id"] for run in pressed())
        press()
        with suppress(AssertionError):
            system.wait_for(pressed, within=REFUSED_AFTER_SECONDS)
            (made,) = system.wait_for(begun)
            if made["state_type"] != "CANCELLED":
                page.goto(f"http://127.0.0.1:{system.port}/v2/runs/flow-run/{made['id']}")
                return
            system.wait_for(lambda: all(run["state_type"] not in GOING_ON for run in runs(by_schedule=True)))
    message = f"{PRESSES} times it was pressed, and no run of {deployment} began"
    raise AssertionError(message)


def _open_result(page: Page, key: str) -> None:
    page.get_by_role("tab", name="Artifacts").click()
    page.get_by_role("link").filter(has_text="MARKDOWN").filter(has=page.get_by_text(key, exact=True)).first.click()
    page.locator("a[href*='/artifacts/artifact/']").first.click()


def _sync_now(system: System, page: Page) -> None:
    _open_run(system, page, "incremental", lambda: _press(system, page, "incremental", "Quick run"))
    expect(page.get_by_text("Completed", exact=True).first).to_be_visible()
    expect(page.get_by_text("incremental all 20").first).to_be_visible()
    page.screenshot(path=SCREENS / "run.png")
    _open_result(page, "incremental")
    for words in ("added", "revised", "cancelled", "rejected", "gaps", "requests", "seconds waited", *NAMES):
        expect(page.get_by_text(words, exact=True).first).to_be_visible()
    expect(page.get_by_text("kraken: what it brought")).to_be_visible()
    page.screenshot(path=SCREENS / "result.png")


def _backfill_from_a_day(system: System, page: Page) -> None:
    _press(system, page, "backfill", "Custom run")
    page.get_by_role("button", name="Select Connection").click()
    page.get_by_role("option", name="kraken").click()
    page.keyboard.press("Escape")
    page.get_by_role("tab", name="date").first.click()
    page.get_by_role("button", name="Pick a date").click()
    for _ in range(6):
        page.get_by_role("button", name="Go to the Previous Month").click()
    page.get_by_role("button", name=re.compile(" 10th, ")).first.click()
    page.keyboard.press("Escape")
    page.get_by_role("tab", name="Way").click()
    page.get_by_role("button", name="Select Way").click()
    page.get_by_role("option", name="pages").click()
    expect(page.get_by_role("option", name="pages")).to_be_hidden()
    page.screenshot(path=SCREENS / "form.png")
    _open_run(system, page, "backfill", page.get_by_role("button", name="Submit").click)
    first = _progress(page, unlike="")
    page.screenshot(path=SCREENS / "progress.png")
    assert _progress(page, unlike=first)
    page.get_by_role("tab", name="Details").click()
    expect(page.get_by_text("Completed", exact=True).first).to_be_visible()


def _progress(page: Page, *, unlike: str) -> str:
    """Read how far a run is, once it is further; the list of artifacts is as old as the page."""
    told = page.get_by_text("Kraken's rate counter at").first
    for _ in range(30):
        page.reload()
        page.get_by_role("tab", name="Artifacts").click()
        with suppress(TimeoutError):
            told.wait_for(timeout=3000.0)
            if (text := told.text_content() or "") != unlike:
                return text
    message = "nothing was told of its progress"
    raise AssertionError(message)
