"""The API of webhook deliveries, by numbers worked by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.utils import timezone

from analytics.models import Tenant
from tests.api import Caller, caller
from tests.kpis.story import Story

pytestmark = pytest.mark.django_db

MONDAY = datetime(2026, 3, 1, 23, tzinfo=UTC)
NOW = datetime(2026, 3, 9, 12, tzinfo=UTC)
WEEK = {"from_": "2026-03-02", "to": "2026-03-09"}


@pytest.fixture
def api(acme: Tenant, globex: Tenant, monkeypatch: pytest.MonkeyPatch, settings: Any) -> Caller:
    """Five deliveries: three of orders arrive (after 100, 200 and 600 ms), one of payments fails, one waits."""
    settings.API_RATE_PER_MINUTE = 0
    monkeypatch.setattr(timezone, "now", lambda: NOW)
    at = MONDAY + timedelta(hours=10)
    story = Story(acme)
    for number, kind in enumerate(("order", "order", "order", "payment", "payment")):
        story.add("webhook_queued", at, content_type=kind, object_id=f"d{number}")
    for number, took in enumerate((100, 200, 600)):
        later = at + timedelta(milliseconds=took)
        story.add("webhook_delivered", later, content_type="order", object_id=f"d{number}", duration_ms=took)
    story.add("webhook_failed", at + timedelta(minutes=1), content_type="payment", object_id="d3", reason="gone")
    story.count(NOW)
    neighbour = Story(globex)
    neighbour.add("webhook_queued", at, content_type="order", object_id="d0")
    neighbour.count(NOW)
    return caller(acme)


def test_deliveries_at_a_glance(api: Caller) -> None:
    found = api.get("webhooks/metrics/", **WEEK).json()
    totals = {name: found[name] for name in ("total", "successful", "failed", "pending", "success_rate", "mean_time")}
    assert totals == {
        "total": 5, "successful": 3, "failed": 1, "pending": 1, "success_rate": 0.75, "mean_time": 300.0,
    }  # fmt: skip
    assert found["pending_now"] == 1
    assert [(row["event_type"], row["total"], row["success_rate"]) for row in found["by_event_type"]] == [
        ("order", 3, 1.0),
        ("payment", 2, 0.0),
    ]
    assert [point["value"] for point in found["series"]["successful"]["points"]] == [3, 0, 0, 0, 0, 0, 0]


def test_one_type_of_event(api: Caller) -> None:
    found = api.get("webhooks/metrics/", content_type="payment", **WEEK).json()
    assert (found["total"], found["failed"], found["mean_time"]) == (2, 1, None)
    assert [row["event_type"] for row in found["by_event_type"]] == ["payment"]


def test_an_unknown_parameter_is_refused(api: Caller) -> None:
    assert api.get("webhooks/metrics/", colour="red").status_code == 400
