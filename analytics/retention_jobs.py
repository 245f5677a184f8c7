"""The weekly clean-up of what a tenant does not keep."""

from __future__ import annotations

from collections import Counter
from datetime import time
from typing import Any, Final

from django.utils import timezone

from analytics.due import Schedule, schedules
from analytics.jobs import PermanentFailure, RunningJob, job_kind
from analytics.periods import Granularity

KIND: Final = "retention.apply"
SUNDAY: Final = 6


@job_kind(KIND)
def clean(job: RunningJob) -> dict[str, Any]:
    """Lets go of old events and what belongs to them. Safe to repeat; what it waits for is in the result."""
    from analytics.retention import RetentionPostponed
    from analytics.retention_run import retention_apply

    if job.tenant_id is None:
        raise PermanentFailure("the job has no tenant")
    removed: Counter[str] = Counter()

    def tell(store: str, count: int) -> None:
        removed[store] += count
        job.progress(removed.total(), removed.total())

    try:
        done = retention_apply(tenant_id=job.tenant_id, now=timezone.now(), progress=tell, using=job.using)
    except RetentionPostponed as error:
        return {"postponed": str(error)}
    return done.as_dict()


schedules.register(
    Schedule(
        id="retention.weekly",
        kind=KIND,
        every=Granularity.DAY,
        weekday=SUNDAY,
        help="Deletes events of days that are not kept any more. Numbers that were counted stay.",
        at=time(3),
    )
)
