"""Webhooks: how many arrive, how fast, which types of event fail."""

from __future__ import annotations

from typing import Any, ClassVar

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from kpis import parameters, selectors, serializers
from kpis.answers import lifetime
from kpis.contracts import plain, side_by_side
from kpis.series import metrics_series
from kpis.stamps import stamp_of
from kpis.views.base import MetricView
from kpis.views.schema import COMPARE, DAYS, GRANULARITY, INCLUDE, RANGE

TOTALS = {
    "total": "webhooks.total",
    "successful": "webhooks.delivered",
    "failed": "webhooks.failed",
    "pending": "webhooks.pending",
    "success_rate": "webhooks.success_rate",
    "mean_time": "webhooks.mean_time",
    "p95_time": "webhooks.p95_time",
}
EVENT_TYPE = "content_type"


class MetricsView(MetricView):
    """Deliveries at a glance."""

    known: ClassVar = (*parameters.RANGE, "days", "granularity", EVENT_TYPE, "include", *parameters.COMPARE)

    @extend_schema(
        parameters=[
            *RANGE,
            DAYS,
            GRANULARITY,
            OpenApiParameter(EVENT_TYPE, description="One type of event."),
            *COMPARE,
            INCLUDE,
        ],
        responses=serializers.WebhooksSerializer,
        operation_id="webhooks_metrics",
    )
    def get(self, request: Request) -> Response:
        """Deliveries in total and by type of event, how many arrive, how long it takes, and what waits now."""
        ask, names = self.ask(request), list(TOTALS.values())
        return self.unless_same(
            request, names, ask.period.end, ask.now, lambda: self._deliveries(ask), ttl=lifetime(ask, names)
        )

    def _deliveries(self, ask: parameters.Ask) -> dict[str, Any]:
        arguments = {**ask.arguments(), "tenant_id": self.tenant.id, "metrics": list(TOTALS.values())}
        over_time = metrics_series(**arguments)
        by_type = metrics_series(**{**arguments, "by": EVENT_TYPE, "grain": "total", "compare": None})
        shown = {name: plain(series) for name, series in zip(TOTALS, over_time, strict=True)}
        split = {name: plain(series)["series"] for name, series in zip(TOTALS, by_type, strict=True)}
        start, end = ask.period.start, ask.period.end
        return {
            **stamp_of([*over_time, *by_type]),
            "currency": self.tenant.base_currency,
            **{name: series["total"] for name, series in shown.items()},
            "pending_now": selectors.webhooks_pending(tenant_id=self.tenant.id, start=start, end=end),
            "by_event_type": side_by_side(split, "event_type"),
            "series": shown,
        }
