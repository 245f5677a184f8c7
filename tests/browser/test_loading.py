"""Meanwhile: what loads is as large as it will be, what failed says so with an id, no button is dead."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.conftest import Visitor
from tests.browser.stage import Stage
from tests.browser.test_pages import violations
from tests.browser.world import world

SHIFTS = """new PerformanceObserver((list) => {
    for (const { value, hadRecentInput } of list.getEntries()) {
        window.shifted = (window.shifted ?? 0) + (hadRecentInput ? 0 : value);
    }
}).observe({ type: "layout-shift", buffered: true })"""
LATER = "#moved .later"


@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (1440, "dark"), (390, "light")])
def test_a_part_that_fails_says_so_with_its_id_and_can_be_tried_again(visit: Visitor, width: int, scheme: str) -> None:
    tab = visit("olga", width=width, scheme=scheme)
    page = tab.page
    page.route(
        "**/metrics/*/moved/**",
        lambda route: route.fulfill(status=503, headers={"X-Request-ID": "0badc0ffee"}, body=""),
    )
    tab.go("/metrics/revenue.gross/")
    tab.expected_statuses = {503}
    page.locator("#moved").scroll_into_view_if_needed()
    card = page.locator("#moved .error-card")
    expect(card).to_contain_text("could not be loaded")
    expect(card).to_contain_text("Request 0badc0ffee")
    page.evaluate("scrollTo(0, 0)")  # else the bar above lies over parts of the page
    assert violations(page) == []
    page.unroute("**/metrics/*/moved/**")
    card.get_by_role("button", name="Try again").click()
    expect(page.locator("#moved .movers, #moved p").first).to_be_visible()
    expect(card).to_have_count(0)
    tab.troubles = [each for each in tab.troubles if "503" not in each]


def test_a_part_without_an_answer_is_told_too(visit: Visitor) -> None:
    tab = visit("olga")
    tab.page.route("**/metrics/*/ledger/**", lambda route: route.abort())
    page = tab.go("/metrics/revenue.gross/")
    page.locator("#ledger").scroll_into_view_if_needed()
    expect(page.locator("#ledger .error-card")).to_contain_text("did not answer")
    tab.troubles.clear()


def test_what_is_coming_has_its_place(visit: Visitor) -> None:
    held: list[Route] = []
    tab = visit("olga")
    page = tab.page
    page.route("**/metrics/*/moved/**", lambda route: held.append(route))
    tab.go("/metrics/revenue.gross/")
    page.locator("#moved").scroll_into_view_if_needed()
    page.wait_for_function("() => document.querySelector('#moved .htmx-request')")
    place = page.locator(LATER)
    assert float(place.evaluate("each => each.offsetHeight")) > 200
    assert place.evaluate("each => getComputedStyle(each).backgroundImage") != "none"
    held[0].continue_()
    expect(page.locator("#moved .movers, #moved .stack").first).to_be_visible()
    assert place.evaluate("each => getComputedStyle(each).backgroundImage") == "none"


@pytest.mark.parametrize("path", ["/", "/revenue/?by=country", "/metrics/revenue.gross/", "/realtime/"])
@pytest.mark.parametrize("width", [1440, 390])
def test_nothing_jumps_while_a_page_loads(path: str, width: int, visit: Visitor) -> None:
    tab = visit("olga", width=width)
    tab.page.add_init_script(SHIFTS)
    page = tab.go(path)
    page.locator("kpi-chart").first.scroll_into_view_if_needed()
    page.locator("kpi-chart[data-drawn]").first.wait_for()
    page.wait_for_timeout(500)
    assert page.evaluate("window.shifted ?? 0") < 0.05


def test_a_card_is_added_as_soon_as_the_button_can_be_pressed(visit: Visitor, stage: Stage) -> None:
    held: list[Route] = []
    tab = visit("olga")
    page = tab.page
    page.route(re.compile(r"/js/board\.[^/]*js"), lambda route: held.append(route))
    page.goto(f"/boards/{world(stage).board}/edit/", wait_until="commit")
    add = page.get_by_role("button", name="Add a card")
    expect(add).to_be_disabled()
    expect(page.get_by_role("button", name="Save", exact=True)).to_be_disabled()
    _until(page, held)
    held[0].continue_()
    add.click()
    expect(page.locator("#card-dialog")).to_be_visible()


def _until(page: Page, held: list[Route]) -> None:
    for _ in range(100):
        if held:
            return
        page.wait_for_timeout(50)
    pytest.fail("the module was not asked for")
