"""Hours whose events are gone: nobody counts them again. What has to change in them changes here.

A new calendar version takes them over from the live one, and an erasure takes the person out of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import date, datetime, timedelta

import numpy as np
from django.db import connections
from pyroaring import BitMap, FrozenBitMap

from analytics.aggregates import AnyState, Distinct, DistinctKeys, Repeat, decode
from analytics.contracts import Grain
from analytics.periods import Calendar, Granularity, RangeError, from_micros, to_micros
from analytics.retention import day_from
from analytics.tenancy import tenant_context
from kpis.rollup.cells import Cell, merge_up
from kpis.rollup.dirty import lock_tenant
from kpis.rollup.keys import KEY_LENGTH, key_hash
from kpis.rollup.plan import Plan
from kpis.rollup.refresh import Scope, merge_days
from kpis.rollup.store import Store
from kpis.rollup.weeks import SETS, let_go

DAYS_AT_ONCE = 7
"""Days that one transaction takes over, and that one read looks through."""

FIRST = "SELECT min(start) FROM bw_bucket WHERE tenant_id = %s AND calendar_id = %s AND grain = %s"


class DaysGone(ValueError):
    """Days were asked to be counted of which events are not kept any more; the message says from when on they are."""


def countable_from(*, tenant_id: int) -> date | None:
    """The first local day of which all events are kept; None when every day is."""
    with tenant_context(tenant_id):
        scope = Scope.of(tenant_id)
    return first_day(scope, scope.live)


def first_day(scope: Scope, calendar: Calendar) -> date | None:
    """The same in one calendar version."""
    return calendar.local_date(day_from(calendar, scope.kept_from)) if scope.kept_from is not None else None


def days_check(*, tenant_id: int, first: date | None) -> None:
    """Raises DaysGone when the days from `first` on cannot all be counted again."""
    floor = countable_from(tenant_id=tenant_id)
    if first is not None and floor is not None and first < floor:
        raise DaysGone(
            f"Events before {floor} are not kept any more; their days stay as they were counted. Begin with {floor}."
        )


# --- Another calendar version -----------------------------------------------------------------------------------------


def zones_check(scope: Scope, new: Calendar) -> None:
    """Raises RangeError when hours that cannot be counted again would be cut by the other zone."""
    if scope.kept_from is None:
        return
    with tenant_context(scope.tenant_id, using=scope.using):
        first = _first_hour(scope, scope.calendars[0][0])
    if first is None or first >= scope.kept_from:
        return
    kept, wanted = (calendar.edges(first, scope.kept_from, Granularity.HOUR) for calendar in (scope.live, new))
    if len(np.setdiff1d(kept, wanted)):
        raise RangeError(
            f"the hours of {new.zone} begin at other minutes than those of {scope.live.zone}, and events before "
            f"{scope.kept_from.isoformat()}, from which they could be counted again, are not kept any more"
        )


def frozen_carry(*, tenant_id: int, calendar_id: int, now: datetime) -> int:
    """Take the hours whose events are gone over from the live version into another; how many days. Safe to repeat.

    Events keep the meaning there that they had when they were counted.
    """
    with tenant_context(tenant_id):
        scope = Scope.of(tenant_id)
        first = _first_hour(scope, scope.calendars[0][0])
    if scope.kept_from is None or first is None:
        return 0
    for start, end in _weeks(scope.live, first, scope.kept_from):
        with tenant_context(tenant_id):
            lock_tenant(tenant_id, shared=True)
            _carried(scope, calendar_id, start, end, now)
    return (scope.live.local_date(scope.kept_from) - scope.live.local_date(first)).days


def _carried(scope: Scope, calendar_id: int, start: datetime, end: datetime, now: datetime) -> None:
    calendar = dict(scope.calendars)[calendar_id]
    store = scope.store(calendar_id)
    cells = scope.store(scope.calendars[0][0]).read(Grain.HOUR, to_micros(start), to_micros(end))
    edges = calendar.edges(start, end, Granularity.HOUR)
    old = sorted({cell.start for cell in cells})
    new = edges[np.searchsorted(edges, old, side="right") - 1].tolist() if old else []
    merged = merge_up(scope.plan.aggregates, cells, dict(zip(old, new, strict=True)))
    starts = edges[:-1].tolist()
    store.replace(Grain.HOUR, starts, merged, now=now)
    merge_days(scope, store, calendar, starts, now=now)


def _first_hour(scope: Scope, calendar_id: int) -> datetime | None:
    with connections[scope.using].cursor() as cursor:
        cursor.execute(FIRST, [scope.tenant_id, calendar_id, int(Grain.HOUR)])
        found: datetime | None = cursor.fetchone()[0]
        return found


# --- Erasure ----------------------------------------------------------------------------------------------------------

NOBODY = "SELECT nextval(format('bw_subject_seq_%%s', %s::int)::regclass)"


def people_leave(*, tenant_id: int, subjects: Sequence[int], names: Sequence[str], now: datetime, using: str) -> int:
    """Take people out of the sets of hours that cannot be counted again, in the open transaction; how many buckets.

    In sets of people a number that is nobody's takes the place of theirs, so that counts stay exact; their ids
    (`names`) go from sets of objects, as they would by counting again.
    """
    scope = Scope.of(tenant_id, using=using)
    if scope.kept_from is None or not (subjects or names):
        return 0
    with connections[using].cursor() as cursor:
        cursor.execute(NOBODY, [tenant_id])
        nobody = int(cursor.fetchone()[0])
    swap = Swap(BitMap(subjects), nobody, frozenset(key_hash(name[:KEY_LENGTH]) for name in names))
    return sum(_left(scope, calendar_id, calendar, swap, now) for calendar_id, calendar in scope.calendars)


class Swap:
    """Who leaves, and who takes the place."""

    def __init__(self, people: BitMap, nobody: int, objects: frozenset[int]) -> None:
        self._people, self._nobody, self._objects = people, nobody, objects

    def __call__(self, cell: Cell, aggregate: str) -> Cell:
        """The cell without them; itself when they are not in it."""
        changed = self._without(decode(aggregate, *cell[4:]))
        return cell if changed is None else Cell(*cell[:4], *changed.encode())

    def _without(self, state: AnyState) -> DistinctKeys | Distinct | Repeat | None:
        if isinstance(state, DistinctKeys):
            return DistinctKeys(state.keys - self._objects) if state.keys & self._objects else None
        if isinstance(state, Distinct):
            return Distinct(self._swapped(state.ids)) if self._people.intersect(state.ids) else None
        if isinstance(state, Repeat) and self._people.intersect(state.once):
            return Repeat(self._swapped(state.once), self._swapped(state.twice))
        return None

    def _swapped(self, ids: FrozenBitMap) -> FrozenBitMap:
        return FrozenBitMap(ids - self._people | BitMap([self._nobody])) if self._people.intersect(ids) else ids


def _left(scope: Scope, calendar_id: int, calendar: Calendar, swap: Swap, now: datetime) -> int:
    """Days are looked through, and the hours of those that hold anybody who leaves; their weeks are united anew."""
    sets = tuple(pair for pair in scope.plan.pairs if scope.plan.aggregates[pair[0]] in SETS)
    store = Store(scope.tenant_id, calendar_id, sets, scope.using)
    first, count, days = _first_hour(scope, calendar_id), 0, set[date]()
    for start, end in _weeks(calendar, first, scope.kept_from):
        changed = _swapped(store, Grain.DAY, start, end, scope.plan, swap, now)
        count += sum(changed.values())
        for day in changed:
            period = calendar.unit(from_micros(day), Granularity.DAY)
            until = min(period.end, scope.kept_from or period.end)
            count += sum(_swapped(store, Grain.HOUR, period.start, until, scope.plan, swap, now).values())
            days.add(calendar.local_date(period.start))
    let_go(store, scope.plan, calendar, days)
    return count


def _weeks(calendar: Calendar, first: datetime | None, end: datetime | None) -> Iterator[tuple[datetime, datetime]]:
    """Whole days, a few at once, from the one that holds `first` to the one before `end`."""
    if first is None or end is None:
        return
    day = calendar.local_date(first)
    while (start := calendar.day_start(day)) < end:
        day += timedelta(days=DAYS_AT_ONCE)
        yield start, min(calendar.day_start(day), end)


def _swapped(
    store: Store, grain: Grain, start: datetime, end: datetime, plan: Plan, swap: Swap, now: datetime
) -> dict[int, int]:
    """Rewrites the buckets of [start, end) that hold anybody who leaves; how many cells, by start."""
    cells = store.read(grain, to_micros(start), to_micros(end))
    without = [swap(cell, plan.aggregates[cell.measure]) for cell in cells]
    changed = Counter(cell.start for cell, new in zip(cells, without, strict=True) if new is not cell)
    store.replace(grain, sorted(changed), [cell for cell in without if cell.n and cell.start in changed], now=now)
    return changed
