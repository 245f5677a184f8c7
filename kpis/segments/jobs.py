"""Segments are asked again every night, so that their people are those of the day before."""

from __future__ import annotations

from datetime import time
from typing import Any

from django.utils import timezone

from analytics.due import Schedule, schedules
from analytics.jobs import PermanentFailure, RunningJob, job_kind
from analytics.periods import Granularity

REFRESH = "segments.refresh"


@job_kind(REFRESH)
def refresh(job: RunningJob) -> dict[str, Any]:
    """Asks all questions of the tenant's segments again. Safe to repeat."""
    from analytics.tenancy import tenants
    from kpis.segments.services import segments_refresh

    tenant = next((each for each in tenants() if each.id == job.tenant_id), None)
    if tenant is None:
        raise PermanentFailure("segments belong to a tenant")
    return dict(segments_refresh(tenant=tenant, now=timezone.now()))


schedules.register(
    Schedule(
        id="segments.daily",
        kind=REFRESH,
        every=Granularity.DAY,
        at=time(2, 45),
        help="Asks the question of every kept segment again.",
    )
)
