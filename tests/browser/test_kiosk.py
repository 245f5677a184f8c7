"""Any page of numbers alone on a screen: by a key or the palette, anew by itself, and back with Escape."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Visitor
from tests.browser.test_journeys import fits
from tests.browser.test_pages import violations


@pytest.mark.parametrize("path", ["/?period=last_7d", "/revenue/?country=DE", "/realtime/", "/metrics/orders.count/"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_key_puts_a_page_on_a_wall_and_escape_takes_it_off(path: str, scheme: str, visit: Visitor) -> None:
    page = visit("olga", scheme=scheme).go(path)
    heading = page.locator("h1").inner_text()
    page.keyboard.press("f")
    page.wait_for_url("**kiosk=1**")
    expect(page.locator("h1")).to_have_text(heading)
    for gone in ("header.top", ".side", ".toolbar", ".as-table", ".actions"):
        assert page.locator(gone).locator("visible=true").count() == 0, gone
    expect(page.locator("live-badge")).to_be_visible()
    fits(page)
    assert violations(page) == []
    page.keyboard.press("Escape")
    page.wait_for_url(re.compile(re.escape(path) + "$"))
    expect(page.locator("header.top")).to_be_visible()


def test_a_phone_shows_a_wall_too(visit: Visitor) -> None:
    page = visit("olga", width=390).go("/?kiosk=1")
    fits(page)
    page.get_by_role("link", name="Leave kiosk").click()
    page.wait_for_url(re.compile("/$"))


def test_the_palette_knows_the_kiosk_of_this_page(visit: Visitor) -> None:
    page = visit("olga").go("/revenue/?period=last_7d")
    page.keyboard.press("Control+k")
    page.locator(".palette li").first.wait_for()
    page.keyboard.type("kiosk")
    page.keyboard.press("Enter")
    page.wait_for_url("**/revenue/?period=last_7d&kiosk=1")


def test_a_wall_loads_itself_again_but_never_leaves_for_nothing(visit: Visitor) -> None:
    tab = visit("olga")
    page = tab.page
    page.clock.install()
    tab.go("/revenue/?kiosk=1&seconds=10")
    page.evaluate("window.isOld = true")
    page.route("**/revenue/**", lambda route: route.abort())
    page.clock.run_for(25_000)
    page.wait_for_timeout(500)
    assert page.evaluate("window.isOld")
    page.unroute("**/revenue/**")
    page.clock.run_for(11_000)
    page.wait_for_function("() => window.isOld === undefined")
    expect(page.locator(".tile").first).to_be_visible()
    tab.troubles = [each for each in tab.troubles if "ERR_FAILED" not in each]


def test_a_paused_wall_stays(visit: Visitor) -> None:
    tab = visit("olga")
    page = tab.page
    page.clock.install()
    tab.go("/?kiosk=1&seconds=10")
    page.evaluate("window.isOld = true")
    page.get_by_role("button", name="Pause").click()
    page.clock.run_for(60_000)
    page.wait_for_timeout(500)
    assert page.evaluate("window.isOld")


def test_escape_leads_out_though_single_keys_are_off(visit: Visitor) -> None:
    tab = visit("olga")
    tab.context.add_cookies([{"url": tab.stage.url, "name": "bw_keys", "value": "off"}])
    page = tab.go("/")
    page.keyboard.press("f")
    page.wait_for_timeout(300)
    assert "kiosk" not in page.url
    tab.go("/?kiosk=1")
    page.keyboard.press("Escape")
    page.wait_for_url(re.compile("/$"))
