"""A page broken down by clicking: lines, legend, table and tiles tell the same, and the address says it all."""

from __future__ import annotations

import re

import pytest
from babel.core import Locale
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import Visitor
from tests.browser.stage import Stage
from tests.browser.test_journeys import fits, screens
from tests.browser.test_live import sell

FIRST = "#chart-revenue-gross"


def legend(page: Page, chart: str = FIRST) -> list[str]:
    return page.locator(f"{chart} .legend .name").all_inner_texts()


def told(stage: Stage, tenant: str, metric: str, by: str) -> list[str]:
    """The largest values as the API has them, as people read them."""
    answer = stage.series(tenant, metric, f"by={by}&limit=5&granularity=total")
    words = {"__other__": "All others", "__none__": "(none)", "": "(none)"}
    words |= Locale("en").territories if by == "country" else {}
    return [words.get(part["key"], part["key"]) for part in answer["series"]]


@screens
def test_a_page_is_broken_down_and_narrowed_by_clicking(visit: Visitor, stage: Stage, width: int, scheme: str) -> None:
    page = visit("olga", width=width, scheme=scheme).go("/revenue/")
    expect(page.locator(".legend")).to_have_count(0)
    page.locator(".toolbar summary", has_text="Break down").click()
    page.locator(".toolbar").get_by_role("link", name="Country", exact=True).click()
    page.wait_for_url("**by=country**")
    assert legend(page) == told(stage, "acme", "revenue.gross", "country")
    expect(page.locator(".tile[data-metric='revenue.gross'] .parts")).to_contain_text(legend(page)[0])
    fits(page)

    table = page.locator(f"{FIRST} .as-table")
    table.locator("summary").click()
    assert table.locator("thead th").all_inner_texts()[2:] == legend(page)
    expect(table.locator("tbody tr").first.locator("td")).to_have_count(1 + len(legend(page)))
    fits(page)

    country = legend(page)[0]
    page.locator(f"{FIRST} .legend a").first.click()
    page.wait_for_url(re.compile(r"country=[A-Z]{2}\b"))
    assert "by=" not in page.url
    expect(page.get_by_label(f"Remove filter: country is {country}")).to_be_visible()
    page.go_back()
    assert legend(page)[0] == country
    page.get_by_label("Stop breaking down by country").click()
    expect(page.locator(".legend")).to_have_count(0)
    assert "by=" not in page.url


def test_the_lines_of_a_day_add_up_to_it(visit: Visitor) -> None:
    page = visit("olga").go("/revenue/?by=country&period=last_7d")
    page.locator("#chart-orders-count .as-table summary").click()
    for row in page.locator("#chart-orders-count .as-table tbody tr").all():
        whole, *parts = [0 if text == "–" else int(text.replace(",", "")) for text in _cells(row)]
        assert sum(parts) == whole


def _cells(row: Locator) -> list[str]:
    return row.locator("td").all_inner_texts()


def test_the_cursor_tells_each_line(visit: Visitor) -> None:
    page = visit("olga").go("/metrics/orders.count/?by=platform&period=last_7d")
    chart = page.locator("kpi-chart[data-drawn]").first
    chart.scroll_into_view_if_needed()
    chart.focus()
    page.keyboard.press("Home")
    said = page.locator("#announcer").inner_text()
    for name in page.locator(".legend .name").all_inner_texts():
        assert re.search(rf"{re.escape(name)} [\d,–]+", said), said


def test_a_card_that_has_not_the_dimension_says_so_and_stays_whole(visit: Visitor) -> None:
    page = visit("olga").go("/revenue/?by=reason")
    whole = page.locator(".chart-card:not(:has(.legend))").first
    expect(whole.locator("kpi-chart")).to_be_attached()
    assert page.locator(".notice.warning, .mark:has-text('not by reason'), .legend").count()


@pytest.mark.parametrize(
    "address", ["/?period=today&by=channel", "/cards/chart/?metric=orders.count&period=today&by=channel"]
)
def test_another_tenant_has_lines_of_its_own(address: str, visit: Visitor, stage: Stage) -> None:
    before = stage.series("globex", "orders.count", "period=today&channel=stall")["total"] or 0
    sell(stage, properties={"amount": 10, "currency": "NPR", "channel": "stall"})
    stage.await_total("globex", "orders.count", "period=today&channel=stall", before + 1)
    names = legend(visit("sam").go(address), "#chart-orders-count")
    assert "stall" in names
    assert set(names) <= {"stall", "(none)", "All others"}


def test_without_script_the_lines_are_there_too(visit: Visitor) -> None:
    page = visit("olga", java_script_enabled=False).page
    page.goto("/revenue/?by=country")
    expect(page.locator(f"{FIRST} .drawing polyline[class^=line-]").first).to_be_attached()
    assert page.locator(f"{FIRST} .legend li").count() > 1
