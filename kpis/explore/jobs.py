"""Long questions as jobs: progress and a stop while the engine works."""

from __future__ import annotations

from typing import Any, Final

from django.utils import timezone
from rest_framework.exceptions import ValidationError

from analytics.jobs import JobCancelled, LeaseLost, PermanentFailure, RunningJob, job_kind
from analytics.lake.errors import StoreCancelled
from analytics.tenancy import tenants
from kpis.explore.grammar import Asking

ANSWER: Final = "explore.answer"
JOB_SECONDS: Final = 900.0


@job_kind(ANSWER)
def answer(job: RunningJob) -> dict[str, Any]:
    """Params: `kind`, `question` (as the API takes it). The result is the answer as the API gives it."""
    from kpis.explore.selectors import explore  # the engines are loaded by who needs them

    tenant = next((info for info in tenants() if info.id == job.tenant_id), None)
    if tenant is None:
        raise PermanentFailure("a question needs a tenant")
    job.progress(0, 3)
    try:
        return explore(
            kind=job.params["kind"],
            wanted=job.params["question"],
            asking=Asking(tenant, timezone.now()),
            timeout=JOB_SECONDS,
            cancelled=lambda: is_stopped(job),
            progress=job.progress,
        )
    except StoreCancelled:
        job.renew()  # says which of the two it was
        raise
    except ValidationError as error:
        raise PermanentFailure(str(error.detail)) from None


def is_stopped(job: RunningJob) -> bool:
    """Whether somebody cancelled it, or another worker has it."""
    try:
        job.renew()
    except (JobCancelled, LeaseLost):
        return True
    return False
