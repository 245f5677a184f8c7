"""Answers about metrics that are remembered (`analytics.cache`): which live how long, and what drops them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from functools import cache
from typing import Any, get_type_hints

import msgspec

from analytics.cache import (
    DASHBOARD,
    DAY,
    DEFINITIONS,
    HOUR,
    LIVE,
    MAPPING,
    METRICS,
    REVENUE,
    WEEK,
    Audience,
    definitions_from,
    dropped_by,
)
from analytics.cache import cache as remembered
from analytics.periods import Granularity
from kpis.base import Condition, measures, metrics
from kpis.catalogue import definition_version
from kpis.contracts import Series
from kpis.parameters import Ask
from kpis.series import metrics_series
from kpis.series.question import TOTAL

TAGS = (METRICS, DEFINITIONS, MAPPING)
FINE = {Granularity.MINUTE.value: LIVE, Granularity.HOUR.value: HOUR}
COARSE = {Granularity.DAY.value: DAY, TOTAL: DAY}


def lifetime(ask: Ask, names: Sequence[str] = ()) -> int:
    """Seconds that an answer may live: the finer its points and the nearer its end, the shorter."""
    if ask.grain in FINE:
        return FINE[ask.grain]
    if ask.period.end >= ask.now:
        return DASHBOARD
    if any(name.startswith("revenue.") for name in names):
        return REVENUE
    return COARSE.get(ask.grain, WEEK)


def series_of(*, audience: Audience, metrics: Sequence[str], ask: Ask) -> list[Series]:
    """`metrics_series`, remembered. Raises what that raises."""

    def compute() -> list[Series]:
        return metrics_series(tenant_id=audience.tenant_id, metrics=list(metrics), **ask.arguments())

    return remembered().answer(
        audience=audience,
        name="kpis.series",
        question={"metrics": tuple(metrics), "ask": ask},
        compute=compute,
        ttl=lifetime(ask, metrics),
        now=ask.now,
        tags=TAGS,
        into=_series_read,
        ignore=("now",),
    )


def _series_read(body: bytes) -> list[Series]:
    return [_series(kept) for kept in msgspec.msgpack.decode(body, type=list[_kept()])]  # type: ignore[misc]


@cache
def _kept() -> Any:
    """A series as msgspec can read it: it does not know which of two kinds of tuples an operand is."""
    hints = get_type_hints(Series)
    return msgspec.defstruct("KeptSeries", [(each.name, _hint(each.name, hints)) for each in fields(Series)])


def _hint(name: str, hints: dict[str, Any]) -> Any:
    return list[dict[str, Any]] if name == "filters" else hints[name]


def _series(kept: Any) -> Series:
    values = {each.name: getattr(kept, each.name) for each in fields(Series)}
    values["filters"] = tuple(_condition(**each) for each in kept.filters)
    return Series(**values)


def _condition(field: str, op: Any, value: Any) -> Condition:
    return Condition(field, op, tuple(value) if isinstance(value, list) else value)


def declarations() -> str:
    """A text that changes when a release declares a metric or a measure otherwise."""
    versions = {metric.id: definition_version(metric, dict(metrics.items())) for metric in metrics}
    return f"{sorted(versions.items())}{sorted(measures.names())}"


def listen() -> None:
    """Connect what drops answers, and make the declarations part of their keys."""
    from kpis.models import MetricDefinition, MetricThreshold

    definitions_from(declarations)
    dropped_by(MetricDefinition, DEFINITIONS)
    dropped_by(MetricThreshold, DEFINITIONS)
