"""Pages move with the numbers: only what changed, without losing what somebody is doing there."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from playwright.sync_api import Page, expect

from tests.browser.conftest import Visitor
from tests.browser.stage import Stage
from tests.browser.test_live import STATE, sell

CARD = "#chart-orders-count"
VALUE = f"{CARD} .card-value"
GROWN = f"""before => Number(document.querySelector("{VALUE}").firstChild.textContent.replace(/\\D/g, "")) > before"""


def shown(page: Page) -> int:
    text: str = page.locator(VALUE).evaluate("each => each.firstChild.textContent")
    return int("".join(filter(str.isdigit, text)) or 0)


def test_a_chart_follows_and_keeps_table_cursor_and_canvas(visit: Visitor, stage: Stage) -> None:
    sell(stage, times=2)
    stage.await_some("globex", "orders.count")
    page = visit("sam").go("/?period=today")
    expect(page.locator(STATE.format("live"))).to_be_attached(timeout=20_000)
    chart = page.locator(f"{CARD} kpi-chart")
    chart.scroll_into_view_if_needed()
    page.locator(f"{CARD} kpi-chart[data-drawn]").wait_for()
    page.locator(f"{CARD} .as-table summary").click()
    chart.focus()
    page.keyboard.press("Home")
    page.evaluate(f"window.canvas = document.querySelector('{CARD} canvas')")
    before = shown(page)
    sell(stage)
    page.wait_for_function(GROWN, arg=before, timeout=30_000)
    now = shown(page)
    expect(page.locator(f"{CARD} figcaption")).to_contain_text(f"Orders: {now} on")
    hours = page.locator(f"{CARD} .as-table tbody tr td:first-of-type").all_inner_texts()
    assert sum(int(text.replace(",", "")) for text in hours if text != "–") == now
    expect(page.locator(f"{CARD} .as-table")).to_have_attribute("open", "")
    assert page.evaluate(f"document.querySelector('{CARD} canvas') === window.canvas")
    assert page.evaluate(f"document.activeElement === document.querySelector('{CARD} kpi-chart')")
    page.keyboard.press("ArrowRight")
    assert page.locator(f"{CARD} .as-table tbody tr").nth(1).locator("td").first.inner_text() in (
        page.locator("#announcer").inner_text()
    )


def test_a_chart_that_is_broken_down_follows_with_its_legend(visit: Visitor, stage: Stage) -> None:
    sell(stage, properties={"amount": 10, "currency": "NPR", "channel": "market"})
    page = visit("sam").go("/metrics/orders.count/?period=today&by=channel")
    expect(page.locator(STATE.format("live"))).to_be_attached(timeout=20_000)
    legend = page.locator(".legend li", has_text="market").locator("b")
    expect(legend).to_be_visible(timeout=20_000)
    before = int(legend.inner_text())
    sell(stage, properties={"amount": 10, "currency": "NPR", "channel": "market"})
    expect(legend).to_have_text(str(before + 1), timeout=30_000)


def test_many_changes_are_few_questions(visit: Visitor, stage: Stage) -> None:
    sell(stage)
    tab = visit("sam")
    page = tab.go("/metrics/orders.count/?period=today")
    expect(page.locator(STATE.format("live"))).to_be_attached(timeout=20_000)
    tab.requested.clear()
    for _ in range(5):
        sell(stage)
        page.wait_for_timeout(2_000)
    asked = [address for address in tab.requested if "/metrics/orders.count/?" in address]
    assert 1 <= len(asked) <= 3
    assert not any("/cards/" in address for address in tab.requested)


def test_a_range_that_is_over_is_not_asked_for_again(visit: Visitor, stage: Stage) -> None:
    tab = visit("sam")
    page = tab.go("/?period=yesterday")
    tab.requested.clear()
    sell(stage)
    page.wait_for_timeout(6_000)
    assert [address for address in tab.requested if "/?period" in address] == []


def test_lines_and_tables_follow_and_the_focus_stays(visit: Visitor, stage: Stage) -> None:
    """Late orders move a day that is over, so the small line of their tile too."""
    late, earlier = (f"{datetime.now(UTC) - timedelta(hours=hours):%FT%TZ}" for hours in (30, 78))
    bought = {"amount": 10, "currency": "NPR", "channel": "bazaar"}
    sell(stage, timestamp=late, properties=bought)
    sell(stage, times=2, timestamp=earlier, properties=bought)
    stage.await_some("globex", "orders.count", "period=last_7d")
    page = visit("sam").go("/revenue/?period=last_7d")
    expect(page.locator(STATE.format("live"))).to_be_attached(timeout=20_000)
    row = page.locator("#table-revenue-gross-channel tr", has_text="bazaar")
    expect(row).to_be_visible(timeout=20_000)
    line = page.locator(".tile[data-metric='orders.count'] .spark polyline").first
    link, before, drawn = row.locator("a"), row.locator("td").first.inner_text(), line.get_attribute("points")
    link.focus()
    scrolled = page.evaluate("scrollY")
    sell(stage, times=3, timestamp=late, properties=bought)
    expect(row.locator("td").first).not_to_have_text(before, timeout=30_000)
    expect(link).to_be_focused()
    assert page.evaluate("scrollY") == scrolled
    assert line.get_attribute("points") != drawn


def test_a_board_follows_as_a_whole(visit: Visitor, stage: Stage) -> None:
    sell(stage)
    stage.await_some("globex", "orders.count")
    tab = visit("sam")
    cards = (
        "{kind: tile, metric: orders.count, x: 1, y: 1, w: 3, h: 2}, "
        "{kind: chart, metric: orders.count, x: 4, y: 1, w: 6, h: 5}"
    )
    page = tab.go("/boards/")
    page.get_by_label("or its text").fill(f"title: Today\nquery: {{period: today}}\ncards: [{cards}]")
    page.get_by_role("button", name="Import").click()
    page.get_by_role("link", name="Today").click()
    page.get_by_role("heading", name="Today", level=1).wait_for()
    expect(page.locator(STATE.format("live"))).to_be_attached(timeout=20_000)
    caption = page.locator("#chart-1 figcaption")
    before = caption.inner_text()
    sell(stage)
    expect(caption).not_to_have_text(before, timeout=30_000)
    assert page.locator("#chart-1 .card-value").evaluate("each => each.firstChild.textContent.trim()") == (
        page.locator(".tile [data-number]").first.inner_text()
    )


def test_the_empty_page_fills_itself_with_the_first_event(visit: Visitor, stage: Stage) -> None:
    page = visit("nell").go("/?period=today")
    page.get_by_role("heading", name="No events yet").wait_for()
    sell(stage, "dawn")
    expect(page.locator(".tile").first).to_be_visible(timeout=30_000)
