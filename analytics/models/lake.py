"""The manifest of the lake, and the marks that say which of its hours are behind the events."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.utils import timezone

from analytics.ids import uuid7
from analytics.models.base import TenantForeignKey


class LakePiece(models.Model):
    """Some hours of a UTC day, sealed. Live until it is retired; its files stay until `purge_at`, for who reads them.

    The database refuses two live pieces of a tenant that overlap. `subjects` is a roaring bitmap of everybody whose
    events the files hold; `files` says of each of the three how many bytes it has and their BLAKE2b digest.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    tenant = TenantForeignKey(db_constraint=False)
    start = models.DateTimeField()
    end = models.DateTimeField()
    rows = models.BigIntegerField()
    path = models.TextField(help_text="of its files, without their endings")
    files = models.JSONField(default=dict)
    subjects = models.BinaryField()
    version = models.SmallIntegerField()
    sealed_at = models.DateTimeField()
    retired_at = models.DateTimeField(null=True)
    purge_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "bw_lake_piece"
        indexes: ClassVar = [
            models.Index(
                fields=["tenant", "start"], name="bw_lake_piece_live", condition=models.Q(retired_at__isnull=True)
            ),
            models.Index(
                fields=["tenant", "purge_at"], name="bw_lake_piece_purge", condition=models.Q(purge_at__isnull=False)
            ),
        ]

    def __str__(self) -> str:
        return f"{self.start:%Y-%m-%d %H:%M} to {self.end:%Y-%m-%d %H:%M}, {self.rows} events"


class LakeMark(models.Model):
    """An hour, or a subject with all its hours, that must be sealed again. Rows only add.

    Written in the transaction of what it tells of; deleted in the transaction that seals, before the statement that
    reads the events: a writer that commits later leaves a mark of its own.
    """

    id = models.BigAutoField(primary_key=True)
    tenant = TenantForeignKey(db_constraint=False)
    hour = models.DateTimeField(null=True)
    subject_id = models.IntegerField(null=True)
    reason = models.TextField(default="event")
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        db_table = "bw_lake_mark"
        indexes: ClassVar = [models.Index(fields=["tenant", "hour"], name="bw_lake_mark_hour")]

    def __str__(self) -> str:
        return f"{self.hour or self.subject_id} ({self.reason})"
