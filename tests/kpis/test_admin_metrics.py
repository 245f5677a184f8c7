"""The admin pages of what is counted, with numbers in them."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.test import Client
from django.utils import timezone

from analytics.access.services import membership_set
from analytics.jobs import run_due
from analytics.models import Tenant
from kpis.admin import duration_shown
from kpis.mapping import event_names_read
from kpis.models import MetricDefinition
from kpis.rollup.refresh import refresh_tenant
from kpis.sparkline import sparkline
from tests.analytics.events import event, write

pytestmark = pytest.mark.django_db
CATALOGUE = "/admin/bellwether_kpis/metricdefinition/"


@pytest.fixture
def browser(acme: Tenant) -> Client:
    user = get_user_model().objects.create_user(username="olga", password="x", is_staff=True)
    membership_set(tenant_id=acme.pk, user=user, role="owner")
    client = Client()
    client.force_login(user)
    return client


def sell(tenant: Tenant, amounts: list[int], now: datetime) -> None:
    """Orders of yesterday, in minor units of the tenant's currency."""
    at = now - timedelta(days=1)
    money: dict[str, Any] = {
        "name": "order_completed",
        "timestamp": at,
        "received_at": now,
        "currency": tenant.base_currency,
    }
    write(tenant, [event(tenant, f"order-{amount}", amount=amount, **money) for amount in amounts], now=now)
    refresh_tenant(tenant.pk, now=now)


def test_the_catalogue_shows_each_metric_of_this_tenant_with_its_line(
    acme: Tenant, globex: Tenant, browser: Client
) -> None:
    now = timezone.now()
    sell(acme, [1000, 2050], now)
    sell(globex, [999_900], now)
    page = browser.get(CATALOGUE).content.decode()
    assert "30.50 EUR" in page
    assert "9999.00" not in page
    assert '<polyline points="' in page


def test_a_metric_has_a_page_that_explains_it(acme: Tenant, browser: Client) -> None:
    sell(acme, [1000], timezone.now())
    page = browser.get(f"{CATALOGUE}of/revenue.gross/").content.decode()
    for text in ("10.00 EUR", "How it is computed", "days of Europe/Paris", "Counted through"):
        assert text in page


def test_an_unknown_metric_is_told_with_the_nearest_name(acme: Tenant, browser: Client) -> None:
    sell(acme, [1000], timezone.now())
    answer = browser.get(f"{CATALOGUE}of/revenue.gros/")
    assert answer.status_code == 404
    assert "revenue.gross" in answer.content.decode()


def test_before_the_first_event_the_page_says_what_to_do(acme: Tenant, browser: Client) -> None:
    assert browser.get(CATALOGUE).status_code == 200


def definition(**changes: Any) -> dict[str, Any]:
    values = {"metric": "shop.basket", "name": "Basket", "formula": "revenue.gross / orders.count", "unit": "money"}
    return {**values, "kind": "kpi", "better": "up", "help": "", "owner": ""} | changes


def test_a_formula_is_saved_and_counted(acme: Tenant, browser: Client) -> None:
    sell(acme, [1000, 3000], timezone.now())
    assert browser.post(f"{CATALOGUE}add/", definition()).status_code == 302
    assert "20.00 EUR" in browser.get(f"{CATALOGUE}of/shop.basket/").content.decode()


def test_a_broken_formula_is_refused_with_the_place_of_the_fault(acme: Tenant, browser: Client) -> None:
    page = browser.post(f"{CATALOGUE}add/", definition(formula="revenue.gross / (orders.count")).content.decode()
    assert "errorlist" in page
    assert MetricDefinition.objects.count() == 0


@pytest.mark.parametrize(
    ("values", "lines"),
    [
        ([], ()),
        ([None, None], ()),
        ([Decimal(0), Decimal(10)], ("2.0,26.0 118.0,2.0",)),
        ([Decimal(5), Decimal(5), Decimal(5)], ("2.0,14.0 60.0,14.0 118.0,14.0",)),
        ([Decimal(1), None, Decimal(3)], ("2.0,26.0 2.0,26.0", "118.0,2.0 118.0,2.0")),
    ],
)
def test_a_sparkline_spans_its_box_and_breaks_at_gaps(values: list[Decimal | None], lines: tuple[str, ...]) -> None:
    assert sparkline(values) == lines


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [(340, "340 ms"), (12_500, "12.5 s"), (150_094, "2 min 30 s"), (3_900_000, "1 h 05 min")],
)
def test_durations_read_as_people_say_them(milliseconds: int, text: str) -> None:
    assert duration_shown(Decimal(milliseconds)) == text


NAMES = f"{CATALOGUE}event-names/"


def test_own_event_names_are_previewed_and_then_counted(acme: Tenant, globex: Tenant, browser: Client) -> None:
    now = timezone.now()
    told: dict[str, Any] = {"timestamp": now - timedelta(days=1), "received_at": now}
    write(acme, [event(acme, "o1", name="Bought <b>it", **told)], now=now)
    refresh_tenant(acme.pk, now=now)
    page = browser.get(NAMES).content.decode()
    assert "Bought &lt;b&gt;it" in page
    assert "<b>it" not in page
    line = {"names": "Bought <b>it = order_completed\n"}
    preview = browser.post(NAMES, {**line, "preview": "1"}).content.decode()
    assert "1 events change their meaning" in preview
    assert "orders.repeat_rate" in preview
    assert event_names_read(tenant_id=acme.pk).building is None
    assert browser.post(NAMES, {**line, "save": "1"}).status_code == 302
    assert "is being counted" in browser.get(NAMES).content.decode()
    run_due(only=["rollup.switch_calendar"])
    assert event_names_read(tenant_id=acme.pk).live == {"Bought <b>it": "order_completed"}
    assert event_names_read(tenant_id=globex.pk).live == {}


@pytest.mark.parametrize(
    ("line", "message"),
    [("Bought", "not of the form"), ("Bought = order_complete", "did you mean order_completed")],
)
def test_names_that_will_not_do_are_refused_in_the_page(acme: Tenant, browser: Client, line: str, message: str) -> None:
    answer = browser.post(NAMES, {"names": line, "save": "1"})
    assert (answer.status_code, message in answer.content.decode()) == (200, True)


def test_who_may_only_look_cannot_change_names(acme: Tenant, browser: Client) -> None:
    user = get_user_model().objects.get(username="olga")
    membership_set(tenant_id=acme.pk, user=user, role="viewer")
    assert browser.post(NAMES, {"names": "Bought = gift_sent", "save": "1"}).status_code == 403
    assert event_names_read(tenant_id=acme.pk).building is None
