"""Calendar retention (S12): of those who came in one period, how many came again in the periods after.

Cohorts and activity are bitmaps, so that a cell is the size of an intersection, whatever the number of events.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from itertools import accumulate, pairwise
from typing import Literal

from pyroaring import BitMap, FrozenBitMap

from analytics.periods import Calendar, Granularity, Period
from analytics.tenancy import tenant_context
from kpis.contracts import Number, Retention, RetentionCell, RetentionRow
from kpis.daily_visitors import left_out
from kpis.needs import Need
from kpis.series.context import Context, context_read, micros
from kpis.series.evaluate import share
from kpis.series.question import QuestionError
from kpis.series.read import Selection, Strips, strips_read
from kpis.series.strips import EMPTY, members

MAX_PERIODS = 60
UNITS = (Granularity.DAY, Granularity.WEEK, Granularity.MONTH)


def retention_read(
    *,
    tenant_id: int,
    start: datetime,
    periods: int = 13,
    unit: str = "week",
    cohort: Literal["first_ever", "first_in_range", "recurring"] = "first_ever",
    mode: Literal["on", "on_or_after"] = "on",
    measure: str = "users.active",
    returning: str | None = None,
    now: datetime,
) -> Retention:
    """`periods` cohorts from the unit that holds `start`, each followed for as many periods.

    `measure` says what makes a cohort and `returning` (else the same) what counts as coming back; both are distinct or
    repeat measures over persons. Period 0 is the cohort's own. Daily visitors (S35) are in none.
    Raises QuestionError.
    """
    granularity = _checked(unit, periods)
    with tenant_context(tenant_id):
        context = context_read(tenant_id=tenant_id, now=now)
        edges = unit_edges(context.calendar, start, granularity, 2 * periods - 1)
        back = returning or measure
        history = min(context.first_day or edges[0], edges[0])
        first = history if cohort == "first_ever" else edges[0]
        needs = {Need(measure, first, edges[-1], everyone=True), Need(back, edges[0], edges[-1], everyone=True)}
        by_week = granularity is Granularity.WEEK
        strips = strips_read(context, needs, Selection(), Granularity.DAY, by_week=by_week)
    came = active_in(strips, measure, edges)
    before = members(strips.shelf().strip(measure).merged(micros((history, edges[0])))) if history < edges[0] else EMPTY
    cohorts = cohorts_of(came[:periods], cohort, before)
    again = came if back == measure else active_in(strips, back, edges)
    daily = context.daily
    rows = tuple(
        _row(context, edges[index:], people - daily if daily else people, came[index], again[index:], mode, periods)
        for index, people in enumerate(cohorts)
    )
    return Retention(
        unit=granularity.value,
        mode=mode,
        cohort=cohort,
        timezone=context.calendar.zone,
        rows=rows,
        means=tuple(_mean(rows, period) for period in range(periods)),
        data_through=context.data_through,
        computed_at=now,
        daily_visitors=left_out(FrozenBitMap.union(*cohorts), daily) if daily else None,
    )


def _checked(unit: str, periods: int) -> Granularity:
    if unit not in UNITS:
        raise QuestionError(f"unit is one of {', '.join(UNITS)}, not {unit!r}", "unit")
    if not 1 <= periods <= MAX_PERIODS:
        raise QuestionError(f"periods is from 1 to {MAX_PERIODS}", "periods")
    return Granularity(unit)


@lru_cache(maxsize=512)
def unit_edges(calendar: Calendar, start: datetime, unit: Granularity, count: int) -> tuple[datetime, ...]:
    """The starts of `count` units from the one that holds `start`, and the end of the last."""
    period: Period = calendar.unit(start, unit)
    edges = [period.start]
    for _ in range(count):
        edges.append(period.end)
        period = calendar.unit(period.end, unit)
    return tuple(edges)


def active_in(strips: Strips, measure: str, edges: Sequence[datetime]) -> list[FrozenBitMap]:
    """Who was active in each period."""
    strip = strips.shelf().strip(measure)
    return [members(strip.merged(micros(span))) for span in pairwise(edges)]


def cohorts_of(came: Sequence[FrozenBitMap], cohort: str, before: FrozenBitMap) -> list[FrozenBitMap]:
    """Whom each period's cohort holds: all who came, or only those who had never come before."""
    if cohort == "recurring":
        return list(came)
    seen = BitMap(before if cohort == "first_ever" else EMPTY)
    found = []
    for people in came:
        found.append(people - seen)
        seen |= people
    return found


def _row(
    context: Context,
    edges: Sequence[datetime],
    people: FrozenBitMap,
    came: FrozenBitMap,
    again: Sequence[FrozenBitMap],
    mode: str,
    periods: int,
) -> RetentionRow:
    """The row of the cohort `people` out of all who `came`; `edges` and `again` begin with its own period."""
    later = again[:periods]
    if mode == "on_or_after":
        later = [*accumulate(reversed(again), lambda left, right: left | right)][::-1][:periods]
    cells = []
    for period, active in enumerate(later):
        is_over = context.is_settled(edges[0], edges[period + 1])
        returned = None
        if is_over:
            returned = len(people) if active is came else people.intersection_cardinality(active)
        value = share(Decimal(returned), Decimal(len(people))) if returned is not None else None
        cells.append(RetentionCell(period, returned, value, is_over))
    return RetentionRow(edges[0], len(people), tuple(cells))


def _mean(rows: Sequence[RetentionRow], period: int) -> Number:
    """Σ returned / Σ size over the cohorts whose period is over."""
    over = [(row.cells[period].returned or 0, row.size) for row in rows if row.cells[period].is_complete]
    return share(Decimal(sum(returned for returned, _ in over)), Decimal(sum(size for _, size in over)))
