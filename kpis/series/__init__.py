"""Metrics over time: `metric_series` for one, `metric_overview` for several at once."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TypedDict, Unpack

from analytics.tenancy import tenant_context
from kpis.base import Condition
from kpis.catalogue import Catalogue
from kpis.compare import Against, asked_period, standing_of
from kpis.contracts import OverviewItem, Series
from kpis.needs import measures_in
from kpis.series.answer import answer
from kpis.series.context import Context, NoCalendar, context_read
from kpis.series.question import Question, QuestionError, check, granularity_of, selection_of

OVERVIEW = (
    "revenue.gross",
    "revenue.net",
    "orders.count",
    "revenue.aov",
    "users.paying",
    "revenue.arppu",
    "users.active",
    "users.mau",
    "users.stickiness",
    "sessions.count",
    "users.signups",
    "payments.success_rate",
)
"""The twelve numbers of the first page."""


class Asked(TypedDict, total=False):
    """How a metric is asked for beside its range: points of `grain` (or "total"), the rest as in `Question`."""

    grain: str
    by: str | None
    filters: Sequence[Condition]
    include: Collection[str]
    compare: Against | None
    match_weekday: bool
    limit: int | None


def metric_series(
    *, tenant_id: int, metric: str, start: datetime, end: datetime, now: datetime, **asked: Unpack[Asked]
) -> Series:
    """The metric over [start, end), broken down, filtered and compared as asked.

    Raises UnknownName for the metric, QuestionError for the rest, NoCalendar for a tenant that never counted anything.
    """
    (series,) = metrics_series(tenant_id=tenant_id, metrics=[metric], start=start, end=end, now=now, **asked)
    return series


def metrics_series(
    *, tenant_id: int, metrics: Sequence[str], start: datetime, end: datetime, now: datetime, **asked: Unpack[Asked]
) -> list[Series]:
    """As `metric_series`, for several metrics with one reading of the buckets."""
    with tenant_context(tenant_id):
        context, catalogue = context_read(tenant_id=tenant_id, now=now), Catalogue(tenant_id, has_limits=False)
        question = _question(context, catalogue, metrics, start, end, **asked)
        check(question, catalogue)
        return answer(question, context, catalogue)


def _question(
    context: Context,
    catalogue: Catalogue,
    metrics: Sequence[str],
    start: datetime,
    end: datetime,
    *,
    grain: str = "day",
    by: str | None = None,
    filters: Sequence[Condition] = (),
    include: Collection[str] = (),
    compare: Against | None = None,
    match_weekday: bool = False,
    limit: int | None = 10,
) -> Question:
    return Question(
        metrics=tuple(catalogue[name] for name in metrics),
        period=asked_period(start, end, context.calendar),
        granularity=granularity_of(grain),
        by=by,
        filters=tuple(filters),
        include=frozenset(include),
        against=compare,
        match_weekday=match_weekday,
        limit=limit,
    )


def groups_answerable(
    *, tenant_id: int, metrics: Sequence[str], start: datetime, end: datetime, now: datetime, **asked: Unpack[Asked]
) -> list[list[str]]:
    """Those of the metrics that can be filtered and broken down as asked, together with others that are answered from
    the same place: from buckets, or from events, which are then read once.
    """
    groups: dict[bool, list[str]] = {True: [], False: []}
    with tenant_context(tenant_id):
        context, catalogue = context_read(tenant_id=tenant_id, now=now), Catalogue(tenant_id, has_limits=False)
        of_all = _question(context, catalogue, metrics, start, end, **asked)
        for metric in of_all.metrics:
            question = replace(of_all, metrics=(metric,))
            try:
                check(question, catalogue)
            except QuestionError:
                continue
            is_counted = selection_of(question, measures_in(metric, catalogue)) is not None
            groups[is_counted].append(metric.id)
    return [group for group in groups.values() if group]


def metric_overview(
    *,
    tenant_id: int,
    start: datetime,
    end: datetime,
    metrics: Sequence[str] = OVERVIEW,
    grain: str = "day",
    compare: Against | None = "previous",
    now: datetime,
) -> list[OverviewItem]:
    """Several metrics over a range against the one before, each with its standing against its limits."""
    with tenant_context(tenant_id):
        context, catalogue = context_read(tenant_id=tenant_id, now=now), Catalogue(tenant_id)
        question = _question(context, catalogue, metrics, start, end, grain=grain, compare=compare)
        check(question, catalogue)
        found = answer(question, context, catalogue)
        declared = [catalogue[series.metric] for series in found]
    items = []
    for series, metric in zip(found, declared, strict=True):
        items.append(
            OverviewItem(metric.id, metric.name, metric.kind, metric.better, standing_of(series, metric), series)
        )
    return items


__all__ = [
    "OVERVIEW",
    "NoCalendar",
    "QuestionError",
    "groups_answerable",
    "metric_overview",
    "metric_series",
    "metrics_series",
]
