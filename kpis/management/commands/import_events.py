"""Imports a file by a mapping and counts what it brought. It lives here because counting does."""

from __future__ import annotations

import os
import time
from datetime import timedelta

from django.db import connection
from django.utils import timezone

from analytics.capture.importer import ImportReport
from analytics.capture.importing.command import ImportCommand
from analytics.contracts import TenantInfo
from analytics.jobs import run_job
from analytics.models import Job
from analytics.tenancy import tenant_context
from kpis.rollup.refresh import refresh_tenant
from kpis.rollup.services import backfill_enqueue
from kpis.selectors import calendar_read


class Command(ImportCommand):
    help = (
        "Import events from a CSV, JSON-lines or Parquet file by a YAML mapping, and count them. Safe to repeat: "
        "rows that are stored already are duplicates. Rows that do not fit go to quarantine, with their remedy."
    )

    def count_up(self, tenant: TenantInfo, report: ImportReport) -> str:
        begun = time.monotonic()
        # Inside a transaction of the caller's no other process would see the events.
        if report.is_bulk and not connection.in_atomic_block:
            backfill(tenant.id, report)
        refresh_tenant(tenant.id, now=timezone.now())
        return f"Counted into roll-ups in {time.monotonic() - begun:.1f} s: `manage.py kpi` answers with them."


def backfill(tenant_id: int, report: ImportReport) -> None:
    """Count the days from the file's first event to its last, here or in the worker that took the job first."""
    assert report.start is not None
    assert report.end is not None
    calendar = calendar_read(tenant_id=tenant_id)
    first, last = calendar.local_date(report.start), calendar.local_date(report.end)
    workers = os.cpu_count() or 1
    job = backfill_enqueue(
        tenant_id=tenant_id, first=first, end=last + timedelta(days=1), workers=workers, created_by="import"
    )
    if not run_job(job.pk):
        await_end(tenant_id, job)


def await_end(tenant_id: int, job: Job) -> None:
    """Until another process has done the job, or failed: then the marks are still there for the refresh."""
    while job.state in (Job.State.QUEUED, Job.State.RUNNING):
        time.sleep(0.2)
        with tenant_context(tenant_id):
            job.refresh_from_db()
