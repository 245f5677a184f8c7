"""Work that waits or runs. It lives here and not in Redis, so that losing a message loses nothing."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.utils import timezone

from analytics.ids import uuid7
from analytics.models.base import TenantForeignKey


class Job(models.Model):
    """A piece of work with its parameters, lease and progress. `lease_token` fences a worker that lost its lease."""

    class State(models.TextChoices):
        QUEUED = "queued"
        RUNNING = "running"
        DONE = "done"
        FAILED = "failed"
        CANCELLED = "cancelled"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    tenant = TenantForeignKey(null=True, db_constraint=False)
    kind = models.TextField()
    params = models.JSONField(default=dict, blank=True)
    state = models.CharField(max_length=10, choices=State.choices, default=State.QUEUED)
    done = models.BigIntegerField(default=0)
    total = models.BigIntegerField(default=0)
    cursor = models.JSONField(default=dict, blank=True)
    result = models.JSONField(default=dict, blank=True)
    error = models.TextField(default="", blank=True)
    lease_token = models.UUIDField(null=True)
    lease_until = models.DateTimeField(null=True)
    attempts = models.IntegerField(default=0)
    max_attempts = models.IntegerField(default=5)
    dedupe_key = models.TextField(null=True)  # noqa: DJ001 - null means "do not dedupe"
    run_at = models.DateTimeField(default=timezone.now)
    created_at = models.DateTimeField(default=timezone.now)
    started_at = models.DateTimeField(null=True)
    finished_at = models.DateTimeField(null=True)
    created_by = models.TextField(default="", blank=True)
    request_id = models.CharField(max_length=64, default="", blank=True, editable=False)

    class Meta:
        db_table = "bw_job"
        indexes: ClassVar = [
            models.Index(fields=["state", "run_at"], name="bw_job_due"),
            models.Index(fields=["tenant", "created_at"], name="bw_job_tenant"),
        ]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["tenant", "kind", "dedupe_key"],
                condition=models.Q(state__in=["queued", "running"]) & models.Q(dedupe_key__isnull=False),
                nulls_distinct=False,
                name="bw_job_once",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} ({self.state})"


class DuePeriod(models.Model):
    """That a schedule was due for a period: one row, so that it runs once whoever ticks."""

    id = models.BigAutoField(primary_key=True)
    tenant = TenantForeignKey(null=True, db_constraint=False)
    schedule = models.TextField()
    due_at = models.DateTimeField()
    state = models.TextField(default="queued")
    job_id = models.UUIDField(null=True)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        db_table = "bw_due_period"
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["tenant", "schedule", "due_at"], nulls_distinct=False, name="bw_due_period_once"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.schedule} due {self.due_at:%Y-%m-%d %H:%M}"


class ScheduleChoice(models.Model):
    """What a tenant chose of a schedule: paused, or another time of its day. Without a row it runs as declared."""

    id = models.BigAutoField(primary_key=True)
    tenant = TenantForeignKey()
    schedule = models.TextField()
    is_paused = models.BooleanField(default=False)
    at = models.TimeField(null=True, blank=True, help_text="local time of the tenant")
    changed_at = models.DateTimeField(default=timezone.now)
    changed_by = models.TextField(default="", blank=True)

    class Meta:
        db_table = "bw_schedule_choice"
        verbose_name = "choice of a schedule"
        verbose_name_plural = "choices of schedules"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["tenant", "schedule"], name="bw_schedule_choice_once"),
        ]

    def __str__(self) -> str:
        return f"{self.schedule}: {'paused' if self.is_paused else self.at or 'as declared'}"


class DirtyMark(models.Model):
    """A minute, or a subject with all its minutes, whose buckets must be counted again. Rows only add.

    A mark is deleted in the transaction that recomputes it, before the statement that reads the events: a writer that
    commits later leaves a mark of its own.
    """

    id = models.BigAutoField(primary_key=True)
    tenant = TenantForeignKey(db_constraint=False)
    minute = models.DateTimeField(null=True)
    subject_id = models.IntegerField(null=True)
    reason = models.TextField(default="event")
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        db_table = "bw_dirty_mark"
        indexes: ClassVar = [models.Index(fields=["tenant", "minute"], name="bw_dirty_mark_minute")]

    def __str__(self) -> str:
        return f"{self.minute or self.subject_id} ({self.reason})"
