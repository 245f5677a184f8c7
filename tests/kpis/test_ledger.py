"""The ledger: as reported then, as known now, and why."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from analytics.jobs import enqueue, run_job
from analytics.models import Tenant
from analytics.tenancy import tenant_context
from kpis.ledger import day_freeze, ledger_as_reported, ledger_history, ledger_record
from kpis.models import MetricValue
from kpis.series import metric_series
from kpis.services import Definition, metric_define
from tests.kpis.story import Story

pytestmark = pytest.mark.django_db

MONDAY = datetime(2026, 3, 1, 23, tzinfo=UTC)
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)


def publish(tenant: Tenant, now: datetime, metric: str = "revenue.gross") -> str | None:
    series = metric_series(tenant_id=tenant.pk, metric=metric, start=MONDAY, end=MONDAY + DAY, grain="day", now=now)
    row = ledger_record(tenant_id=tenant.pk, series=series)
    return row.reason if row else None


def test_a_value_is_first_then_completed_then_restated(acme: Tenant, globex: Tenant) -> None:
    """10.00 at noon, 25.00 when the day is over, 31.00 after a late order of 6.00; publishing again adds nothing."""
    story = Story(acme)
    story.add("order_completed", MONDAY + 9 * HOUR, "ann", amount=1000)
    story.count(MONDAY + 12 * HOUR)
    assert publish(acme, MONDAY + 12 * HOUR) == "first"
    story.add("order_completed", MONDAY + 15 * HOUR, "bob", amount=1500)
    story.count(MONDAY + DAY)
    assert publish(acme, MONDAY + DAY + HOUR) == "completed"
    assert publish(acme, MONDAY + DAY + 2 * HOUR) is None
    story.add("order_completed", MONDAY + 16 * HOUR, "cyd", amount=600)
    story.count(MONDAY + 3 * DAY)
    assert publish(acme, MONDAY + 3 * DAY) == "restated"

    history = ledger_history(tenant_id=acme.pk, metric="revenue.gross", start=MONDAY, grain="day")
    assert [(row.previous, row.value, row.reason, row.is_complete) for row in history] == [
        (None, 10, "first", False), (10, 25, "completed", True), (25, 31, "restated", True),
    ]  # fmt: skip

    def reported(at: datetime) -> Decimal | None:
        found = ledger_as_reported(tenant_id=acme.pk, metric="revenue.gross", start=MONDAY, at=at, grain="day")
        return found.value if found else None

    assert [reported(MONDAY + delta) for delta in (HOUR, 13 * HOUR, 2 * DAY, 4 * DAY)] == [None, 10, 25, 31]
    assert ledger_history(tenant_id=globex.pk, metric="revenue.gross", start=MONDAY, grain="day") == []


def test_a_changed_formula_says_so(acme: Tenant) -> None:
    story = Story(acme)
    story.add("order_completed", MONDAY, "ann", amount=1000)
    story.count(MONDAY + DAY)
    for formula, expected in (("revenue.gross * 2", "first"), ("revenue.gross * 3", "redefined")):
        metric_define(
            tenant_id=acme.pk,
            definition=Definition(metric="shop.margin", name="Margin", formula=formula, unit="money"),
            now=MONDAY + DAY,
        )
        assert publish(acme, MONDAY + DAY, "shop.margin") == expected


def test_freezing_a_day_publishes_every_metric_once(acme: Tenant, globex: Tenant) -> None:
    for tenant in (acme, globex):
        story = Story(tenant)
        story.add("order_completed", MONDAY + 9 * HOUR, "ann", amount=1000)
        story.count(MONDAY + 2 * DAY)
    now = MONDAY + DAY + HOUR
    added = day_freeze(tenant_id=acme.pk, now=now)
    assert added > 60
    assert day_freeze(tenant_id=acme.pk, now=now + HOUR) == 0
    with tenant_context(acme.pk):
        assert MetricValue.objects.count() == added
        assert MetricValue.objects.get(metric="orders.count").start == MONDAY
    with tenant_context(globex.pk):
        assert MetricValue.objects.count() == 0


def test_the_nightly_job_publishes_the_days_before_it_and_what_has_moved_since(acme: Tenant, globex: Tenant) -> None:
    """Two days with orders; on the second night only the new day, late orders and newly known retention add rows."""
    story = Story(acme)
    story.add("order_completed", MONDAY + 9 * HOUR, "ann", amount=1000)
    story.count(MONDAY + DAY)

    def night(number: int) -> None:
        now = MONDAY + number * DAY + 4 * HOUR
        job = enqueue(kind="ledger.freeze", tenant_id=acme.pk, params={"due_at": now.isoformat()}, run_at=now)
        assert run_job(job.pk)
        with tenant_context(acme.pk):
            job.refresh_from_db()
        assert (job.state, job.error) == ("done", "")

    def reported() -> list[tuple[datetime, Decimal | None, str]]:
        with tenant_context(acme.pk):
            rows = MetricValue.objects.filter(metric="orders.count").order_by("computed_at", "start")
            return [(row.start, row.value, row.reason) for row in rows]

    night(1)
    assert reported() == [(MONDAY, 1, "first")]
    story.add("order_completed", MONDAY + 10 * HOUR, "bob", amount=1000)
    story.add("order_completed", MONDAY + DAY + 10 * HOUR, "bob", amount=1000)
    story.count(MONDAY + 2 * DAY)
    night(2)
    assert reported() == [(MONDAY, 1, "first"), (MONDAY, 2, "restated"), (MONDAY + DAY, 1, "first")]
