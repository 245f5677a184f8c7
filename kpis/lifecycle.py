"""Lifecycle (S11): who is new, stayed, came back or fell asleep, period by period. Set algebra on bitmaps.

new + returning + resurrected = active; dormant were active in the period before and are not in this one; the quick
ratio is (new + resurrected) / dormant, null where nobody fell asleep.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Final

from pyroaring import BitMap, FrozenBitMap

from analytics.periods import Granularity
from analytics.tenancy import tenant_context
from kpis.daily_visitors import DailyVisitors, left_out
from kpis.needs import Need
from kpis.retention import active_in
from kpis.series.context import Context, context_read, micros
from kpis.series.question import QuestionError
from kpis.series.read import Selection, Strips, strips_read
from kpis.series.strips import EMPTY, members

UNITS: Final = (Granularity.DAY, Granularity.WEEK, Granularity.MONTH)
MAX_POINTS: Final = 400
VERSION: Final = "2"
STATES: Final = ("new", "returning", "resurrected", "dormant")


@dataclass(frozen=True, slots=True)
class LifecyclePoint:
    """One period. Everything is null while it is not over: who has not come yet may still."""

    start: datetime
    active: int | None
    new: int | None
    returning: int | None
    resurrected: int | None
    dormant: int | None
    quick_ratio: float | None
    is_complete: bool


@dataclass(frozen=True, slots=True)
class Lifecycle:
    """Periods of [start, end), whole ones. `daily_visitors` came in them and are in none, because no day knows those of
    another (S35): they would be new in one period and fall asleep in the next.
    """

    unit: str
    timezone: str
    start: datetime
    end: datetime
    points: tuple[LifecyclePoint, ...]
    data_through: datetime
    is_complete: bool
    computed_at: datetime
    reading: str
    definition_version: str = VERSION
    executor: str = "rollup"
    daily_visitors: DailyVisitors | None = None


@dataclass(frozen=True)
class _States:
    """The people of one period, by what became of them."""

    active: FrozenBitMap
    new: FrozenBitMap
    returning: FrozenBitMap
    resurrected: FrozenBitMap
    dormant: FrozenBitMap


def lifecycle_read(
    *, tenant_id: int, start: datetime, end: datetime, unit: str = "week", measure: str = "users.active", now: datetime
) -> Lifecycle:
    """Every unit that touches [start, end). Raises QuestionError, NoCalendar."""
    context, edges, states, daily = _states(tenant_id, start, end, unit, measure, now)
    points = tuple(_point(context, edges[index], edges[index + 1], found) for index, found in enumerate(states))
    return Lifecycle(
        unit=unit,
        timezone=context.calendar.zone,
        start=edges[0],
        end=edges[-1],
        points=points,
        data_through=context.data_through,
        is_complete=all(point.is_complete for point in points),
        computed_at=now,
        reading=reading_of(points, unit),
        daily_visitors=daily,
    )


def lifecycle_people(
    *,
    tenant_id: int,
    start: datetime,
    end: datetime,
    unit: str,
    measure: str = "users.active",
    index: int,
    state: str,
    now: datetime,
) -> BitMap:
    """The people of one state ("new", "returning" …) in the period of that index. Raises QuestionError."""
    _, _, states, _ = _states(tenant_id, start, end, unit, measure, now)
    if not 0 <= index < len(states) or state not in STATES:
        raise QuestionError(f"`period` is an index of the answer and `state` one of {', '.join(STATES)}", "place")
    return BitMap(getattr(states[index], state))


def _states(
    tenant_id: int, start: datetime, end: datetime, unit: str, measure: str, now: datetime
) -> tuple[Context, list[datetime], list[_States], DailyVisitors | None]:
    if unit not in UNITS:
        raise QuestionError(f"unit is one of {', '.join(UNITS)}, not {unit!r}", "unit")
    with tenant_context(tenant_id):
        context = context_read(tenant_id=tenant_id, now=now)
        edges = _edges(context, start, end, Granularity(unit))
        before = context.calendar.previous(context.calendar.unit(edges[0], Granularity(unit))).start
        history = min(context.first_day or before, before)
        strips = strips_read(context, {Need(measure, history, edges[-1], everyone=True)}, Selection(), Granularity.DAY)
    came = active_in(strips, measure, [before, *edges])
    known = _merged(strips, measure, history, before)
    daily = left_out(FrozenBitMap.union(*came[1:]), context.daily) if context.daily else None
    return context, edges, list(_followed([people - context.daily for people in came], known)), daily


def _edges(context: Context, start: datetime, end: datetime, unit: Granularity) -> list[datetime]:
    period = context.calendar.unit(start, unit)
    edges = [period.start]
    while edges[-1] < end:
        if len(edges) > MAX_POINTS:
            raise QuestionError(f"that is more than {MAX_POINTS} periods: take a wider unit or a shorter range", "unit")
        edges.append(period.end)
        period = context.calendar.unit(period.end, unit)
    return edges


def _merged(strips: Strips, measure: str, start: datetime, end: datetime) -> FrozenBitMap:
    return members(strips.shelf().strip(measure).merged(micros((start, end)))) if start < end else EMPTY


def _followed(came: Sequence[FrozenBitMap], known: FrozenBitMap) -> list[_States]:
    """Period by period from the second on; `known` are those who came before the first."""
    found = []
    ever = known | came[0]
    for last, now in pairwise(came):
        found.append(_States(now, now - ever, now & last, (now & ever) - last, last - now))
        ever = ever | now
    return found


def _point(context: Context, start: datetime, end: datetime, found: _States) -> LifecyclePoint:
    if not context.is_settled(start, end):
        return LifecyclePoint(start, None, None, None, None, None, None, False)
    won, lost = len(found.new) + len(found.resurrected), len(found.dormant)
    return LifecyclePoint(
        start,
        len(found.active),
        len(found.new),
        len(found.returning),
        len(found.resurrected),
        lost,
        won / lost if lost else None,
        True,
    )


def reading_of(points: Sequence[LifecyclePoint], unit: str) -> str:
    """The last whole period in words."""
    over = [point for point in points if point.is_complete]
    if not over:
        return f"No {unit} of this range is over yet."
    last = over[-1]
    ratio = "" if last.quick_ratio is None else f": {last.quick_ratio:.2f} won for each one lost"
    won = (last.new or 0) + (last.resurrected or 0)
    return (
        f"In the last whole {unit} {last.active:,} people were active: {last.new:,} new, {last.returning:,} who stayed"
        f" and {last.resurrected:,} who came back. {last.dormant:,} fell asleep and {won:,} were won{ratio}."
    )
