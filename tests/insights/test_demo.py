"""Simulated customers are of the kind the models suppose, and the demo is furnished for the pages that show them."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from io import StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from django.core.management import call_command
from django.utils import timezone

from analytics.demo.catalogue import CAMPAIGNS
from analytics.demo.furnishing import FURNISH
from analytics.demo.population import LEAVING, RATE
from analytics.demo.simulator import Told, story
from analytics.demo.world import Plan
from analytics.jobs import run_job
from analytics.models import Job, Tenant
from analytics.tenancy import tenant_context
from insights.customers.histories import Sales, customers_of
from insights.customers.services import fitted, hold_out
from insights.selectors import snapshot_read, snapshots_list
from kpis.explore.models import MarketingCost
from kpis.goals.models import Goal
from kpis.models import Annotation, PeopleSegment
from kpis.taxonomy import REVENUE_EVENTS
from reports.boards.models import Board

PLAN = Plan(seed=7, start=date(2026, 1, 5), zone="Europe/Paris", days=90, events=300_000)
UNTIL = datetime(2026, 4, 4, 22, 0, tzinfo=UTC)
END = 90


@pytest.fixture(scope="module")
def whole() -> Told:
    """The story of PLAN, told once for the module."""
    return [pair for day in story(PLAN, UNTIL) for pair in day]


@pytest.fixture(scope="module")
def sales(whole: Told) -> Sales:
    """Every sale of the story."""
    people: dict[str, int] = {}
    begin = datetime(2026, 1, 4, 23, 0, tzinfo=UTC).timestamp()
    rows = [
        (people.setdefault(said["distinct_id"], len(people)), int((at - begin) // 86_400), _cents(said))
        for at, said in whole
        if said["event"] in REVENUE_EVENTS
    ]
    person, day, amount = (np.array(column, dtype=np.int64) for column in zip(*rows, strict=True))
    return Sales(person, day, amount, np.zeros(len(person), dtype=np.bool_))


def _cents(said: dict[str, Any]) -> int:
    return int(Decimal(said["properties"]["amount"]) * 100)


# --- The story --------------------------------------------------------------------------------------------------------


def test_purchases_are_of_the_kind_that_the_models_fit(sales: Sales) -> None:
    customers = customers_of(sales)
    fit = fitted(customers, END)
    assert fit.note == ""
    assert fit.purchases is not None
    assert fit.spending is not None
    assert 0.3 < float((customers.purchases > 1).mean()) < 0.7
    weekly = fit.purchases.r / fit.purchases.alpha
    assert weekly == pytest.approx(7 * RATE[0] / RATE[1], rel=0.5)
    gone = fit.purchases.a / (fit.purchases.a + fit.purchases.b)
    assert gone == pytest.approx(LEAVING[0] / sum(LEAVING), abs=0.12)


def test_what_came_lies_in_the_interval_that_was_foreseen_four_weeks_before(sales: Sales) -> None:
    graded = hold_out(sales, END)
    assert graded is not None
    assert graded["days"] == 28
    assert graded["low"] <= graded["actual"] <= graded["high"]
    assert 0.6 < graded["inside_share"] <= 1
    first, last = graded["deciles"][0], graded["deciles"][-1]
    assert first["actual"] > 5 * last["actual"]


def test_too_short_a_history_is_not_graded(sales: Sales) -> None:
    assert hold_out(sales.before(20), 20) is None


def test_sales_follow_posts_and_advertisements_of_people_who_are_known(whole: Told) -> None:
    touched = {said["distinct_id"] for _, said in whole if said["event"] in ("post_engaged", "ad_clicked")} - {None}
    paid = {said["distinct_id"] for _, said in whole if said["event"] in REVENUE_EVENTS}
    assert len(touched & paid) > 300
    campaigns = Counter(
        said["properties"]["utm_campaign"]
        for _, said in whole
        if said["event"] == "order_completed" and "utm_campaign" in said["properties"]
    )
    assert set(campaigns) == {campaign.name for campaign in CAMPAIGNS}


def test_a_campaign_is_shown_more_often_than_clicked(whole: Told) -> None:
    counts = Counter((said["event"], said["properties"].get("campaign")) for _, said in whole)
    counts += Counter((said["event"], said["properties"].get("utm_campaign")) for _, said in whole)
    for campaign in CAMPAIGNS:
        shown, clicked = counts["ad_shown", campaign.name], counts["ad_clicked", campaign.name]
        assert campaign.click_rate / 2 < clicked / shown < campaign.click_rate * 2


def test_subscriptions_move_in_every_way_within_the_last_month(whole: Told) -> None:
    recent = (UNTIL - timedelta(days=30)).timestamp()
    names = Counter(said["event"] for at, said in whole if at > recent)
    assert names["subscription_started"] > 5
    assert names["subscription_cancelled"] > 1
    assert names["subscription_changed"] > 3
    started: dict[str, int] = Counter(
        said["distinct_id"] for _, said in whole if said["event"] == "subscription_started"
    )
    assert max(started.values()) > 1  # somebody came back


# --- The furniture ----------------------------------------------------------------------------------------------------


def furnish(tenant: Tenant, **options: Any) -> None:
    """A small story, and the job that it enqueues."""
    options = {"tenant": tenant.slug, "days": 40, "events": 9_000, "until": timezone.now(), **options}
    call_command("demo", stdout=StringIO(), stderr=StringIO(), **options)
    with tenant_context(tenant.pk):
        jobs = list(Job.objects.filter(kind=FURNISH, state=Job.State.QUEUED).values_list("pk", flat=True))
    assert len(jobs) == 1
    assert run_job(jobs[0])
    with tenant_context(tenant.pk):
        job = Job.objects.get(pk=jobs[0])
        assert (job.state, job.error) == (Job.State.DONE, "")


def found(tenant: Tenant) -> dict[str, int]:
    """How much of what there is."""
    tables: tuple[Any, ...] = (MarketingCost, Annotation, Goal, PeopleSegment, Board)
    with tenant_context(tenant.pk):
        return {each.__name__: each.objects.count() for each in tables}


@pytest.mark.django_db(transaction=True)
def test_a_demo_is_furnished_and_a_second_time_changes_nothing(
    acme: Tenant, globex: Tenant, settings: Any, tmp_path: Path
) -> None:
    settings.ANALYTICS_LAKE_URL = str(tmp_path / "lake")
    until = timezone.now()
    furnish(acme, until=until)
    first = found(acme)
    assert first["MarketingCost"] > 40
    assert (first["Annotation"], first["Board"], first["PeopleSegment"]) == (2, 2, 4)
    assert first["Goal"] == 3
    days = snapshots_list(tenant_id=acme.pk)
    assert days == [days[0] - timedelta(weeks=week) for week in range(4)]
    assert snapshot_read(tenant_id=acme.pk).compared_with == days[-1]
    furnish(acme, until=until)
    assert found(acme) == first
    assert snapshots_list(tenant_id=acme.pk) == days
    assert set(found(globex).values()) == {0}
