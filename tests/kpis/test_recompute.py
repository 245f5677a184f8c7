"""Counting again what one metric, or one platform's, is made of, and nothing else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from analytics.jobs import run_due
from analytics.models import DirtyMark, Tenant
from analytics.tenancy import tenant_context
from kpis.models import Bucket
from kpis.rollup.check import check_tenant
from kpis.rollup.services import measures_behind
from tests.api import caller, problem
from tests.kpis.story import Story

pytestmark = pytest.mark.django_db

MONDAY = datetime(2026, 3, 1, 23, tzinfo=UTC)
NOW = MONDAY + timedelta(days=5)


@pytest.fixture
def shop(acme: Tenant, globex: Tenant) -> Tenant:
    """Two days with an order, a game and a stake each; then somebody spoils every bucket."""
    for tenant in (globex, acme):
        story = Story(tenant)
        for day in (0, 1):
            at = MONDAY + timedelta(days=day, hours=9)
            story.add("order_completed", at, "ann", amount=1000)
            story.add("game_started", at, "ann", content_type="chess")
            story.add("stake_placed", at, "ann", amount=500, content_type="chess")
        story.count(NOW)
    with tenant_context(acme.pk):
        Bucket.objects.update(n=99)
    return acme


def spoiled(tenant: Tenant) -> set[str]:
    with tenant_context(tenant.pk):
        return set(Bucket.objects.filter(n=99).values_list("measure", flat=True))


def backfill(tenant: Tenant, *metrics: str) -> str:
    out = StringIO()
    call_command("backfill", tenant=tenant.slug, metrics=list(metrics), workers=1, stdout=out)
    return out.getvalue()


@pytest.mark.parametrize("dry_run", [True, False])
def test_an_unknown_metric_is_refused_before_anything_is_said(shop: Tenant, globex: Tenant, dry_run: bool) -> None:
    out = StringIO()
    with pytest.raises(CommandError, match="gaming"):
        call_command("backfill", tenant="acme", metrics=["gamming"], workers=1, dry_run=dry_run, stdout=out)
    assert out.getvalue() == ""


def test_only_what_the_metric_is_made_of_is_counted(shop: Tenant, globex: Tenant) -> None:
    before = spoiled(shop)
    assert {"orders.count", "gaming.stakes", "users.active"} <= before
    assert "counted" in backfill(shop, "gaming.house_edge")
    assert before - spoiled(shop) == {"gaming.stakes"}
    assert spoiled(globex) == set()


def test_a_family_stands_for_all_of_its_metrics_and_several_add_up(shop: Tenant) -> None:
    before = spoiled(shop)
    backfill(shop, "gaming", "orders.count")
    assert before - spoiled(shop) == {"gaming.games", "gaming.players", "gaming.stakes", "orders.count"}


def test_what_waits_to_be_counted_goes_on_waiting_and_everything_is_right_in_the_end(shop: Tenant) -> None:
    story = Story(shop, _told=100)
    story.add("order_completed", MONDAY + timedelta(hours=9), "bob", amount=700)
    story.store()
    backfill(shop, "orders.count")
    with tenant_context(shop.pk):
        assert DirtyMark.objects.count() == 1
    backfill(shop)
    assert check_tenant(shop.pk, now=NOW) == []


def test_an_unknown_metric_offers_the_nearest(shop: Tenant) -> None:
    with pytest.raises(CommandError, match=r"orders\.count"):
        backfill(shop, "orders.cuont")


def test_the_api_takes_metrics_too(shop: Tenant) -> None:
    api = caller(shop)
    plan = api.post("jobs/", {"kind": "backfill", "dry_run": True, "metrics": ["gaming.house_edge"]}).json()["plan"]
    assert plan["measures"] == ["gaming.payouts", "gaming.stakes"]
    assert api.post("jobs/", {"kind": "backfill", "metrics": ["gaming.house_edge"]}).status_code == 202
    assert run_due(only=["rollup.backfill"]) == 1
    assert "gaming.stakes" not in spoiled(shop)
    refused = api.post("jobs/", {"kind": "backfill", "metrics": ["gaming.huose_edge"]})
    assert refused.status_code == 400
    assert "gaming.house_edge" in str(problem(refused))
    assert api.post("jobs/", {"kind": "rollup", "metrics": ["gaming"]}).status_code == 400


def test_a_metric_of_metrics_is_made_of_all_their_measures(shop: Tenant) -> None:
    assert measures_behind(tenant_id=shop.pk, metrics=["revenue.arpu"]) == ("revenue.known", "users.active")
