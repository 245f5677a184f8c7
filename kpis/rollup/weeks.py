"""Weeks of people, united once from their days: a quarter of retention then reads a dozen sets instead of ninety.

A week is kept for the whole only (no breakdowns), when all of its hours are closed, and an empty one too: that it is
there says that it holds. Whatever changes a day lets go of the weeks over it, in the same transaction; the next tick
unites them again, and until then readers unite the days themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date, datetime, timedelta

from django.db import connections

from analytics.aggregates import AGGREGATES
from analytics.contracts import Grain
from analytics.periods import Calendar, Granularity, from_micros, to_micros
from kpis.rollup.cells import Cell, merge_up
from kpis.rollup.plan import Plan
from kpis.rollup.store import Store

SETS = frozenset({"distinct", "repeat"})
DAYS = 7
AT_ONCE = 60
"""Weeks that one call unites, so that the tenant is not locked for long; the rest waits for the next tick."""

FIRST_DAY = """
SELECT min(start) FROM bw_bucket WHERE tenant_id = %s AND calendar_id = %s AND measure = 'events.count'
   AND dimension = '' AND grain = %s"""

Pair = tuple[str, str]


def united_pairs(plan: Plan) -> tuple[Pair, ...]:
    """The measures whose weeks are kept, each with the dimension of the whole."""
    return tuple((measure.id, "") for measure in plan.measures if measure.aggregate in SETS)


def unite_weeks(store: Store, plan: Plan, calendar: Calendar, closed_until: datetime, *, now: datetime) -> int:
    """Unite the weeks over before `closed_until` that are not kept, inside the tenant's transaction; how many."""
    pairs = united_pairs(plan)
    weeks = Store(store.tenant_id, store.calendar_id, pairs, store.using)
    first = _first_day(store)
    if first is None:
        return 0
    kept = weeks.counts(Grain.WEEK)
    waiting = [
        (start, end)
        for start, end in _weeks(calendar, first, closed_until)
        if kept.get(to_micros(start), 0) < len(pairs)
    ]
    for start, end in waiting[:AT_ONCE]:
        weeks.replace(Grain.WEEK, [to_micros(start)], united(weeks, plan, start, end), now=now)
    return len(waiting[:AT_ONCE])


def united(store: Store, plan: Plan, start: datetime, end: datetime) -> list[Cell]:
    """One cell for each pair of the store: the union of its days as they are stored, empty where there are none."""
    begin = to_micros(start)
    days = store.read(Grain.DAY, begin, to_micros(end))
    merged = merge_up(plan.aggregates, days, {cell.start: begin for cell in days})
    found = {(cell.measure, cell.dimension) for cell in merged}
    empty = [
        Cell(measure, dimension, "", begin, *AGGREGATES[plan.aggregates[measure]]().encode())
        for measure, dimension in store.pairs
        if (measure, dimension) not in found
    ]
    return merged + empty


def let_go(store: Store, plan: Plan, calendar: Calendar, days: Iterable[date]) -> None:
    """Forget the weeks that hold any of the local days, on whatever weekday they start."""
    own = set(store.pairs)
    pairs = [pair for pair in united_pairs(plan) if pair in own]
    for day in sorted(set(days)) if pairs else ():
        first, last = calendar.day_start(day - timedelta(days=DAYS - 1)), calendar.day_start(day)
        store.drop(Grain.WEEK, to_micros(first), to_micros(last) + 1, pairs=pairs)


def _weeks(calendar: Calendar, first: datetime, until: datetime) -> Iterator[tuple[datetime, datetime]]:
    week = calendar.unit(first, Granularity.WEEK)
    while week.end <= until:
        yield week.start, week.end
        week = calendar.unit(week.end, Granularity.WEEK)


def _first_day(store: Store) -> datetime | None:
    with connections[store.using].cursor() as cursor:
        cursor.execute(FIRST_DAY, [store.tenant_id, store.calendar_id, int(Grain.DAY)])
        first: datetime | None = cursor.fetchone()[0]
        return first


def week_of(calendar: Calendar, start: int) -> tuple[datetime, datetime]:
    """The seven local days from `start` (microseconds)."""
    first = from_micros(start)
    return first, calendar.day_start(calendar.local_date(first) + timedelta(days=DAYS))
