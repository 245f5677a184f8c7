"""A page broken down (`by` in its address): each line is a value's own, each tenant has its own lines."""

from __future__ import annotations

import json
import re
from datetime import datetime
from html import unescape

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from tests.reports.dashboard.conftest import text_of

pytestmark = pytest.mark.django_db


def drawn(page: str, metric: str) -> dict[str, list[float | None]]:
    """The lines of a chart by their names."""
    found = re.search(rf'<script id="chart-{metric.replace(".", "-")}-data"[^>]*>(.*?)</script>', page, re.DOTALL)
    assert found
    return {part["name"]: part["values"] for part in json.loads(found[1]).get("parts", [])}


def legend(page: str, metric: str) -> list[tuple[str, str]]:
    """Names and values of a chart's legend."""
    card = page.split(f'id="chart-{metric.replace(".", "-")}"')[1].split("</figure>")[0]
    return re.findall(r'<(?:a|span) class="name"[^>]*>([^<]*)</(?:a|span)> <b>([^<]*)</b>', card)


def test_each_value_has_a_line_and_together_they_are_the_whole(shops: datetime, olga: Client) -> None:
    page = text_of(olga.get("/?period=last_7d&by=country"))
    lines = drawn(page, "revenue.gross")
    assert list(lines) == ["France", "Germany"]
    assert [sum(value or 0 for value in values) for values in lines.values()] == [30.5, 9.99]
    assert legend(page, "revenue.gross") == [("France", "€30.50"), ("Germany", "€9.99")]
    assert legend(page, "orders.count") == [("France", "2"), ("Germany", "1")]


def test_a_tile_tells_the_shares(shops: datetime, olga: Client) -> None:
    page = text_of(olga.get("/?period=last_7d&by=country"))
    tile = page.split('<article class="tile" data-metric="revenue.gross"')[1].split("</article>")[0]
    assert re.findall(r"</i>(\w+) <b>([^<]+)</b>", tile) == [("France", "75.3 %"), ("Germany", "24.7 %")]
    assert re.findall(r'class="line-\d" x="([\d.]+)" width="([\d.]+)"', tile) == [("0.0", "75.3"), ("75.3", "24.7")]


def test_another_tenant_has_its_own(shops: datetime, sam: Client) -> None:
    page = text_of(sam.get("/?period=last_7d&by=country"))
    assert list(drawn(page, "revenue.gross")) == ["Nepal"]
    assert "France" not in [name for name, _ in legend(page, "revenue.gross")]


def test_an_entry_narrows_and_ends_the_breakdown_another_column_keeps_it(shops: datetime, olga: Client) -> None:
    page = text_of(olga.get("/revenue/?period=last_7d&by=country"))
    hrefs = [
        unescape(href) for href in re.findall(r'<a (?:class="name" )?href="([^"]*)" title="Show only [^"]*"', page)
    ]
    assert "/revenue/?period=last_7d&country=FR" in hrefs
    assert "/revenue/?period=last_7d&by=country&platform=web" in hrefs


def test_the_table_has_a_column_for_each_line(shops: datetime, olga: Client) -> None:
    page = text_of(olga.get("/metrics/orders.count/?period=last_7d&by=platform"))
    assert ('<th scope="col" class="number">web</th><th scope="col" class="number">ios</th>') in page
    assert '<td class="number">3</td><td class="number">2</td><td class="number">1</td>' in page


def test_the_address_of_files_and_api_calls_is_broken_down_too(shops: datetime, olga: Client) -> None:
    page = unescape(text_of(olga.get("/?period=last_7d&by=country")))
    assert "/export/revenue.gross.csv?period=last_7d&by=country" in page
    assert re.search(r"/api/v1/kpis/revenue\.gross/series/\?[^\"]*by=country", page)


def test_what_has_not_the_dimension_stays_whole_and_says_so(shops: datetime, olga: Client) -> None:
    page = text_of(olga.get("/revenue/?by=reason"))
    assert page.count("<kpi-chart") == 4
    assert "broken down by reason" in page or "not by reason" in page


def test_a_dimension_that_does_not_exist_is_a_complaint(shops: datetime, olga: Client) -> None:
    page = text_of(olga.get("/?by=zork"))
    assert "There is no dimension &#x27;zork&#x27;" in page
    assert page.count("<kpi-chart") == 4
    assert 'class="legend"' not in page


def test_a_property_is_counted_from_the_events(shops: datetime, olga: Client) -> None:
    page = text_of(olga.get("/?period=last_7d&by=properties.plan"))
    assert list(drawn(page, "revenue.gross")) == ["(none)"]
    assert "from events" in page


def test_a_broken_down_overview_asks_at_most_25_times(shops: datetime, olga: Client) -> None:
    olga.get("/")
    with CaptureQueriesContext(connection) as asked:
        text_of(olga.get("/?by=country&compare=year_ago"))
    assert len(asked) <= 25, [query["sql"][:120] for query in asked]


def test_a_card_alone_leads_back_to_its_page(shops: datetime, olga: Client) -> None:
    card = text_of(olga.get("/cards/chart/?metric=orders.count&period=last_7d&by=country&page=/revenue/"))
    assert legend(card, "orders.count") == [("France", "2"), ("Germany", "1")]
    assert "/revenue/?period=last_7d&amp;country=FR" in card
    foreign = text_of(olga.get("/cards/chart/?metric=orders.count&by=country&page=//evil.example/"))
    assert "evil.example" not in foreign.replace("page=%2F%2Fevil.example", "")


def test_a_card_that_takes_too_long_says_whom_to_ask_and_is_not_remembered(
    shops: datetime, olga: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    from reports.dashboard import pages
    from reports.dashboard.reading import TOO_SLOW, Numbers, numbers_read

    def slow(names: list[str], ask: object, *, tenant_id: int, catalogue: object) -> Numbers:
        found = numbers_read(names, ask, tenant_id=tenant_id, catalogue=catalogue)  # type: ignore[arg-type]
        return Numbers(found.catalogue, {}, dict.fromkeys(names, TOO_SLOW))

    with monkeypatch.context() as patched:
        patched.setattr(pages, "numbers_read", slow)
        answer = olga.get("/?period=last_7d")
        page = text_of(answer)
    assert TOO_SLOW in page
    assert '<a class="button" href="/?period=last_7d">Try again</a>' in page
    assert f"Request {answer['X-Request-ID']}" in page
    assert TOO_SLOW not in text_of(olga.get("/?period=last_7d"))


def test_a_chart_of_a_board_is_broken_down_for_the_team_and_whole_for_strangers(
    shops: datetime, olga: Client, client: Client
) -> None:
    card = "{kind: chart, metric: revenue.gross, query: {by: country, period: last_7d}, x: 1, y: 1, w: 6, h: 5}"
    made = olga.post("/boards/import/", {"yaml": f"title: Countries\ncards: [{card}]"}, follow=True)
    found = re.search(r'href="(/boards/[0-9a-f-]{36}/)"', text_of(made))
    assert found
    ours = text_of(olga.get(found[1]))
    assert re.findall(r'class="name"[^>]*>([^<]*)<', ours) == ["France", "Germany"]
    assert f"{found[1]}?country=FR" in unescape(ours)
    links = olga.post(f"{found[1]}links/", {"name": "All", "expires_on": f"{shops:%Y}-12-31"}, follow=True)
    path = re.search(r"/shared/[^/\"]+/", text_of(links))
    assert path
    theirs = text_of(client.get(path[0]))
    assert "<kpi-chart" in theirs
    for hidden in ('class="legend"', "France", "data-refresh", "/annotations/"):
        assert hidden not in theirs
