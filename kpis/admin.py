"""The admin of what is counted: every metric with its line of the last 30 days, a tenant's own formulas, the ledger."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from django import forms
from django.contrib import admin
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import URLPattern, path
from django.utils import timezone

from analytics.admin.base import ReadOnlyAdmin, TenantAdmin, tenant_id_of
from analytics.periods import Granularity
from analytics.registry import UnknownName
from analytics.tenancy import tenant_context
from kpis import understanding_admin  # noqa: F401  pages of annotations and checks
from kpis.admin_names import names_page
from kpis.base import Kind, Metric, Unit
from kpis.catalogue import Catalogue
from kpis.contracts import Series, written
from kpis.explore import admin as explore_admin  # noqa: F401  pages of exploration
from kpis.goals import admin as goals_admin  # noqa: F401  pages of goals
from kpis.models import MetricDefinition, MetricThreshold, MetricValue
from kpis.segments import admin as segments_admin  # noqa: F401  pages of segments
from kpis.series import NoCalendar, QuestionError, metrics_series
from kpis.series.context import context_read
from kpis.services import Definition, DefinitionError, definition_check, metric_define
from kpis.sparkline import sparkline

DAYS = 30


@dataclass(frozen=True)
class Row:
    """A metric as the list shows it."""

    metric: Metric
    series: Series
    value: str
    change: str
    direction: str
    is_good: bool | None
    lines: tuple[str, ...]


class DefinitionForm(forms.ModelForm):  # type: ignore[type-arg]
    """A metric by formula; the formula is checked as the API checks it, and an error points at its character."""

    unit = forms.ChoiceField(choices=[(unit.value, unit.value) for unit in Unit])
    kind = forms.ChoiceField(choices=[(kind.value, kind.value) for kind in Kind])
    better = forms.ChoiceField(choices=[("up", "up"), ("down", "down")])

    class Meta:
        model = MetricDefinition
        fields = ("metric", "name", "formula", "help", "unit", "kind", "better", "warning", "critical", "owner")

    tenant_id: int = 0

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        if not self.errors:
            try:
                definition_check(tenant_id=self.tenant_id, definition=Definition(**cleaned))
            except DefinitionError as error:
                self.add_error(error.field if error.field in self.fields else None, str(error))
        return cleaned


@admin.register(MetricDefinition)
class MetricDefinitionAdmin(TenantAdmin):
    """The catalogue: built-in metrics with their lines above, the tenant's own below."""

    form = DefinitionForm
    change_list_template = "kpis/admin_catalogue.html"
    list_display = ("metric", "name", "formula", "unit", "version", "is_archived")
    search_fields = ("metric", "name")
    ordering = ("metric",)

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        made = super().get_form(request, obj, change=change, **kwargs)
        return type(made.__name__, (made,), {"tenant_id": tenant_id_of(request)})

    def save_model(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> None:
        row = metric_define(
            tenant_id=tenant_id_of(request), definition=Definition(**form.cleaned_data), now=timezone.now()
        )
        obj.__dict__.update(row.__dict__)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_urls(self) -> list[URLPattern]:
        mine = path("of/<str:metric>/", self.admin_site.admin_view(self.metric_page), name="bellwether_kpis_metric")
        names = path("event-names/", self.admin_site.admin_view(self.names_page), name="bellwether_kpis_event_names")
        return [mine, names, *super().get_urls()]

    def names_page(self, request: HttpRequest) -> HttpResponse:
        """The tenant's own names of events."""
        return names_page(self, request)

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        rows = catalogue_rows(tenant_id_of(request)) if self.has_view_permission(request) else []
        answer: HttpResponse = super().changelist_view(request, {**(extra_context or {}), "rows": rows, "days": DAYS})
        return answer

    def metric_page(self, request: HttpRequest, metric: str) -> HttpResponse:
        """One metric: what it means, its days, and what was published of it."""
        if not self.has_view_permission(request):
            return HttpResponse(status=403)
        context = {**self.admin_site.each_context(request), "opts": self.opts, "title": metric}
        try:
            (row,) = catalogue_rows(tenant_id_of(request), [metric])
        except (UnknownName, ValueError) as error:
            context |= {"problem": str(error)}
            return TemplateResponse(request, "kpis/admin_metric.html", context, status=404)
        points = [(point, shown(point.value, row.series)) for point in reversed(row.series.points)]
        published = MetricValue.objects.filter(metric=metric).order_by("-computed_at")[:20]
        context |= {"row": row, "points": points, "published": published, "days": DAYS}
        return TemplateResponse(request, "kpis/admin_metric.html", context)


@admin.register(MetricThreshold)
class MetricThresholdAdmin(ReadOnlyAdmin):
    """Limits that the tenant set; they are changed on the metric's page and by the API, which check them."""

    list_display = ("metric", "warning", "critical", "updated_at")
    search_fields = ("metric",)
    ordering = ("metric",)


@admin.register(MetricValue)
class MetricValueAdmin(ReadOnlyAdmin):
    list_display = ("metric", "grain", "start", "key", "value", "is_complete", "computed_at", "reason")
    list_filter = ("grain", "reason")
    search_fields = ("metric",)
    ordering = ("-computed_at",)


def catalogue_rows(tenant_id: int, names: list[str] | None = None) -> list[Row]:
    """Metrics over the last 30 whole days against the 30 before; empty before anything was ever counted.

    Raises UnknownName for a name that is asked for.
    """
    now = timezone.now()
    catalogue = Catalogue(tenant_id)
    asked = names if names is not None else list(catalogue)
    for name in asked:
        _ = catalogue[name]
    try:
        with tenant_context(tenant_id):
            period = context_read(tenant_id=tenant_id, now=now).calendar.last(DAYS, Granularity.DAY, now)
        found = metrics_series(
            tenant_id=tenant_id,
            metrics=asked,
            start=period.start,
            end=period.end,
            grain="day",
            compare="previous",
            now=now,
        )
    except (NoCalendar, QuestionError):
        return []
    return [_row(catalogue[series.metric], series) for series in found]


def _row(metric: Metric, series: Series) -> Row:
    change = series.comparison.change if series.comparison else None
    percent = "" if change is None or change.percent is None else f"{change.percent:+.1f} %"
    points = "" if change is None or change.points is None else f"{change.points:+.1f} points"
    return Row(
        metric,
        series,
        shown(series.total, series),
        points or percent or (change.basis.replace("_", " ") if change else ""),
        change.direction if change else "",
        change.is_good if change else None,
        sparkline([point.value for point in series.points]),
    )


def shown(value: Any, series: Series) -> str:
    """A value for people: money with its currency, shares in percent, an en dash for what is not known."""
    if value is None:
        return "–"
    if series.unit is Unit.MONEY:
        return f"{written(value, series.unit, series.exponent)} {series.currency}"
    if series.unit is Unit.RATIO:
        return f"{value * 100:.1f} %"
    if series.unit is Unit.DURATION:
        return duration_shown(value)
    return f"{value:,.0f}" if value == value.to_integral_value() else f"{value:,.2f}"


def duration_shown(milliseconds: Decimal) -> str:
    """As people say it: 340 ms, 12.5 s, 2 min 30 s, 1 h 05 min."""
    if milliseconds < 1000:
        return f"{milliseconds:.0f} ms"
    if milliseconds < 60_000:
        return f"{milliseconds / 1000:.1f} s"
    seconds = round(milliseconds / 1000)
    if seconds < 3600:
        return f"{seconds // 60} min {seconds % 60:02d} s"
    return f"{seconds // 3600} h {seconds % 3600 // 60:02d} min"
