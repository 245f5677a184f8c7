"""The page in a real browser: numbers move, the socket dies and comes back, and nothing is said too loudly."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import pytest
from playwright.sync_api import Page, WebSocketRoute, sync_playwright

from analytics.models import Tenant
from tests.conftest import ROOT
from tests.reports.live.client import session_of
from tests.reports.live.server import Web, web
from tests.reports.live.telling import earned

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [
    pytest.mark.django_db(transaction=True, databases=["default", "owner", "ingest", "erasure"]),
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium: apt-get install chromium"),
]

T = TypeVar("T")
TILE = "[data-metric='orders.count'] [data-number]"
STATE = "live-badge[data-state='{}']"
HEARD = "window.heard = []; document.addEventListener('bw:live', (event) => window.heard.push(event.detail));"


class Tab:
    """A tab of a browser that lives in its own thread, because Django's ORM and Playwright do not share one."""

    def __init__(self, thread: ThreadPoolExecutor, page: Page) -> None:
        self._thread = thread
        self._page = page
        self.is_cut = False
        self.routes: list[WebSocketRoute] = []

    def do(self, work: Callable[[Page], T]) -> T:
        return self._thread.submit(work, self._page).result()

    def await_state(self, state: str, seconds: float = 20) -> None:
        self.do(lambda page: page.wait_for_selector(STATE.format(state), timeout=seconds * 1000, state="attached"))

    def await_number(self, text: str, seconds: float = 12) -> None:
        script = "([tile, text]) => document.querySelector(tile)?.textContent === text"
        self.do(lambda page: page.wait_for_function(script, arg=[TILE, text], timeout=seconds * 1000))

    def cut(self) -> None:
        """Close the socket, and every one that is opened until `mend`."""
        self.is_cut = True
        self.do(self._close_all)

    def _close_all(self, _page: Page) -> None:
        for route in self.routes:
            route.close(code=1012)

    def mend(self) -> None:
        self.is_cut = False

    def route(self, route: WebSocketRoute) -> None:
        if self.is_cut:
            route.close(code=1012)
        else:
            route.connect_to_server()
            self.routes.append(route)


@pytest.fixture(scope="module")
def site(database_urls: dict[str, str], test_home: Path) -> Iterator[Web]:
    environment = {**os.environ, **database_urls, "DJANGO_SETTINGS_MODULE": "config.settings"}
    command = [sys.executable, "manage.py", "collectstatic", "--no-input", "--verbosity", "0"]
    subprocess.run(command, cwd=ROOT, env=environment, check=True, capture_output=True)
    with web(database_urls, test_home / "log" / f"page-{os.getpid()}.log") as running:
        yield running


@pytest.fixture
def tab(site: Web, acme: Tenant, teammate: Any) -> Iterator[Tab]:
    """Theo's browser."""
    name, _, value = session_of(teammate, acme).partition("=")
    with ThreadPoolExecutor(1) as thread:
        playwright = thread.submit(lambda: sync_playwright().start()).result()
        browser = thread.submit(
            lambda: playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        ).result()
        context = thread.submit(lambda: browser.new_context(reduced_motion="reduce")).result()
        thread.submit(lambda: context.add_cookies([{"name": name, "value": value, "url": site.url}])).result()
        opened = Tab(thread, thread.submit(context.new_page).result())
        opened.do(lambda page: page.route_web_socket("**/ws/live/", opened.route))
        opened.do(lambda page: page.add_init_script(HEARD))
        yield opened
        thread.submit(browser.close).result()
        thread.submit(playwright.stop).result()


def visit(tab: Tab, site: Web) -> list[str]:
    """Open the overview; what the browser complains of is collected."""
    complaints: list[str] = []

    def opened(page: Page) -> None:
        page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(f"{site.url}/?period=today")

    tab.do(opened)
    return complaints


def test_numbers_move_and_survive_a_socket_that_dies(tab: Tab, site: Web, acme: Tenant, globex: Tenant) -> None:
    earned(acme, 1000)
    complaints = visit(tab, site)
    tab.await_state("live")
    tab.await_number("1")

    earned(acme, 500)
    tab.await_number("2", seconds=7)
    assert tab.do(lambda page: page.evaluate("window.heard.at(-1).source")) == "socket"

    tab.cut()
    tab.await_state("polling")
    earned(acme, 500)
    tab.await_number("3")
    assert tab.do(lambda page: page.evaluate("window.heard.at(-1).source")) == "poll"

    tab.mend()
    tab.await_state("live", seconds=45)
    earned(acme, 500)
    tab.await_number("4")
    assert tab.do(lambda page: page.locator("[data-changed]").count()) == 0  # motion is reduced
    assert tab.do(lambda page: page.locator("#announcer").inner_text()) == ""  # nothing was stale
    assert complaints == []


def test_an_idle_poll_costs_a_304(tab: Tab, site: Web, acme: Tenant) -> None:
    earned(acme, 1000)
    tab.is_cut = True
    statuses: list[int] = []
    tab.do(
        lambda page: page.on(
            "response", lambda answer: statuses.append(answer.status) if "/kpis/overview/" in answer.url else None
        )
    )
    visit(tab, site)
    tab.await_state("polling")
    tab.do(lambda page: page.wait_for_timeout(10_000))
    assert statuses[0] == 200
    assert 304 in statuses
    assert statuses.count(200) <= 2  # a minute may turn


def test_a_gap_is_noticed_and_closed(tab: Tab, site: Web, acme: Tenant) -> None:
    """Between server and page one delta is taken out: the page asks for it and gets it."""
    import json

    earned(acme, 1000)
    taken: list[str] = []
    said: list[str] = []

    def lossy(route: WebSocketRoute) -> None:
        server = route.connect_to_server()

        def down(text: str | bytes) -> None:
            message = json.loads(text)
            if message["type"] == "delta" and not taken:
                taken.append(str(text))
            else:
                route.send(text)

        def up(text: str | bytes) -> None:
            said.append(json.loads(text)["type"])
            server.send(text)

        server.on_message(down)
        route.on_message(up)

    tab.do(lambda page: page.route_web_socket("**/ws/live/", lossy))
    visit(tab, site)
    tab.await_state("live")
    earned(acme, 500)
    tab.do(lambda page: page.wait_for_timeout(6000))
    earned(acme, 500)
    tab.await_number("3")
    assert len(taken) == 1
    assert said.count("resume") == 1


def test_a_session_that_ends_is_told(tab: Tab, site: Web, acme: Tenant) -> None:
    from django.contrib.sessions.models import Session

    earned(acme, 1000)
    visit(tab, site)
    tab.await_state("live")
    Session.objects.all().delete()
    tab.await_state("off", seconds=15)
    assert "Signed out" in tab.do(lambda page: page.locator("#announcer").inner_text())


def test_the_module_is_small() -> None:
    import gzip

    source = (ROOT / "reports/static/bellwether/live.js").read_bytes()
    assert len(gzip.compress(source, 9)) <= 4 * 1024
