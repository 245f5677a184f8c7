"""Something happens to a tenant, now, and is counted as a worker counts it."""

from __future__ import annotations

from datetime import timedelta

from django.utils import timezone

from analytics.models import Tenant
from tests.kpis.story import Story

_stories: dict[int, Story] = {}


def earned(tenant: Tenant, amount: int, *, minutes_ago: int = 0, country: str | None = None) -> None:
    """An order of that many minor units, committed and announced."""
    story = _stories.setdefault(tenant.pk, Story(tenant))
    now = timezone.now()
    columns = {"country": country} if country else {}
    story.add("order_completed", now - timedelta(minutes=minutes_ago), "ann", amount=amount, **columns)
    story.count(now)
