"""Long questions as jobs: progress and a stop while the engine works."""

from __future__ import annotations

import time
from typing import Any, Final

from django.db import connections
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
            cancelled=Stopped(job),
            progress=job.progress,
        )
    except StoreCancelled:
        job.renew()  # says which of the two it was
        raise
    except ValidationError as error:
        raise PermanentFailure(str(error.detail)) from None


class Stopped:
    """Whether somebody cancelled the job, or another worker has it; looked up once a second at most.

    It is asked from a thread of the store's, whose connection nobody else would close.
    """

    def __init__(self, job: RunningJob) -> None:
        self._job, self._asked_at, self._is_stopped = job, time.monotonic(), False

    def __call__(self) -> bool:
        if not self._is_stopped and time.monotonic() - self._asked_at >= 1:
            self._asked_at = time.monotonic()
            try:
                self._job.renew()
            except (JobCancelled, LeaseLost):
                self._is_stopped = True
            finally:
                connections[self._job.using].close()
        return self._is_stopped
