"""Customers behind the movements of recurring revenue: each by hand, all of them the metric to the cent."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from analytics.models import Tenant
from analytics.tenancy import tenant_context
from kpis.explore.models import PeopleRead
from kpis.movements import carried
from tests.api import caller, problem
from tests.golden.test_recurring import NOW, subscription, tell
from tests.golden.test_recurring import day as at
from tests.kpis.story import Story

pytestmark = pytest.mark.django_db

MARCH = {"from": "2026-03-01", "to": "2026-04-01"}
KINDS = ("new", "expansion", "reactivation", "contraction", "churn", "fx")


@pytest.fixture
def club(acme: Tenant, globex: Tenant, monkeypatch: pytest.MonkeyPatch, settings: Any) -> Tenant:
    monkeypatch.setattr(timezone, "now", lambda: NOW)
    settings.API_RATE_PER_MINUTE = 0
    neighbour = Story(globex)
    subscription(neighbour, "started", at(3, 5), "ann", 99_900)
    neighbour.count(NOW)
    story = Story(acme)
    tell(story)
    story.count(NOW)
    return acme


def test_march_by_hand(club: Tenant) -> None:
    """Dan is new for 56.33 (13 × 52 / 12), Bob leaves with 10, Cyd falls from 30 to 20, Fay adds 2, Gil's dollars gain
    0.50; Eve came and went within the month and Ann stayed as she was.
    """
    found = caller(club).get("customers/movements/", **MARCH).json()
    shown = [tuple(row[name] for name in ("person", "kind", "amount", "opening", "closing", "fx"))
             for row in found["results"]]  # fmt: skip
    assert shown == [
        (4, "new", "56.33", "0.00", "56.33", "0.00"),
        (2, "churn", "10.00", "10.00", "0.00", "0.00"),
        (3, "contraction", "10.00", "30.00", "20.00", "0.00"),
        (6, "expansion", "2.00", "5.00", "7.00", "0.00"),
        (7, "fx", "0.00", "9.00", "9.50", "0.50"),
    ]
    assert (found["count"], found["next"], found["currency"]) == (5, None, "EUR")


@pytest.mark.parametrize("month", [1, 2, 3, 4])
def test_customers_add_up_to_the_metrics(club: Tenant, month: int) -> None:
    start, end = f"2026-0{month}-01", f"2026-0{month + 1}-01"
    found = caller(club).get("customers/movements/", from_=start, to=end).json()
    sums = {kind: sum(Decimal(row["amount"]) for row in found["results"] if row["kind"] == kind) for kind in KINDS[:-1]}
    sums["fx"] = sum(Decimal(row["fx"]) for row in found["results"])
    assert {kind: Decimal(total) for kind, total in found["totals"].items()} == sums
    answers = {
        kind: caller(club).get(f"kpis/mrr.{kind}/series/", from_=start, to=end, granularity="total").json()["total"]
        for kind in KINDS
    }
    assert found["totals"] == answers


def test_page_by_page_and_of_one_kind(club: Tenant) -> None:
    api = caller(club)
    first = api.get("customers/movements/", **MARCH, limit=2).json()
    second = api.get(first["next"].partition("/api/v1/")[2]).json()
    assert [row["person"] for row in (*first["results"], *second["results"])] == [4, 2, 3, 6]
    assert [row["person"] for row in api.get("customers/movements/", **MARCH, kind="churn").json()["results"]] == [2]
    assert problem(api.get("customers/movements/", kind="sideways"))["status"] == 400


def test_looking_is_written_down_and_takes_permission(club: Tenant) -> None:
    caller(club).get("customers/movements/", **MARCH, kind="churn")
    with tenant_context(club.pk):
        row = PeopleRead.objects.get(tenant_id=club.pk)
    assert (row.what, row.people, row.question["kind"]) == ("customers.movements", 1, "churn")
    assert caller(club, scopes=["kpis:read"]).get("customers/movements/").status_code == 403


def test_the_neighbour_has_one_customer(club: Tenant, globex: Tenant) -> None:
    found = caller(globex).get("customers/movements/", **MARCH).json()
    assert [(row["person"], row["amount"]) for row in found["results"]] == [(1, "999.00")]


def test_rounded_parts_keep_the_rounded_sum() -> None:
    """Three thirds of 100 are 33⅓ each: 33, 34, 33."""
    third = Decimal(100) / 3
    assert carried([third, third, third]) == [33, 34, 33]
    assert carried([]) == []
