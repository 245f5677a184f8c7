"""Jobs of the counting: backfills, and the switch of a tenant to another calendar."""

from __future__ import annotations

from datetime import date, datetime, time
from typing import Any

from django.utils import timezone

from analytics.jobs import PermanentFailure, RunningJob, job_kind
from analytics.periods import Granularity
from kpis.due import Schedule, schedules

BACKFILL = "rollup.backfill"
SWITCH = "rollup.switch_calendar"
FREEZE = "ledger.freeze"
GOALS_FREEZE = "goals.freeze"


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


@job_kind(FREEZE)
def freeze(job: RunningJob) -> dict[str, Any]:
    """Publishes the days before `due_at` (or now) into the ledger: only what is new or has moved adds a row."""
    from kpis.ledger import days_freeze

    if job.tenant_id is None:
        raise PermanentFailure("a ledger needs a tenant")
    due = job.params.get("due_at")
    until = datetime.fromisoformat(due) if due else timezone.now()
    return {"rows": days_freeze(tenant_id=job.tenant_id, until=until, now=timezone.now(), progress=job.progress)}


@job_kind(GOALS_FREEZE)
def goals_freeze(job: RunningJob) -> dict[str, Any]:
    """Writes down how the goals ended whose period is over. Safe to repeat: a result is never written twice."""
    from kpis.goals.services import goals_freeze as freeze_goals

    if job.tenant_id is None:
        raise PermanentFailure("goals belong to a tenant")
    return {"goals": freeze_goals(tenant_id=job.tenant_id, now=timezone.now())}


# At four o'clock the phones that were offline over night have mostly told their day.
schedules.register(Schedule(id="ledger.freeze", kind=FREEZE, every=Granularity.DAY, at=time(4), catch_up="latest"))
# After the ledger, so that a goal's last day is the one that was published.
schedules.register(Schedule(id="goals.freeze", kind=GOALS_FREEZE, every=Granularity.DAY, at=time(5), catch_up="latest"))


def backfill_params(first: date, end: date, *, workers: int = 1) -> dict[str, Any]:
    return {"from": first.isoformat(), "to": end.isoformat(), "workers": workers}
