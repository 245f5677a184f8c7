"""Jobs of the counting: backfills, and the switch of a tenant to another calendar."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from typing import Any

from django.utils import timezone

from analytics.demo import furnishing  # noqa: F401  registers its kind of job
from analytics.due import Schedule, schedules
from analytics.jobs import PermanentFailure, RunningJob, job_kind
from analytics.periods import Granularity
from kpis.explore import jobs as explore_jobs  # noqa: F401  answers as jobs
from kpis.starters import REFRESH

BACKFILL = "rollup.backfill"
SWITCH = "rollup.switch_calendar"
FREEZE = "ledger.freeze"
DAILY = "rollup.daily"
GOALS_FREEZE = "goals.freeze"
SAMPLE_CHECK = "quality.sample_check"


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
    """Writes down how goals ended whose period is over, then their objectives. A result is never written twice."""
    from kpis.goals.objective_services import objectives_freeze
    from kpis.goals.services import goals_freeze as freeze_goals

    if job.tenant_id is None:
        raise PermanentFailure("goals belong to a tenant")
    now = timezone.now()
    goals = freeze_goals(tenant_id=job.tenant_id, now=now)
    return {"goals": goals, "objectives": objectives_freeze(tenant_id=job.tenant_id, now=now)}


@job_kind(DAILY)
def daily(job: RunningJob) -> dict[str, Any]:
    """Counts the local day before `due_at` again from all its events, whatever the marks say."""
    from kpis.rollup.refresh import refresh_tenant
    from kpis.rollup.services import days_mark
    from kpis.selectors import calendar_read

    if job.tenant_id is None:
        raise PermanentFailure("a roll-up needs a tenant")
    now, due = timezone.now(), job.params.get("due_at")
    today = calendar_read(tenant_id=job.tenant_id).local_date(datetime.fromisoformat(due) if due else now)
    days_mark(tenant_id=job.tenant_id, first=today - timedelta(days=1), end=today, now=now)
    done = refresh_tenant(job.tenant_id, now=now)
    return {"days": done.days, "minutes": done.minutes}


schedules.register(
    Schedule(
        id="metrics.hourly",
        kind=REFRESH,
        every=Granularity.HOUR,
        help="Counts what is still dirty when an hour is over.",
        delay=timedelta(minutes=1),
    )
)
schedules.register(
    Schedule(
        id="statistics.daily",
        kind=REFRESH,
        every=Granularity.DAY,
        help="Counts what is still dirty when the day is over.",
        at=time(0),
    )
)
schedules.register(
    Schedule(
        id="rollup.daily",
        kind=DAILY,
        every=Granularity.DAY,
        help="Counts yesterday again from all its events.",
        at=time(3),
    )
)


@job_kind(SAMPLE_CHECK)
def check_sample(job: RunningJob) -> dict[str, Any]:
    """Compares a closed day, picked by chance, with a recount from its events; the result is kept."""
    from kpis.sample_check import sample_check

    if job.tenant_id is None:
        raise PermanentFailure("a check needs a tenant")
    row = sample_check(tenant_id=job.tenant_id, now=timezone.now(), seed=job.id.int)
    return {"day": row.day.isoformat(), "differences": row.differences} if row else {"day": None}


# At four o'clock the phones that were offline over night have mostly told their day.
schedules.register(
    Schedule(
        id="ledger.freeze",
        kind=FREEZE,
        every=Granularity.DAY,
        help="Publishes the numbers of the days that are over into the ledger.",
        at=time(4),
        catch_up="latest",
    )
)
# After the ledger, so that a goal's last day is the one that was published.
schedules.register(
    Schedule(
        id="goals.freeze",
        kind=GOALS_FREEZE,
        every=Granularity.DAY,
        help="Writes down how the goals and objectives ended whose period is over.",
        at=time(5),
        catch_up="latest",
    )
)
schedules.register(
    Schedule(
        id="quality.sample_check",
        kind=SAMPLE_CHECK,
        every=Granularity.DAY,
        help="Counts a closed day again, picked by chance, and compares.",
        at=time(5, 30),
        catch_up="latest",
    )
)


def backfill_params(first: date, end: date, *, workers: int = 1) -> dict[str, Any]:
    return {"from": first.isoformat(), "to": end.isoformat(), "workers": workers}
