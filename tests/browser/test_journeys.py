"""What people do in a day, in light and dark, on a wide screen and on a phone."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Visitor
from tests.browser.prepare import PASSWORD

SCREENS = [(1440, "light"), (1440, "dark"), (390, "light"), (390, "dark")]
screens = pytest.mark.parametrize(("width", "scheme"), SCREENS, ids=[f"{width} {scheme}" for width, scheme in SCREENS])


def fits(page: Page) -> None:
    """The page scrolls down, never sideways."""
    assert page.evaluate("document.documentElement.scrollWidth") <= page.evaluate("window.innerWidth"), page.url


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
