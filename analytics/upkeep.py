"""Jobs that keep the store in order: replays, erasures, merging of ledger rows."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.utils import timezone

from analytics.jobs import PermanentFailure, RunningJob, job_kind
from analytics.outcomes import outcomes_compact
from analytics.privacy import erase_subject
from analytics.quarantine import quarantine_replay
from analytics.tenancy import tenants


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


@job_kind("privacy.erase")
def erase(job: RunningJob) -> dict[str, Any]:
    """Params: `subject_id`, never a distinct id, because jobs are kept in plain text. Safe to repeat."""
    if job.tenant_id is None:
        raise PermanentFailure("the job has no tenant")
    receipt = erase_subject(tenant_id=job.tenant_id, subject_id=int(job.params["subject_id"]), now=timezone.now())
    return receipt.as_dict()
