"""Data quality: each look with its numbers, its standing, and what to do."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from analytics.contracts import Outcome, Refusal
from analytics.jobs import enqueue, run_job
from analytics.models import Tenant
from analytics.tenancy import tenant_context
from kpis.models import Bucket, RollupCheck
from kpis.quality import quality_read
from kpis.quality_look import Finding
from kpis.rollup.refresh import refresh_tenant
from kpis.sample_check import sample_check
from tests.analytics.events import event, write
from tests.api import caller
from tests.kpis.story import Story

pytestmark = pytest.mark.django_db

MONDAY = datetime(2026, 3, 1, 23, tzinfo=UTC)
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
NOON = MONDAY + 13 * HOUR


def looked(tenant: Tenant, now: datetime = NOON) -> dict[str, Finding]:
    return {finding.id: finding for finding in quality_read(tenant_id=tenant.pk, now=now).findings}


def test_a_tenant_in_good_order(acme: Tenant, globex: Tenant) -> None:
    """Ten events by known people in France, counted at once and checked."""
    story = Story(acme)
    for minute in range(10):
        story.add("order_completed", MONDAY + minute * HOUR, "ann", amount=100, country="FR")
    story.count(NOON)
    sample_check(tenant_id=acme.pk, now=NOON + DAY, seed=1)
    found = looked(acme)

    standing = {finding.id: finding.status for finding in found.values()}
    assert standing.pop("outcomes") == "unknown"  # the story was not told through a door
    assert set(standing.values()) == {"ok"}, found
    assert all(not finding.remedy for finding in found.values() if finding.status == "ok")
    assert found["lateness"].rows[0] == {"arrived": "within a minute", "events": 10}


def test_what_waits_is_told_with_its_age(acme: Tenant, globex: Tenant) -> None:
    """Two minutes wait, the older for an hour and a half."""
    story = Story(acme)
    story.add("order_completed", NOON - 90 * timedelta(minutes=1), "ann", amount=100)
    story.add("order_completed", NOON - 2 * timedelta(minutes=1), "ann", amount=100)
    story.store()
    found = looked(acme)

    assert (found["backlog"].status, found["backlog"].value) == ("critical", "2")
    assert found["backlog"].detail == "2 marks wait; the oldest has waited 90 min."
    assert (found["freshness"].status, found["freshness"].value) == ("critical", "90 min")
    assert looked(globex)["backlog"].status == "ok"


def test_shares_of_what_is_missing(acme: Tenant, globex: Tenant) -> None:
    """Of four events one has no person, two no country; of three amounts one has no rate."""
    story = Story(acme)
    story.add("order_completed", NOON - HOUR, "ann", amount=100, country="FR")
    story.add("order_completed", NOON - HOUR, "bob", amount=100)
    story.add("order_completed", NOON - HOUR, "cyd", amount=100, amount_base=None, currency="USD", country="FR")
    story.add("page_view", NOON - HOUR)
    story.count(NOON)
    found = looked(acme)

    assert {name: (found[name].status, found[name].value) for name in ("nobody", "nowhere", "rateless")} == {
        "nobody": ("ok", "25.00 %"), "nowhere": ("warning", "50.00 %"), "rateless": ("critical", "33.33 %"),
    }  # fmt: skip
    assert found["rateless"].remedy.startswith("Give the rates of USD:")


def test_refusals_are_told_by_reason_and_day(acme: Tenant, globex: Tenant) -> None:
    """One of twenty was rejected."""
    write(
        acme,
        [event(acme, f"e{number}", timestamp=NOON, received_at=NOON) for number in range(19)],
        [Refusal(tenant_id=acme.pk, outcome=Outcome.REJECTED, reason="no_name", received_at=NOON)],
        now=NOON,
    )
    refresh_tenant(acme.pk, now=NOON + HOUR)
    found = looked(acme, NOON + HOUR)["outcomes"]

    assert (found.status, found.value) == ("critical", "5.00 %")
    assert {"outcome": "rejected", "reason": "no_name", "events": 1} in found.rows
    assert {"day": "2026-03-02", "refused": 1} in found.rows


def test_strange_names_come_with_what_they_may_mean(acme: Tenant, globex: Tenant) -> None:
    story = Story(acme)
    for name in ("OrderCompleted", "OrderCompleted", "blorp", "$pageview", "order_completed"):
        story.add(name, NOON - HOUR, "ann", currency="EUR")
    story.count(NOON)
    found = looked(acme)["unknown_names"]

    assert (found.status, found.value) == ("warning", "2")
    assert found.rows == (
        {"name": "OrderCompleted", "events": 2, "suggestion": "order_completed"},
        {"name": "blorp", "events": 1, "suggestion": ""},
    )


def test_late_events_are_spread_out(acme: Tenant, globex: Tenant) -> None:
    """Received after 30 seconds, 30 minutes, 5 hours, 3 days: one of four after more than a day."""
    story = Story(acme)
    at = NOON - 4 * DAY
    for delay in (timedelta(seconds=30), timedelta(minutes=30), timedelta(hours=5), timedelta(days=3)):
        story.add("page_view", at, "ann", received_at=at + delay)
    story.add("page_view", at, "ann", received_at=NOON, is_historical=True)
    story.count(NOON)
    found = looked(acme)["lateness"]

    assert (found.status, found.value) == ("critical", "25.00 %")
    assert [row["events"] for row in found.rows] == [1, 1, 1, 1, 0]


def test_a_bucket_that_lies_is_found(acme: Tenant, globex: Tenant) -> None:
    """A day is changed behind the product's back; the check of that day says which cell."""
    story = Story(acme)
    story.add("page_view", MONDAY + HOUR, "ann")
    story.count(MONDAY + 2 * DAY)
    assert looked(acme, MONDAY + 2 * DAY)["rollups"].status == "unknown"
    with tenant_context(acme.pk):
        Bucket.objects.filter(measure="events.count", grain=3, dimension="").update(n=7)
    row = sample_check(tenant_id=acme.pk, now=MONDAY + 2 * DAY, seed=1)

    assert row is not None
    assert (row.day.isoformat(), row.differences) == ("2026-03-02", 1)
    found = looked(acme, MONDAY + 2 * DAY)["rollups"]
    assert (found.status, found.value) == ("critical", "1 differences")
    assert "events.count" in found.rows[0]["difference"]
    assert "expected n=1" in found.rows[0]["difference"]
    assert looked(globex, MONDAY + 2 * DAY)["rollups"].status == "unknown"
    old = looked(acme, MONDAY + 10 * DAY)["rollups"]
    assert old.status == "critical"


def test_days_that_wait_are_not_checked(acme: Tenant, globex: Tenant) -> None:
    story = Story(acme)
    story.add("page_view", MONDAY + HOUR, "ann")
    story.count(MONDAY + DAY)
    story.add("page_view", MONDAY + 2 * HOUR, "ann")
    story.store()

    assert sample_check(tenant_id=acme.pk, now=MONDAY + DAY, seed=1) is None
    assert sample_check(tenant_id=globex.pk, now=MONDAY + DAY, seed=1) is None


def test_the_nightly_check_is_a_job(acme: Tenant, globex: Tenant) -> None:
    story = Story(acme)
    story.add("page_view", MONDAY + HOUR, "ann")
    story.count(MONDAY + DAY)
    job = enqueue(kind="quality.sample_check", tenant_id=acme.pk)
    assert run_job(job.pk)
    with tenant_context(acme.pk):
        job.refresh_from_db()
        assert (job.state, job.error, job.result["differences"]) == ("done", "", 0)
        assert RollupCheck.objects.count() == 1


def test_quality_by_api_has_the_worst_first(acme: Tenant, globex: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(timezone, "now", lambda: NOON)
    story = Story(acme)
    story.add("order_completed", NOON - 90 * timedelta(minutes=1), "ann", amount=100)
    story.store()
    body = caller(acme).get("quality/", days=3).json()

    assert (body["status"], body["days"]) == ("critical", 3)
    order = [finding["status"] for finding in body["findings"]]
    assert order == sorted(order, key=["critical", "warning", "unknown", "ok"].index)
    assert len(body["findings"]) == 10
    assert caller(acme).get("quality/", days=0).status_code == 400
