"""Answers made of several series: the catalogue with values, the overview, busy hours. Ready for JSON."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from analytics.contracts import TenantInfo
from analytics.periods import Period
from analytics.tenancy import tenant_context
from kpis.base import Additivity, Metric, Thresholds
from kpis.catalogue import Catalogue
from kpis.compare import standing_of
from kpis.contracts import Series, plain, written
from kpis.daily_visitors import marked
from kpis.parameters import Ask
from kpis.selectors import MetricInfo, metric_info
from kpis.series import QuestionError, groups_answerable, metric_series, metrics_series
from kpis.series.question import TOTAL
from kpis.stamps import stamp_of

WEEKDAYS = 7
HOURS = 24


def ask_between(ask: Ask, start: datetime, end: datetime) -> Ask:
    """The same question over another range."""
    return replace(ask, period=Period(start, end))


def catalogue_matching(*, tenant_id: int, kind: str = "", family: str = "", search: str = "") -> list[MetricInfo]:
    """Metrics of a kind and family whose id, name or help has every word of the search."""
    with tenant_context(tenant_id):
        names = names_matching(tenant_id=tenant_id, kind=kind, family=family, search=search)
        return metrics_named(tenant_id=tenant_id, names=names)


def names_matching(*, tenant_id: int, kind: str = "", family: str = "", search: str = "") -> list[str]:
    """The ids of the same metrics, without looking into them, within the tenant that is set."""
    words, catalogue = search.casefold().split(), Catalogue(tenant_id)
    return [
        metric.id
        for metric in (catalogue[name] for name in catalogue)
        if kind in ("", metric.kind)
        and family in ("", metric.family)
        and all(word in f"{metric.id} {metric.name} {metric.help}".casefold() for word in words)
    ]


def metrics_named(*, tenant_id: int, names: Sequence[str]) -> list[MetricInfo]:
    """Metrics by their ids, within the tenant that is set. Raises UnknownName."""
    catalogue = Catalogue(tenant_id)
    return [metric_info(catalogue[name], catalogue) for name in names]


def metric_found(*, tenant_id: int, metric: str) -> MetricInfo:
    """One metric of the tenant that is set. Raises UnknownName."""
    catalogue = Catalogue(tenant_id)
    return metric_info(catalogue[metric], catalogue)


def metric_plain(info: MetricInfo) -> dict[str, Any]:
    """What a metric is, for JSON."""
    metric = info.metric
    return {
        "metric": metric.id,
        "name": metric.name,
        "help": metric.help,
        "in_words": metric.in_words,
        "example": metric.example,
        "unit": metric.unit.value,
        "kind": metric.kind.value,
        "better": metric.better,
        "thresholds": thresholds_plain(metric.thresholds),
        "owner": metric.owner,
        "additivity": metric.additivity.value,
        "dimensions": list(info.dimensions),
        "made_of": list(info.parts),
        "definition_version": info.definition_version,
        "is_own": info.is_own,
    }


def catalogue_plain(
    tenant: TenantInfo, chosen: Sequence[MetricInfo], ask: Ask, *, with_values: bool = True
) -> dict[str, Any]:
    """The metrics with their values over the question's range, and their points when it has a granularity."""
    found = _totals(tenant, [info.metric.id for info in chosen], ask) if with_values else {}
    return {
        **_range(ask, tenant),
        "granularity": ask.grain,
        "computed_at": ask.now.isoformat(),
        **(stamp_of(found.values()) if found else {"data_through": None}),
        "results": [{**metric_plain(info), **_value(found.get(info.metric.id), info.metric)} for info in chosen],
    }


def overview_plain(tenant: TenantInfo, names: Sequence[str], ask: Ask) -> dict[str, Any]:
    """The series of several metrics with their standing. Raises UnknownName, QuestionError."""
    found = metrics_series(tenant_id=tenant.id, metrics=names, **ask.arguments())
    catalogue = Catalogue(tenant.id)
    items = [_item(series, catalogue[series.metric]) for series in found]
    return {**_panel(tenant, found), "items": items}


def peak_times(tenant: TenantInfo, metric: str, ask: Ask) -> dict[str, Any]:
    """The metric by weekday and hour of the tenant's clock. Raises QuestionError for one that does not add up.

    `mean` is per occurrence of that hour in the range; a repeated hour of autumn counts as one, a skipped one as none.
    """
    declared = Catalogue(tenant.id)[metric]
    if declared.additivity is not Additivity.ADDITIVE:
        raise QuestionError(f"hours of {metric} do not add up; take an additive metric such as events.count", "metric")
    series = metric_series(tenant_id=tenant.id, metric=metric, **ask.arguments())
    hours = _hours(series, ask)
    known = [hour for hour in hours if hour["mean"] is not None]
    peak = max(known, key=lambda hour: hour["mean"], default=None)
    return {
        "metric": metric,
        **_panel(tenant, [series]),
        "peak": peak if peak and peak["mean"] else None,
        "hours": hours,
    }


def _hours(series: Series, ask: Ask) -> list[dict[str, Any]]:
    sums: dict[tuple[int, int], Decimal] = defaultdict(Decimal)
    days: dict[tuple[int, int], set[Any]] = defaultdict(set)
    for point in series.points:
        if point.value is None:
            continue
        local = point.start.astimezone(ask.calendar.tz)
        sums[local.weekday(), local.hour] += point.value
        days[local.weekday(), local.hour].add(local.date())
    slots = [(weekday, hour) for weekday in range(WEEKDAYS) for hour in range(HOURS)]
    return [
        {
            "weekday": weekday,
            "hour": hour,
            "total": written(sums[weekday, hour], series.unit, series.exponent) if days[weekday, hour] else None,
            "mean": float(sums[weekday, hour] / len(days[weekday, hour])) if days[weekday, hour] else None,
        }
        for weekday, hour in slots
    ]


def _totals(tenant: TenantInfo, names: Sequence[str], ask: Ask) -> dict[str, Series]:
    """Few readings for all; a metric that has not the column of a filter has no value under it."""
    arguments = ask.arguments()
    groups = [list(names)]
    if ask.filters:
        groups = groups_answerable(tenant_id=tenant.id, metrics=names, **arguments)
    found = [series for group in groups for series in metrics_series(tenant_id=tenant.id, metrics=group, **arguments)]
    return {series.metric: series for series in found}


def _value(series: Series | None, metric: Metric) -> dict[str, Any]:
    if series is None:
        return {"value": None, "change": None, "status": "unknown", "is_complete": False}
    shown = plain(series)
    comparison = shown["comparison"]
    over_time = {} if series.granularity == TOTAL else {"points": shown["points"]}
    return {
        **over_time,
        "value": shown["total"],
        "change": comparison["change"] if comparison else None,
        "status": standing_of(series, metric),
        "is_complete": series.is_complete,
        **marked(series.daily_visitors),
    }


def _item(series: Series, metric: Metric) -> dict[str, Any]:
    return {
        "name": metric.name,
        "kind": metric.kind.value,
        "better": metric.better,
        "status": standing_of(series, metric),
        **plain(series),
    }


def _panel(tenant: TenantInfo, found: Sequence[Series]) -> dict[str, Any]:
    return {**stamp_of(found), "currency": tenant.base_currency}


def _range(ask: Ask, tenant: TenantInfo) -> dict[str, Any]:
    return {
        "from": ask.period.start.isoformat(),
        "to": ask.period.end.isoformat(),
        "timezone": ask.calendar.zone,
        "currency": tenant.base_currency,
    }


def thresholds_plain(limits: Thresholds) -> dict[str, Any]:
    """Limits, for JSON."""
    return {
        "warning": _limit(limits.warning),
        "critical": _limit(limits.critical),
        "is_per_day": limits.is_per_day,
    }


def _limit(value: Decimal | None) -> float | None:
    return None if value is None else float(value)
