"""Every page answers, with the numbers of the tenant that is looked at and of nobody else."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from html import unescape
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from analytics.access.services import membership_set
from analytics.models import Tenant
from reports.dashboard.areas import AREAS, PLATFORMS
from tests.reports.dashboard.conftest import sell, text_of

pytestmark = pytest.mark.django_db
PAGES = ["/", *(f"/{slug}/" for slug in AREAS), *(f"/platforms/{slug}/" for slug in PLATFORMS)]
PAGES += ["/metrics/", "/metrics/revenue.gross/", "/metrics/users.mau/", "/metrics/mrr.closing/", "/realtime/"]
PAGES += [f"/metrics/revenue.gross/{panel}/" for panel in ("moved", "explained", "ledger")]


@pytest.mark.parametrize("path", PAGES)
def test_every_page_answers_with_history_and_without(path: str, acme: Tenant, olga: Client) -> None:
    assert olga.get(path).status_code == 200


@pytest.mark.parametrize("path", PAGES)
def test_every_page_answers_with_numbers(path: str, shops: datetime, olga: Client) -> None:
    page = text_of(olga.get(path))
    assert page.count("<h1") == 1
    assert "9,999" not in page


@pytest.mark.parametrize("path", PAGES)
def test_a_signed_out_visitor_is_asked_to_sign_in_and_comes_back(path: str, client: Client, db: None) -> None:
    answer = client.get(path)
    assert (answer.status_code, answer["Location"]) == (302, f"/login/?next={path}")


def test_two_centuries_fit_a_page(shops: datetime, olga: Client) -> None:
    page = text_of(olga.get("/?from=1970-01-02&to=2199-12-31"))
    assert len(page) < 600_000
    assert '<th scope="row">1970' in page


def test_head_is_answered_as_get(shops: datetime, olga: Client) -> None:
    assert olga.head("/").status_code == 200


def test_the_overview_has_twelve_tiles_and_four_charts(shops: datetime, olga: Client) -> None:
    page = text_of(olga.get("/"))
    assert page.count('<article class="tile"') == 12
    assert page.count("<kpi-chart") == 4
    assert "€40.49" in page
    assert "Europe/Paris" in page
    assert "Data through" in page


def test_two_tenants_see_their_own_numbers_in_their_own_money(shops: datetime, olga: Client, sam: Client) -> None:
    ours, theirs = text_of(olga.get("/")), text_of(sam.get("/"))
    assert "€40.49" in ours
    assert "9,999.00" not in ours
    assert "NPR 9,999.00" in theirs
    assert "€" not in theirs
    assert "Asia/Kathmandu" in theirs


def test_the_overview_asks_at_most_25_times(shops: datetime, olga: Client) -> None:
    olga.get("/")
    with CaptureQueriesContext(
        connection,
    ) as asked:
        olga.get("/?compare=year_ago")
    assert 3 < len(asked) <= 25, [query["sql"][:120] for query in asked]


def test_a_card_stands_alone(shops: datetime, olga: Client) -> None:
    assert "€40.49" in text_of(olga.get("/cards/tile/?metric=revenue.gross"))
    assert "<kpi-chart" in text_of(olga.get("/cards/chart/?metric=revenue.gross"))
    table = text_of(olga.get("/cards/table/?metric=revenue.gross&by=country"))
    assert [key for key in ("France", "Germany") if f">{key}</a>" in table] == ["France", "Germany"]
    assert "There is no" in text_of(olga.get("/cards/tile/?metric=revenue.gros"))


def test_a_click_on_a_row_filters_everything(shops: datetime, olga: Client) -> None:
    page = text_of(olga.get("/revenue/"))
    href = re.search(r'<a href="(/revenue/\?country=DE[^"]*)"', page)
    assert href
    narrowed = text_of(olga.get(unescape(href[1])))
    assert "€9.99" in narrowed
    assert "€40.49" not in narrowed
    assert 'aria-label="Remove filter: country is Germany"' in narrowed


def test_the_metric_page_shows_definition_breakdown_and_table(shops: datetime, olga: Client) -> None:
    page = text_of(olga.get("/metrics/revenue.gross/?by=platform"))
    for expected in ("Gross revenue", "revenue.gross", "€40.49", ">web</a>", ">ios</a>", "View as table"):
        assert expected in page


def test_a_metric_that_does_not_exist_offers_the_nearest(shops: datetime, olga: Client) -> None:
    answer = olga.get("/metrics/revenue.gros/")
    assert answer.status_code == 404
    assert '<a href="/metrics/revenue.gross/">Gross revenue</a>' in answer.content.decode()


def test_metrics_are_found_by_words(shops: datetime, olga: Client) -> None:
    page = text_of(olga.get("/metrics/?search=gross+revenue"))
    assert "/metrics/revenue.gross/" in page
    assert "/metrics/users.mau/" not in page
    assert "Nothing found" in text_of(olga.get("/metrics/?search=qqqq"))


def test_a_viewer_sees_numbers_but_no_single_events(
    shops: datetime, acme: Tenant, browser_of: Callable[[Any], Client]
) -> None:
    viewer = get_user_model().objects.create_user(username="vera")
    membership_set(tenant_id=acme.pk, user=viewer, role="viewer")
    browser = browser_of(viewer)
    assert "€40.49" in text_of(browser.get("/"))
    assert "What has just happened" not in text_of(browser.get("/realtime/"))


def test_a_role_that_may_only_send_is_shown_the_way_out(acme: Tenant, browser_of: Callable[[Any], Client]) -> None:
    sender = get_user_model().objects.create_user(username="ines")
    membership_set(tenant_id=acme.pk, user=sender, role="ingest")
    browser = browser_of(sender)
    answer = browser.get("/")
    page = answer.content.decode()
    assert answer.status_code == 403
    assert "Your role in acme (ingest) sends events and sees no pages" in page
    assert 'href="/"' not in page, "the overview would only lead back here"
    assert 'action="/logout/"' in page
    assert "Look at" not in page, "there is no other tenant"


def test_who_sends_for_one_tenant_and_sees_another_begins_there(
    acme: Tenant, globex: Tenant, browser_of: Callable[[Any], Client]
) -> None:
    sender = get_user_model().objects.create_user(username="ines")
    membership_set(tenant_id=acme.pk, user=sender, role="ingest")
    membership_set(tenant_id=globex.pk, user=sender, role="viewer")
    browser = browser_of(sender)
    assert browser.get("/").status_code == 200
    assert browser.post("/tenant/", {"slug": "acme"}).status_code == 302
    shut = browser.get("/")
    assert shut.status_code == 403
    assert "Look at globex" in shut.content.decode()


def test_an_account_without_a_tenant_is_told_what_to_ask_for(db: None, browser_of: Callable[[Any], Client]) -> None:
    answer = browser_of(get_user_model().objects.create_user(username="nina")).get("/")
    assert answer.status_code == 403
    assert "belongs to no tenant" in answer.content.decode()


def test_before_the_first_event_the_page_says_how_to_send_one(acme: Tenant, olga: Client) -> None:
    page = text_of(olga.get("/"))
    assert "No events yet" in page
    assert "curl" in page


def test_nothing_of_a_page_needs_inline_script_or_style(shops: datetime, olga: Client) -> None:
    for path in ("/", "/metrics/revenue.gross/", "/realtime/", "/login/"):
        answer = olga.get(path)
        page = answer.content.decode()
        assert not re.search(r"<[^>]+\sstyle=|<[^>]+\son\w+=|<style|hx-on|href=\"javascript", page)
        assert re.findall(r"<script(?![^>]*(?:src=|application/json))", page) == []
        assert re.findall(r"(?:src|href)=\"(?:https?:)?//", page) == []
        policy = answer["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy


def test_realtime_answers_304_to_who_has_it_already(shops: datetime, olga: Client) -> None:
    first = olga.get("/realtime/", headers={"HX-Request": "true"})
    assert "<html" not in text_of(first)
    again = olga.get("/realtime/", headers={"HX-Request": "true", "If-None-Match": first["ETag"]})
    assert again.status_code in (304, 200)
    if again.status_code == 200:  # the minute ended between the two
        assert again["ETag"] != first["ETag"]


def test_the_head_says_how_many_people_are_there_as_realtime_does(
    acme: Tenant, globex: Tenant, olga: Client, sam: Client
) -> None:
    sell(acme, [1000, 2050], days_ago=0)
    there = olga.get("/realtime/present/")
    assert "<b>2</b> active" in text_of(there)
    assert re.search(r"<h3>Active users</h3><p class=\"value\">2</p>", text_of(olga.get("/realtime/")))
    assert olga.get("/realtime/present/", headers={"If-None-Match": there["ETag"]}).status_code in (200, 304)
    assert text_of(sam.get("/realtime/present/")).strip() == ""
    assert "/realtime/present/" in text_of(olga.get("/"))


def test_a_filter_that_one_metric_refuses_leaves_the_others_their_numbers(shops: datetime, olga: Client) -> None:
    page = text_of(olga.get("/revenue/?country=DE&period=last_7d"))
    assert "€9.99" in page
    refused = page.split('data-metric="mrr.closing"')[1].split("</article>")[0]
    assert "neither broken down nor filtered" in refused
    assert 'data-live="off"' in refused


def test_only_who_may_open_the_admin_is_led_there(
    shops: datetime, acme: Tenant, browser_of: Callable[[Any], Client]
) -> None:
    people: Any = get_user_model().objects
    for name, is_staff in (("vera", False), ("stan", True)):
        person = people.create_user(username=name, is_staff=is_staff)
        membership_set(tenant_id=acme.pk, user=person, role="viewer")
        browser = browser_of(person)
        assert ('href="/admin/"' in text_of(browser.get("/"))) == is_staff
        assert (["Admin", "Manage", "/admin/"] in browser.get("/palette.json").json()) == is_staff
