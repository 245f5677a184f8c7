"""Capture from Python code, and the surroundings it inherits."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest
from django.db import connection, transaction

from analytics.access.services import tenant_create
from analytics.capture import faults
from analytics.capture.context import NOBODY, acting, acting_now, tag
from analytics.capture.tracking import alias, group, identify, track
from analytics.models import Event, Group, Subject, Tenant
from analytics.tenancy import tenant_context


def events_of(tenant: Tenant) -> list[tuple[Any, ...]]:
    """Name, amount, currency, object and source of a tenant's events, in order of time."""
    with tenant_context(tenant.pk):
        rows = Event.objects.order_by("ts", "id")
        return list(rows.values_list("name", "amount", "currency", "object_type", "object_id", "source"))


@pytest.fixture(autouse=True)
def _fresh_outlet() -> None:
    from analytics.capture.outlet import outlet

    outlet.tenants.clear()
    faults.fault_counts.clear()


def test_an_event_is_stored_for_the_tenant_that_acts_and_for_no_other(acme: Tenant, globex: Tenant) -> None:
    with acting(tenant="acme", distinct_id="42"):
        track("order_completed", value=Decimal("19.90"), currency="EUR", object=("order", 7), properties={"plan": "pro"})
    assert events_of(acme) == [("order_completed", 1990, "EUR", "order", "7", "manual")]
    assert events_of(globex) == []


def test_a_rollback_takes_the_event_with_it(acme: Tenant, globex: Tenant) -> None:
    with pytest.raises(RuntimeError), transaction.atomic():
        track("order_completed", user=1, tenant="acme")
        raise RuntimeError
    track("order_completed", user=2, tenant="globex")
    assert events_of(acme) == []
    assert len(events_of(globex)) == 1


def test_without_a_tenant_nothing_is_stored_and_the_loss_is_counted(acme: Tenant, globex: Tenant) -> None:
    track("order_completed", user=1)
    assert events_of(acme) == events_of(globex) == []
    assert faults.fault_counts.snapshot() == {"dropped.no_tenant": 1}
