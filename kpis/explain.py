"""How a metric is computed: its definition, its parts with their values, what counts, where the numbers come from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db.models import Min

from analytics.contracts import Grain
from analytics.models import Event, Tenant
from analytics.periods import Granularity
from analytics.serializers.events import money_text
from analytics.tenancy import tenant_context
from kpis.base import Condition, Measure, Metric, Unit, measures
from kpis.catalogue import Catalogue
from kpis.contracts import Number, Series, written
from kpis.daily_visitors import marked
from kpis.mapping import event_names_read
from kpis.models import MetricValue
from kpis.needs import measures_in, parts_of
from kpis.parameters import Ask
from kpis.ranges import Reading, ranges_read
from kpis.series import metric_series
from kpis.series.read import cover
from kpis.taxonomy import NOT_ACTIVITY

SAMPLES = 5
SHOWN_COLUMNS = (
    "platform", "country", "channel", "campaign", "method", "tier", "reason", "content_type", "object_type", "value",
    "duration_ms",
)  # fmt: skip
"""What a sample event shows: nothing that names a person, a visit, an object or a free text."""

AGGREGATE_WORDS: Mapping[str, str] = {
    "count": "number of {rows}",
    "total": "sum of {field} of {rows}",
    "moments": "mean and spread of {field} of {rows}",
    "extremes": "least and greatest {field} of {rows}",
    "distinct": "different {over}s with {rows}",
    "repeat": "{over}s with {rows}, and those with at least two",
    "quantiles": "distribution of {field} of {rows}",
}
OPERATORS: Mapping[str, str] = {"eq": "is", "ne": "is not", "in": "is one of", "gt": "is above", "lt": "is below"}


@dataclass(frozen=True, slots=True)
class MeasureUse:
    """A measure in words: what is counted, of which events, under which conditions."""

    id: str
    words: str
    events: tuple[str, ...]
    conditions: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Node:
    """A metric in the tree of the formula, with its value over the range."""

    id: str
    name: str
    how: str
    unit: Unit
    value: Number
    measures: tuple[MeasureUse, ...]
    parts: tuple[Node, ...]


@dataclass(frozen=True, slots=True)
class EventUse:
    """An event name that counts, the standard one it is taken for, and how many there were (no bots, no team)."""

    name: str
    standard: str
    count: int


@dataclass(frozen=True, slots=True)
class Sample:
    """An event that counted, without anything that tells of a person."""

    id: str
    name: str
    at: datetime
    received_at: datetime
    amount: str | None
    currency: str | None
    columns: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Lineage:
    """Where a measure's number comes from: how many buckets of each width cover the range, and how much is in them.

    `records` are events (or visits); of sets it is their members.
    """

    measure: str
    buckets: Mapping[str, int]
    records: int


@dataclass(frozen=True, slots=True)
class Version:
    """A definition that was published by, since when."""

    version: str
    first_published_at: datetime
    is_current: bool


@dataclass(frozen=True, slots=True)
class Explanation:
    """Everything one needs to trust a number, or not."""

    metric: Metric
    series: Series
    tree: Node
    filters: tuple[str, ...]
    exclusions: tuple[str, ...]
    events: tuple[EventUse, ...]
    samples: tuple[Sample, ...]
    lineage: tuple[Lineage, ...]
    versions: tuple[Version, ...]


def explain_read(*, tenant_id: int, metric: str, ask: Ask, with_samples: bool = False) -> Explanation:
    """How the metric is computed over the question's range. Raises UnknownName, QuestionError, NoCalendar."""
    with tenant_context(tenant_id):
        declared = Catalogue(tenant_id)[metric]
        span = (ask.period.start, ask.period.end)
        series = metric_series(
            tenant_id=tenant_id, metric=metric, start=span[0], end=span[1], grain="total", filters=ask.filters,
            include=ask.include, now=ask.now,
        )  # fmt: skip
        reading = ranges_read(tenant_id=tenant_id, metrics=[metric], spans=[span], filters=ask.filters, now=ask.now)
        own = event_names_read(tenant_id=tenant_id).live
        behind = [measures[name] for name in sorted(measures_in(declared, reading.catalogue))]
        events = tuple(_events(tenant_id, behind, own, *span, ask.now))
        return Explanation(
            metric=declared,
            series=series,
            tree=_node(declared, reading, own, *span),
            filters=tuple(condition_words(condition) for condition in ask.filters),
            exclusions=tuple(_exclusions(tenant_id, behind, ask.include)),
            events=events,
            samples=_samples(tenant_id, [event.name for event in events], *span) if with_samples else (),
            lineage=tuple(_lineage(measure, reading, *span) for measure in behind),
            versions=_versions(tenant_id, declared, series.definition_version),
        )


def condition_words(condition: Condition) -> str:
    """`country is FR`."""
    if condition.op == "is_null":
        return f"{condition.field} is {'missing' if condition.value else 'there'}"
    value = ", ".join(map(str, condition.value)) if isinstance(condition.value, tuple) else condition.value
    return f"{condition.field} {OPERATORS[condition.op]} {value}"


def measure_words(measure: Measure) -> str:
    """What a measure counts, as one would say it."""
    rows = "visits" if measure.source == "sessions" else _names_in_words(measure)
    template = AGGREGATE_WORDS.get(measure.aggregate, measure.aggregate + " of {rows}")
    return template.format(rows=rows, field=measure.field or "", over=measure.over)


def _names_in_words(measure: Measure) -> str:
    if measure.events is None:
        return "events that make a person active" if measure.value_events_only else "events"
    names = sorted(measure.events)
    return f"{', '.join(names)} events"


def _node(metric: Metric, reading: Reading, own: Mapping[str, str], start: datetime, end: datetime) -> Node:
    parts = [reading.catalogue[name] for name in parts_of(metric)]
    direct = () if parts else sorted(measures_in(metric, reading.catalogue))
    return Node(
        metric.id,
        metric.name,
        metric.in_words,
        metric.unit,
        reading.number(metric.id, start, end),
        tuple(_use(measures[name], own) for name in direct),
        tuple(_node(part, reading, own, start, end) for part in parts),
    )


def _use(measure: Measure, own: Mapping[str, str]) -> MeasureUse:
    names = tuple(sorted(_names(measure, own))) if measure.events is not None else ()
    return MeasureUse(measure.id, measure_words(measure), names, tuple(condition_words(test) for test in measure.where))


def _names(measure: Measure, own: Mapping[str, str]) -> set[str]:
    """The standard names, their aliases, and the tenant's own that are taken for them."""
    declared = measure.events or frozenset()
    return {*declared, *(name for name, standard in own.items() if standard in declared)}


def _events(
    tenant_id: int, behind: list[Measure], own: Mapping[str, str], start: datetime, end: datetime, now: datetime
) -> Iterator[EventUse]:
    names = sorted(set().union(*(_names(measure, own) for measure in behind)))
    found = metric_series(
        tenant_id=tenant_id, metric="events.count", start=start, end=end, grain="total", by="name", limit=None, now=now
    )
    counts = {part.key: int(part.total or 0) for part in found.series}
    for name in sorted(names, key=lambda name: (-counts.get(name, 0), name)):
        yield EventUse(name, own.get(name, name), counts.get(name, 0))


def _exclusions(tenant_id: int, behind: list[Measure], include: tuple[str, ...]) -> Iterator[str]:
    if "bots" not in include:
        yield "Bots are left out; they are flagged with a reason and kept (include=bots adds them)."
    if "internal" not in include:
        yield "The team's own traffic is left out (include=internal adds it)."
    if any(measure.value_events_only for measure in behind):
        settings = Tenant.objects.values_list("settings", flat=True).get(pk=tenant_id)
        ignored = sorted(NOT_ACTIVITY | set(settings.get("inactive_events", ())))
        yield f"These make nobody active: {', '.join(ignored)}."
    if any(measure.field == "amount_base" for measure in behind):
        yield "Amounts without an exchange rate for their day are left out until the rate is there."


def _samples(tenant_id: int, names: list[str], start: datetime, end: datetime) -> tuple[Sample, ...]:
    rows = Event.objects.filter(tenant_id=tenant_id, ts__gte=start, ts__lt=end, is_bot=False, is_internal=False)
    if names:
        rows = rows.filter(name__in=names)
    fields = ("id", "name", "ts", "received_at", "amount", "currency", *SHOWN_COLUMNS)
    return tuple(
        Sample(
            str(row["id"]),
            row["name"],
            row["ts"],
            row["received_at"],
            money_text(row["amount"], row["currency"]),
            row["currency"],
            {name: row[name] for name in SHOWN_COLUMNS if row[name] is not None},
        )
        for row in rows.order_by("-ts", "-id").values(*fields)[:SAMPLES]
    )


def _lineage(measure: Measure, reading: Reading, start: datetime, end: datetime) -> Lineage:
    calendar = reading.context.calendar
    found = {grain.name.lower(): 0 for grain in (Grain.DAY, Grain.HOUR, Grain.MINUTE)}
    for grain, first, last in cover(calendar, start, end, Granularity.DAY):
        edges = calendar.edges(first, last, Granularity(grain.name.lower()))
        found[grain.name.lower()] += max(len(edges) - 1, 0)
    return Lineage(measure.id, found, reading.evaluator.state(measure.id, start, end).n)


def _versions(tenant_id: int, metric: Metric, current: str) -> tuple[Version, ...]:
    rows = MetricValue.objects.filter(tenant_id=tenant_id, metric=metric.id)
    first: dict[str, datetime] = {}
    for text, at in rows.values_list("definition_version").annotate(first=Min("computed_at")).order_by("first"):
        first.setdefault(text.split(" ")[0], at)
    return tuple(Version(version, at, version == current) for version, at in first.items())


def explanation_plain(found: Explanation) -> dict[str, Any]:
    """As JSON, in the shape of `GET /api/v1/kpis/{metric}/explain/`."""
    metric, series = found.metric, found.series
    return {
        "metric": metric.id,
        "name": metric.name,
        "help": metric.help,
        "in_words": metric.in_words,
        "example": metric.example,
        "unit": metric.unit.value,
        "currency": series.currency if metric.unit is Unit.MONEY else None,
        "owner": metric.owner,
        "timezone": series.timezone,
        "from": series.start.isoformat(),
        "to": series.end.isoformat(),
        "value": written(series.total, series.unit, series.exponent),
        "tree": _node_plain(found.tree, series.exponent),
        "filters": list(found.filters),
        "include": list(series.include),
        "exclusions": list(found.exclusions),
        "events": [{"name": use.name, "standard": use.standard, "count": use.count} for use in found.events],
        "samples": [
            {
                "id": sample.id,
                "name": sample.name,
                "timestamp": sample.at.isoformat(),
                "received_at": sample.received_at.isoformat(),
                "amount": sample.amount,
                "currency": sample.currency,
                **dict(sample.columns),
            }
            for sample in found.samples
        ],
        "lineage": [
            {"measure": line.measure, "buckets": dict(line.buckets), "records": line.records} for line in found.lineage
        ],
        "definition_version": series.definition_version,
        "versions": [
            {
                "version": version.version,
                "first_published_at": version.first_published_at.isoformat(),
                "is_current": version.is_current,
            }
            for version in found.versions
        ],
        "executor": series.executor,
        "is_complete": series.is_complete,
        "is_partial": series.is_partial,
        **marked(series.daily_visitors),
        "data_through": series.data_through.isoformat(),
        "computed_at": series.computed_at.isoformat(),
    }


def _node_plain(node: Node, exponent: int) -> dict[str, Any]:
    value: Decimal | None = node.value
    return {
        "metric": node.id,
        "name": node.name,
        "how": node.how,
        "unit": node.unit.value,
        "value": written(value, node.unit, exponent),
        "measures": [
            {
                "measure": use.id,
                "words": use.words,
                "events": list(use.events),
                "conditions": list(use.conditions),
            }
            for use in node.measures
        ],
        "parts": [_node_plain(part, exponent) for part in node.parts],
    }
