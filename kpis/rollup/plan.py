"""From the registered measures to what must be read: columns, properties, and rows selected once for many measures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

from analytics.columns import Kind
from kpis.base import PRICE_COLUMNS, PRICE_PROPERTIES, SESSION_COLUMNS, Condition, Measure
from kpis.base import measures as registered
from kpis.rollup.keys import COHORTS, stored_dimension
from kpis.taxonomy import NOT_ACTIVITY

PROPERTY = "properties."
EVENT_NAMES = "event_names"
"""Where the tenant's settings keep its own names: `live`, and `building` with the calendar version it is counted in."""
SOURCES = ("events", "sessions")
_KINDS: dict[str, Kind] = {
    "subject_id": "int",
    "value": "float",
    "duration_ms": "float",
    "sentiment": "float",
    "amount": "int",
    "amount_base": "int",
    "is_bot": "bool",
    "is_internal": "bool",
    "is_historical": "bool",
    "is_clamped": "bool",
}


@dataclass(frozen=True, slots=True)
class Selection:
    """Which rows a measure looks at; measures with equal selections share the work."""

    events: frozenset[str] | None
    value_events_only: bool
    where: tuple[Condition, ...]

    @classmethod
    def of(cls, measure: Measure) -> Selection:
        return cls(measure.events, measure.value_events_only, measure.where)


@dataclass(frozen=True)
class Plan:
    """The measures to compute for one tenant, and the event names its settings exclude from activity (S9).

    `is_capped` False keeps every key of a breakdown, which answers from events need and buckets cannot afford. `names`
    are the tenant's own names of events with the standard ones that they stand for.
    """

    measures: tuple[Measure, ...]
    not_activity: frozenset[str] = NOT_ACTIVITY
    is_capped: bool = True
    names: Mapping[str, str] = field(default_factory=dict)

    def of_source(self, source: str) -> tuple[Measure, ...]:
        return tuple(measure for measure in self.measures if measure.source == source)

    @cached_property
    def aggregates(self) -> dict[str, str]:
        return {measure.id: measure.aggregate for measure in self.measures}

    @cached_property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """Every (measure, stored dimension) that buckets may have, sorted."""
        return pairs_of(self.measures)

    @cached_property
    def pairs_by_source(self) -> dict[str, tuple[tuple[str, str], ...]]:
        return {source: pairs_of(self.of_source(source)) for source in SOURCES}

    def among(self, names: Iterable[str]) -> Plan:
        """The same for rows of these events only: measures of other events have nothing to count, and read nothing."""
        present = frozenset(names)
        kept = (m if m.events is None else replace(m, events=m.events & present) for m in self.measures)
        return replace(self, measures=tuple(m for m in kept if m.events is None or m.events))

    def event_columns(self) -> dict[str, Kind]:
        """The typed columns that the event measures read, besides ts and person_id."""
        names = {"name", "is_bot", "is_internal"}
        for measure in self.of_source("events"):
            names |= {name for name in _fields(measure) if not name.startswith(PROPERTY)}
            names |= {"object_id"} if measure.over == "object" else set()
            names |= {"session_id"} if measure.over == "session" else set()
        return {name: _KINDS.get(name, "text") for name in sorted(names)}

    def properties(self) -> dict[str, frozenset[str] | None]:
        """Property name to the event names it is read from; None is every event."""
        found: dict[str, frozenset[str] | None] = {}
        for measure in self.of_source("events"):
            for name in _fields(measure):
                if name.startswith(PROPERTY):
                    key = name.removeprefix(PROPERTY)
                    known = found.get(key, frozenset())
                    found[key] = None if known is None or measure.events is None else known | measure.events
        return found


def counts_every_row(source: str) -> str:
    """The measure that has a bucket, without a key, wherever any measure of the source has one."""
    everything = Selection(None, value_events_only=False, where=())
    return next(
        measure.id
        for measure in registered
        if measure.source == source and measure.aggregate == "count" and Selection.of(measure) == everything
    )


def plan_for(
    settings: Mapping[str, Any] | None = None, only: Iterable[str] | None = None, *, calendar_id: int | None = None
) -> Plan:
    """The plan of a tenant with these settings; `only` limits it to some measures.

    Own names of events count as in the live calendar version, or as in the one given while that is being built.
    """
    wanted = None if only is None else set(only)
    chosen = tuple(measure for measure in registered if wanted is None or measure.id in wanted)
    names = own_names(settings or {}, calendar_id)
    excluded = frozenset((settings or {}).get("inactive_events", ()))
    return Plan(translated(chosen, names), NOT_ACTIVITY | excluded, names=names)


def own_names(settings: Mapping[str, Any], calendar_id: int | None = None) -> dict[str, str]:
    """The tenant's own names of events with the standard ones they stand for, in one calendar version."""
    found = settings.get(EVENT_NAMES, {})
    building = found.get("building") or {}
    is_building = calendar_id is not None and building.get("calendar") == calendar_id
    return dict(building["names"] if is_building else found.get("live", {}))


def translated(measures: Iterable[Measure], names: Mapping[str, str]) -> tuple[Measure, ...]:
    """The measures as they are to be counted where events have names of their own. Events keep those names."""
    return tuple(_translated(measure, names) for measure in measures)


def _translated(measure: Measure, names: Mapping[str, str]) -> Measure:
    events = measure.events
    if events is None or not names:
        return measure
    also = {own for own, standard in names.items() if standard in events}
    return replace(measure, events=events | also) if also else measure


def pairs_of(measures: Iterable[Measure]) -> tuple[tuple[str, str], ...]:
    return tuple(
        sorted(
            (measure.id, stored_dimension(dimension, cohort))
            for measure in measures
            for dimension in ("", *measure.dimensions)
            for cohort in COHORTS
        )
    )


def session_columns() -> dict[str, Kind]:
    return {name: "text" if kind == "text" else "float" for name, kind in SESSION_COLUMNS.items()}


def _fields(measure: Measure) -> set[str]:
    own = {measure.field} if measure.field else set()
    prices = {*PRICE_COLUMNS, *PRICE_PROPERTIES} if measure.aggregate == "prices" else set()
    return {*measure.dimensions, *(condition.field for condition in measure.where), *own, *prices}
