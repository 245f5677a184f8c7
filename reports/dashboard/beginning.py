"""The first day of a tenant: there is something to see, but no complete day yet."""

from __future__ import annotations

from datetime import datetime

from analytics.contracts import TenantInfo
from analytics.filters import calendar_of
from analytics.models import Event
from analytics.periods import Granularity

_with_past: set[int] = set()
"""Tenants that had events before some midnight: they never become new again, so nobody asks twice."""


def is_first_day(tenant: TenantInfo, now: datetime) -> bool:
    """Whether all events of the tenant are of today, on its own clock; not before there is any. In its context."""
    if tenant.id in _with_past:
        return False
    midnight = calendar_of(tenant).unit(now, Granularity.DAY).start
    events = Event.objects.filter(tenant_id=tenant.id)
    if events.filter(ts__lt=midnight).exists():
        _with_past.add(tenant.id)
        return False
    return events.exists()
