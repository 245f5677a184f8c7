"""What people do in a day, in light and dark, on a wide screen and on a phone."""

from __future__ import annotations

import csv
import io
import re
import time
from datetime import date, timedelta
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Visitor
from tests.browser.prepare import PASSWORD
from tests.browser.stage import Stage
from tests.browser.world import world

SCREENS = [(1440, "light"), (1440, "dark"), (390, "light"), (390, "dark")]
screens = pytest.mark.parametrize(("width", "scheme"), SCREENS, ids=[f"{width} {scheme}" for width, scheme in SCREENS])


def fits(page: Page) -> None:
    """The page scrolls down, never sideways."""
    page.wait_for_load_state()
    page.wait_for_function("() => document.documentElement?.scrollWidth <= window.innerWidth", timeout=5000)


def sign_in(page: Page, name: str = "olga") -> None:
    page.get_by_label("Name").fill(name)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()


@screens
def test_from_signing_in_to_the_number_behind_a_number(visit: Visitor, width: int, scheme: str) -> None:
    tab = visit(width=width, scheme=scheme)
    page = tab.go("/revenue/")
    sign_in(page)
    page.wait_for_url("**/revenue/")
    fits(page)

    page.goto("/")
    expect(page.locator(".tile")).to_have_count(12)
    fits(page)
    if width < 600:
        page.get_by_label("Menu", exact=True).click()
    page.get_by_role("link", name="Revenue", exact=True).locator("visible=true").first.click()
    expect(page).to_have_url(re.compile("/revenue/"))

    page.locator(".tile h3 a").first.click()
    expect(page.locator("h1")).to_be_visible()
    assert "/metrics/" in page.url
    fits(page)


@screens
def test_a_row_narrows_the_page_and_the_way_back_leads_out(visit: Visitor, width: int, scheme: str) -> None:
    page = visit("olga", width=width, scheme=scheme).go("/metrics/revenue.gross/?by=country")
    whole = page.locator(".card-value").first.inner_text()
    row = page.locator("#breakdown table.bars th a").first
    country = row.inner_text()
    row.click()
    page.wait_for_url(re.compile(r"country=[A-Z]{2}\b"))
    chip = page.get_by_label(re.compile(f"Remove filter: country is {country}", re.IGNORECASE))
    expect(chip).to_be_visible()
    assert page.locator(".card-value").first.inner_text() != whole
    page.go_back()
    expect(page.locator(".card-value").first).to_have_text(whole, use_inner_text=True)
    page.go_forward()
    page.get_by_label(re.compile(f"Remove filter: country is {country}", re.IGNORECASE)).click()
    expect(page.locator(".chip.removable")).to_have_count(0)
    assert "country=" not in page.url
    fits(page)


@screens
def test_another_range_another_comparison_and_the_table(visit: Visitor, width: int, scheme: str) -> None:
    page = visit("olga", width=width, scheme=scheme).go("/metrics/orders.count/")
    compare = page.locator(".toolbar details").nth(1)
    compare.locator("summary").click()
    compare.get_by_role("link", name="Year ago").click()
    page.wait_for_url("**compare=year_ago**")
    ranges = page.locator(".toolbar details").first
    ranges.locator("summary").click()
    today = date.today()
    ranges.get_by_label("First day").fill(str(today - timedelta(days=20)))
    ranges.get_by_label("Last day").fill(str(today - timedelta(days=11)))
    ranges.get_by_role("button", name="Apply").click()
    page.wait_for_url(f"**to={today - timedelta(days=10)}**")
    assert "compare=year_ago" in page.url
    page.get_by_text("View as table").first.click()
    expect(page.locator(".as-table tbody tr:visible")).to_have_count(10)
    fits(page)


def test_a_card_downloads_the_numbers_it_shows(visit: Visitor) -> None:
    page = visit("olga").go("/metrics/orders.count/?period=last_7d")
    total = page.locator(".card-value data, .card-value").first.inner_text().split()[0].replace(",", "")
    page.get_by_label("Actions for Orders").first.click()
    with page.expect_download() as download:
        page.get_by_role("link", name=re.compile("CSV")).locator("visible=true").first.click()
    rows = list(csv.reader(io.StringIO(Path(download.value.path()).read_text(encoding="utf-8-sig"))))
    column = next(place for place, name in enumerate(rows[0]) if name in ("value", "orders.count", "Orders"))
    days = [row for row in rows[1:] if row and row[column]]
    assert sum(float(row[column]) for row in days) == float(total)


@screens
def test_a_goal_is_set_checked_in_on_and_put_away(visit: Visitor, width: int, scheme: str) -> None:
    page = visit("olga", width=width, scheme=scheme).go("/goals/new/")
    name = f"Orders {width} {scheme}"
    page.get_by_label("Name", exact=True).fill(name)
    page.get_by_label("Metric", exact=True).fill("orders.count")
    page.get_by_label("Target", exact=True).fill("400")
    page.get_by_label("First day (any day of the period)").fill(str(date.today()))
    page.get_by_role("button", name="Set it").click()
    expect(page.locator("h1")).to_have_text(name)
    page.get_by_label("How sure").fill("70")
    page.get_by_role("button", name="Say so").click()
    expect(page.get_by_text("70 %", exact=False).first).to_be_visible()
    fits(page)
    page.get_by_role("button", name="Put away").click()
    page.wait_for_url("**/goals/")
    expect(page.get_by_role("link", name=name)).to_have_count(0)


def test_a_note_is_on_the_charts_until_it_is_taken_away(visit: Visitor) -> None:
    page = visit("olga").go("/annotations/")
    page.get_by_label("What happened?").fill("The fair in Lyon")
    page.get_by_role("button", name="Write it down").click()
    expect(page.get_by_role("cell", name="The fair in Lyon")).to_be_visible()
    page.goto("/metrics/orders.count/?period=this_month")
    expect(page.locator("ol[aria-label=Annotations]").first).to_contain_text("The fair in Lyon")
    page.goto("/annotations/")
    page.get_by_label("Delete The fair in Lyon").click()
    page.get_by_role("button", name="Yes, delete it").click()
    page.goto("/metrics/orders.count/?period=this_month")
    expect(page.get_by_text("The fair in Lyon")).to_have_count(0)


def add_card(page: Page, kind: str, **fields: str) -> None:
    page.get_by_role("button", name="Add a card").click()
    dialog = page.locator("#card-dialog")
    dialog.locator("[name=kind]").select_option(kind)
    for name, value in fields.items():
        dialog.locator(f"[name={name}]").fill(value)
    dialog.get_by_role("button", name="Apply").click()
    expect(dialog).to_be_hidden()


@screens
def test_a_board_is_made_arranged_shared_and_closed_again(visit: Visitor, width: int, scheme: str) -> None:
    tab = visit("olga", width=width, scheme=scheme)
    page = tab.go("/boards/")
    title = f"Meeting {width} {scheme}"
    page.get_by_label("Title").fill(title)
    page.get_by_role("button", name="Make it").click()
    page.wait_for_url("**/edit/**")
    add_card(page, "tile", metric="revenue.gross")
    add_card(page, "chart", metric="orders.count")
    add_card(page, "text", text="Look here first", title="Guide")
    fits(page)

    handle = page.get_by_label("Move Guide", exact=True)
    handle.focus()
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Shift+ArrowRight")
    page.keyboard.press("Shift+ArrowDown")
    expect(handle).to_be_focused()
    expect(page.locator("#announcer")).to_contain_text(re.compile(r"Guide: column \d+, place 1, \d+ wide, \d+ high"))
    page.get_by_role("button", name="Save", exact=True).click()
    expect(page.locator("h1")).to_have_text(title)
    kinds = page.locator(".board .slot").evaluate_all("slots => slots.map((slot) => slot.classList[1])")
    assert kinds.index("text-slot") < kinds.index("chart-slot")
    expect(page.locator(".text-slot")).to_contain_text("Look here first")
    fits(page)

    page.get_by_role("link", name="Share").click()
    page.get_by_label("Who is it for?").fill("The board")
    page.get_by_role("button", name="Make the link").click()
    link = page.locator("table code").first.text_content() or ""
    fits(page)
    tab.check("links")

    stranger = visit(width=width, scheme=scheme)
    path = re.sub(r"^https?://[^/]+", "", link)
    seen = stranger.go(path)
    expect(seen.locator("h1")).to_have_text(title)
    expect(seen.locator(".tile .value")).to_be_visible()
    assert seen.locator("a[href^='/metrics/']").count() == 0
    fits(seen)

    page.get_by_label("Close the link The board").click()
    page.get_by_role("button", name="Yes, close it for good").click()
    expect(page.locator("table")).not_to_contain_text("Open")
    stranger.go(path, status=404)


def test_a_link_with_a_password_asks_for_it(visit: Visitor, stage: Stage) -> None:
    tab = visit()
    page = tab.go(world(stage).locked_link, status=401)
    page.get_by_label("Password").fill("nonsense")
    page.get_by_role("button", name="Open the board").click()
    expect(page.get_by_role("alert")).to_be_visible()
    page.get_by_label("Password").fill("open sesame")
    page.get_by_role("button", name="Open the board").click()
    expect(page.locator("h1")).to_have_text("Monday")


def test_names_of_events_are_mapped_after_a_look_at_what_that_does(visit: Visitor, stage: Stage) -> None:
    name = f"bought_{time.time_ns()}"
    before = stage.series("pulse", "events.count", "period=today")["total"] or 0
    stage.capture("pulse", *({"event": name, "distinct_id": f"buyer-{n}"} for n in range(3)))
    stage.await_total("pulse", "events.count", "period=today", before + 3)
    page = visit("pia").go("/settings/events/")
    page.get_by_label(f"{name} stands for").fill("order_completed")
    page.get_by_role("button", name="Preview").click()
    expect(page.get_by_role("heading", name="What this would do")).to_be_visible()
    page.get_by_role("button", name="Save and count again").click()
    expect(page.get_by_text("Saved. History is being counted")).to_be_visible()
    stage.await_total("pulse", "orders.count", "period=today", before + 3)


@screens
def test_signing_out_closes_every_page(visit: Visitor, width: int, scheme: str) -> None:
    tab = visit(width=width, scheme=scheme)
    page = tab.go("/login/")
    sign_in(page, "vera")
    expect(page.locator(".tile").first).to_be_visible()
    page.get_by_label("Account and theme").click()
    page.get_by_role("button", name="Sign out").click()
    page.wait_for_url("**/login/**")
    page.goto("/revenue/")
    expect(page.get_by_role("button", name="Sign in")).to_be_visible()
    page.go_back()
    page.go_back()
    expect(page.locator(".tile")).to_have_count(0)


def test_the_theme_is_kept_without_a_flash(visit: Visitor) -> None:
    page = visit("olga").go("/")
    page.get_by_label("Account and theme").click()
    page.get_by_role("button", name="Dark").click()
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.goto("/revenue/")
    assert page.locator("html").get_attribute("data-theme") == "dark"
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == dark
