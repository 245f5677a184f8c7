"""Proves the roll-ups: counts everything again from events, in memory, and compares both ways (R3)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import numpy as np
from django.db import connections

from analytics.aggregates import decode
from analytics.columns import copy_block
from analytics.contracts import Grain
from analytics.periods import Calendar, Granularity, from_micros, to_micros
from analytics.sessions import COLUMNS, KINDS, sessionise, stored_sessions, unfrozen
from analytics.tenancy import tenant_context
from kpis.rollup.backfill import bounds
from kpis.rollup.cells import Cell, merge_up
from kpis.rollup.dirty import MINUTE, lock_tenant
from kpis.rollup.frozen import first_day
from kpis.rollup.group import Ints, group
from kpis.rollup.plan import SOURCES
from kpis.rollup.refresh import Scope, are_minutes_kept, close_hours, is_hour_open, keep_weeks, read, refresh_tenant
from kpis.rollup.store import Store
from kpis.rollup.weeks import united, united_pairs, week_of

ALL_EVENTS = f"""{COLUMNS}
  FROM bw_event e JOIN bw_subject s ON s.tenant_id = e.tenant_id AND s.id = e.subject_id
 WHERE e.tenant_id = %(tenant)s AND NOT e.name = ANY (%(ignored)s)"""


@dataclass(frozen=True, slots=True)
class Difference:
    """A cell that is not as a recompute has it; None on the side where it is missing."""

    grain: Grain
    expected: Cell | None
    stored: Cell | None

    def __str__(self) -> str:
        cell = self.expected or self.stored
        assert cell is not None
        at = f"{self.grain.name.lower()} {from_micros(cell.start).isoformat()}"
        where = f"{cell.measure} {cell.dimension}={cell.key} {at}"
        return f"{where}: expected {_shown(self.expected)}, stored {_shown(self.stored)}"


def _shown(cell: Cell | None) -> str:
    return "nothing" if cell is None else f"n={cell.n} total={cell.total}"


def check_buckets(tenant_id: int, first: date, end: date, *, now: datetime) -> Iterator[Difference]:
    """Cells of the local days from `first` until before `end` that differ from a recompute, in every calendar
    version. Days of which events are gone cannot be compared and are left out.
    """
    with tenant_context(tenant_id):
        lock_tenant(tenant_id)
        scope = Scope.of(tenant_id)
        for calendar_id, calendar in scope.calendars:
            day = begin = max(first, first_day(scope, calendar) or first)
            while day < end:
                yield from _check_day(scope.of_calendar(calendar_id), scope.store(calendar_id), calendar, day, now)
                day += timedelta(days=1)
            yield from _check_weeks(scope, calendar_id, calendar, begin, end)


def check_sessions(tenant_id: int) -> list[str]:
    """Sessions that differ from deriving all of them again, each in words."""
    with tenant_context(tenant_id), connections["default"].cursor() as cursor:
        scope = Scope.of(tenant_id)
        block = copy_block(cursor, ALL_EVENTS, {"tenant": tenant_id, "ignored": sorted(scope.rules.ignored)}, KINDS)
        derived = sessionise(tenant_id, block, scope.rules)
        sessions, stored = unfrozen(tenant_id, derived, stored_sessions(tenant_id), scope.rules)
    expected = {each.id: each for each in sessions}
    differing = sorted(key for key in expected.keys() | stored.keys() if expected.get(key) != stored.get(key))
    return [f"session {key}: expected {expected.get(key)}, stored {stored.get(key)}" for key in differing]


def _check_day(scope: Scope, store: Store, calendar: Calendar, day: date, now: datetime) -> Iterator[Difference]:
    period = calendar.day(day)
    if period.start == period.end:
        return
    start, end = to_micros(period.start), to_micros(period.end)
    edges = calendar.edges(period.start, period.end, Granularity.HOUR)
    hours = list(zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True))
    minutes = _expected_minutes(scope, hours, now)
    expected_hours = _expected_hours(scope, hours, edges, minutes, now)
    expected_day = merge_up(scope.plan.aggregates, expected_hours, {hour: start for hour, _ in hours})
    kept = [cell for cell in minutes if _is_kept(cell, hours, now)]
    for grain, cells in ((Grain.MINUTE, kept), (Grain.HOUR, expected_hours), (Grain.DAY, expected_day)):
        yield from differences(scope, grain, cells, store.read(grain, start, end))


def _check_weeks(scope: Scope, calendar_id: int, calendar: Calendar, first: date, end: date) -> Iterator[Difference]:
    """Weeks that are kept and hold one of the days, against their days as stored, which were checked above."""
    weeks = Store(scope.tenant_id, calendar_id, united_pairs(scope.plan))
    since, until = to_micros(calendar.day_start(first - timedelta(days=6))), to_micros(calendar.day_start(end))
    stored = weeks.read(Grain.WEEK, since, until)
    for start in sorted({cell.start for cell in stored}):
        here = [cell for cell in stored if cell.start == start]
        expected = united(weeks, scope.plan, *week_of(calendar, start))
        known = {cell[:4] for cell in here}
        yield from differences(scope, Grain.WEEK, [cell for cell in expected if cell[:4] in known], here)


def _expected_minutes(scope: Scope, hours: Sequence[tuple[int, int]], now: datetime) -> list[Cell]:
    recent = [hour for hour in hours if are_minutes_kept(hour[1], now)]
    if not recent:
        return []
    grid = np.arange(recent[0][0], recent[-1][1] + MINUTE, MINUTE, dtype=np.int64)
    return _counted(scope, recent[0][0], recent[-1][1], grid)


def _counted(scope: Scope, start: int, end: int, edges: Ints) -> list[Cell]:
    spans = [(from_micros(start), from_micros(end))]
    return [cell for source in SOURCES for cell in group(scope.plan, source, read(scope, source, spans), edges)]


def _expected_hours(
    scope: Scope, hours: Sequence[tuple[int, int]], edges: Ints, minutes: list[Cell], now: datetime
) -> list[Cell]:
    cells = _counted(scope, hours[0][0], hours[-1][1], edges)
    opened = [hour for hour in hours if is_hour_open(hour[1], now)]
    starts = {minute: hour[0] for hour in opened for minute in range(*hour, MINUTE)}
    merged = merge_up(scope.plan.aggregates, [cell for cell in minutes if cell.start in starts], starts)
    return [cell for cell in cells if cell.start not in {start for start, _ in opened}] + merged


def _is_kept(cell: Cell, hours: Sequence[tuple[int, int]], now: datetime) -> bool:
    end = next(end for start, end in hours if start <= cell.start < end)
    return is_hour_open(end, now) or cell.dimension == "" or cell.dimension.endswith(":")


def differences(scope: Scope, grain: Grain, expected: Sequence[Cell], stored: Sequence[Cell]) -> Iterator[Difference]:
    """Both ways: cells that are missing, cells that should not be, and cells whose states differ."""
    wanted, found = ({cell[:4]: cell for cell in cells} for cells in (expected, stored))
    for name in sorted(wanted.keys() | found.keys()):
        one, other = wanted.get(name), found.get(name)
        if one is None or other is None or not _is_equal(scope, one, other):
            yield Difference(grain, one, other)


def _is_equal(scope: Scope, one: Cell, other: Cell) -> bool:
    if one == other:
        return True
    aggregate = scope.plan.aggregates[one.measure]
    # The same set may be written in several ways; what counts is its members.
    return one[:6] == other[:6] and decode(aggregate, *one[4:]) == decode(aggregate, *other[4:])


def check_tenant(
    tenant_id: int, *, now: datetime, first: date | None = None, end: date | None = None, refresh: bool = True
) -> list[str]:
    """Everything that differs from a recompute, in words. `refresh` counts what is dirty and closes hours first."""
    if refresh:
        refresh_tenant(tenant_id, now=now)
        close_hours(tenant_id, now=now)
        keep_weeks(tenant_id, now=now)
        refresh_tenant(tenant_id, now=now)
    span = bounds(tenant_id)
    if span is None and first is None:
        return []
    start, stop = span or (first or date.min, end or date.min)
    found = [str(difference) for difference in check_buckets(tenant_id, first or start, end or stop, now=now)]
    return found + (check_sessions(tenant_id) if first is None and end is None else [])
