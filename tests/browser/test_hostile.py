"""Names out of events and forms are text wherever they are shown: nothing runs, nothing asks, nothing is refused."""

from __future__ import annotations

import csv
import io
import re
import zipfile
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from urllib.parse import quote, urlencode
from xml.etree import ElementTree

import httpx
import pytest
from playwright.sync_api import Browser, Page

from tests.browser.payloads import payloads
from tests.browser.stage import Stage
from tests.browser.walk import Visit

DIMENSIONS = ("campaign", "channel", "platform", "method", "reason", "tier", "content_type", "object_type")
EACH = 63
TODAY = "period=today"


@pytest.fixture(scope="module")
def names(stage: Stage) -> dict[str, list[str]]:
    """Each payload is a value of one dimension, and the name of an event. As the API tells them, by dimension."""
    hostile = payloads()
    if not stage.series("hostile", "events.count", TODAY)["total"]:
        events = []
        for number, text in enumerate(hostile):
            columns = {DIMENSIONS[number // EACH]: text, "amount": 10 + number % 7, "currency": "EUR"}
            events += [
                {"event": "order_completed", "distinct_id": f"h{number}", "properties": columns},
                {"event": text, "distinct_id": text, "properties": {"country": text, text: text}},
            ]
        stage.capture("hostile", *events)
    stage.await_total("hostile", "orders.count", TODAY, len(hostile), seconds=120)
    return {by: _keys(stage, by) for by in DIMENSIONS}


def _keys(stage: Stage, by: str) -> list[str]:
    found = stage.series("hostile", "orders.count", f"{TODAY}&by={by}&limit=100&granularity=total")
    return [row["key"] for row in found["series"] if not row["key"].startswith("__")]


@pytest.fixture(scope="module")
def tab(browser: Browser, stage: Stage) -> Iterator[Visit]:
    """Hana's tab for the whole file."""
    with browser.new_context(
        base_url=stage.url, reduced_motion="reduce", viewport={"width": 1440, "height": 900}
    ) as context:
        context.add_cookies([{"url": stage.url, **stage.sessions["hana"]}])  # type: ignore[typeddict-item]
        yield Visit(stage, context)


@pytest.fixture(autouse=True)
def quiet(tab: Visit) -> Iterator[None]:
    tab.troubles.clear()
    yield
    assert tab.page.evaluate("window.pwned") is None
    assert tab.troubles == []


def squeezed(text: str) -> str:
    """As a page shows it: white space is one blank, what has no glyph is nothing."""
    return " ".join(re.sub(r"[\x00-\x08\x0b\x0e-\x1f\x7f]", "", text).split())


def provoke(page: Page) -> None:
    """Touch everything that a name could hide in: pointers over rows, menus open, charts with their tips."""
    page.evaluate("document.querySelectorAll('details').forEach((each) => (each.open = true))")
    page.evaluate(
        """document.querySelectorAll('main *').forEach((each) => {
            for (const name of ['mouseover', 'focus', 'toggle', 'load', 'error']) each.dispatchEvent(new Event(name));
        })"""
    )
    if page.locator("kpi-chart").count():
        page.locator("kpi-chart").first.scroll_into_view_if_needed()
        page.locator("kpi-chart[data-drawn]").first.wait_for()
        page.locator("kpi-chart[data-drawn]").first.focus()
        page.keyboard.press("End")


def test_a_name_that_got_through_would_be_noticed(tab: Visit) -> None:
    """Else the silence of the others would mean nothing."""
    tab.go("/annotations/")
    # Without an address nothing is asked for, so no answer can come late and be blamed on the next test.
    image = "<img src='' onerror=alert(1)>"
    tab.page.evaluate("image => document.querySelector('main').insertAdjacentHTML('beforeend', image)", image)
    tab.page.wait_for_function("() => window.violations.length")
    tab.check()
    assert any("script-src" in each for each in tab.troubles)
    tab.troubles.clear()


@pytest.mark.parametrize("by", DIMENSIONS)
def test_values_of_a_dimension_are_read_as_they_were_sent(by: str, names: dict[str, list[str]], tab: Visit) -> None:
    page = tab.go(f"/metrics/orders.count/?{TODAY}&by={by}&limit=100")
    shown = {squeezed(text) for text in page.locator("#breakdown table.bars tbody th").all_text_contents()}
    assert len(names[by]) >= EACH - 10
    assert {squeezed(name) for name in names[by]} - shown == set()
    provoke(page)
    tab.check(by)


def test_a_payload_as_filter_title_and_chip_stays_text(names: dict[str, list[str]], tab: Visit) -> None:
    for by in DIMENSIONS[:4]:
        for name in names[by][::12]:
            page = tab.go(f"/metrics/orders.count/?{urlencode({'period': 'today', by: name, 'by': by})}")
            provoke(page)
            tab.check(name)


@pytest.mark.parametrize(
    "path", ["/", "/revenue/", "/realtime/", "/settings/events/", "/quality/", "/metrics/?search="]
)
def test_events_of_any_name_do_nothing_on_pages_that_list_them(
    path: str, names: dict[str, list[str]], tab: Visit
) -> None:
    page = tab.go(path + (quote(payloads()[3]) if path.endswith("=") else ""))
    provoke(page)
    tab.check(path)


def test_what_people_write_is_text_in_titles_tips_lists_and_the_palette(
    names: dict[str, list[str]], tab: Visit, stage: Stage
) -> None:
    now, hostile = datetime.now(UTC), payloads()
    boards, goals = [], []
    for number, text in enumerate(hostile[::14]):
        stage.post(
            "annotations/",
            "hostile",
            title=text,
            text=text,
            kind="note",
            at=f"{now - timedelta(minutes=number):%FT%TZ}",
        )
    for number, text in enumerate(hostile[::36]):
        cards = [
            {"kind": "tile", "metric": "orders.count", "title": text, "x": 1, "y": 1, "w": 4, "h": 2},
            {"kind": "table", "metric": "orders.count", "title": text, "query": {"by": "tier"}, "x": 5, "y": 1},
            {"kind": "chart", "metric": "orders.count", "title": text, "x": 1, "y": 2, "w": 8, "h": 5},
            {"kind": "text", "title": text, "text": text, "x": 1, "y": 3, "w": 4, "h": 2},
        ]  # fmt: skip
        boards.append(stage.post("boards/", "hostile", title=text, description=text, cards=cards)["id"])
        goal = {"name": text, "owner": text, "objective": text, "metric": "orders.count", "target": "900"}
        goals.append(stage.post("goals/", "hostile", first=str(now.date()), note=text, **goal)["id"])
        stage.post(
            "kpis/definitions/", "hostile", metric=f"custom.m{number}_{now:%H%M%S}", name=text, help=text,
            formula="orders.count + 1", unit="count",
        )  # fmt: skip
    paths = [
        "/annotations/",
        "/boards/",
        "/goals/",
        "/metrics/",
        f"/metrics/orders.count/?{TODAY}",
        f"/metrics/custom.m3_{now:%H%M%S}/",
    ]
    paths += [f"/boards/{key}/" for key in boards[::3]] + [f"/boards/{key}/edit/" for key in boards[::5]]
    paths += [f"/boards/{key}/links/" for key in boards[::7]] + [f"/goals/{key}/" for key in goals[::4]]
    for path in paths:
        page = tab.go(path)
        provoke(page)
        tab.check(path)
    shown = " ".join(squeezed(text) for text in tab.go("/annotations/").locator("tbody th").all_text_contents())
    assert [text for text in hostile[::14] if squeezed(text) not in shown] == []
    tab.page.keyboard.press("Control+k")
    tab.page.locator(".palette li").first.wait_for()
    tab.page.keyboard.type("script")
    tab.page.wait_for_timeout(200)


def test_files_hold_the_names_as_text_and_no_formula(names: dict[str, list[str]], stage: Stage) -> None:
    cookie = stage.sessions["hana"]
    with httpx.Client(base_url=stage.url, cookies={cookie["name"]: cookie["value"]}, timeout=30) as client:
        for by in DIMENSIONS:
            question = f"{TODAY}&by={by}&limit=100&granularity=total"
            text = client.get(f"/export/orders.count.csv?{question}").content.decode("utf-8-sig")
            cells = {cell for row in csv.reader(io.StringIO(text)) for cell in row}
            assert {cell for cell in cells if re.match(r"[=+@\t\r]|-\D|-\d+[+*/]", cell)} == set()
            assert (
                sum(squeezed(name) in {squeezed(cell.removeprefix("'")) for cell in cells} for name in names[by])
                >= EACH - 12
            )
            book = zipfile.ZipFile(io.BytesIO(client.get(f"/export/orders.count.xlsx?{question}").content))
            for part in book.namelist():
                if part.endswith(".xml"):
                    tree = ElementTree.fromstring(book.read(part))
                    assert [each for each in tree.iter() if each.tag.endswith("}f")] == []
                    assert [each for each in tree.iter() if each.tag.endswith("}hyperlink")] == []
