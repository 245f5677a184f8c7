"""The catalogue, the overview and series of metrics."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, ClassVar

from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from analytics import filters
from analytics.access.roles import Scope
from analytics.cache import LIVE, cache
from analytics.pagination import MAX_LIMIT, window_of
from analytics.periods import Granularity
from analytics.selectors import statement_limit
from kpis import panels, parameters, serializers
from kpis.answers import TAGS, lifetime, series_of
from kpis.base import Kind
from kpis.contracts import plain
from kpis.series import OVERVIEW, metric_series
from kpis.stamps import stamp_of
from kpis.views.base import ANSWER_SECONDS, MetricView
from kpis.views.schema import COMPARE, CUT, GRANULARITY, METRICS, NARROW, RANGE

WHOLE = MAX_LIMIT
"""The catalogue comes whole unless it is asked for page by page: it is a list to look things up in."""
TRENDS = {"today": Granularity.DAY, "week": Granularity.WEEK, "month": Granularity.MONTH}
REALTIME_MINUTES = 30
REALTIME = ("events.count", "users.active", "pageviews.count", "orders.count", "revenue.gross", "payments.settled")


class MetricsView(MetricView):
    """Every metric."""

    known: ClassVar = (
        *parameters.RANGE, *parameters.NARROW, *parameters.COMPARE, "granularity", "kind", "family", "search",
        "values", "limit", "offset",
    )  # fmt: skip

    @extend_schema(
        parameters=[
            *RANGE,
            *NARROW,
            *COMPARE,
            OpenApiParameter(
                "granularity",
                enum=list(parameters.GRANULARITIES),
                description="With `points` of this length; total, which has none, when left out.",
            ),
            OpenApiParameter("kind", enum=list(Kind), description="Indicators, risk indicators or key results only."),
            OpenApiParameter("family", description="The part of the id before the dot, for example revenue."),
            OpenApiParameter("search", description="Words in id, name or help."),
            OpenApiParameter("values", bool, description="false: the catalogue alone."),
            OpenApiParameter("limit", int, description=f"Metrics of a page: 1 to {WHOLE}, {WHOLE} when left out."),
            OpenApiParameter("offset", int, description="Metrics to skip."),
        ],
        responses=serializers.CatalogueSerializer,
        operation_id="kpis_list",
    )
    def get(self, request: Request) -> Response:
        """What can be asked, each with its value over the range (the last 30 days)."""
        ask = self.ask(request, default_grain="total")
        names = panels.names_matching(
            tenant_id=self.tenant.id,
            kind=filters.choice_parameter(request.query_params, "kind", list(Kind)),
            family=filters.text_parameter(request.query_params, "family"),
            search=filters.text_parameter(request.query_params, "search"),
        )
        with_values = filters.flag_parameter(request.query_params, "values") is not False
        window = window_of(request, default=WHOLE)
        shown = window.of(names)

        def answer() -> dict[str, Any]:
            found = panels.metrics_named(tenant_id=self.tenant.id, names=shown)
            body = panels.catalogue_plain(self.tenant, found, ask, with_values=with_values)
            return {**body, **window.body(len(names), body["results"])}

        # The addresses of the pages around it name the host, so that one page is not told of another host's.
        host = "" if window.holds(len(names)) else request.get_host()
        return self.unless_same(request, shown, ask.period.end, ask.now, answer, ttl=lifetime(ask, shown), also=host)


class MetricDetailView(MetricView):
    """One metric."""

    @extend_schema(responses=serializers.MetricSerializer, operation_id="kpis_read")
    def get(self, request: Request, metric: str) -> Response:
        """What it is, how it is made and what it can be broken down by."""
        with parameters.refusals(in_path=True):
            return Response(panels.metric_plain(panels.metric_found(tenant_id=self.tenant.id, metric=metric)))


class SeriesView(MetricView):
    """A metric over time."""

    known: ClassVar = parameters.EVERYTHING

    @extend_schema(
        parameters=[*RANGE, *CUT, *NARROW, *COMPARE],
        responses=serializers.SeriesSerializer,
        operation_id="kpis_series",
    )
    def get(self, request: Request, metric: str) -> Response:
        """Points of `granularity` over `[from, to)`; `total` is worked out over the whole range, never by adding."""
        ask = self.ask(request)
        return self.unless_same(
            request,
            [metric],
            ask.period.end,
            ask.now,
            lambda: plain(metric_series(tenant_id=self.tenant.id, metric=metric, **ask.arguments())),
            ttl=lifetime(ask, [metric]),
        )


class OverviewView(MetricView):
    """The first page."""

    known: ClassVar = (*parameters.EVERYTHING, "metrics")
    default_compare: ClassVar = "previous"

    @extend_schema(
        parameters=[*RANGE, *CUT, *NARROW, *COMPARE, METRICS],
        responses=serializers.OverviewSerializer,
        operation_id="kpis_overview",
    )
    def get(self, request: Request) -> Response:
        """Twelve metrics (or those of `metrics`) against the range before, each with its standing."""
        ask = self.ask(request)
        names = parameters.metric_names(request.query_params, OVERVIEW)
        return self.unless_same(
            request,
            names,
            ask.period.end,
            ask.now,
            lambda: panels.overview_plain(self.tenant, names, ask),
            ttl=lifetime(ask, names),
        )


class RealtimeView(MetricView):
    """Right now."""

    known: ClassVar = ("metrics", *parameters.NARROW)

    @extend_schema(
        parameters=[METRICS, *NARROW], responses=serializers.OverviewSerializer, operation_id="kpis_realtime"
    )
    def get(self, request: Request) -> Response:
        """The last 30 minutes, minute by minute, against the 30 before."""
        ask = self.ask(request, default_grain="minute", default_compare="previous")
        names = parameters.metric_names(request.query_params, REALTIME)
        live = panels.ask_between(ask, ask.now - timedelta(minutes=REALTIME_MINUTES), ask.now)
        statement_limit(ANSWER_SECONDS)
        with parameters.refusals():
            found = cache().answer(
                audience=self.audience,
                name="api.RealtimeView",
                question=sorted(request.query_params.items()),
                compute=lambda: panels.overview_plain(self.tenant, names, live),
                ttl=LIVE,
                now=ask.now,
                tags=TAGS,
            )
        return Response(found)


class TrendsView(MetricView):
    """How it goes."""

    known: ClassVar = ("metrics", "granularity", *parameters.NARROW)

    @extend_schema(
        parameters=[
            OpenApiParameter("period", location="path", enum=list(TRENDS), description="The unit that is running."),
            METRICS,
            GRANULARITY,
            *NARROW,
        ],
        responses=serializers.OverviewSerializer,
        operation_id="kpis_trends",
    )
    def get(self, request: Request, period: str) -> Response:
        """Today by hour, this week or month by day, each against the one before at equal elapsed time."""
        unit = TRENDS.get(period)
        if unit is None:
            raise NotFound
        ask = self.ask(request, default_grain="hour" if period == "today" else "day", default_compare="previous")
        names = parameters.metric_names(request.query_params, OVERVIEW)
        current = panels.ask_between(ask, ask.calendar.floor(ask.now, unit), ask.calendar.ceil(ask.now, unit))
        return self.unless_same(
            request,
            names,
            current.period.end,
            ask.now,
            lambda: panels.overview_plain(self.tenant, names, current),
            ttl=lifetime(current, names),
        )


class PeakTimesView(MetricView):
    """When it is busy."""

    known: ClassVar = (*parameters.RANGE, *parameters.NARROW, "metric")
    default_period: ClassVar = "last_4w"

    @extend_schema(
        parameters=[
            *RANGE,
            *NARROW,
            OpenApiParameter("metric", description="An additive metric; events.count when left out."),
        ],
        responses=serializers.PeakTimesSerializer,
        operation_id="kpis_peak_times",
    )
    def get(self, request: Request) -> Response:
        """Each hour of the week (the tenant's clock) over the range (the last four weeks)."""
        ask = self.ask(request, default_grain="hour")
        metric = filters.text_parameter(request.query_params, "metric") or "events.count"
        with parameters.refusals(named="metric"):
            panels.metric_found(tenant_id=self.tenant.id, metric=metric)
        return self.unless_same(
            request,
            [metric],
            ask.period.end,
            ask.now,
            lambda: panels.peak_times(self.tenant, metric, ask),
            ttl=lifetime(ask, [metric]),
        )


class CalculateView(MetricView):
    """Several metrics at once."""

    scopes: ClassVar = {"write": Scope.KPIS_READ}

    @extend_schema(
        request=serializers.CalculateSerializer,
        responses=serializers.CalculatedSerializer,
        operation_id="kpis_calculate",
    )
    def post(self, request: Request) -> Response:
        """Work out metrics now over one question, which may be longer than an address. Nothing is stored."""
        wanted = filters.body(serializers.CalculateSerializer, request.data)
        names = wanted.pop("metrics")
        ask = parameters.ask_of(parameters.as_query(wanted), self.tenant, timezone.now())
        statement_limit(ANSWER_SECONDS)
        with parameters.refusals():
            found = series_of(audience=self.audience, metrics=names, ask=ask)
        stamp = {**stamp_of(found), "currency": self.tenant.base_currency}
        return Response({**stamp, "results": [plain(series) for series in found]})
