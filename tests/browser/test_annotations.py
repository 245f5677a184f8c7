"""What happened, beside the numbers: reached from its mark, changed, taken away, and added where one looks."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

from playwright.sync_api import Page, expect

from tests.browser.conftest import Visitor
from tests.browser.stage import Stage
from tests.browser.test_journeys import fits, screens


def written(stage: Stage, title: str, metric: str = "orders.count", days: int = 2) -> str:
    at = datetime.now(UTC) - timedelta(days=days)
    return str(stage.post("annotations/", title=title, kind="deploy", metric=metric, at=f"{at:%FT%TZ}")["id"])


@screens
def test_the_mark_on_a_chart_leads_to_its_page_where_it_is_changed(
    visit: Visitor, stage: Stage, width: int, scheme: str
) -> None:
    title = f"Release {width} {scheme}"
    note = written(stage, title)
    page = visit("olga", width=width, scheme=scheme).go("/metrics/orders.count/?period=last_7d")
    page.locator("kpi-chart[data-drawn]").first.wait_for()
    page.get_by_role("link", name=re.compile(f"Annotation .*{title}")).click()
    page.wait_for_url(f"**/annotations/{note}/")
    fits(page)
    page.get_by_label("What happened?").fill(f"{title}, rolled back")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("Saved.")).to_be_visible()
    page.goto("/metrics/orders.count/?period=last_7d")
    expect(page.locator("ol[aria-label=Annotations]")).to_contain_text(f"{title}, rolled back")
    page.goto(f"/annotations/{note}/")
    page.get_by_text("Delete this annotation").click()
    page.get_by_role("button", name="Yes, delete it").click()
    page.wait_for_url("**/annotations/")
    expect(page.get_by_text(title)).to_have_count(0)


@screens
def test_something_is_written_down_at_the_point_one_looks_at(visit: Visitor, width: int, scheme: str) -> None:
    title = f"Heat wave {width} {scheme}"
    page = visit("olga", width=width, scheme=scheme).go("/revenue/?period=last_7d")
    card = page.locator("#chart-orders-count")
    card.locator("kpi-chart").scroll_into_view_if_needed()
    card.locator("kpi-chart[data-drawn]").wait_for()
    expect(card.locator("[data-add-note]")).to_be_hidden()
    card.locator("kpi-chart").focus()
    page.keyboard.press("Home")
    page.keyboard.press("ArrowRight")
    expect(card.locator("[data-add-note]")).to_be_visible()
    page.keyboard.press("n")
    page.wait_for_url("**/annotations/**")
    _is_at_second_of_seven_days(page)
    fits(page)
    page.get_by_label("What happened?").fill(title)
    page.get_by_role("button", name="Write it down").click()
    page.wait_for_url("**/revenue/?period=last_7d")
    expect(page.get_by_role("link", name=re.compile(f"Annotation .*{title}")).first).to_be_attached()
    page.goto("/annotations/")
    page.get_by_label(f"Delete {title}").click()
    page.get_by_role("button", name="Yes, delete it").click()


def _is_at_second_of_seven_days(page: Page) -> None:
    value = datetime.fromisoformat(page.get_by_label("When").input_value())
    assert value.hour == value.minute == 0
    assert timedelta(days=5) < datetime.now() - value < timedelta(days=8)
    assert page.get_by_label("Only on charts of").input_value() == "orders.count"


def test_a_click_on_the_canvas_chooses_the_point(visit: Visitor) -> None:
    page = visit("olga").go("/metrics/orders.count/?period=last_7d")
    chart = page.locator("kpi-chart[data-drawn]").first
    box = chart.bounding_box()
    assert box
    page.mouse.click(box["x"] + box["width"] * 0.9, box["y"] + box["height"] / 2)
    link = page.locator("[data-add-note]").first
    expect(link).to_contain_text("Add an annotation at")
    link.click()
    page.wait_for_url("**/annotations/**")
    value = datetime.fromisoformat(page.get_by_label("When").input_value())
    assert datetime.now() - value < timedelta(days=3)


def test_who_may_only_read_reads(visit: Visitor, stage: Stage) -> None:
    note = written(stage, "For reading")
    page = visit("vera").go("/metrics/orders.count/?period=last_7d")
    page.locator("kpi-chart[data-drawn]").first.focus()
    page.keyboard.press("Home")
    expect(page.locator("[data-add-note]")).to_have_count(0)
    page.goto(f"/annotations/{note}/")
    expect(page.locator("h1")).to_have_text("For reading")
    expect(page.get_by_role("button", name=re.compile("Save|Delete"))).to_have_count(0)
    stage.delete(f"annotations/{note}/")


def test_another_tenants_annotation_is_not_there(visit: Visitor, stage: Stage) -> None:
    note = written(stage, "Ours alone")
    tab = visit("sam")
    page = tab.go(f"/annotations/{note}/", status=404)
    assert "Ours alone" not in page.content()
    tab.go("/annotations/00000000-0000-4000-8000-000000000000/", status=404)
    stage.delete(f"annotations/{note}/")


def test_what_cannot_be_saved_is_told_in_its_field(visit: Visitor, stage: Stage) -> None:
    note = written(stage, "With an end")
    tab = visit("olga")
    page = tab.go(f"/annotations/{note}/")
    page.get_by_label("Until (optional)").fill("2001-01-01T00:00")
    tab.expected_statuses = {400}
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("alert")).to_contain_text("before")
    expect(page.get_by_label("What happened?")).to_have_value("With an end")
    stage.delete(f"annotations/{note}/")
