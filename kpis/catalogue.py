"""Every metric a tenant can ask for: the registered ones, then those it made itself."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from decimal import Decimal
from functools import lru_cache
from typing import Any

from kpis.base import Form, Formula, Kind, Measure, Metric, Thresholds, Unit, measures, metrics
from kpis.contracts import Number
from kpis.models import MetricDefinition, MetricThreshold
from kpis.needs import measures_in, parts_of
from kpis.sums import adds_up


@dataclass(slots=True)
class Catalogue(Mapping[str, Metric]):
    """Metrics by id, within the tenant that is set, with the limits it set. Its own are read when first missed.

    `has_limits=False` for who only counts: no number depends on limits, and it saves a statement.
    """

    tenant_id: int
    has_limits: bool = True
    _own: dict[str, Metric] | None = field(default=None)
    _limits: dict[str, tuple[Number, Number]] | None = field(default=None)
    _limited: dict[str, Metric] = field(default_factory=dict)

    def __getitem__(self, metric: str) -> Metric:
        """Raises UnknownName, which offers the nearest names."""
        found = self.declared(metric)
        if metric not in self.limits():
            return found
        if metric not in self._limited:
            limits = Thresholds(*self.limits()[metric], is_per_day=adds_up(found, self))
            self._limited[metric] = replace(found, thresholds=limits)
        return self._limited[metric]

    def declared(self, metric: str) -> Metric:
        """The metric with the limits of its declaration. Raises UnknownName."""
        found = metrics.get(metric) or self.own().get(metric)
        return found if found is not None else metrics[metric]

    def limits(self) -> Mapping[str, tuple[Number, Number]]:
        """Warning and critical of the metrics for which the tenant set its own."""
        if not self.has_limits:
            return {}
        if self._limits is None:
            rows = MetricThreshold.objects.filter(tenant_id=self.tenant_id)
            found = rows.values_list("metric", "warning", "critical")
            self._limits = {name: (_trimmed(warning), _trimmed(critical)) for name, warning, critical in found}
        return self._limits

    def __iter__(self) -> Iterator[str]:
        yield from metrics.names()
        yield from self.own()

    def __len__(self) -> int:
        return len(metrics) + len(self.own())

    def own(self) -> Mapping[str, Metric]:
        if self._own is None:
            rows = MetricDefinition.objects.filter(tenant_id=self.tenant_id, is_archived=False).order_by("metric")
            self._own = {row.metric: metric_of(row) for row in rows}
        return self._own


def metric_of(row: MetricDefinition) -> Metric:
    """The declaration that a tenant's row stands for."""
    return Metric(
        id=row.metric,
        name=row.name,
        help=row.help,
        in_words=row.formula,
        form=Formula(row.formula),
        unit=Unit(row.unit),
        kind=Kind(row.kind),
        better="down" if row.better == "down" else "up",
        thresholds=Thresholds(_decimal(row.warning), _decimal(row.critical)),
        owner=row.owner,
        definition_version=row.version,
    )


def _decimal(value: float | None) -> Number:
    return None if value is None else Decimal(repr(value))


def _trimmed(value: Number) -> Number:
    """Without the zeros that the column has at the end."""
    if value is None:
        return None
    text = f"{value:f}"
    return Decimal(text.rstrip("0").rstrip(".") if "." in text else text)


def definition_version(metric: Metric, catalogue: Mapping[str, Metric]) -> str:
    """`version.fingerprint`: the fingerprint changes with anything that could change the number."""
    described = sorted(_described(catalogue[name].form) for name in closure(metric, catalogue))
    described += sorted(_described(measures[name]) for name in measures_in(metric, catalogue))
    digest = hashlib.blake2b("\n".join(described).encode(), digest_size=4).hexdigest()
    return f"{metric.definition_version}.{digest}"


@lru_cache(maxsize=4096)
def _described(declaration: Form | Measure) -> str:
    return _canonical(declaration)


@dataclass(frozen=True, slots=True)
class Extent:
    """A metric with everything it is made of written out, as it is computed: how many parts, and how deep."""

    parts: int = 1
    depth: int = 1


def closure(metric: Metric, catalogue: Mapping[str, Metric]) -> frozenset[str]:
    """The metric's id and the ids of all metrics it is made of. ValueError when it is made of itself."""
    return frozenset(extents(metric, catalogue))


def extents(metric: Metric, catalogue: Mapping[str, Metric]) -> dict[str, Extent]:
    """Of the metric and of all it is made of, by id; each is looked at once. Raises MetricCycle."""
    found: dict[str, Extent] = {}
    _walk(metric, catalogue, (), found)
    return found


def _walk(metric: Metric, catalogue: Mapping[str, Metric], above: tuple[str, ...], found: dict[str, Extent]) -> Extent:
    if metric.id in above:
        raise MetricCycle((*above[above.index(metric.id) :], metric.id))
    if metric.id not in found:
        below = [_walk(catalogue[part], catalogue, (*above, metric.id), found) for part in parts_of(metric)]
        depth = max((part.depth for part in below), default=0)
        found[metric.id] = Extent(1 + sum(part.parts for part in below), 1 + depth)
    return found[metric.id]


class MetricCycle(ValueError):
    """A metric that is made of itself has no value."""

    def __init__(self, path: tuple[str, ...]) -> None:
        super().__init__("a metric cannot be made of itself: " + " → ".join(path))


def _canonical(value: Any) -> str:
    """A text that is the same in every process (sets have no order of their own)."""
    if is_dataclass(value) and not isinstance(value, type):
        inner = (f"{item.name}={_canonical(getattr(value, item.name))}" for item in fields(value))
        return f"{type(value).__name__}({', '.join(inner)})"
    if isinstance(value, frozenset):
        return "{" + ", ".join(sorted(map(_canonical, value))) + "}"
    if isinstance(value, tuple):
        return "(" + ", ".join(map(_canonical, value)) + ")"
    return repr(value)
