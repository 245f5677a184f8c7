"""Cost of a customer and the months until it came back, by hand."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.utils import timezone

from analytics.lake.sealing import seal_tenant
from analytics.lake.services import lake_mark
from analytics.models import Tenant
from analytics.tenancy import tenant_by_slug, tenant_context
from insights.customers.payback import Payback, payback_of
from kpis.explore.channels import Cost, costs_import
from tests.api import caller, problem
from tests.kpis.story import Story

pytestmark = pytest.mark.django_db(transaction=True)

MARCH = datetime(2026, 3, 1, 11, tzinfo=UTC)
DAY = timedelta(days=1)
NOW = datetime(2026, 6, 2, 10, tzinfo=UTC)


def spent(tenant: str, *rows: tuple[date, str, str, str]) -> None:
    costs = [Cost(day, channel, Decimal(amount), currency) for day, channel, amount, currency in rows]
    costs_import(tenant=tenant_by_slug(tenant), costs=costs, now=NOW)


@pytest.fixture
def shop(acme: Tenant, globex: Tenant, monkeypatch: pytest.MonkeyPatch, settings: Any, tmp_path: Path) -> Tenant:
    """Ann comes by a paid search and buys for 60.00 in March and 45.00 in May; Bob comes out of the blue in April and
    buys for 100.00. Search costs 70.00 in March and 10.00 in April, leaflets 20.00 in April, nothing in May.
    """
    monkeypatch.setattr(timezone, "now", lambda: NOW)
    settings.API_RATE_PER_MINUTE = 0
    settings.ANALYTICS_LAKE_URL = str(tmp_path / "lake")
    neighbour = Story(globex)
    neighbour.add("order_completed", MARCH, "fay", amount=999_00)
    neighbour.count(NOW)
    story = Story(acme)
    story.add("$pageview", MARCH - DAY / 24, "ann", channel="google", properties={"utm_medium": "cpc"})
    story.add("order_completed", MARCH, "ann", amount=60_00)
    story.add("order_completed", MARCH + 89 * DAY, "ann", amount=50_00)
    story.add("order_refunded", MARCH + 90 * DAY, "ann", amount=5_00)
    story.add("order_completed", MARCH + 32 * DAY, "bob", amount=100_00)
    story.count(NOW)
    for tenant in (acme, globex):
        lake_mark(tenant_id=tenant.pk, start=MARCH - DAY, end=NOW, reason="test", now=NOW)
        seal_tenant(tenant.pk, now=NOW, workers=1)
    spent(
        "acme",
        (date(2026, 3, 5), "paid_search", "40.00", "EUR"),
        (date(2026, 3, 31), "paid_search", "30.00", "EUR"),
        (date(2026, 4, 1), "paid_search", "10.00", "EUR"),
        (date(2026, 4, 20), "Leaflets", "20.00", "EUR"),
    )
    spent("globex", (date(2026, 3, 5), "paid_search", "1.00", "NPR"))
    return acme


def asked(tenant: Tenant, **parameters: Any) -> dict[str, Any]:
    answer = caller(tenant).get("customers/payback/", months=3, **parameters)
    assert answer.status_code == 200, answer.content
    found: dict[str, Any] = answer.json()
    return found


def told(row: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(row[name] for name in ("start", "customers", "cost", "cac", "months", "observed", "standing"))


def test_months_by_hand(shop: Tenant) -> None:
    """March: 60, 60, 105 of 70: the third month. April: 100 of 30 at once. Together 160 of 100 at once."""
    found = asked(shop)
    assert [told(row) for row in found["cohorts"]] == [
        ("2026-03-01", 1, "70.00", "70.00", 3, 3, "paid_back"),
        ("2026-04-01", 1, "30.00", "30.00", 1, 2, "paid_back"),
    ]
    assert [row["recovered"] for row in found["cohorts"]] == [1.5, pytest.approx(100 / 30)]
    assert told(found["overall"]) == (None, 2, "100.00", "50.00", 1, 3, "paid_back")
    assert (found["margin"], found["margin_from"]) == (1.0, "default")
    assert "100 %" in found["note"]


def test_other_rules_of_channels_are_another_version_and_another_question_is_none(shop: Tenant) -> None:
    before = asked(shop)["definition_version"]
    assert {asked(shop, by="campaign")["definition_version"], asked(shop, margin=0.5)["definition_version"]} == {before}
    caller(shop).send("PUT", "explore/channels/", {"rules": [{"channel": "Search", "source": "google*"}]})
    assert asked(shop)["definition_version"] != before


def test_channels_by_hand(shop: Tenant) -> None:
    """Search won Ann for 70 + 10: 60 of 80 come back in two months; of March alone 105 of 70 in the third."""
    channels = {row["channel"]: row for row in asked(shop)["channels"]}
    assert told(channels["paid_search"]) == (None, 1, "80.00", "80.00", 3, 3, "paid_back")
    assert [told(row)[:4] for row in channels["paid_search"]["cohorts"]] == [
        ("2026-03-01", 1, "70.00", "70.00"), ("2026-04-01", 0, "10.00", None),
    ]  # fmt: skip
    assert told(channels["Leaflets"])[1:] == (0, "20.00", None, None, 0, "no_customers")
    assert told(channels["__none__"])[1:] == (1, None, None, None, 0, "no_cost")


def test_of_half_the_revenue_it_takes_longer(shop: Tenant) -> None:
    march, april = asked(shop, margin="0.5")["cohorts"]
    assert (march["months"], march["standing"], march["recovered"]) == (None, "not_yet", 0.75)
    assert (april["months"], april["recovered"]) == (1, pytest.approx(50 / 30))


def test_the_tenants_margin_is_taken_and_told(shop: Tenant) -> None:
    with tenant_context(shop.pk):
        assert Tenant.objects.filter(pk=shop.pk).update(settings={"margin_share": 0.5}) == 1
    found = asked(shop)
    assert (found["margin"], found["margin_from"]) == (0.5, "setting")
    assert found["note"] == "Margin is 50 % of revenue, as the tenant's settings say."


def test_without_costs_there_are_no_months(shop: Tenant, globex: Tenant) -> None:
    assert asked(globex)["overall"]["cac"] == "1.00"
    found = payback_of(None, 3, None, (10, 20), Decimal(1))
    assert found == Payback(None, 3, None, None, None, 2, None, "no_cost")


def test_a_cost_without_a_rate_makes_no_month_too_cheap(shop: Tenant) -> None:
    spent("acme", (date(2026, 3, 9), "paid_search", "5.00", "USD"))
    found = asked(shop)
    assert told(found["cohorts"][0]) == ("2026-03-01", 1, None, None, None, 3, "no_cost")
    assert found["costs_without_rate"] == 1


@pytest.mark.parametrize("margin", ["0", "1.01", "-1", "NaN", "half", "1e-99999999"])
def test_a_margin_that_is_none_is_refused(shop: Tenant, margin: str) -> None:
    assert problem(caller(shop).get("customers/payback/", margin=margin))["status"] == 400
