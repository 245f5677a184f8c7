"""The JSON of jobs, the schedule and exchange rates."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

from rest_framework import serializers

from analytics.capture.money import exponents
from analytics.filters import EARLIEST, LATEST
from analytics.models import ExchangeRate, Job
from analytics.serializers.paging import Counted


class JobSerializer(serializers.ModelSerializer[Job]):
    """A piece of work and how far it is. `progress` is 0 to 1, null while the size is unknown."""

    progress = serializers.SerializerMethodField()

    class Meta:
        model = Job
        fields = [
            "id",
            "kind",
            "params",
            "state",
            "progress",
            "done",
            "total",
            "result",
            "error",
            "attempts",
            "run_at",
            "created_at",
            "started_at",
            "finished_at",
            "created_by",
        ]
        read_only_fields = fields

    def get_progress(self, job: Job) -> float | None:
        return round(min(1.0, job.done / job.total), 4) if job.total else None


class JobRequestSerializer(serializers.Serializer[Any]):
    """Work to start. `from` and `to` are half open; dates are the tenant's midnights."""

    kind = serializers.ChoiceField(choices=["rollup", "backfill"])
    dry_run = serializers.BooleanField(default=False, help_text="say what would be done and write nothing")
    metrics = serializers.ListField(
        child=serializers.CharField(max_length=100),
        max_length=100,
        required=False,
        help_text="of a backfill: only these metrics, or families of metrics such as gaming",
    )

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        # `from` is a word of Python, so it cannot be declared as an attribute.
        span = {name: serializers.CharField(required=False) for name in ("from", "to")}
        return {**super().get_fields(), **span}


class JobPlanSerializer(serializers.Serializer[Any]):
    """What a dry run found that would be done."""

    kind = serializers.CharField()
    dry_run = serializers.BooleanField()
    plan = serializers.DictField()


class ScheduleSerializer(serializers.Serializer[Any]):
    """One entry of the schedule."""

    name = serializers.CharField()
    task = serializers.CharField()
    every = serializers.CharField()
    is_enabled = serializers.BooleanField()
    last_run_at = serializers.DateTimeField(allow_null=True)


class SchedulerSerializer(serializers.Serializer[Any]):
    """Whether the schedule runs: switched on, and its process alive."""

    is_enabled = serializers.BooleanField()
    is_alive = serializers.BooleanField(help_text="the scheduler was heard of within the last two minutes")
    last_heartbeat_at = serializers.DateTimeField(allow_null=True)
    entries = ScheduleSerializer(many=True)


class ExchangeRateSerializer(serializers.ModelSerializer[ExchangeRate]):
    """On that day (in the tenant's zone) one unit of `currency` was worth `rate` units of the base currency."""

    class Meta:
        model = ExchangeRate
        fields = ["day", "currency", "rate"]

    def validate_currency(self, value: str) -> str:
        code = value.upper()
        if code not in exponents():
            raise serializers.ValidationError(f"{value!r} is no ISO 4217 code.", code="unknown_currency")
        return code

    def validate_day(self, value: date) -> date:
        if not EARLIEST.date() <= value < LATEST.date():
            message = f"A day lies between the years 1970 and {LATEST.year}."
            raise serializers.ValidationError(message, code="out_of_range")
        return value

    def validate_rate(self, value: Decimal) -> Decimal:
        if value <= 0:
            raise serializers.ValidationError("A rate is greater than zero.", code="not_positive")
        return value


class RatesSerializer(serializers.Serializer[Any]):
    """Rates to store; those of a day and currency that are known already are replaced."""

    rates = serializers.ListField(child=ExchangeRateSerializer(), min_length=1, max_length=5000)


class RatesImportedSerializer(serializers.Serializer[Any]):
    """Rates that are new or changed, and events whose worth changed by them."""

    rates = serializers.IntegerField()
    events = serializers.IntegerField()


class RatePageSerializer(Counted):
    """A page of exchange rates."""

    results = ExchangeRateSerializer(many=True)


class JobPageSerializer(Counted):
    """A page of jobs."""

    results = JobSerializer(many=True)


class CacheSerializer(serializers.Serializer[Any]):
    """How often answers were known already; `hit_rate` is null when nothing was asked."""

    is_enabled = serializers.BooleanField()
    hours = serializers.IntegerField()
    asked = serializers.IntegerField()
    known = serializers.IntegerField()
    hit_rate = serializers.FloatField(allow_null=True)
