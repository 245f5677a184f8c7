"""Answers that no bucket holds: the same measures, counted from the events under the question's filters."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from analytics.periods import Granularity, to_micros
from kpis.base import Measure, measures
from kpis.needs import Need
from kpis.series.context import Context
from kpis.series.count import cells_counted
from kpis.series.read import Selection, Strips, events_from, strips_read
from kpis.series.strips import Strip

if TYPE_CHECKING:
    from kpis.rollup.cells import Cell
    from kpis.series.question import Question


def strips_counted(question: Question, context: Context, needs: Sequence[Need], *, is_daily: bool) -> Strips:
    """The states of the needs under the question's filters, counted from events; those of everyone from the buckets."""
    everyone = [need for need in needs if need.everyone]
    granularity = question.granularity or Granularity.DAY
    strips = strips_read(context, everyone, Selection(include=question.include), granularity)
    own = [need for need in needs if not need.everyone]
    cells = cells_counted(
        tenant_id=context.tenant_id,
        wanted=[_asked(measures[name], question) for name in sorted({need.measure for need in own})],
        spans=[(need.start, need.end) for need in own],
        edges=_edges(question, context, own, is_daily=is_daily),
        dimensions=frozenset({question.by or ""}),
        include=question.include,
    )
    found: dict[tuple[str, str], list[Cell]] = {}
    for cell in cells:
        found.setdefault((cell.key, cell.measure), []).append(cell)
    for (key, measure), parts in found.items():
        encoded = [(cell.start, (cell.n, cell.total, cell.state)) for cell in parts]
        strips.by_key.setdefault(key, {})[measure] = Strip.of(measures[measure].aggregate, encoded)
    strips.events_from = events_from(context, [need.start for need in own])
    return strips


def _asked(measure: Measure, question: Question) -> Measure:
    """The measure under the question's filters, with the one dimension that is asked for."""
    dimensions = (question.by,) if question.by else ()
    return replace(measure, where=(*measure.where, *question.filters), dimensions=dimensions)


def _edges(question: Question, context: Context, needs: Sequence[Need], *, is_daily: bool) -> set[int]:
    """Boundaries of the states: those of the needs, of the points, and of days where a form looks at days.

    No more, because a breakdown by a property of thousands of values has as many states between any two.
    """
    edges = {to_micros(instant) for need in needs for instant in (need.start, need.end)}
    unit = question.granularity
    if is_daily and unit not in (Granularity.MINUTE, Granularity.HOUR):
        unit = Granularity.DAY
    if unit is not None:
        for need in needs:
            edges.update(context.calendar.edges(need.start, need.end, unit).tolist())
    return edges
