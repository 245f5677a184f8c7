"""The clean-up may be killed anywhere: what is kept is there, what was counted stays, and the next one ends it."""

from __future__ import annotations

import signal
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from analytics.failpoints import POINTS
from analytics.lake.check import findings
from analytics.models import EventRetention, Tenant
from analytics.partitions import partitions_between, partitions_past
from analytics.retention_run import retention_apply
from analytics.tenancy import tenant_context
from kpis.rollup.refresh import refresh_tenant
from tests.analytics.events import event, rows, write
from tests.analytics.lake.killing import forked
from tests.analytics.lake.lakes import seal

DAY = timedelta(days=1)
START = datetime(2020, 1, 15, 12, tzinfo=UTC)
STEPS = [point for point in POINTS if point.startswith("retention.")]
COUNTED = """
SELECT measure, dimension, key, grain, start, n, total, md5(state) FROM bw_bucket
 WHERE calendar_id IN (SELECT id FROM bw_calendar WHERE state = 'live') ORDER BY 1, 2, 3, 4, 5"""


def a_time(tenant: Tenant, now: datetime) -> None:
    """A view and an order on every tenth day of the hundred before."""
    told = [
        event(tenant, f"{name}-{now:%Y%m%d}-{day}", name=name, timestamp=at, received_at=at, distinct_id=f"p{day % 5}")
        for day in range(5, 105, 10)
        for name in ("page_viewed", "order_completed")
        for at in [now - day * DAY]
    ]
    write(tenant, told, now=now)
    refresh_tenant(tenant.pk, now=now)
    seal(tenant, now=now)


def clean(tenant: Tenant, now: datetime) -> None:
    retention_apply(tenant_id=tenant.pk, now=now)


def ids(tenant: Tenant, where: str) -> list[str]:
    return [row[0] for row in rows(tenant, f"SELECT event_id FROM bw_event WHERE {where} ORDER BY 1")]


@pytest.mark.django_db(transaction=True)
def test_a_kill_at_any_step_loses_no_event_that_is_kept_and_no_number(
    acme: Tenant, globex: Tenant, settings: Any, tmp_path: Path
) -> None:
    settings.ANALYTICS_LAKE_URL = str(tmp_path / "lake")
    settings.ANALYTICS_SEAL_WORKERS = 1
    settings.ANALYTICS_RETENTION_DAYS = 65
    partitions_between(START.date() - 100 * DAY, START.date() + 120 * len(STEPS) * DAY)
    with tenant_context(acme.pk):
        Tenant.objects.filter(pk=acme.pk).update(retention_days=60)
        EventRetention.objects.create(tenant_id=acme.pk, name="page_viewed", days=20)
    for number, step in enumerate(STEPS):
        now = START + number * 120 * DAY
        for tenant in (acme, globex):
            a_time(tenant, now)
        neighbour = retention_apply(tenant_id=globex.pk, now=now)
        theirs = ids(globex, f"ts >= '{neighbour.floors.gone_before}'")
        counted = rows(acme, COUNTED), rows(globex, COUNTED)
        # Sixty days and today by Paris: noon there is the same day.
        kept = f"ts >= '{(now - 60 * DAY).date()}' AND (name = 'order_completed' OR ts >= '{(now - 20 * DAY).date()}')"
        ours = ids(acme, kept)
        assert len(ours) == 6 + 2

        died = forked(partial(clean, acme, now), f"{step}:kill")

        assert died == signal.SIGKILL, step
        assert ids(acme, kept) == ours, f"{step}: an event that is kept has gone"
        assert (rows(acme, COUNTED), rows(globex, COUNTED)) == counted, f"{step}: a number moved"
        refresh_tenant(acme.pk, now=now)
        assert rows(acme, COUNTED) == counted[0], f"{step}: a refresh moved a number"

        retention_apply(tenant_id=acme.pk, now=now)

        assert ids(acme, "true") == ours, f"{step}: not exactly what is kept"
        assert ids(globex, "true") == theirs, f"{step}: the neighbour's events"
        assert (rows(acme, COUNTED), rows(globex, COUNTED)) == counted, f"{step}: a number moved at last"
        assert [problem for _, problem in findings(acme.pk) if problem] == [], f"{step}: the lake"
        assert partitions_past() == [], step
        again = retention_apply(tenant_id=acme.pk, now=now)
        assert (again.rows, again.months, again.pieces) == ({}, (), 0), f"{step}: something was left"
