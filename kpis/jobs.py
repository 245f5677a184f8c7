"""Jobs of the counting: backfills, and the switch of a tenant to another calendar."""

from __future__ import annotations

from datetime import date
from typing import Any

from django.utils import timezone

from analytics.jobs import PermanentFailure, RunningJob, job_kind

BACKFILL = "rollup.backfill"
SWITCH = "rollup.switch_calendar"


@job_kind(BACKFILL)
def backfill(job: RunningJob) -> dict[str, Any]:
    """Params: `from`, `to` (dates, the end not in it), `calendar_id` or null, `workers`."""
    from kpis.rollup.services import backfill_run

    if job.tenant_id is None:
        raise PermanentFailure("a backfill needs a tenant")
    return backfill_run(job, tenant_id=job.tenant_id, now=timezone.now(), workers=int(job.params.get("workers", 1)))


@job_kind(SWITCH)
def switch_calendar(job: RunningJob) -> dict[str, Any]:
    """Params: `calendar_id` of a version being built. Counts it from events and makes it the live one."""
    from kpis.rollup.services import calendar_build

    if job.tenant_id is None:
        raise PermanentFailure("a calendar needs a tenant")
    return calendar_build(job, tenant_id=job.tenant_id, now=timezone.now())


def backfill_params(first: date, end: date, *, workers: int = 1) -> dict[str, Any]:
    return {"from": first.isoformat(), "to": end.isoformat(), "workers": workers}
