"""Every page, by the list of routes: accessible in light and dark, within the policy, narrow, light, without script."""

from __future__ import annotations

import gzip
import re
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode, urljoin

import httpx
import pytest
from playwright.sync_api import Browser, Page, TimeoutError

from reports.urls import urlpatterns
from tests.browser.conftest import Visitor
from tests.browser.stage import Stage
from tests.browser.walk import Visit
from tests.browser.world import NO_PAGE, addresses
from tests.conftest import ROOT

AXE = ROOT / "node_modules/axe-core/axe.min.js"
TAGS = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22a", "wcag22aa"]
NAMES = sorted({str(route.name) for route in urlpatterns} - NO_PAGE - {"login"})
RUN = """async (tags) => (await axe.run(document, {runOnly: tags, resultTypes: ["violations"]})).violations
    .map(({id, nodes}) => `${id}: ${nodes.slice(0, 3).map(({target, any, all, none}) =>
        `${target} ${[...any, ...all, ...none].map(({message}) => message)[0] ?? ""}`).join(" | ")}`)"""
SHOWN_HEADS = """() => [...document.querySelectorAll(".scroll:has(> .heat)")].map((box) => {
    const end = box.getBoundingClientRect().right;
    const isShown = (head) => head.offsetWidth > 0 && head.getBoundingClientRect().right <= end;
    return [...box.querySelectorAll("thead th")].filter(isShown).map((head) => head.innerText.replace(/\\s+/g, " "));
})"""
KB = 1000
SEALED_WITHIN = 240
"""Seconds until what was sent is in the lake, which values are read from; it is counted long before."""


@pytest.fixture(scope="module")
def tab(browser: Browser, stage: Stage) -> Iterator[Visit]:
    """Olga's tab for the whole file: modules stay in its cache."""
    with browser.new_context(base_url=stage.url, reduced_motion="reduce") as context:
        context.add_cookies([{"url": stage.url, **stage.sessions["olga"]}])  # type: ignore[typeddict-item]
        yield Visit(stage, context)


def test_every_route_is_listed_as_a_page_or_as_none(stage: Stage) -> None:
    routes = {str(route.name) for route in urlpatterns}
    assert addresses(stage).keys() & NO_PAGE == set()
    assert addresses(stage).keys() | NO_PAGE == routes


@pytest.mark.parametrize("name", NAMES)
def test_a_page_is_accessible_quiet_and_keeps_to_its_policy(name: str, tab: Visit, stage: Stage) -> None:
    found: list[str] = []
    for address in addresses(stage)[name]:
        tab.troubles.clear()
        tab.page.set_viewport_size({"width": 1440, "height": 900})
        tab.page.emulate_media(color_scheme="light")
        tab.go(address)
        found += [f"{address} light {each}" for each in violations(tab.page)]
        tab.page.emulate_media(color_scheme="dark")
        found += [f"{address} dark {each}" for each in violations(tab.page)]
        found += [f"{address} {each}" for each in tab.troubles]
        for width in (320, 720):  # 720: 1440 at 200 %
            tab.page.set_viewport_size({"width": width, "height": 700})
            try:
                tab.page.wait_for_function("() => document.documentElement.scrollWidth <= innerWidth", timeout=2000)
            except TimeoutError:
                needed = tab.page.evaluate("document.documentElement.scrollWidth")
                found.append(f"{address} needs {needed} px at {width}")
    assert found == []


def violations(page: Page) -> list[str]:
    """What axe finds; its script comes through the debugger, which the page's policy does not bind."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(AXE.read_text())
    found: list[str] = page.evaluate(RUN, TAGS)
    return found


def test_a_phone_shows_the_first_weeks_of_cohorts_without_scrolling(tab: Visit) -> None:
    """Week 0 alone, which is 100 %, tells nothing. The same for values, whose labels are longer."""
    tab.page.set_viewport_size({"width": 390, "height": 844})
    query = urlencode({"q": '{"unit":"week","periods":9,"by":"country"}'})
    for address, tables in (("/explore/retention/", 1), (f"/explore/retention/?{query}", 2)):
        tab.go(address)
        until = time.monotonic() + SEALED_WITHIN
        while tab.page.locator(".heat").count() < tables and time.monotonic() < until:
            tab.page.wait_for_timeout(1000)
            tab.go(address)
        shown = tab.page.evaluate(SHOWN_HEADS)
        assert len(shown) == tables
        for heads in shown:
            assert {"Week 0", "Week 1", "Week 2", "Week 3"} <= set(heads), (address, heads)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_gate_is_accessible_too(scheme: str, visit: Visitor) -> None:
    page = visit(scheme=scheme).go("/login/")
    assert violations(page) == []
    page.get_by_label("Name").fill("nobody")
    page.get_by_label("Password").fill("wrong")
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("alert").wait_for()
    assert violations(page) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_open_menus_dialogs_and_the_first_steps_are_accessible(scheme: str, visit: Visitor) -> None:
    tab = visit("olga", scheme=scheme)
    page = tab.go("/")
    page.locator(".toolbar summary").first.click()
    assert violations(page) == []
    page.keyboard.press("Control+k")
    page.locator(".palette li").first.wait_for()
    assert violations(page) == []
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    page.locator("dialog[open]").wait_for()
    assert violations(page) == []
    empty = visit("sam", scheme=scheme).go("/")
    assert violations(empty) == []
    lost = visit("olga", scheme=scheme).go("/nowhere/", status=404)
    assert violations(lost) == []


@pytest.mark.parametrize("name", NAMES)
def test_a_page_tells_its_numbers_without_script(name: str, browser: Browser, stage: Stage) -> None:
    with browser.new_context(base_url=stage.url, java_script_enabled=False) as context:
        context.add_cookies([{"url": stage.url, **stage.sessions["olga"]}])  # type: ignore[typeddict-item]
        page = context.new_page()
        for address in addresses(stage)[name]:
            answer = page.goto(address, wait_until="domcontentloaded")
            assert answer is not None
            assert answer.ok, f"{address}: {answer.status}"
            assert page.locator("h1").count() == 1, address
            assert page.locator(".skeleton:visible").count() == 0, address
            for tile in page.locator(".tile").all():
                assert tile.locator(".value, .tile-problem").inner_text().strip(), address
            for chart in page.locator("figure.chart-card:has(kpi-chart)").all():
                assert chart.locator(".as-table tbody tr").count() > 0, address


def test_pages_are_light(stage: Stage) -> None:
    heaviest = {"HTML": 40, "CSS": 15, "JS": 25}
    found = []
    for paths in addresses(stage).values():
        for path in paths:
            weights = weigh(stage, path)
            found += [f"{path}: {kind} {kilo:.1f} kB" for kind, kilo in weights.items() if kilo > heaviest[kind]]
    assert found == []


def weigh(stage: Stage, path: str) -> dict[str, float]:
    """Gzipped kB of a page, of all its stylesheets, and of all our modules that it loads, in turn."""
    cookie = stage.sessions["olga"]
    with httpx.Client(base_url=stage.url, cookies={cookie["name"]: cookie["value"]}) as client:
        html = client.get(path).text
        sheets = re.findall(r'<link rel="stylesheet" href="([^"]+)"', html)
        modules = re.findall(r'<script[^>]* src="([^"]+/bellwether/[^"]+)"', html)
        css = sum(packed(client.get(sheet).text) for sheet in sheets)
        sources: dict[str, str] = {}
        while modules:
            address = modules.pop()
            if address not in sources:
                sources[address] = client.get(address).text
                modules += [
                    urljoin(address, each) for each in re.findall(r'(?:from|import) ?"([^"]+)"', sources[address])
                ]
    return {"HTML": packed(html), "CSS": css, "JS": sum(map(packed, sources.values()))}


def packed(text: str) -> float:
    return len(gzip.compress(text.encode(), 6)) / KB


def test_the_chart_library_comes_after_the_tiles(visit: Visitor) -> None:
    tab = visit("olga")
    page = tab.go("/")
    page.locator("kpi-chart[data-drawn]").first.wait_for()
    painted, library = page.evaluate(
        """() => [performance.getEntriesByName("first-contentful-paint")[0].startTime,
            performance.getEntriesByType("resource").find(({name}) => name.includes("echarts")).startTime]"""
    )
    assert painted < library


def test_the_chart_library_is_only_asked_for_when_a_chart_comes_near(visit: Visitor) -> None:
    tab = visit("olga", height=300)
    page = tab.go("/")
    page.wait_for_timeout(800)
    assert not any("echarts" in address for address in tab.requested)
    page.locator("kpi-chart").first.scroll_into_view_if_needed()
    page.locator("kpi-chart[data-drawn]").first.wait_for()
    assert any("echarts" in address for address in tab.requested)


def test_files_of_the_pages_are_ours_alone() -> None:
    for file in Path(ROOT / "reports/static").rglob("*.*"):
        if file.suffix in (".js", ".css"):
            assert not re.search(r"(https?:)?//[a-z0-9-]+\.[a-z]{2,}", file.read_text()), file
