"""Answers that are kept for a day, so that a request sent twice acts once."""

from __future__ import annotations

from typing import ClassVar

from django.db import models

from analytics.models.base import TenantForeignKey


class IdempotentAnswer(models.Model):
    """What a request with an `Idempotency-Key` was answered. `status` is null while it is being worked on.

    `key` and `request` are digests; `answer` is sealed with the tenant's key, because it may hold a secret shown once.
    """

    id = models.BigAutoField(primary_key=True)
    tenant = TenantForeignKey()
    actor = models.TextField()
    key = models.CharField(max_length=64)
    request = models.CharField(max_length=64)
    status = models.SmallIntegerField(null=True)
    answer = models.BinaryField(default=b"")
    created_at = models.DateTimeField()

    class Meta:
        db_table = "bw_idempotent_answer"
        verbose_name = "kept answer"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["tenant", "actor", "key"], name="bw_idempotent_answer_once")
        ]
        indexes: ClassVar = [models.Index(fields=["tenant", "created_at"], name="bw_idempotent_answer_age")]

    def __str__(self) -> str:
        return f"{self.actor} {self.created_at:%Y-%m-%d %H:%M}"
