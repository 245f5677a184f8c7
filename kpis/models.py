"""What was counted: buckets of states that add, tenant-made metrics, and the ledger of published values."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.utils import timezone

from analytics.ids import uuid7
from analytics.models.base import TenantForeignKey


class Bucket(models.Model):
    """The state of one measure for one bucket of time and one dimension value ('' and '' for the whole).

    `n`, `total` and `state` are what `aggregates.encode()` gives. Rows of a calendar version are only ever
    read together.
    """

    pk = models.CompositePrimaryKey("tenant_id", "calendar_id", "measure", "dimension", "grain", "start", "key")
    tenant = TenantForeignKey(db_constraint=False)
    calendar_id = models.IntegerField()
    measure = models.TextField()
    dimension = models.TextField(default="", blank=True)
    grain = models.SmallIntegerField()
    start = models.DateTimeField()
    key = models.TextField(default="", blank=True)
    n = models.BigIntegerField()
    total = models.DecimalField(max_digits=40, decimal_places=6, null=True)
    state = models.BinaryField(null=True)
    computed_at = models.DateTimeField()

    class Meta:
        db_table = "bw_bucket"

    def __str__(self) -> str:
        return f"{self.measure} {self.dimension}={self.key} at {self.start}"


class MetricDefinition(models.Model):
    """A metric that a tenant made itself, by a formula over others."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    tenant = TenantForeignKey()
    metric = models.CharField(max_length=100, help_text="family.measure, for example shop.margin")
    name = models.CharField(max_length=200)
    help = models.TextField(default="", blank=True)
    formula = models.TextField(help_text="for example revenue.net / orders.count")
    unit = models.CharField(max_length=20, default="count")
    kind = models.CharField(max_length=3, default="kpi")
    better = models.CharField(max_length=4, default="up")
    warning = models.FloatField(null=True, blank=True)
    critical = models.FloatField(null=True, blank=True)
    owner = models.CharField(max_length=200, default="", blank=True)
    version = models.IntegerField(default=1)
    is_archived = models.BooleanField(default=False)
    created_at = models.DateTimeField(default=timezone.now)
    updated_at = models.DateTimeField(auto_now=True)

    class Meta:
        db_table = "bw_metric_definition"
        constraints: ClassVar = [models.UniqueConstraint(fields=["tenant", "metric"], name="bw_metric_definition_once")]

    def __str__(self) -> str:
        return self.metric


class MetricValue(models.Model):
    """A value as it was published: the ledger never changes a row, it adds the next one with its reason."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    tenant = TenantForeignKey(db_constraint=False)
    metric = models.TextField()
    grain = models.TextField()
    start = models.DateTimeField()
    end = models.DateTimeField()
    dimension = models.TextField(default="", blank=True)
    key = models.TextField(default="", blank=True)
    value = models.DecimalField(max_digits=40, decimal_places=10, null=True)
    definition_version = models.TextField()
    data_through = models.DateTimeField(null=True)
    is_complete = models.BooleanField(default=False)
    computed_at = models.DateTimeField()
    reason = models.TextField(default="first", help_text="why it differs from the row before")

    class Meta:
        db_table = "bw_metric_value"
        indexes: ClassVar = [
            models.Index(fields=["tenant", "metric", "grain", "start", "computed_at"], name="bw_metric_value_when"),
        ]

    def __str__(self) -> str:
        return f"{self.metric} = {self.value} for {self.start:%Y-%m-%d}"
