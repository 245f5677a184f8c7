"""Counts measures from the events themselves, by the same grouping as the roll-ups: one compiler, one answer.

Arrow comes in only when this is called: a web process that reads buckets does without its 60 MB.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING

import numpy as np

from analytics.models import Tenant
from analytics.periods import to_micros
from kpis.base import Measure
from kpis.rollup.keys import cohorts, stored_dimension

if TYPE_CHECKING:
    from kpis.rollup.cells import Cell

Span = tuple[datetime, datetime]


def cells_counted(
    *,
    tenant_id: int,
    wanted: Sequence[Measure],
    spans: Iterable[Span],
    edges: Iterable[int],
    dimensions: frozenset[str],
    include: frozenset[str],
) -> list[Cell]:
    """The cells of the measures within the spans, cut at the edges (microseconds), in the dimensions asked for."""
    from kpis.rollup.group import group
    from kpis.rollup.plan import plan_for, translated
    from kpis.rollup.read import read_events, read_sessions

    settings = Tenant.objects.values_list("settings", flat=True).get(pk=tenant_id)
    tenants = plan_for(settings, only=())
    plan = replace(tenants, measures=translated(wanted, tenants.names), is_capped=False)
    together = joined(spans)
    bounds = np.array(sorted({*edges, *(to_micros(instant) for span in together for instant in span)}), dtype=np.int64)
    cells: list[Cell] = []
    if plan.of_source("events"):
        cells += group(plan, "events", read_events(plan, tenant_id, together), bounds, dimensions=dimensions)
    if plan.of_source("sessions"):
        cells += group(plan, "sessions", read_sessions(tenant_id, together), bounds, dimensions=dimensions)
    kept = {stored_dimension(dimension, cohort) for dimension in dimensions for cohort in cohorts(include)}
    return [cell for cell in cells if cell.dimension in kept]


def joined(spans: Iterable[Span]) -> list[Span]:
    """Disjoint spans that cover the same time."""
    found: list[Span] = []
    for start, end in sorted(spans):
        if found and start <= found[-1][1]:
            found[-1] = (found[-1][0], max(end, found[-1][1]))
        else:
            found.append((start, end))
    return found


def are_minutes_stored(end: datetime, now: datetime, *, is_split: bool) -> bool:
    """Whether the minutes before `end` are still in buckets: totals for two days, values of dimensions for the hour."""
    from kpis.rollup.refresh import are_minutes_kept, is_hour_open

    hour_end = to_micros(end) - to_micros(end) % 3_600_000_000
    return is_hour_open(hour_end, now) if is_split else are_minutes_kept(hour_end, now)
