"""A page asked for as a fragment is its numbers alone; one that is empty waits for the first of them."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.test import Client
from django.utils import timezone

from analytics.models import Tenant
from kpis.rollup.refresh import refresh_tenant
from tests.analytics.events import event, write
from tests.reports.dashboard.conftest import sell, text_of

pytestmark = pytest.mark.django_db
FRAGMENT = {"HX-Request": "true"}
WAITING = {**FRAGMENT, "HX-Trigger": "awaiting"}


def parts(html: str) -> list[str]:
    return re.findall(r'data-fresh="([^"]+)"', html)


@pytest.mark.parametrize("path", ["/", "/revenue/?by=country", "/metrics/revenue.gross/?period=last_7d&by=channel"])
def test_the_fragment_has_the_parts_of_the_page_and_no_frame(path: str, shops: datetime, olga: Client) -> None:
    page, fragment = text_of(olga.get(path)), text_of(olga.get(path, headers=FRAGMENT))

    assert "<html" not in fragment
    assert len(set(parts(page))) == len(parts(page)) > 5
    assert parts(fragment) == parts(page)
    assert fragment.strip() in page


def test_a_named_range_ends_with_the_day_and_one_between_two_days_does_not(shops: datetime, olga: Client) -> None:
    def until(path: str) -> str:
        found = re.search(r'data-until="([^"]*)"', text_of(olga.get(path)))
        assert found
        return found[1]

    assert until("/?from=2026-11-01&to=2026-11-08") == ""
    ends = datetime.fromisoformat(until("/"))
    assert timedelta(0) < ends - shops <= timedelta(days=1, hours=1)
    assert ends.astimezone(ZoneInfo("Europe/Paris")).hour == 0


@pytest.mark.parametrize("path", ["/", "/revenue/", "/metrics/revenue.gross/", "/realtime/"])
def test_an_empty_page_waits_for_the_first_event(path: str, acme: Tenant, olga: Client) -> None:
    assert f'id="awaiting" hx-get="{path}"' in text_of(olga.get(path))
    before = olga.get(path, headers=WAITING)
    assert (before.status_code, before.get("HX-Refresh")) == (204, None)
    sell(acme, [1000], days_ago=0)
    after = olga.get(path, headers=WAITING)
    assert (after.status_code, after["HX-Refresh"]) == (204, "true")


def test_a_metric_without_any_value_says_so_in_its_chart(acme: Tenant, olga: Client) -> None:
    now = timezone.now()
    write(acme, [event(acme, "look", name="page_viewed", timestamp=now - timedelta(days=1), received_at=now)], now=now)
    refresh_tenant(acme.pk, now=now)
    page = text_of(olga.get("/metrics/orders.repeat_rate/"))
    assert '-nothing">No value in this range</p>' in page
    assert '-nothing"></p>' in text_of(olga.get("/metrics/orders.count/"))


def test_every_tile_chart_and_table_leads_to_its_explanation(shops: datetime, olga: Client) -> None:
    page = text_of(olga.get("/revenue/"))
    _, *cards = re.split(r'<(?:article class="tile"|figure class="card chart-|section class="card table-card)', page)
    told = [card for card in cards if "-problem" not in card]
    assert len(told) > 10
    for card in told:
        assert "#explained" in card
        assert "#moved" in card
        assert "Copy API call" in card
    assert "#moved" not in text_of(olga.get("/revenue/?compare=none"))


def test_on_the_first_day_pages_are_about_today(acme: Tenant, olga: Client) -> None:
    sell(acme, [1234], days_ago=0)
    page = text_of(olga.get("/"))
    assert "<strong>Today</strong>" in page
    assert "€12.34" in page
    assert "period=today" in page.split("Copy API call")[0].rpartition("data-target=")[2]
    assert "<strong>Last 30 days</strong>" in text_of(olga.get("/?period=last_30d"))
    sell(acme, [1000])
    assert "<strong>Last 30 days</strong>" in text_of(olga.get("/"))
