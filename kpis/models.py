"""What was counted: buckets of states that add, tenant-made metrics, the ledger of published values and what moved them
since; and what people say of numbers: goals and annotations."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.utils import timezone

from analytics.ids import uuid7
from analytics.models.base import TenantForeignKey
from kpis.explore.models import ChannelRule, MarketingCost, PeopleRead  # noqa: F401  tables of exploration
from kpis.goals.models import CheckIn, Goal
from kpis.segments.models import PeopleSegment

__all__ = [
    "Annotation",
    "Bucket",
    "CheckIn",
    "Goal",
    "MetricDefinition",
    "MetricThreshold",
    "MetricValue",
    "PeopleSegment",
    "Restatement",
    "RollupCheck",
]


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


class MetricThreshold(models.Model):
    """Limits that a tenant set for a metric, its own or a built-in one, in place of the declared ones."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    tenant = TenantForeignKey()
    metric = models.CharField(max_length=100)
    warning = models.DecimalField(max_digits=30, decimal_places=10, null=True, blank=True)
    critical = models.DecimalField(max_digits=30, decimal_places=10, null=True, blank=True)
    updated_at = models.DateTimeField()

    class Meta:
        db_table = "bw_metric_threshold"
        constraints: ClassVar = [models.UniqueConstraint(fields=["tenant", "metric"], name="bw_metric_threshold_once")]

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
            models.Index(fields=["tenant", "grain", "start", "computed_at"], name="bw_metric_value_day"),
        ]

    def __str__(self) -> str:
        return f"{self.metric} = {self.value} for {self.start:%Y-%m-%d}"


class Restatement(models.Model):
    """How a measure of a day that had been published moved since, for one reason: what the ledger explains with.

    `since` is the publication that it moved away from. `n` and `total` are differences of the day's state, so that
    rows of one reason add up; `minutes` is how many dirty minutes it took.
    """

    id = models.BigAutoField(primary_key=True)
    tenant = TenantForeignKey(db_constraint=False)
    day = models.DateTimeField(help_text="the start of the local day")
    since = models.DateTimeField()
    measure = models.TextField()
    reason = models.TextField()
    n = models.BigIntegerField()
    total = models.DecimalField(max_digits=40, decimal_places=6, default=0)
    minutes = models.IntegerField(default=0)
    at = models.DateTimeField()

    class Meta:
        db_table = "bw_restatement"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["tenant", "day", "since", "measure", "reason"], name="bw_restatement_once"),
        ]

    def __str__(self) -> str:
        return f"{self.measure} of {self.day:%Y-%m-%d}: {self.n:+} ({self.reason})"


class Annotation(models.Model):
    """Something that happened to the business: a deploy, a campaign, an incident. `until` is null for a moment."""

    class Kind(models.TextChoices):
        DEPLOY = "deploy"
        CAMPAIGN = "campaign"
        INCIDENT = "incident"
        PRICE = "price"
        NOTE = "note"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    tenant = TenantForeignKey()
    at = models.DateTimeField(default=timezone.now)
    until = models.DateTimeField(null=True, blank=True)
    kind = models.CharField(max_length=10, choices=Kind.choices, default=Kind.NOTE)
    title = models.CharField(max_length=200)
    text = models.TextField(default="", blank=True)
    url = models.URLField(max_length=500, default="", blank=True)
    metric = models.CharField(max_length=100, default="", blank=True, help_text="empty: shown on every chart")
    author = models.CharField(max_length=200, default="", blank=True)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        db_table = "bw_annotation"
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=models.Q(until__isnull=True) | models.Q(until__gte=models.F("at")), name="bw_annotation_lasts"
            )
        ]
        indexes: ClassVar = [models.Index(fields=["tenant", "at"], name="bw_annotation_at")]

    def __str__(self) -> str:
        return f"{self.kind}: {self.title}"


class RollupCheck(models.Model):
    """One comparison of a closed day's buckets with a recount from its events."""

    id = models.BigAutoField(primary_key=True)
    tenant = TenantForeignKey(db_constraint=False)
    day = models.DateField()
    differences = models.IntegerField()
    samples = models.JSONField(default=list)
    took_ms = models.IntegerField(default=0)
    checked_at = models.DateTimeField(default=timezone.now)

    class Meta:
        db_table = "bw_rollup_check"
        indexes: ClassVar = [models.Index(fields=["tenant", "checked_at"], name="bw_rollup_check_at")]

    def __str__(self) -> str:
        return f"{self.day}: {self.differences} differences"
