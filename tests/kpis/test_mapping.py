"""A tenant's own names of events: what they stand for, what a change would do, and that no answer mixes both."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from analytics.jobs import run_due
from analytics.models import Tenant
from analytics.signals import buckets_refreshed
from kpis.mapping import (
    MappingError,
    SeenName,
    event_names_preview,
    event_names_read,
    event_names_seen,
    event_names_set,
)
from kpis.rollup.check import check_tenant
from kpis.rollup.refresh import refresh_tenant
from kpis.rollup.services import calendar_change
from kpis.series import metric_series
from tests.api import Caller, caller
from tests.kpis.story import Story

pytestmark = pytest.mark.django_db

MONDAY = datetime(2026, 3, 1, 23, tzinfo=UTC)
NOON = MONDAY + timedelta(hours=12)
NOW = MONDAY + timedelta(days=3)
DONE = {"Purchase Done": "order_completed"}


@pytest.fixture(autouse=True)
def now(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is Thursday."""
    monkeypatch.setattr(timezone, "now", lambda: NOW)


@pytest.fixture
def shop(acme: Tenant, globex: Tenant) -> Tenant:
    """Ann orders for 20.00 and Bob, under a name of the shop's own, for 5.00; a plan ends under such a name too."""
    for tenant in (globex, acme):
        story = Story(tenant)
        story.add("order_completed", NOON, "ann", amount=2000, country="FR")
        story.add("Purchase Done", NOON, "bob", amount=500, country="FR")
        story.add("subscription_started", NOON, "cyd", amount=900, object_id="plan")
        story.add("Plan Over", NOON + timedelta(days=1), "cyd", object_id="plan")
        story.add("$autocapture", NOON, "bob")
        story.count(NOW)
    return acme


def total(tenant: Tenant, metric: str, **question: Any) -> Decimal | None:
    span = {"start": MONDAY, "end": MONDAY + timedelta(days=2), "grain": "total", "now": NOW}
    return metric_series(tenant_id=tenant.pk, metric=metric, **{**span, **question}).total


def counted(tenant: Tenant, names: dict[str, str]) -> None:
    assert event_names_set(tenant_id=tenant.pk, names=names) is not None
    assert run_due(only=["rollup.switch_calendar"]) == 1


def test_an_own_name_counts_as_the_standard_event_from_the_switch_on_and_not_before(
    shop: Tenant, globex: Tenant
) -> None:
    assert total(shop, "orders.count") == 1
    job = event_names_set(tenant_id=shop.pk, names=DONE)

    waiting = event_names_read(tenant_id=shop.pk)
    assert (waiting.live, waiting.building, waiting.job_id) == ({}, DONE, job.pk if job else None)
    assert total(shop, "orders.count") == 1

    assert run_due(only=["rollup.switch_calendar"]) == 1
    assert event_names_read(tenant_id=shop.pk).live == DONE
    assert event_names_read(tenant_id=shop.pk).building is None
    assert total(shop, "orders.count") == 2
    assert total(shop, "revenue.gross") == 34
    assert total(globex, "orders.count") == 1


def test_the_switch_is_told_to_those_who_show_numbers(shop: Tenant, django_capture_on_commit_callbacks: Any) -> None:
    heard: list[int] = []

    def hear(tenant_id: int, **signal: Any) -> None:
        heard.append(tenant_id)

    buckets_refreshed.connect(hear)
    with django_capture_on_commit_callbacks(execute=True):
        counted(shop, DONE)
    buckets_refreshed.disconnect(hear)
    assert heard == [shop.pk]


def test_buckets_and_events_give_the_same_answer(shop: Tenant) -> None:
    counted(shop, DONE)
    from kpis.base import Condition

    filters = (Condition("country", "eq", "FR"), Condition("object_type", "is_null", True))
    by_events = metric_series(
        tenant_id=shop.pk, metric="orders.count", start=MONDAY, end=NOW, grain="total", filters=filters, now=NOW
    )
    assert (by_events.executor, by_events.total) == ("events", 2)
    assert check_tenant(shop.pk, now=NOW) == []


def test_events_keep_their_own_name(shop: Tenant) -> None:
    counted(shop, DONE)
    series = metric_series(
        tenant_id=shop.pk, metric="events.count", start=MONDAY, end=NOW, grain="total", by="name", now=NOW
    )
    assert {part.key for part in series.series} >= {"Purchase Done", "order_completed"}


def test_events_that_come_while_the_new_version_is_built_count_in_both(shop: Tenant) -> None:
    event_names_set(tenant_id=shop.pk, names=DONE)
    story = Story(shop, _told=100)
    story.add("Purchase Done", NOON + timedelta(hours=1), "dan", amount=700)
    story.count(NOW)
    assert total(shop, "orders.count") == 1
    run_due(only=["rollup.switch_calendar"])
    assert total(shop, "orders.count") == 3
    assert check_tenant(shop.pk, now=NOW) == []


def test_a_plan_that_ends_under_another_name_is_churn(shop: Tenant) -> None:
    assert total(shop, "mrr.closing") == 9
    counted(shop, {"Plan Over": "subscription_canceled"})
    assert total(shop, "mrr.closing") == 0
    assert event_names_read(tenant_id=shop.pk).live == {"Plan Over": "subscription_cancelled"}


def test_taking_a_meaning_away_is_counted_too(shop: Tenant) -> None:
    counted(shop, DONE)
    counted(shop, {})
    assert total(shop, "orders.count") == 1
    assert event_names_set(tenant_id=shop.pk, names={}) is None


def test_another_zone_and_other_names_go_into_one_version(shop: Tenant) -> None:
    event_names_set(tenant_id=shop.pk, names=DONE)
    calendar_change(tenant_id=shop.pk, zone="Asia/Kathmandu")
    run_due(only=["rollup.switch_calendar"])
    series = metric_series(tenant_id=shop.pk, metric="orders.count", start=MONDAY, end=NOW, grain="total", now=NOW)
    assert (series.timezone, series.total) == ("Asia/Kathmandu", 2)


def test_a_refresh_after_the_switch_goes_on_with_the_new_meaning(shop: Tenant) -> None:
    counted(shop, DONE)
    story = Story(shop, _told=100)
    story.add("Purchase Done", NOON + timedelta(hours=1), "dan", amount=700)
    story.store()
    refresh_tenant(shop.pk, now=NOW)
    assert total(shop, "orders.count") == 3


def test_the_preview_tells_what_would_move_and_changes_nothing(shop: Tenant) -> None:
    found = event_names_preview(tenant_id=shop.pk, names={**DONE, "Never Sent": "gift_sent"})
    assert (found.events_affected, found.events_to_count, found.first_at) == (1, 5, NOON)
    never, done = found.changes
    assert (never.name, never.events, never.first_at) == ("Never Sent", 0, None)
    assert (done.name, done.before, done.after, done.events) == ("Purchase Done", "", "order_completed", 1)
    assert {"orders.count", "revenue.net", "revenue.growth", "orders.repeat_rate"} <= set(done.metrics)
    assert "sessions.count" not in done.metrics
    assert event_names_read(tenant_id=shop.pk).live == {}


def test_names_that_were_sent_come_with_the_nearest_standard_event(shop: Tenant) -> None:
    assert event_names_seen(tenant_id=shop.pk, now=NOW) == [
        SeenName("Plan Over", 1, "", ""),
        SeenName("Purchase Done", 1, "", ""),
        SeenName("order_completed", 1, "order_completed", ""),
        SeenName("subscription_started", 1, "subscription_started", ""),
    ]
    from kpis.mapping import suggestion

    assert suggestion("OrderComplete") == "order_completed"
    assert suggestion("sign-up") == "signed_up"


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ({"Done": "order_complete"}, "did you mean order_completed"),
        ({"order_completed": "gift_sent"}, "means order_completed already"),
        ({" ": "gift_sent"}, "1 to 200 characters"),
        ({"a\0b": "gift_sent"}, "that can be seen"),
        ({"\ud800": "gift_sent"}, "that can be seen"),
        ({f"n{number}": "gift_sent" for number in range(501)}, "at most 500"),
    ],
)
def test_what_cannot_be_meant_is_refused(shop: Tenant, names: dict[str, str], message: str) -> None:
    with pytest.raises(MappingError, match=message):
        event_names_set(tenant_id=shop.pk, names=names)


def test_the_api_previews_changes_and_shows_the_job(shop: Tenant, globex: Tenant, settings: Any) -> None:
    settings.API_RATE_PER_MINUTE = 0
    api: Caller = caller(shop)
    dry = api.send("PUT", "kpis/mapping/", {"names": DONE, "dry_run": True})
    assert (dry.status_code, dry.json()["events_affected"]) == (200, 1)
    begun = api.send("PUT", "kpis/mapping/", {"names": DONE})
    assert (begun.status_code, begun.json()["names"], begun.json()["building"]) == (202, {}, DONE)
    assert api.get(f"jobs/{begun.json()['job']}/").status_code == 200
    run_due(only=["rollup.switch_calendar"])
    shown = api.get("kpis/mapping/").json()
    assert (shown["names"], shown["building"]) == (DONE, None)
    assert shown["seen"][1] == {"name": "Purchase Done", "count": 1, "means": "order_completed", "suggestion": ""}
    assert shown["standard"]["Safety"][0]["name"] == "content_flagged"
    assert caller(globex).get("kpis/mapping/").json()["names"] == {}
    refused = api.send("PUT", "kpis/mapping/", {"names": {"Done": "order_complete"}})
    assert refused.status_code == 400
    assert "did you mean order_completed" in refused.content.decode()


@pytest.mark.parametrize(
    "body",
    [{}, {"names": []}, {"names": {"a": 1}}, {"names": {"a": None}}, {"names": {"a\0": "gift_sent"}}, {"nmes": {}}],
)
def test_a_broken_body_is_refused_and_changes_nothing(shop: Tenant, settings: Any, body: Any) -> None:
    settings.API_RATE_PER_MINUTE = 0
    assert caller(shop).send("PUT", "kpis/mapping/", body).status_code == 400
    assert event_names_read(tenant_id=shop.pk).building is None
