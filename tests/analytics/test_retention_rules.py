"""For how long events are kept: the rule, who may say so, and what is refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.test import Client
from django.urls import reverse

from analytics.access.services import membership_set
from analytics.checks import events_are_kept_for_a_week
from analytics.models import EventRetention, Tenant
from analytics.periods import Calendar
from analytics.retention import Floors, Rule, floors_due
from analytics.tenancy import tenant_context

NOW = datetime(2024, 1, 1, 12, tzinfo=UTC) + timedelta(days=400)  # 2025-02-04 12:00 UTC
PARIS, KATHMANDU = Calendar("Europe/Paris"), Calendar("Asia/Kathmandu")


@pytest.mark.parametrize(
    ("rule", "calendar", "gone_before", "kept_from"),
    [
        (Rule(), PARIS, None, None),
        # Today is the 4th of February in Paris, and thirty whole days before it are kept: from the 5th of January.
        (Rule(30), PARIS, datetime(2025, 1, 4, 23, tzinfo=UTC), datetime(2025, 1, 4, 23, tzinfo=UTC)),
        (Rule(30), KATHMANDU, datetime(2025, 1, 4, 18, 15, tzinfo=UTC), datetime(2025, 1, 4, 18, 15, tzinfo=UTC)),
        # The platform's horizon is the 5th of January too, but only December is a whole month behind it; it ends
        # within a day of Paris and of Kathmandu, which goes with it.
        (Rule(None, 30), PARIS, datetime(2025, 1, 1, 23, tzinfo=UTC), datetime(2025, 1, 1, 23, tzinfo=UTC)),
        (Rule(None, 30), KATHMANDU, datetime(2025, 1, 1, 18, 15, tzinfo=UTC), datetime(2025, 1, 1, 18, 15, tzinfo=UTC)),
        # 34 days: the 1st of January begins the last day that is kept in Paris, so that December has to wait there:
        # its last hour is the first of that day.
        (Rule(None, 34), PARIS, datetime(2024, 12, 1, 23, tzinfo=UTC), datetime(2024, 12, 1, 23, tzinfo=UTC)),
        (Rule(None, 33), PARIS, datetime(2025, 1, 1, 23, tzinfo=UTC), datetime(2025, 1, 1, 23, tzinfo=UTC)),
        # A platform that keeps less than the tenant asks for wins.
        (Rule(90, 30), PARIS, datetime(2025, 1, 4, 23, tzinfo=UTC), datetime(2025, 1, 4, 23, tzinfo=UTC)),
        (Rule(30, 90), PARIS, datetime(2025, 1, 4, 23, tzinfo=UTC), datetime(2025, 1, 4, 23, tzinfo=UTC)),
        (
            Rule(30, 0, {"page_viewed": 10, "order": 60}),
            PARIS,
            datetime(2025, 1, 4, 23, tzinfo=UTC),
            datetime(2025, 1, 24, 23, tzinfo=UTC),
        ),
        (Rule(names={"page_viewed": 10}), PARIS, None, datetime(2025, 1, 24, 23, tzinfo=UTC)),
    ],
)  # fmt: skip
def test_days_are_the_tenants_own_and_months_are_the_platforms(
    rule: Rule, calendar: Calendar, gone_before: datetime | None, kept_from: datetime | None
) -> None:
    assert floors_due(rule, calendar, NOW) == Floors(gone_before, kept_from)


def test_floors_only_rise() -> None:
    early, late = datetime(2025, 1, 1, tzinfo=UTC), datetime(2025, 2, 1, tzinfo=UTC)
    assert Floors(late, late).risen(Floors(early, None)) == Floors(late, late)
    assert Floors().risen(Floors(None, early)) == Floors(None, early)


@pytest.mark.django_db
def test_nobody_keeps_events_for_longer_than_the_platform_or_for_less_than_a_week(acme: Tenant, settings: Any) -> None:
    settings.ANALYTICS_RETENTION_DAYS = 100
    with tenant_context(acme.pk):
        for days, is_fine in ((6, False), (7, True), (100, True), (101, False)):
            rule = EventRetention(tenant_id=acme.pk, name="page_viewed", days=days)
            acme.retention_days = days
            for row in (acme, rule):
                if is_fine:
                    row.full_clean(exclude=["tenant"])
                else:
                    with pytest.raises(ValidationError):
                        row.full_clean(exclude=["tenant"])


@pytest.mark.parametrize(("days", "is_fine"), [(0, True), (7, True), (6, False), (-1, False)])
def test_a_horizon_of_a_few_days_is_refused_at_the_start(days: int, is_fine: bool, settings: Any) -> None:
    settings.ANALYTICS_RETENTION_DAYS = days
    found = [message.id for message in events_are_kept_for_a_week(None)]
    assert found == ([] if is_fine else ["analytics.E002"])


def browser_of(tenant: Tenant, role: str) -> Client:
    """A signed-in browser of a member of the tenant's staff."""
    user = get_user_model().objects.create_user(username=f"{role}-{tenant.slug}", password="x", is_staff=True)
    membership_set(tenant_id=tenant.pk, user=user, role=role)
    browser = Client()
    browser.force_login(user)
    return browser


@pytest.mark.django_db
def test_owners_say_in_the_admin_how_long_events_are_kept_and_viewers_look(
    acme: Tenant, globex: Tenant, settings: Any
) -> None:
    settings.ANALYTICS_RETENTION_DAYS = 400
    page = reverse("admin:bellwether_analytics_tenant_change", args=[acme.pk])
    add = reverse("admin:bellwether_analytics_eventretention_add")
    owner, viewer = browser_of(acme, "owner"), browser_of(acme, "viewer")

    def put(browser: Client, days: str) -> Any:
        return browser.post(page, {"name": "Acme", "settings": "{}", "retention_days": days})

    def days_of(tenant: Tenant) -> int | None:
        with tenant_context(tenant.pk):
            return Tenant.objects.get(pk=tenant.pk).retention_days

    assert put(viewer, "90").status_code == 403
    assert "The platform keeps events for 400 days" in put(owner, "401").content.decode()
    assert days_of(acme) is None
    assert put(owner, "90").status_code == 302
    assert (days_of(acme), days_of(globex)) == (90, None)

    assert viewer.post(add, {"name": "page_viewed", "days": "30"}).status_code == 403
    assert owner.post(add, {"name": "page_viewed", "days": "30"}).status_code == 302
    again = owner.post(add, {"name": "page_viewed", "days": "10"})
    assert "This event has a retention already" in again.content.decode()
    with tenant_context(acme.pk):
        assert list(EventRetention.objects.values_list("name", "days")) == [("page_viewed", 30)]
    with tenant_context(globex.pk):
        assert not EventRetention.objects.exists()
