"""The numbers of the machine: who gets them, and what counts as up."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from analytics.models import Event, Tenant
from analytics.tenancy import tenant_context
from kpis.machine import Reading, machine_publish, machine_read
from kpis.rollup.refresh import refresh_tenant
from kpis.series import metrics_series

pytestmark = pytest.mark.django_db

START = datetime(2026, 3, 2, 10, tzinfo=UTC)
CALM, BUSY = Reading(cpu=0.2, memory=0.5, queue=0), Reading(cpu=0.6, memory=0.7, queue=8)


def beats(*seconds: int) -> None:
    for second in seconds:
        reading = BUSY if second == seconds[-1] else CALM
        assert machine_publish(now=START + timedelta(seconds=second), reading=reading)


def test_a_gap_between_beats_is_time_down(acme: Tenant, globex: Tenant, settings: Any) -> None:
    """Beats after 60 s, 60 s and 600 s: 60 + 60 + 90 of 720 seconds were up."""
    settings.ANALYTICS_TENANT = "acme"
    beats(0, 60, 120, 720)
    now = START + timedelta(hours=1)
    refresh_tenant(acme.pk, now=now)
    names = ["system.uptime", "system.observed_time", "system.cpu", "system.memory", "system.queue_peak"]
    found = metrics_series(tenant_id=acme.pk, metrics=names, start=START, end=now, grain="total", now=now)
    assert [float(series.total or 0) for series in found] == [210 / 720, 720_000, 0.3, 0.55, 8]


def test_only_the_named_tenant_gets_them_and_without_a_name_nobody(acme: Tenant, globex: Tenant, settings: Any) -> None:
    for name in ("", "nobody", lambda request: "acme"):
        settings.ANALYTICS_TENANT = name
        assert machine_publish(now=START, reading=CALM) is False
    settings.ANALYTICS_TENANT = "globex"
    beats(0)
    for tenant, count in ((acme, 0), (globex, 4)):
        with tenant_context(tenant.pk):
            assert Event.objects.filter(name="data_point", object_type="metric").count() == count


def test_the_machine_is_read_in_shares(db: None) -> None:
    reading = machine_read(now=START)
    assert 0 <= reading.cpu <= 1
    assert 0 < reading.memory < 1
    assert reading.queue == 0
