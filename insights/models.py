"""What was inferred and is kept: snapshots of a tenant's customers, and the segments they were in."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.utils import timezone

from analytics.ids import uuid7
from analytics.models.base import TenantForeignKey


class CustomerSnapshot(models.Model):
    """All customers as they stood at the end of a local day: edges of scores, fitted models, how well they foresaw.

    Amounts are minor units of `currency`. `purchases_model` and `spending_model` are null when nothing could be fitted;
    `fit_note` says why, or what a fit could not tell. `starts_at`, `zone`, `definition_version` and `executor` tell
    what it was made from; those that were taken before this was kept have none.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    tenant = TenantForeignKey()
    taken_on = models.DateField(help_text="the last local day in it")
    data_through = models.DateTimeField()
    currency = models.CharField(max_length=3)
    customers = models.IntegerField()
    rule = models.CharField(max_length=20)
    edges = models.JSONField(default=dict)
    purchases_model = models.JSONField(null=True)
    spending_model = models.JSONField(null=True)
    fit_note = models.TextField(default="", blank=True)
    prediction = models.JSONField(null=True)
    calibration = models.JSONField(null=True)
    starts_at = models.DateTimeField(null=True, help_text="the first moment of the history that was looked at")
    zone = models.CharField(max_length=64, default="", blank=True, help_text="whose days were taken")
    definition_version = models.CharField(max_length=40, default="", blank=True)
    executor = models.CharField(max_length=40, default="", blank=True, help_text="what read the sales")
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        db_table = "bw_customer_snapshot"
        constraints: ClassVar = [models.UniqueConstraint(fields=["tenant", "taken_on"], name="bw_snapshot_once")]
        ordering: ClassVar = ["-taken_on"]

    def __str__(self) -> str:
        return f"customers on {self.taken_on}"


class CustomerSegment(models.Model):
    """Who was in a segment of a snapshot, as a bitmap of persons, and what they were worth until then."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    tenant = TenantForeignKey()
    snapshot = models.ForeignKey(CustomerSnapshot, on_delete=models.CASCADE, related_name="segments")
    position = models.IntegerField()
    name = models.CharField(max_length=100)
    size = models.IntegerField()
    members = models.BinaryField()
    orders = models.BigIntegerField()
    net = models.BigIntegerField()
    recency_days = models.FloatField(null=True)
    predicted = models.FloatField(null=True, help_text="minor units, over the horizon of the snapshot")

    class Meta:
        db_table = "bw_customer_segment"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["tenant", "snapshot", "position"], name="bw_segment_place")
        ]
        ordering: ClassVar = ["position"]

    def __str__(self) -> str:
        return self.name


class SegmentRange(models.Model):
    """A row of the tenant's own table of RFM segments: the first whose three ranges hold a customer's scores wins."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    tenant = TenantForeignKey()
    position = models.IntegerField()
    name = models.CharField(max_length=100)
    recency_low = models.SmallIntegerField(default=1)
    recency_high = models.SmallIntegerField(default=5)
    frequency_low = models.SmallIntegerField(default=1)
    frequency_high = models.SmallIntegerField(default=5)
    monetary_low = models.SmallIntegerField(default=1)
    monetary_high = models.SmallIntegerField(default=5)

    class Meta:
        db_table = "bw_segment_range"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["tenant", "position"], name="bw_segment_range_place"),
            models.CheckConstraint(
                condition=models.Q(recency_low__gte=1, recency_high__lte=5, recency_low__lte=models.F("recency_high")),
                name="bw_segment_range_recency",
            ),
            models.CheckConstraint(
                condition=models.Q(
                    frequency_low__gte=1, frequency_high__lte=5, frequency_low__lte=models.F("frequency_high")
                ),
                name="bw_segment_range_frequency",
            ),
            models.CheckConstraint(
                condition=models.Q(
                    monetary_low__gte=1, monetary_high__lte=5, monetary_low__lte=models.F("monetary_high")
                ),
                name="bw_segment_range_monetary",
            ),
        ]
        ordering: ClassVar = ["position"]

    def __str__(self) -> str:
        return self.name
