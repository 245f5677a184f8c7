"""How fast the host's requests are."""

from __future__ import annotations

from typing import Any, ClassVar

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from kpis import parameters
from kpis.answers import lifetime
from kpis.performance import OVER_TIME, performance
from kpis.serializers import CountedStampSerializer, NumberField, SeriesSerializer
from kpis.views.base import MetricView
from kpis.views.schema import COMPARE, DAYS, GRANULARITY, INCLUDE, LIMIT, RANGE


class RouteSerializer(serializers.Serializer[Any]):
    route = serializers.CharField()
    requests = serializers.IntegerField()
    p50 = NumberField(help_text="milliseconds")
    p95 = NumberField(help_text="milliseconds")
    p95_before = NumberField(help_text="milliseconds, in the range before")
    trend = serializers.FloatField(allow_null=True, help_text="change of p95 as a share of p95_before")
    error_rate = serializers.FloatField(allow_null=True)
    p95_points = serializers.ListField(child=NumberField())


class PerformanceSerializer(CountedStampSerializer):
    """Requests of the host. Times are milliseconds."""

    quantile_error = serializers.FloatField(help_text="relative error of the percentiles, at most")
    mean = NumberField()
    p50 = NumberField()
    p95 = NumberField()
    p99 = NumberField()
    throughput = NumberField(help_text="requests a minute")
    requests = NumberField()
    error_rate = NumberField()
    slowest = RouteSerializer(many=True)
    series = serializers.DictField(child=SeriesSerializer())


class PerformanceView(MetricView):
    """Percentiles, throughput, errors, the slowest routes and their trend."""

    known: ClassVar = (*parameters.RANGE, "days", "limit", "granularity", "include", *parameters.COMPARE)
    default_period: ClassVar = "last_7d"

    @extend_schema(
        parameters=[
            *RANGE, DAYS, LIMIT, GRANULARITY, INCLUDE, *COMPARE,
        ],
        responses=PerformanceSerializer,
        operation_id="performance",
    )  # fmt: skip
    def get(self, request: Request) -> Response:
        """Of the requests that the middleware recorded. Routes with fewer than 20 requests are not ranked."""
        ask, names = self.ask(request), list(OVER_TIME.values())
        return self.unless_same(
            request, names, ask.period.end, ask.now, lambda: performance(self.tenant, ask), ttl=lifetime(ask, names)
        )
