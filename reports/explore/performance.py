"""`/performance/`: how fast the host's requests are, over time and by route."""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Final

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_GET

from kpis.base import Unit
from kpis.performance import FEWEST, OVER_TIME, slowest_routes
from kpis.series import NoCalendar
from kpis.sparkline import sparkline
from reports.dashboard import shown
from reports.dashboard.cards import ChartCard, Tile
from reports.dashboard.doors import tenant_of, tenant_page
from reports.dashboard.pages import chart_for, data_through_of, tile_for
from reports.dashboard.question import PageQuestion, page_question
from reports.dashboard.reading import numbers_read
from reports.dashboard.toolbar import Toolbar, toolbar_of
from reports.exports.tables import downloads

TILES: Final = tuple(OVER_TIME.values())
CHARTS: Final = ("system.response_median", "system.response_p95", "system.throughput", "system.error_rate")


@dataclass(frozen=True, slots=True)
class RouteShown:
    """A route; `lines` draws its 95th percentile by day."""

    route: str
    requests: str
    p50: str
    p95: str
    before: str
    trend: str
    tone: str
    error_rate: str
    lines: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PerformancePage:
    """All of it."""

    title: str
    intro: str
    toolbar: Toolbar
    tiles: tuple[Tile, ...] = ()
    charts: tuple[ChartCard, ...] = ()
    routes: tuple[RouteShown, ...] = ()
    data_through: str = ""
    is_empty: bool = False
    live_query: str = ""
    fewest: int = FEWEST
    complaints: tuple[str, ...] = ()


@require_GET
@tenant_page()
def performance(request: HttpRequest) -> HttpResponse:
    """The page; empty until the host sends its requests."""
    question = page_question(request, tenant_of(request))
    page = _page(question)
    template = "reports/explore/performance.html"
    actions = downloads("performance-routes", **question.parameters)
    return render(request, template, {"page": page, "actions": actions})


def _page(question: PageQuestion) -> PerformancePage:
    ask = replace(question.ask, by=None)
    numbers = numbers_read(list(TILES), ask, tenant_id=question.tenant.id)
    requests = numbers.series.get("system.requests")
    is_empty = numbers.is_empty or requests is None or not requests.total
    base = PerformancePage(
        title="Performance",
        intro="How long requests of the host take, how many there are and how many fail.",
        toolbar=toolbar_of(question),
        complaints=tuple(complaint.message for complaint in question.complaints),
        is_empty=is_empty,
    )
    if is_empty:
        return base
    try:
        routes = slowest_routes(question.tenant, question.ask)
    except NoCalendar:
        routes = []
    return replace(
        base,
        tiles=tuple(tile_for(name, numbers, question) for name in TILES),
        charts=tuple(chart_for(name, numbers, question) for name in CHARTS),
        routes=tuple(_route(route) for route in routes),
        data_through=data_through_of(numbers, question),
        live_query=question.live_query,
    )


def _route(route: Any) -> RouteShown:
    trend = route.trend
    tone = "" if trend is None or abs(trend) < Decimal("0.05") else "bad" if trend > 0 else "good"
    return RouteShown(
        route.route,
        f"{int(route.requests or 0):,}",
        shown.number_shown(route.p50, Unit.DURATION),
        shown.number_shown(route.p95, Unit.DURATION),
        shown.number_shown(route.before, Unit.DURATION),
        shown.UNKNOWN if trend is None else f"{trend * 100:+.0f} %".replace("-", "−"),
        tone,
        shown.number_shown(route.error_rate, Unit.RATIO),
        sparkline(route.points),
    )
