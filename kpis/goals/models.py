"""The tables of goals."""

from __future__ import annotations

from typing import ClassVar

from django.db import models
from django.db.models.functions import Lower
from django.utils import timezone

from analytics.ids import uuid7
from analytics.models.base import TenantForeignKey


class Period(models.TextChoices):
    """What a goal or an objective spans."""

    MONTH = "month"
    QUARTER = "quarter"
    YEAR = "year"
    CUSTOM = "custom"


class Objective(models.Model):
    """What several goals (its key results) are for. `first` and `end` are local days, the end not in it.

    The `frozen_` columns are written once, after the end: what the goals came to by then, by their weights.
    """

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    tenant = TenantForeignKey()
    name = models.CharField(max_length=200)
    owner = models.CharField(max_length=200, default="", blank=True)
    note = models.TextField(default="", blank=True)
    period = models.CharField(max_length=10, choices=Period.choices, default=Period.QUARTER)
    first = models.DateField()
    end = models.DateField(help_text="the day after the last one")
    is_archived = models.BooleanField(default=False)
    created_by = models.CharField(max_length=200, default="", blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    updated_at = models.DateTimeField(default=timezone.now)
    frozen_at = models.DateTimeField(null=True, editable=False)
    frozen_progress = models.DecimalField(max_digits=12, decimal_places=10, null=True, editable=False)
    frozen_status = models.CharField(max_length=10, default="", blank=True, editable=False)

    class Meta:
        db_table = "bw_objective"
        constraints: ClassVar = [
            models.CheckConstraint(condition=models.Q(end__gt=models.F("first")), name="bw_objective_lasts"),
            models.UniqueConstraint(
                "tenant",
                Lower("name"),
                condition=models.Q(is_archived=False, frozen_at__isnull=True),
                name="bw_objective_name",
            ),
        ]

    def __str__(self) -> str:
        return self.name


class Goal(models.Model):
    """A metric, where it should be, by when. Amounts of money are in whole units of the base currency.

    `first` and `end` are local days of the tenant, the end not in it. The `frozen_` columns are written once, after
    the end, and never again; the same value stands in the ledger.
    """

    class Shape(models.TextChoices):
        STEP = "step"
        LINEAR = "linear"
        SEASONAL = "seasonal"

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    tenant = TenantForeignKey()
    name = models.CharField(max_length=200)
    metric = models.CharField(max_length=100)
    filters = models.JSONField(default=list, blank=True, help_text='[{"field": "country", "op": "eq", "value": "FR"}]')
    owner = models.CharField(max_length=200, default="", blank=True)
    objective = models.ForeignKey(Objective, null=True, blank=True, on_delete=models.SET_NULL, related_name="goals")
    weight = models.DecimalField(max_digits=6, decimal_places=2, default=1)
    baseline = models.DecimalField(max_digits=30, decimal_places=6, null=True, blank=True)
    target = models.DecimalField(max_digits=30, decimal_places=6)
    stretch = models.DecimalField(max_digits=30, decimal_places=6, null=True, blank=True)
    period = models.CharField(max_length=10, choices=Period.choices, default=Period.MONTH)
    first = models.DateField()
    end = models.DateField(help_text="the day after the last one")
    shape = models.CharField(max_length=10, choices=Shape.choices, default=Shape.LINEAR)
    note = models.TextField(default="", blank=True)
    is_archived = models.BooleanField(default=False)
    created_by = models.CharField(max_length=200, default="", blank=True)
    created_at = models.DateTimeField(default=timezone.now)
    updated_at = models.DateTimeField(default=timezone.now)
    frozen_at = models.DateTimeField(null=True, editable=False)
    frozen_value = models.DecimalField(max_digits=40, decimal_places=10, null=True, editable=False)
    frozen_status = models.CharField(max_length=10, default="", blank=True, editable=False)

    class Meta:
        db_table = "bw_goal"
        constraints: ClassVar = [
            models.CheckConstraint(condition=models.Q(end__gt=models.F("first")), name="bw_goal_lasts"),
            models.CheckConstraint(condition=models.Q(weight__gte=0), name="bw_goal_weight"),
        ]
        indexes: ClassVar = [models.Index(fields=["tenant", "metric", "first"], name="bw_goal_metric")]

    def __str__(self) -> str:
        return self.name


class CheckIn(models.Model):
    """How sure a person is, beside how sure the arithmetic was at that moment (both 0 to 1). Rows only add."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    tenant = TenantForeignKey()
    goal = models.ForeignKey(Goal, on_delete=models.CASCADE, related_name="check_ins")
    at = models.DateTimeField(default=timezone.now)
    author = models.CharField(max_length=200, default="", blank=True)
    confidence = models.FloatField()
    note = models.TextField(default="", blank=True)
    probability = models.FloatField(null=True)
    value = models.DecimalField(max_digits=40, decimal_places=10, null=True)

    class Meta:
        db_table = "bw_check_in"
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=models.Q(confidence__gte=0) & models.Q(confidence__lte=1), name="bw_check_in_confidence"
            )
        ]
        indexes: ClassVar = [models.Index(fields=["tenant", "goal", "at"], name="bw_check_in_goal")]

    def __str__(self) -> str:
        return f"{self.confidence * 100:.0f} % on {self.at:%Y-%m-%d}"
