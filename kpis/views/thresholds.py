"""Warning and critical of a metric, as the tenant sets them."""

from __future__ import annotations

from typing import Any, ClassVar

from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import status
from rest_framework.request import Request
from rest_framework.response import Response

from analytics import filters
from analytics.access.api import TenantView
from analytics.access.roles import Scope
from kpis import serializers
from kpis.contracts import Number
from kpis.panels import thresholds_plain
from kpis.parameters import refusals
from kpis.thresholds import Limits, ThresholdError, thresholds_read, thresholds_set


class ThresholdsView(TenantView):
    """The limits of one metric, built in or the tenant's own."""

    scopes: ClassVar = {"read": Scope.KPIS_READ, "write": Scope.KPIS_WRITE}

    @extend_schema(responses=serializers.LimitsSerializer, operation_id="thresholds_read")
    def get(self, request: Request, metric: str) -> Response:
        """Those that hold, and those it was declared with."""
        with refusals(in_path=True):
            return Response(_plain(thresholds_read(tenant_id=self.tenant.id, metric=metric)))

    @extend_schema(
        request=serializers.LimitsChangeSerializer,
        responses=serializers.LimitsSerializer,
        operation_id="thresholds_change",
    )
    def put(self, request: Request, metric: str) -> Response:
        """Set both, in place of the declared ones, everywhere a status or a line of a limit is shown.

        Of a metric that adds up over time (sums and counts) they are limits of one day: a range is held against them
        by its value divided by its local days, of a range that goes on by those that have passed. Of any other (shares,
        means, levels, people of trailing windows) the value itself is.
        """
        with refusals(in_path=True):
            thresholds_read(tenant_id=self.tenant.id, metric=metric)
        wanted = filters.body(serializers.LimitsChangeSerializer, request.data)
        return Response(_plain(self._set(metric, **wanted)))

    @extend_schema(responses={204: None}, operation_id="thresholds_remove")
    def delete(self, request: Request, metric: str) -> Response:
        """Take them away: the declared ones hold again."""
        with refusals(in_path=True):
            self._set(metric, warning=None, critical=None)
        return Response(status=status.HTTP_204_NO_CONTENT)

    def _set(self, metric: str, *, warning: Number, critical: Number) -> Limits:
        try:
            return thresholds_set(
                tenant_id=self.tenant.id, metric=metric, warning=warning, critical=critical,
                actor=self.credential.actor, now=timezone.now(),
            )  # fmt: skip
        except ThresholdError as error:
            filters.refuse(error.field, "invalid_threshold", str(error))


def _plain(found: Limits) -> dict[str, Any]:
    return {
        "metric": found.metric.id,
        **thresholds_plain(found.metric.thresholds),
        "is_own": found.is_own,
        "declared": thresholds_plain(found.declared),
    }
