"""Who changed what of a tenant's access, people and data. The database takes new rows only."""

from __future__ import annotations

from typing import ClassVar

from django.db import models

from analytics.ids import uuid7
from analytics.models.base import TenantForeignKey


class AuditEntry(models.Model):
    """One change. It names people by numbers and keys by their prefix, never by anything that is personal or secret."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    tenant = TenantForeignKey(db_constraint=False)
    at = models.DateTimeField()
    actor = models.TextField(help_text="user:<number>, key:<id>, or command")
    action = models.TextField(help_text="key.added, retention.changed …")
    what = models.TextField(default="", blank=True, help_text="which one")
    detail = models.JSONField(default=dict, blank=True, help_text="what it was made to be, and what it was before")

    class Meta:
        db_table = "bw_audit_entry"
        verbose_name = "change"
        verbose_name_plural = "audit trail"
        indexes: ClassVar = [models.Index(fields=["tenant", "at", "id"], name="bw_audit_entry_at")]

    def __str__(self) -> str:
        return f"{self.action} {self.what}".strip()
