"""Growth, keeping and rates a minute: what a period is measured against, also while it is open or data begin in it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from analytics.models import Tenant
from kpis.base import Condition
from kpis.series import QuestionError, metric_series
from tests.kpis.story import Story

pytestmark = pytest.mark.django_db

MONDAY = datetime(2026, 3, 1, 23, tzinfo=UTC)
DAY = timedelta(days=1)
NOW = MONDAY + 3 * DAY + timedelta(hours=10, minutes=40)


@pytest.fixture
def shop(acme: Tenant, globex: Tenant) -> Tenant:
    """Orders of 10, 20 and 30 at nine o'clock of the first three days, one of 100 on the third evening, 33 today."""
    story = Story(acme)
    for day, amount, who in ((0, 1000, "ann"), (1, 2000, "bob"), (2, 3000, "ann"), (3, 3300, "cyd")):
        story.add("order_completed", MONDAY + day * DAY + timedelta(hours=9), who, amount=amount, country="FR")
    story.add("order_completed", MONDAY + 2 * DAY + timedelta(hours=20), "bob", amount=10_000, country="DE")
    for who, feature in (("ann", "search"), ("bob", "search"), ("bob", "chat")):
        story.add("feature_used", MONDAY + timedelta(hours=9), who, object_id=feature, country="FR")
    for who in ("cyd", "dan"):
        story.add("page_view", MONDAY + timedelta(hours=9), who, country="DE")
    for name, who in (("stream_started", "ann"), ("battle_started", "bob")):
        story.add(name, MONDAY + timedelta(hours=9), who)
    story.add("stream_started", MONDAY + DAY, "ann")
    for _ in range(30):
        story.add("request_completed", MONDAY + 3 * DAY + timedelta(hours=1), duration_ms=10)
    story.count(NOW)
    neighbour = Story(globex)
    neighbour.add("order_completed", MONDAY, "ann", amount=5)
    neighbour.count(NOW)
    return acme


def test_growth_of_days_and_of_the_open_one_over_equal_elapsed_time(shop: Tenant) -> None:
    """Today until 10:40 brought 33, yesterday until 10:40 brought 30: +10 %, though yesterday's evening brought 100."""
    series = metric_series(
        tenant_id=shop.pk, metric="revenue.growth", start=MONDAY, end=MONDAY + 4 * DAY, grain="day", now=NOW
    )
    assert [point.value for point in series.points] == [None, Decimal(1), Decimal("5.5"), Decimal("0.1")]
    assert series.total is None  # the four days before it were before the first
    assert not series.points[-1].is_complete


def test_growth_of_a_whole_range_and_of_its_comparison(shop: Tenant) -> None:
    series = metric_series(
        tenant_id=shop.pk,
        metric="revenue.growth",
        start=MONDAY + 2 * DAY,
        end=MONDAY + 3 * DAY,
        grain="total",
        compare="previous",
        now=NOW,
    )
    assert series.total == Decimal("5.5")
    assert series.comparison is not None
    assert series.comparison.total == 1


def test_growth_by_country_and_from_events(shop: Tenant) -> None:
    span: dict[str, Any] = {"start": MONDAY + DAY, "end": MONDAY + 2 * DAY, "grain": "total", "now": NOW}
    by_country = metric_series(tenant_id=shop.pk, metric="revenue.growth", by="country", **span)
    assert [(part.key, part.total) for part in by_country.series if part.total is not None] == [("FR", Decimal(1))]
    filters = (Condition("country", "eq", "FR"), Condition("name", "eq", "order_completed"))
    by_events = metric_series(tenant_id=shop.pk, metric="revenue.growth", filters=filters, **span)
    assert (by_events.executor, by_events.total) == ("events", Decimal(1))


def test_creators_kept_from_one_day_to_the_next(shop: Tenant) -> None:
    series = metric_series(
        tenant_id=shop.pk, metric="creators.retention", start=MONDAY, end=MONDAY + 3 * DAY, grain="day", now=NOW
    )
    assert [point.value for point in series.points] == [None, Decimal("0.5"), Decimal(0)]


def test_adoption_of_each_feature_is_of_everybody(shop: Tenant) -> None:
    """Ann and Bob of four use search, Bob chat; a country is no part of everybody, so it is refused as a filter."""
    span: dict[str, Any] = {"start": MONDAY, "end": MONDAY + DAY, "grain": "total", "now": NOW}
    series = metric_series(tenant_id=shop.pk, metric="features.adoption", by="object_id", **span)
    assert series.total == Decimal("0.5")
    assert {part.key: part.total for part in series.series} == {"search": Decimal("0.5"), "chat": Decimal("0.25")}
    with pytest.raises(QuestionError, match="share of everybody"):
        metric_series(
            tenant_id=shop.pk, metric="features.adoption", filters=(Condition("country", "eq", "FR"),), **span
        )


def test_requests_a_minute_are_of_the_minutes_that_have_passed(shop: Tenant) -> None:
    """30 requests in 640 minutes of today."""
    series = metric_series(
        tenant_id=shop.pk,
        metric="system.throughput",
        start=MONDAY + 3 * DAY,
        end=MONDAY + 4 * DAY,
        grain="total",
        now=NOW,
    )
    assert series.total == Decimal(30) / 640
