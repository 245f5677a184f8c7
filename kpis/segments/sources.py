"""Where the people of a segment come from. A new source is a new entry; apps above register theirs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from pyroaring import BitMap

from analytics.contracts import TenantInfo
from analytics.periods import Granularity, RangeError, parse_range
from analytics.registry import Registry
from analytics.tenancy import tenant_context
from kpis.base import measures
from kpis.explore.grammar import Asking, range_of
from kpis.explore.selectors import explore_people
from kpis.movements import KINDS, movements_read
from kpis.needs import Need
from kpis.series.context import context_read, micros
from kpis.series.question import QuestionError
from kpis.series.read import Selection, strips_read
from kpis.series.strips import members


@dataclass(frozen=True, slots=True)
class Found:
    """People, and up to when everything known was looked at."""

    people: BitMap
    as_of: datetime


@dataclass(frozen=True, slots=True)
class SegmentSource:
    """`read` asks the definition again. It raises QuestionError or a 4xx for a definition that cannot be answered."""

    id: str
    help: str
    read: Callable[[TenantInfo, Mapping[str, Any], datetime], Found]


sources: Registry[SegmentSource] = Registry(SegmentSource)


def of_answer(tenant: TenantInfo, definition: Mapping[str, Any], now: datetime) -> Found:
    """`{"kind": "funnel", "question": {…}, "place": {…}}`: the people behind a place in an answer of exploration."""
    kind, question, place = (definition.get(name) for name in ("kind", "question", "place"))
    if not isinstance(kind, str) or not isinstance(question, Mapping) or not isinstance(place, Mapping):
        raise QuestionError("say of which answer: `kind`, `question` and `place`", "definition")
    return Found(explore_people(kind=kind, wanted=question, place=place, asking=Asking(tenant, now)), now)


def of_measure(tenant: TenantInfo, definition: Mapping[str, Any], now: datetime) -> Found:
    """`{"measure": "users.active", "period": "last_30d", "dimension": "country", "keys": ["FR"]}`: whoever is in a
    distinct measure over a period; `dimension` and `keys` may be left out.
    """
    name = definition.get("measure")
    if not isinstance(name, str) or name not in measures or measures[name].aggregate not in ("distinct", "repeat"):
        known = ", ".join(sorted(m.id for m in measures if m.aggregate == "distinct" and m.over == "person"))
        raise QuestionError(f"there are no people in {name!r}; take one of {known}", "definition.measure")
    dimension, keys = _cut(name, definition)
    with tenant_context(tenant.id):
        context = context_read(tenant_id=tenant.id, now=now)
        try:
            period = parse_range(str(definition.get("period", "last_30d")), context.calendar, now)
        except RangeError as error:
            raise QuestionError(str(error), "definition.period") from None
        need = Need(name, period.start, period.end)
        strips = strips_read(context, {need}, Selection(dimension, keys), Granularity.DAY)
    shelf = strips.shelf(keys if keys is not None else None)
    return Found(BitMap(members(shelf.strip(name).merged(micros((period.start, period.end))))), context.data_through)


def of_movements(tenant: TenantInfo, definition: Mapping[str, Any], now: datetime) -> Found:
    """`{"kind": "churn", "period": "last_month"}`: customers whose recurring revenue moved like that, `from` and `to`
    instead of `period` if wanted; `kind` "all" for every movement.
    """
    kind = definition.get("kind")
    if kind not in (*KINDS, "all"):
        raise QuestionError(f"`kind` is one of {', '.join(KINDS)} or all", "definition.kind")
    period = range_of(definition, Asking(tenant, now))
    found = movements_read(
        tenant_id=tenant.id, start=period.start, end=period.end, now=now, kind="" if kind == "all" else str(kind)
    )
    return Found(BitMap(one.person for one in found.customers), found.stamp.data_through)


def _cut(name: str, definition: Mapping[str, Any]) -> tuple[str, tuple[str, ...] | None]:
    dimension, keys = definition.get("dimension", ""), definition.get("keys")
    if not dimension:
        return "", None
    if dimension not in measures[name].dimensions:
        known = ", ".join(measures[name].dimensions) or "none"
        raise QuestionError(f"{name} is counted by {known}, not by {dimension!r}", "definition.dimension")
    if not isinstance(keys, list) or not keys or not all(isinstance(key, str) for key in keys):
        raise QuestionError("name the values to keep, as a list of texts", "definition.keys")
    return str(dimension), tuple(keys)


sources.register(SegmentSource("answer", "The people behind a bar or a cell of an exploration.", of_answer))
sources.register(SegmentSource("movements", "Customers whose recurring revenue moved in a period.", of_movements))
sources.register(SegmentSource("measure", "The people of a measure over a period.", of_measure))
