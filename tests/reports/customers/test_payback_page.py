"""Payback on screen and as a file, by channel and by campaign; costs told one by one and taken back."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.test import Client

from analytics.access.services import membership_set
from analytics.models import Tenant
from analytics.tenancy import tenant_by_slug, tenant_context
from insights.customers.histories import Curve
from insights.customers.payback import payback_of, together
from kpis.explore.channels import Cost, costs_import
from kpis.explore.models import MarketingCost
from tests.api import caller
from tests.insights.customers.test_payback import NOW, shop  # noqa: F401  the story of a shop
from tests.reports.explore.conftest import signed_in, text_of

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def olga(shop: Tenant, owner_user: Any) -> Client:  # noqa: F811
    return signed_in(owner_user)


@pytest.fixture
def vera(shop: Tenant) -> Client:  # noqa: F811
    users: Any = get_user_model().objects
    user = users.create_user(username="vera", email="vera@example.org", password="correct horse")
    membership_set(tenant_id=shop.pk, user=user, role="viewer")
    return signed_in(user)


def test_curves_by_hand() -> None:
    """60, 60 and 105 of 70; the mean of 60 of 70 and 100 of 30, then of what is old enough."""
    march, april = Curve(0, 1, (6000, 6000, 10500)), Curve(1, 1, (10000, 10000, None))
    assert payback_of(None, 1, 7000, march.net, Decimal(1)).curve == pytest.approx((6 / 7, 6 / 7, 1.5))
    whole = together([(march, 7000), (april, 3000)], Decimal("0.5"))
    assert whole.curve == pytest.approx((0.8, 0.8, 0.75))
    assert payback_of(None, 1, 0, march.net, Decimal(1)).curve == ()


def test_the_page_by_channel(olga: Client) -> None:
    page = text_of(olga.get("/customers/payback/?months=3"))
    for text in (
        "Paid back in month 1",
        "2 new customers cost €100.00: €50.00 each.",
        "nobody said what goods and service cost",
        "paid_search",
        "Leaflets",
        "won nobody",
        "Nothing before it",
        "Mar 2026",
        "150 %",
        "month 3",
    ):
        assert text in page, text


def test_a_margin_and_odd_parts_of_the_address(olga: Client) -> None:
    assert "Margin is 50 % of revenue, as asked." in text_of(olga.get("/customers/payback/?months=3&margin=0.5"))
    for query in ("months=0", "months=zork", "margin=0", "margin=zork", "margin=NaN", "margin=9"):
        assert 'role="alert"' in text_of(olga.get(f"/customers/payback/?{query}"))
    text_of(olga.get("/customers/payback/?by=zork"))


def test_by_campaign(olga: Client, shop: Tenant) -> None:  # noqa: F811
    """Ann's touch was of no campaign; 12.00 of a campaign that won nobody are in April's 42.00."""
    autumn = Cost(date(2026, 4, 2), "paid_search", Decimal(12), "EUR", "autumn")
    costs_import(tenant=tenant_by_slug("acme"), costs=[autumn], now=NOW)
    found = caller(shop).get("customers/payback/", months=3, by="campaign").json()
    rows = {row["campaign"]: row for row in found["campaigns"]}
    assert (found["by"], found["channels"], set(rows)) == ("campaign", [], {"autumn", "(none)", "__none__"})
    assert (rows["autumn"]["cost"], rows["autumn"]["customers"], rows["autumn"]["standing"]) == (
        "12.00", 0, "no_customers",
    )  # fmt: skip
    assert (rows["(none)"]["customers"], rows["(none)"]["cost"]) == (1, None)
    assert [row["cost"] for row in found["cohorts"]] == ["70.00", "42.00"]
    page = text_of(olga.get("/customers/payback/?months=3&by=campaign"))
    assert "Touches of no campaign" in page
    assert "autumn" in page


def test_the_file_holds_every_month_of_every_channel(olga: Client) -> None:
    lines = b"".join(olga.get("/tables/customers-payback.csv?months=3").streaming_content).decode()  # type: ignore[attr-defined]
    assert '"paid_search","2026-03-01",1,70.00,70.00,3,3,1.5,"paid_back"' in lines
    assert '"(all)","(all months)",2,100.00,50.00,1,3,' in lines


def test_without_costs_the_page_says_where_they_are_told(olga: Client, shop: Tenant) -> None:  # noqa: F811
    with tenant_context(shop.pk):
        MarketingCost.objects.all().delete()
    page = text_of(olga.get("/customers/payback/"))
    assert "No costs yet" in page
    assert 'href="/explore/costs/"' in page


def test_money_that_won_nobody_is_told(olga: Client, shop: Tenant) -> None:  # noqa: F811
    with tenant_context(shop.pk):
        MarketingCost.objects.all().delete()
    may = Cost(date(2026, 5, 5), "Leaflets", Decimal(7), "EUR")
    costs_import(tenant=tenant_by_slug("acme"), costs=[may], now=NOW)
    page = text_of(olga.get("/customers/payback/?months=3"))
    assert "€7.00 was spent, and nobody bought for the first time." in page
    assert "€7.00 spent</h2>" in page


# --- Costs ------------------------------------------------------------------------------------------------------------

ONE = {"do": "one", "day": "2026-05-04", "channel": "Radio", "campaign": "", "amount": "9.90", "currency": "EUR"}


def test_one_cost_is_typed_and_taken_back(olga: Client, vera: Client, shop: Tenant) -> None:  # noqa: F811
    assert "Stored: 1." in text_of(olga.post("/explore/costs/", ONE, follow=True))
    page = text_of(olga.get("/explore/costs/?channel=Radio"))
    assert "€9.90" in page
    assert "€40.00" not in page
    with tenant_context(shop.pk):
        row = MarketingCost.objects.get(channel="Radio")
    vera.post("/explore/costs/", {"remove": str(row.pk)})
    assert "€9.90" in text_of(vera.get("/explore/costs/"))
    assert "Removed" in text_of(olga.post("/explore/costs/", {"remove": str(row.pk)}, follow=True))
    for odd in (str(row.pk), "zork", "-1", "9" * 30):
        assert "not there any more" in text_of(olga.post("/explore/costs/", {"remove": odd}, follow=True))


def test_the_neighbours_costs_stay(olga: Client, globex: Tenant) -> None:
    with tenant_context(globex.pk):
        theirs = MarketingCost.objects.get()
    assert "not there any more" in text_of(olga.post("/explore/costs/", {"remove": str(theirs.pk)}, follow=True))
    with tenant_context(globex.pk):
        assert MarketingCost.objects.count() == 1


def test_one_cost_that_is_none_is_told_and_kept_in_the_form(olga: Client, shop: Tenant) -> None:  # noqa: F811
    page = text_of(olga.post("/explore/costs/", {**ONE, "amount": "a lot", "channel": '"><b>'}), 400)
    assert "This is no cost" in page
    assert 'value="a lot"' in page
    assert '"><b>' not in page
    with tenant_context(shop.pk):
        assert not MarketingCost.objects.filter(day=date(2026, 5, 4)).exists()


def test_costs_as_a_file_can_be_taken_in_again(olga: Client, shop: Tenant) -> None:  # noqa: F811
    lines = b"".join(olga.get("/tables/costs.csv").streaming_content).decode("utf-8-sig")  # type: ignore[attr-defined]
    assert lines.splitlines()[:2] == [
        '"day","channel","campaign","amount","currency"',
        '"2026-03-05","paid_search","",40.00,"EUR"',
    ]
    assert "4 good lines" in text_of(olga.post("/explore/costs/", {"csv": lines}))
