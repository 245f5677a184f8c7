"""The event store and what surrounds it: keys, outcomes, quarantine, rates, outbox."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.utils import timezone

from analytics.ids import uuid7
from analytics.models.base import TenantForeignKey


class Event(models.Model):
    """One thing that happened. The table is partitioned by month of `ts`; the database's key is (id, ts).

    `amount` is in minor units of `currency`; `amount_base` in minor units of the tenant's base currency at the rate
    of the event's local day, null until that rate is known. `subject_id` is the subject of the distinct id as sent;
    the person is found through `Subject.person_id`, so that a merge never rewrites events.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    tenant = TenantForeignKey(db_constraint=False)
    ts = models.DateTimeField()
    received_at = models.DateTimeField()
    sent_at = models.DateTimeField(null=True)
    client_timestamp = models.TextField(null=True)  # noqa: DJ001 - absent differs from empty
    event_id = models.TextField()
    name = models.TextField()
    type = models.TextField()
    action = models.TextField(null=True)  # noqa: DJ001
    source = models.TextField()
    subject_id = models.IntegerField(null=True)
    session_id = models.TextField(null=True)  # noqa: DJ001
    parent_id = models.TextField(null=True)  # noqa: DJ001
    platform = models.TextField(null=True)  # noqa: DJ001
    country = models.TextField(null=True)  # noqa: DJ001
    campaign = models.TextField(null=True)  # noqa: DJ001
    channel = models.TextField(null=True)  # noqa: DJ001
    content_type = models.TextField(null=True)  # noqa: DJ001
    object_type = models.TextField(null=True)  # noqa: DJ001
    object_id = models.TextField(null=True)  # noqa: DJ001
    method = models.TextField(null=True)  # noqa: DJ001
    tier = models.TextField(null=True)  # noqa: DJ001
    reason = models.TextField(null=True)  # noqa: DJ001
    value = models.FloatField(null=True)
    duration_ms = models.FloatField(null=True)
    amount = models.BigIntegerField(null=True)
    currency = models.TextField(null=True)  # noqa: DJ001
    amount_base = models.BigIntegerField(null=True)
    sentiment = models.FloatField(null=True)
    engagement = models.TextField(null=True)  # noqa: DJ001
    is_bot = models.BooleanField(default=False)
    bot_reason = models.TextField(null=True)  # noqa: DJ001
    is_internal = models.BooleanField(default=False)
    is_historical = models.BooleanField(default=False)
    is_clamped = models.BooleanField(default=False)
    properties = models.JSONField(default=dict)

    class Meta:
        db_table = "bw_event"
        indexes: ClassVar = [
            models.Index(fields=["tenant", "ts", "id"], name="bw_event_time"),
            models.Index(fields=["tenant", "subject_id", "ts"], name="bw_event_subject"),
        ]

    def __str__(self) -> str:
        return f"{self.name} at {self.ts:%Y-%m-%d %H:%M:%S}"


class EventKey(models.Model):
    """That an event id was taken, and by what. Never holds a time in its key: client clocks drift between retries."""

    key = models.UUIDField(primary_key=True)
    tenant = TenantForeignKey(db_constraint=False)
    payload_hash = models.BigIntegerField()
    event_uuid = models.UUIDField()
    ts = models.DateTimeField()

    class Meta:
        db_table = "bw_event_key"

    def __str__(self) -> str:
        return str(self.key)


class OutcomeCount(models.Model):
    """How many events of an hour of receipt came to an outcome. Rows only add; a job merges them."""

    id = models.BigAutoField(primary_key=True)
    tenant = TenantForeignKey(db_constraint=False)
    hour = models.DateTimeField()
    outcome = models.TextField()
    reason = models.TextField(default="", blank=True)
    n = models.BigIntegerField()

    class Meta:
        db_table = "bw_outcome"
        indexes: ClassVar = [models.Index(fields=["tenant", "hour"], name="bw_outcome_hour")]

    def __str__(self) -> str:
        return f"{self.n} {self.outcome} {self.reason}".rstrip()


class Quarantine(models.Model):
    """An event that could not be stored, kept whole (encrypted) until it is replayed or discarded."""

    class State(models.TextChoices):
        HELD = "held"
        REPLAYED = "replayed"
        DISCARDED = "discarded"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    tenant = TenantForeignKey(db_constraint=False)
    received_at = models.DateTimeField()
    outcome = models.TextField()
    reason = models.TextField()
    detail = models.TextField(default="", blank=True)
    event_id = models.TextField(null=True)  # noqa: DJ001
    name = models.TextField(null=True)  # noqa: DJ001
    subject_id = models.IntegerField(null=True)
    payload_hash = models.BigIntegerField(null=True)
    payload = models.BinaryField()
    state = models.CharField(max_length=10, choices=State.choices, default=State.HELD)
    replayed_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "bw_quarantine"
        verbose_name_plural = "quarantine"
        indexes: ClassVar = [
            models.Index(fields=["tenant", "state", "received_at"], name="bw_quarantine_state"),
            models.Index(fields=["tenant", "event_id"], name="bw_quarantine_event"),
        ]

    def __str__(self) -> str:
        return f"{self.name or 'event'}: {self.reason}"


class ExchangeRate(models.Model):
    """On that local day one unit of `currency` was worth `rate` units of the tenant's base currency."""

    id = models.BigAutoField(primary_key=True)
    tenant = TenantForeignKey()
    day = models.DateField()
    currency = models.CharField(max_length=3)
    rate = models.DecimalField(max_digits=24, decimal_places=12)

    class Meta:
        db_table = "bw_exchange_rate"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["tenant", "currency", "day"], name="bw_exchange_rate_once"),
            models.CheckConstraint(condition=models.Q(rate__gt=0), name="bw_exchange_rate_positive"),
        ]

    def __str__(self) -> str:
        return f"1 {self.currency} = {self.rate} on {self.day}"


class Outbox(models.Model):
    """Something to be told to the outside, written in the transaction of what it tells."""

    class State(models.TextChoices):
        WAITING = "waiting"
        SENT = "sent"
        DEAD = "dead"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    tenant = TenantForeignKey(db_constraint=False)
    destination = models.TextField()
    event_uuid = models.UUIDField(null=True)
    event_ts = models.DateTimeField(null=True)
    payload = models.JSONField(default=dict)
    state = models.CharField(max_length=10, choices=State.choices, default=State.WAITING)
    attempts = models.IntegerField(default=0)
    next_at = models.DateTimeField(default=timezone.now)
    error = models.TextField(default="", blank=True)

    class Meta:
        db_table = "bw_outbox"
        verbose_name_plural = "outbox"
        indexes: ClassVar = [models.Index(fields=["tenant", "state", "next_at"], name="bw_outbox_due")]

    def __str__(self) -> str:
        return f"to {self.destination} ({self.state})"
