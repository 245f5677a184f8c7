"""How fast the host's requests are: percentiles out of mergeable sketches, throughput, errors, the slowest routes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Final

from analytics.aggregates import ACCURACY
from analytics.contracts import TenantInfo
from kpis.contracts import Breakdown, Number, Series, plain, written
from kpis.metrics.system import ROUTE
from kpis.parameters import Ask
from kpis.series import metrics_series
from kpis.stamps import stamp_of

OVER_TIME: Final = {
    "mean": "system.response_mean",
    "p50": "system.response_median",
    "p95": "system.response_p95",
    "p99": "system.response_p99",
    "throughput": "system.throughput",
    "requests": "system.requests",
    "error_rate": "system.error_rate",
}
BY_ROUTE: Final = {
    "requests": "system.requests",
    "p50": "system.response_median",
    "p95": "system.response_p95",
    "error_rate": "system.error_rate",
}
FEWEST: Final = 20
"""Requests below which a percentile of a route says little; such routes are counted and not ranked."""

MOST_ROUTES: Final = 500


@dataclass(frozen=True, slots=True)
class Route:
    """One route over the range. Times are milliseconds; `before` is the 95th percentile of the range before."""

    route: str
    requests: Number
    p50: Number
    p95: Number
    before: Number
    error_rate: Number
    points: tuple[Number, ...]

    @property
    def trend(self) -> Number:
        """By how much the 95th percentile changed, as a share of the former; None without one."""
        if self.p95 is None or not self.before:
            return None
        return (self.p95 - self.before) / self.before


def performance(tenant: TenantInfo, ask: Ask) -> dict[str, Any]:
    """Everything of `GET performance/`, ready for JSON. Raises QuestionError, NoCalendar."""
    arguments = {**ask.arguments(), "tenant_id": tenant.id}
    over_time = metrics_series(**{**arguments, "metrics": list(OVER_TIME.values()), "by": None})
    shown = {name: plain(series) for name, series in zip(OVER_TIME, over_time, strict=True)}
    by_route = series_by_route(tenant, ask)
    routes = ranked_routes(by_route)[: ask.limit]
    return {
        **stamp_of([*over_time, *by_route.values()]),
        "quantile_error": ACCURACY,
        **{name: series["total"] for name, series in shown.items()},
        "slowest": [_plain(route, over_time[0].unit) for route in routes],
        "series": shown,
    }


def slowest_routes(tenant: TenantInfo, ask: Ask) -> list[Route]:
    """Routes by their 95th percentile, the slowest first: as many as the question's limit."""
    return ranked_routes(series_by_route(tenant, ask))[: ask.limit]


def series_by_route(tenant: TenantInfo, ask: Ask) -> dict[str, Series]:
    """What routes are compared by, each with its routes."""
    wide = replace(ask, by=ROUTE, limit=MOST_ROUTES, grain="day", compare=ask.compare or "previous")
    found = metrics_series(**{**wide.arguments(), "tenant_id": tenant.id, "metrics": list(BY_ROUTE.values())})
    return dict(zip(BY_ROUTE, found, strict=True))


def ranked_routes(by_route: Mapping[str, Series]) -> list[Route]:
    """All routes that were asked for often enough, the slowest first."""
    columns = {name: {part.key: part for part in series.series} for name, series in by_route.items()}
    routes = [_route(key, columns) for key in columns["requests"] if key]
    ranked = [route for route in routes if route.p95 is not None and (route.requests or 0) >= FEWEST]
    return sorted(ranked, key=lambda route: (-(route.p95 or Decimal(0)), route.route))


def _route(key: str, columns: dict[str, dict[str, Breakdown]]) -> Route:
    totals = {name: column[key].total if key in column else None for name, column in columns.items()}
    slow = columns["p95"].get(key)
    return Route(
        route=key,
        requests=totals["requests"],
        p50=totals["p50"],
        p95=totals["p95"],
        before=slow.comparison.total if slow is not None and slow.comparison is not None else None,
        error_rate=totals["error_rate"],
        points=tuple(point.value for point in slow.points) if slow is not None else (),
    )


def _plain(route: Route, unit: Any) -> dict[str, Any]:
    return {
        "route": route.route,
        "requests": int(route.requests or 0),
        "p50": written(route.p50, unit),
        "p95": written(route.p95, unit),
        "p95_before": written(route.before, unit),
        "trend": None if route.trend is None else float(route.trend),
        "error_rate": None if route.error_rate is None else float(route.error_rate),
        "p95_points": [written(value, unit) for value in route.points],
    }
