"""Jobs of what is inferred."""

from __future__ import annotations

from datetime import date, datetime, time, timedelta
from typing import Any

from django.utils import timezone

from analytics.due import Schedule, schedules
from analytics.jobs import PermanentFailure, RunningJob, job_kind
from analytics.periods import Granularity

SNAPSHOT = "customers.snapshot"


@job_kind(SNAPSHOT)
def snapshot(job: RunningJob) -> dict[str, Any]:
    """Params: `taken_on` (a date), or `due_at` (the day before it is taken), else yesterday; `rule`."""
    from insights.customers.rfm import Rule
    from insights.customers.services import NobodyBought, snapshot_take
    from kpis.selectors import calendar_read

    if job.tenant_id is None:
        raise PermanentFailure("customers belong to a tenant")
    now = timezone.now()
    calendar = calendar_read(tenant_id=job.tenant_id)
    due = datetime.fromisoformat(job.params["due_at"]) if job.params.get("due_at") else now
    asked = job.params.get("taken_on")
    taken_on = date.fromisoformat(asked) if asked else calendar.local_date(due) - timedelta(days=1)
    try:
        kept = snapshot_take(
            tenant_id=job.tenant_id,
            taken_on=taken_on,
            now=now,
            rule=Rule(job.params.get("rule", Rule.QUANTILE_EDGES)),
            progress=job.progress,
        )
    except NobodyBought as error:
        return {"taken_on": taken_on.isoformat(), "customers": 0, "note": str(error)}
    return {"taken_on": taken_on.isoformat(), "customers": kept.customers, "note": kept.fit_note}


schedules.register(
    Schedule(
        id="customers.daily",
        kind=SNAPSHOT,
        every=Granularity.DAY,
        at=time(2, 30),
        help="Scores every customer as of yesterday, fits what they will still buy, and keeps who is in which segment.",
    )
)
