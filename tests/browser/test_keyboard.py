"""Everything by keyboard alone: focus is always somewhere, and seen."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Visitor
from tests.browser.prepare import PASSWORD
from tests.browser.stage import Stage
from tests.browser.world import world

FOCUS = """() => {
    const at = document.activeElement, style = getComputedStyle(at), box = at.getBoundingClientRect();
    const ring = parseFloat(style.outlineWidth) > 0 && style.outlineStyle !== "none";
    return {
        name: (at.getAttribute("aria-label") ?? at.textContent ?? "").trim().slice(0, 60), tag: at.tagName,
        seen: at !== document.body && (ring || style.boxShadow !== "none") && box.width > 0 && box.height > 0,
    };
}"""


def tab_to(page: Page, name: str, most: int = 120) -> None:
    """Press Tab until the element of that name has the focus; at each stop it has to be seen."""
    for _ in range(most):
        page.keyboard.press("Tab")
        focus = page.evaluate(FOCUS)
        assert focus["seen"] or focus["tag"] == "BODY", f"focus cannot be seen on {focus}"
        if re.search(name, focus["name"]):
            return
    pytest.fail(f"{name} is not reached by Tab")


def test_signing_in_and_skipping_to_the_content(visit: Visitor) -> None:
    page = visit().go("/login/")
    page.keyboard.type("olga")
    page.keyboard.press("Tab")
    page.keyboard.type(PASSWORD)
    page.keyboard.press("Enter")
    expect(page.locator(".tile").first).to_be_visible()
    tab_to(page, "Skip to content", most=1)
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "main"


def test_the_range_is_chosen_in_its_menu(visit: Visitor) -> None:
    page = visit("olga").go("/revenue/")
    tab_to(page, "Last 30 days")
    page.keyboard.press("Enter")
    expect(page.locator(".toolbar details[open]")).to_have_count(1)
    page.keyboard.press("Escape")
    expect(page.locator(".toolbar details[open]")).to_have_count(0)
    assert "Last 30 days" in page.evaluate(FOCUS)["name"]
    page.keyboard.press("Enter")
    tab_to(page, "^Last 7 days", most=20)
    page.keyboard.press("Enter")
    page.wait_for_url("**period=last_7d**")


def test_every_stop_of_a_page_is_seen_and_the_last_one_is_the_end(visit: Visitor) -> None:
    page = visit("olga").go("/metrics/revenue.gross/?by=country")
    stops: set[str] = set()
    for _ in range(300):
        page.keyboard.press("Tab")
        focus = page.evaluate(FOCUS)
        if focus["tag"] == "BODY":
            break
        assert focus["seen"], focus
        stops.add(focus["name"])
    else:
        pytest.fail("Tab never leaves the page")
    assert len(stops) > 30


def test_points_of_a_chart_are_told_one_by_one(visit: Visitor) -> None:
    page = visit("olga").go("/metrics/orders.count/?period=last_7d")
    page.get_by_text("View as table").first.click()
    chart = page.locator("kpi-chart[data-drawn]").first
    chart.scroll_into_view_if_needed()
    chart.focus()
    rows = page.locator(".as-table tbody tr")
    told = page.locator("#announcer")
    page.keyboard.press("Home")
    first = told.inner_text()
    assert rows.first.locator("td").first.inner_text() in first
    page.keyboard.press("ArrowRight")
    assert rows.nth(1).locator("td").first.inner_text() in told.inner_text()
    page.keyboard.press("End")
    assert rows.last.locator("td").first.inner_text() in told.inner_text()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Home")
    assert told.inner_text().strip() == first.strip()
    assert "from=" not in page.url  # the arrows were the chart's, not the page's


def test_the_palette_leads_anywhere(visit: Visitor) -> None:
    page = visit("olga").go("/")
    page.keyboard.press("Control+k")
    page.locator(".palette li").first.wait_for()
    page.keyboard.type("zzzz")
    expect(page.locator(".palette [role=status]")).to_have_text("Nothing of that name.")
    page.locator(".palette input").fill("")
    page.keyboard.type("gross revenue")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowUp")
    expect(page.locator(".palette li[aria-selected=true]")).to_contain_text("revenue.gross")
    page.keyboard.press("Enter")
    page.wait_for_url("**/metrics/revenue.gross/")
    page.keyboard.press("Control+k")
    page.locator(".palette[open]").wait_for()
    page.keyboard.press("Escape")
    expect(page.locator(".palette[open]")).to_have_count(0)


def test_single_keys_search_help_and_move_through_time(visit: Visitor) -> None:
    page = visit("olga").go("/metrics/")
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.type") == "search"
    page.keyboard.type("x?/")  # typed, not obeyed
    assert page.evaluate("document.activeElement.value") == "x?/"
    expect(page.locator("dialog[open]")).to_have_count(0)

    page.goto("/?period=last_7d")
    page.keyboard.press("?")
    expect(page.locator("dialog[open]")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.locator("dialog[open]")).to_have_count(0)
    page.keyboard.press("x")
    page.wait_for_url("**compare=none**")
    page.keyboard.press("Alt+ArrowRight")
    page.keyboard.press("Shift+ArrowLeft")
    assert "from=" not in page.url
    page.keyboard.press("ArrowLeft")
    page.wait_for_url("**from=**")


def test_single_keys_can_be_switched_off(visit: Visitor) -> None:
    page = visit("olga").go("/")
    page.keyboard.press("?")
    page.get_by_label("Single-key shortcuts are on").uncheck()
    page.keyboard.press("Escape")
    page.keyboard.press("x")
    page.keyboard.press("?")
    page.wait_for_timeout(300)
    assert "compare" not in page.url
    expect(page.locator("dialog[open]")).to_have_count(0)
    page.keyboard.press("Control+k")  # with a modifier: not meant
    expect(page.locator(".palette[open]")).to_be_visible()


def test_a_board_is_edited_without_losing_the_focus(visit: Visitor, stage: Stage) -> None:
    page = visit("olga").go(f"/boards/{world(stage).board}/edit/")
    first = page.locator("[data-handle]").first
    name = first.get_attribute("aria-label")
    first.focus()
    for key in ("ArrowDown", "ArrowDown", "ArrowUp", "ArrowRight", "Shift+ArrowRight", "Shift+ArrowUp"):
        page.keyboard.press(key)
        assert page.evaluate("document.activeElement.getAttribute('aria-label')") == name
        assert page.locator("#announcer").inner_text().strip()
    page.keyboard.press("Tab")
    page.keyboard.press("Tab")
    assert str(page.evaluate("document.activeElement.getAttribute('aria-label')")).startswith("Remove")
    page.keyboard.press("Enter")
    assert str(page.evaluate("document.activeElement.getAttribute('aria-label')")).startswith("Move")
    page.locator("#add-card").focus()
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.closest('dialog') !== null")
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.id") == "add-card"
