"""Tenants, who may enter them, and by which calendar they count."""

from __future__ import annotations

from typing import ClassVar

from django.conf import settings
from django.contrib.postgres.fields import ArrayField
from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.utils import timezone

from analytics.ids import uuid7
from analytics.models.base import TenantForeignKey

SHORTEST_DAYS, LONGEST_DAYS = 7, 36_500
"""How long events may be kept. Hours are open for days after they end, so that a week is the least."""
DAYS = [MinValueValidator(SHORTEST_DAYS), MaxValueValidator(LONGEST_DAYS)]


def platform_days() -> int:
    """For how many days the platform keeps events; 0: for ever. A host project need not know of it."""
    days: int = getattr(settings, "ANALYTICS_RETENTION_DAYS", 0)
    return days


def refuse_longer(field: str, days: int | None) -> None:
    """Raises ValidationError when the platform keeps events for less."""
    most = platform_days()
    if days is not None and most and days > most:
        raise ValidationError({field: f"The platform keeps events for {most} days; give at most that."})


class Tenant(models.Model):
    """A customer whose data nobody else sees. `week_start` counts from Monday = 0."""

    id = models.AutoField(primary_key=True)
    slug = models.SlugField(max_length=63, unique=True)
    name = models.CharField(max_length=200)
    zone = models.CharField(max_length=64, default="UTC", help_text="IANA name, for example Europe/Paris")
    base_currency = models.CharField(max_length=3, default="EUR", help_text="ISO 4217")
    week_start = models.SmallIntegerField(default=0, help_text="0 is Monday")
    settings = models.JSONField(default=dict, blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    retention_days = models.PositiveIntegerField(
        "days that events are kept",
        null=True,
        blank=True,
        validators=DAYS,
        help_text="Events of days older than this are deleted; empty: as long as the platform keeps them. "
        "Numbers that were counted stay.",
    )
    events_gone_before = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="No event before this instant is kept."
    )
    events_kept_from = models.DateTimeField(
        null=True,
        blank=True,
        editable=False,
        help_text="All events from this instant on are kept; numbers of hours before it stay as they were counted.",
    )

    class Meta:
        db_table = "bw_tenant"

    def __str__(self) -> str:
        return self.slug

    def clean(self) -> None:
        refuse_longer("retention_days", self.retention_days)


class EventRetention(models.Model):
    """Events of one name that go sooner than the tenant's others. `gone_before` follows the clean-up."""

    id = models.BigAutoField(primary_key=True)
    tenant = TenantForeignKey()
    name = models.CharField("event", max_length=200)
    days = models.PositiveIntegerField("days that it is kept", validators=DAYS)
    gone_before = models.DateTimeField(
        null=True, blank=True, editable=False, help_text="No event of the name before this is kept."
    )

    class Meta:
        db_table = "bw_event_retention"
        verbose_name = "retention of an event"
        verbose_name_plural = "retention of events"
        constraints: ClassVar = [models.UniqueConstraint(fields=["tenant", "name"], name="bw_event_retention_once")]

    def __str__(self) -> str:
        return f"{self.name}: {self.days} days"

    def clean(self) -> None:
        refuse_longer("days", self.days)
        if EventRetention.objects.filter(name=self.name).exclude(pk=self.pk).exists():
            raise ValidationError({"name": "This event has a retention already; change that one."})


class Calendar(models.Model):
    """One version of how a tenant cuts time and counts money. Buckets belong to a version, so a change is a switch."""

    class State(models.TextChoices):
        BUILDING = "building"
        LIVE = "live"
        RETIRED = "retired"

    id = models.AutoField(primary_key=True)
    tenant = TenantForeignKey()
    version = models.IntegerField(default=1)
    zone = models.CharField(max_length=64)
    base_currency = models.CharField(max_length=3)
    week_start = models.SmallIntegerField(default=0)
    state = models.CharField(max_length=10, choices=State.choices, default=State.BUILDING)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        db_table = "bw_calendar"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["tenant", "version"], name="bw_calendar_version"),
            models.UniqueConstraint(fields=["tenant"], condition=models.Q(state="live"), name="bw_calendar_one_live"),
        ]

    def __str__(self) -> str:
        return f"{self.zone} v{self.version} ({self.state})"


class Membership(models.Model):
    """A person's role in a tenant."""

    class Role(models.TextChoices):
        OWNER = "owner"
        ADMIN = "admin"
        ANALYST = "analyst"
        VIEWER = "viewer"
        INGEST = "ingest"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    tenant = TenantForeignKey()
    user = models.ForeignKey(settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="+")
    role = models.CharField(max_length=10, choices=Role.choices)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        db_table = "bw_membership"
        constraints: ClassVar = [models.UniqueConstraint(fields=["tenant", "user"], name="bw_membership_once")]

    def __str__(self) -> str:
        return f"{self.user_id} is {self.role}"


class ApiKey(models.Model):
    """A key for machines. Only its SHA-256 digest and first characters are kept."""

    class Kind(models.TextChoices):
        INGEST = "pk", "ingest only (pk_)"
        SECRET = "sk", "secret (sk_)"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    tenant = TenantForeignKey()
    kind = models.CharField(max_length=2, choices=Kind.choices)
    name = models.CharField(max_length=100)
    prefix = models.CharField(max_length=16, editable=False)
    digest = models.BinaryField(max_length=32, unique=True, editable=False)
    scopes = ArrayField(models.CharField(max_length=40), default=list, blank=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True, editable=False)
    revoked_at = models.DateTimeField(null=True, blank=True)
    rotated_from = models.ForeignKey("self", on_delete=models.SET_NULL, null=True, blank=True, related_name="+")
    created_by = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.SET_NULL, null=True, blank=True, related_name="+"
    )
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        db_table = "bw_api_key"
        verbose_name = "API key"
        indexes: ClassVar = [models.Index(fields=["tenant", "created_at"], name="bw_api_key_tenant")]

    def __str__(self) -> str:
        return f"{self.name} ({self.prefix}…)"
