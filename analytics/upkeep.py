"""Jobs that keep the store in order: replays, erasures, merging of ledger rows, the weekly clean-up."""

from __future__ import annotations

from datetime import time, timedelta
from typing import Any, Final
from uuid import UUID

from django.contrib.sessions.backends.db import SessionStore
from django.utils import timezone

from analytics.answers import KEPT as ANSWERS_KEPT
from analytics.capture.importing.uploads import uploads_sweep
from analytics.due import Schedule, schedules
from analytics.imports import KIND as UPLOADS
from analytics.jobs import ACTIVE, PermanentFailure, RunningJob, job_kind
from analytics.models import DuePeriod, IdempotentAnswer, Job
from analytics.outcomes import outcomes_compact
from analytics.periods import Granularity
from analytics.privacy import erase_subject
from analytics.quarantine import quarantine_replay
from analytics.tenancy import tenant_context, tenants

KEPT: Final = timedelta(days=90)
"""Longer than a due period is looked back for (`due.HORIZON`)."""
SUNDAY: Final = 6


@job_kind("quarantine.replay")
def replay(job: RunningJob) -> dict[str, Any]:
    """Params: `reason` and `ids`, both optional. Safe to repeat: what is stored is not held any more."""
    tenant = next((each for each in tenants(using=job.using) if each.id == job.tenant_id), None)
    if tenant is None:
        raise PermanentFailure("the job has no tenant, or it is gone")
    ids = [UUID(each) for each in job.params["ids"]] if "ids" in job.params else None
    report = quarantine_replay(
        tenant=tenant,
        reason=job.params.get("reason", ""),
        ids=ids,
        now=timezone.now(),
        progress=job.progress,
        using=job.using,
    )
    return report.as_dict()


@job_kind("outcomes.compact")
def compact(job: RunningJob) -> dict[str, Any]:
    """For the job's tenant, or for all of them."""
    return {"merged": outcomes_compact(now=timezone.now(), tenant_id=job.tenant_id, using=job.using)}


class ErasureUnfinished(Exception):
    """A part could not let go of an erased person; the job tries again."""


@job_kind("privacy.erase")
def erase(job: RunningJob) -> dict[str, Any]:
    """Params: `subject_id`, never a distinct id, because jobs are kept in plain text. Safe to repeat."""
    if job.tenant_id is None:
        raise PermanentFailure("the job has no tenant")
    subject = int(job.params["subject_id"])
    receipt = erase_subject(tenant_id=job.tenant_id, subject_id=subject, now=timezone.now(), is_repeated=True)
    if receipt.failed:
        raise ErasureUnfinished(f"these parts still hold something of the person: {', '.join(receipt.failed)}")
    return receipt.as_dict()


@job_kind("upkeep.clean")
def clean(job: RunningJob) -> dict[str, Any]:
    """Merges ledger rows of outcomes and takes away jobs and due periods that nobody will ask for again."""
    if job.tenant_id is None:
        raise PermanentFailure("the job has no tenant")
    now = timezone.now()
    merged = outcomes_compact(now=now, tenant_id=job.tenant_id, using=job.using)
    job.progress(1, 3)
    with tenant_context(job.tenant_id, using=job.using):
        ended = Job.objects.using(job.using).filter(tenant_id=job.tenant_id, finished_at__lt=now - KEPT)
        jobs_gone, _ = ended.delete()
        periods = DuePeriod.objects.using(job.using).filter(tenant_id=job.tenant_id, due_at__lt=now - KEPT)
        periods_gone, _ = periods.delete()
        IdempotentAnswer.objects.using(job.using).filter(
            tenant_id=job.tenant_id, created_at__lt=now - ANSWERS_KEPT
        ).delete()
        active = Job.objects.using(job.using).filter(tenant_id=job.tenant_id, kind=UPLOADS, state__in=ACTIVE)
        uploads_sweep(job.tenant_id, active={str(params.get("upload")) for (params,) in active.values_list("params")})
    job.progress(2, 3)
    SessionStore.clear_expired()
    return {"outcomes": merged, "jobs": jobs_gone, "due_periods": periods_gone}


schedules.register(
    Schedule(
        id="upkeep.weekly",
        kind="upkeep.clean",
        every=Granularity.DAY,
        weekday=SUNDAY,
        help="Merges the ledger of outcomes, removes finished jobs after 90 days and sessions that have expired.",
        at=time(3),
    )
)
