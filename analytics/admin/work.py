"""Jobs with their progress, schedules, and what waits to be counted."""

from __future__ import annotations

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.html import format_html

from analytics import jobs
from analytics.admin.base import JOB_READERS, ReadOnlyAdmin
from analytics.models import DirtyMark, DuePeriod, IdempotentAnswer, Job, ScheduleChoice


@admin.register(Job)
class JobAdmin(ReadOnlyAdmin):
    readers = JOB_READERS
    list_display = ("created_at", "kind", "state", "progress", "attempts", "run_at", "finished_at", "error")
    list_filter = ("state", "kind")
    ordering = ("-created_at",)
    actions = ("run_now", "cancel")
    exclude = ("lease_token",)

    @admin.display(description="progress")
    def progress(self, job: Job) -> str:
        if not job.total:
            return "–"
        share = min(100, 100 * job.done // job.total)
        return format_html('<progress value="{}" max="{}">{} %</progress> {} %', job.done, job.total, share, share)

    @admin.action(description="Run now", permissions=["view"])
    def run_now(self, request: HttpRequest, queryset: QuerySet[Job]) -> None:
        """Makes the jobs due at once; failed and cancelled ones start again where they stopped."""
        if not self.may_act(request):
            messages.error(request, "Your role may look at jobs, not start them.")
            return
        started = [jobs.run_now(job, now=timezone.now()) for job in queryset]
        messages.success(request, f"{sum(started)} of {len(started)} jobs will start within seconds.")

    @admin.action(description="Cancel", permissions=["view"])
    def cancel(self, request: HttpRequest, queryset: QuerySet[Job]) -> None:
        if not self.may_act(request):
            messages.error(request, "Your role may look at jobs, not cancel them.")
            return
        cancelled = [jobs.cancel(job, now=timezone.now()) for job in queryset]
        messages.success(request, f"Cancelled {sum(cancelled)} of {len(cancelled)} jobs.")


@admin.register(DuePeriod)
class DuePeriodAdmin(ReadOnlyAdmin):
    readers = JOB_READERS
    list_display = ("schedule", "due_at", "state", "job_id")
    list_filter = ("schedule",)
    ordering = ("-due_at",)


@admin.register(ScheduleChoice)
class ScheduleChoiceAdmin(ReadOnlyAdmin):
    """What was chosen on the scheduler's page."""

    readers = JOB_READERS
    list_display = ("schedule", "is_paused", "at", "changed_at", "changed_by")
    ordering = ("schedule",)


@admin.register(IdempotentAnswer)
class IdempotentAnswerAdmin(ReadOnlyAdmin):
    """Requests of the last day that act once; their content is sealed."""

    readers = JOB_READERS
    list_display = ("created_at", "actor", "status")
    list_filter = ("status",)
    ordering = ("-created_at",)
    exclude = ("answer",)


@admin.register(DirtyMark)
class DirtyMarkAdmin(ReadOnlyAdmin):
    readers = JOB_READERS
    list_display = ("created_at", "minute", "subject_id", "reason")
    ordering = ("-id",)
