"""Routes of /api/v1/ for what is counted."""

from __future__ import annotations

from django.urls import include, path

from kpis.views import annotations as annotation_views
from kpis.views import (
    calendar,
    definitions,
    goals,
    mapping,
    metrics,
    movements,
    payments,
    performance,
    quality,
    thresholds,
    understanding,
    usage,
    webhooks,
)

urlpatterns = [
    path("kpis/", metrics.MetricsView.as_view(), name="kpis"),
    path("kpis/overview/", metrics.OverviewView.as_view(), name="kpis-overview"),
    path("kpis/realtime/", metrics.RealtimeView.as_view(), name="kpis-realtime"),
    path("kpis/trends/<str:period>/", metrics.TrendsView.as_view(), name="kpis-trends"),
    path("kpis/peak-times/", metrics.PeakTimesView.as_view(), name="kpis-peak-times"),
    path("kpis/calendar/", calendar.CalendarView.as_view(), name="calendar"),
    path("kpis/mapping/", mapping.MappingView.as_view(), name="mapping"),
    path("kpis/calculate/", metrics.CalculateView.as_view(), name="kpis-calculate"),
    path("kpis/definitions/", definitions.DefinitionsView.as_view(), name="definitions"),
    path("kpis/definitions/<str:metric>/", definitions.DefinitionView.as_view(), name="definition"),
    path("kpis/<str:metric>/", metrics.MetricDetailView.as_view(), name="kpi"),
    path("kpis/<str:metric>/thresholds/", thresholds.ThresholdsView.as_view(), name="kpi-thresholds"),
    path("kpis/<str:metric>/series/", metrics.SeriesView.as_view(), name="kpi-series"),
    path("kpis/<str:metric>/ledger/", understanding.LedgerView.as_view(), name="kpi-ledger"),
    path("kpis/<str:metric>/contributions/", understanding.ContributionsView.as_view(), name="kpi-contributions"),
    path("kpis/<str:metric>/explain/", understanding.ExplainView.as_view(), name="kpi-explain"),
    path("annotations/", annotation_views.AnnotationsView.as_view(), name="annotations"),
    path("annotations/<uuid:annotation_id>/", annotation_views.AnnotationView.as_view(), name="annotation"),
    path("quality/", quality.QualityView.as_view(), name="quality"),
    path("goals/", goals.GoalsView.as_view(), name="goals"),
    path("goals/<uuid:goal_id>/", goals.GoalView.as_view(), name="goal"),
    path("goals/<uuid:goal_id>/check-ins/", goals.CheckInsView.as_view(), name="goal-check-ins"),
    path("objectives/", goals.ObjectivesView.as_view(), name="objectives"),
    path("objectives/<uuid:objective_id>/", goals.ObjectiveView.as_view(), name="objective"),
    path("", include("kpis.explore.urls")),
    path("", include("kpis.segments.urls")),
    path("payments/", payments.SummaryView.as_view(), name="payments"),
    path("payments/success-rate/", payments.SuccessRateView.as_view(), name="payments-success-rate"),
    path("payments/failures/", payments.FailuresView.as_view(), name="payments-failures"),
    path("payments/latency/", payments.LatencyView.as_view(), name="payments-latency"),
    path("payments/methods/", payments.MethodsView.as_view(), name="payments-methods"),
    path("payments/top-resources/", payments.TopResourcesView.as_view(), name="payments-top-resources"),
    path("payments/customers/", payments.CustomersView.as_view(), name="payments-customers"),
    path("performance/", performance.PerformanceView.as_view(), name="performance"),
    path("customers/movements/", movements.MovementsView.as_view(), name="customers-movements"),
    path("usage/", usage.UsageView.as_view(), name="usage"),
    path("webhooks/metrics/", webhooks.MetricsView.as_view(), name="webhooks-metrics"),
]
