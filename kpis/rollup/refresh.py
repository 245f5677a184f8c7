"""Counts dirty minutes again: marks taken, sessions derived, buckets recomputed, in one transaction a local day.

An hour is open until CLOSE_AFTER its end. Open hours are kept as minutes, and merged from them; a closed hour is
counted
from its events whenever it is dirty. Days are merged from hours, always. A closed hour's minute totals stay for
MINUTES_KEPT, so that "yesterday until 10:40" costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, TypeVar

import numpy as np
import psycopg
from django.db import OperationalError, transaction

from analytics.columns import Block
from analytics.contracts import Grain
from analytics.models import Calendar as CalendarRow
from analytics.models import Tenant
from analytics.periods import Calendar, Granularity, from_micros, to_micros
from analytics.sessions import SessionRules, derive_touched
from analytics.signals import buckets_refreshed
from analytics.tenancy import tenant_context
from kpis.restatements import Journal
from kpis.rollup.cells import Cell, merge_up
from kpis.rollup.dirty import (
    DERIVED,
    MINUTE,
    SESSION,
    DirtyMinutes,
    dirty_days,
    expand_subjects,
    lock_tenant,
    mark,
    spans_of,
    take,
)
from kpis.rollup.group import group
from kpis.rollup.keys import OVERFLOW_KEY
from kpis.rollup.plan import Plan, own_names, plan_for
from kpis.rollup.read import read_events, read_sessions
from kpis.rollup.store import Store
from kpis.rollup.weeks import let_go, unite_weeks
from kpis.taxonomy import named

CLOSE_AFTER = timedelta(hours=1)
MINUTES_KEPT = timedelta(hours=49)
TOTALS = frozenset({""})
NEVER = -(2**63)
ROUNDS = 8
"""Sessions that moved may dirty the day before, and so on; what is left after so many rounds waits for the next tick.
"""

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Refreshed:
    """What a refresh did: days touched, minutes counted again."""

    days: int = 0
    minutes: int = 0

    def __add__(self, other: Refreshed) -> Refreshed:
        return Refreshed(self.days + other.days, self.minutes + other.minutes)


@dataclass(frozen=True)
class Scope:
    """One tenant with what counting it needs: its plan and its calendars, the live one first."""

    tenant_id: int
    plan: Plan
    calendars: tuple[tuple[int, Calendar], ...]
    using: str = "default"
    settings: Mapping[str, Any] = field(default_factory=dict)
    only: frozenset[str] | None = None
    kept_from: datetime | None = None

    @property
    def frozen_before(self) -> int:
        """Hours that start before this (microseconds) stay as they were counted: events of theirs are gone."""
        return to_micros(self.kept_from) if self.kept_from is not None else NEVER

    @property
    def live(self) -> Calendar:
        return self.calendars[0][1]

    @cached_property
    def rules(self) -> SessionRules:
        return SessionRules(self.plan.not_activity, named("page_view"), self.kept_from)

    def of_calendar(self, calendar_id: int) -> Scope:
        """The same with the plan of one version: events may have other meanings in the one that is being built."""
        if own_names(self.settings, calendar_id) == self.plan.names:
            return self
        return replace(self, plan=plan_for(self.settings, self.only, calendar_id=calendar_id))

    def limited(self, measures: Iterable[str]) -> Scope:
        """The same for some measures only; the others' buckets are neither read nor written."""
        only = frozenset(measures)
        return replace(self, plan=plan_for(self.settings, only), only=only)

    def store(self, calendar_id: int, source: str | None = None) -> Store:
        """The buckets of a calendar version: of the measures of one source, or of all."""
        pairs = self.plan.pairs if source is None else self.plan.pairs_by_source[source]
        return Store(self.tenant_id, calendar_id, pairs, self.using)

    @classmethod
    def of(cls, tenant_id: int, *, calendar_id: int | None = None, using: str = "default") -> Scope:
        """Read in the tenant's context. `calendar_id` limits it to one version."""
        rows = CalendarRow.objects.using(using).filter(tenant_id=tenant_id).exclude(state=CalendarRow.State.RETIRED)
        if calendar_id is not None:
            rows = rows.filter(pk=calendar_id)
        found = sorted(rows, key=lambda row: (row.state != CalendarRow.State.LIVE, row.pk))
        # After the versions: one that is being built has its names in settings that are at least as new.
        tenant = Tenant.objects.using(using).get(pk=tenant_id)
        settings = tenant.settings
        calendars = tuple((row.pk, Calendar(row.zone, row.week_start, row.base_currency)) for row in found)
        return cls(tenant_id, plan_for(settings), calendars, using, settings, kept_from=tenant.events_kept_from)


def refresh_tenant(
    tenant_id: int, *, now: datetime, since: datetime | None = None, using: str = "default"
) -> Refreshed:
    """Count all dirty minutes of the tenant again, or those from the local day of `since` on; then people whose ids
    have changed wait too. Safe to kill anywhere and to run at the same time.
    """
    with tenant_context(tenant_id, using=using):
        scope = Scope.of(tenant_id, using=using)
    done = Refreshed()
    for _ in range(ROUNDS):
        days = retried(lambda: _expanded_days(scope, since))
        if not days:
            break
        for start, end in days:
            done += retried(lambda start=start, end=end: refresh_span(scope, start, end, now=now))  # type: ignore[misc]
    return done


def _expanded_days(scope: Scope, since: datetime | None) -> list[tuple[datetime, datetime]]:
    with tenant_context(scope.tenant_id, using=scope.using):
        lock_tenant(scope.tenant_id, using=scope.using)
        if since is None:
            expand_subjects(scope.tenant_id, using=scope.using)
        return dirty_days(scope.tenant_id, scope.live, since=since, using=scope.using)


def refresh_span(scope: Scope, start: datetime, end: datetime, *, now: datetime) -> Refreshed:
    """One transaction: the dirty minutes of [start, end), which is a local day of the live calendar."""
    with tenant_context(scope.tenant_id, using=scope.using):
        lock_tenant(scope.tenant_id, using=scope.using)
        # Read again under the lock: a version that began meanwhile needs these marks as well.
        scope = Scope.of(scope.tenant_id, using=scope.using)
        dirty = take(scope.tenant_id, start, end, using=scope.using)
        journal = Journal.of(scope.store(scope.calendars[0][0]), start, end, now)
        minutes: set[int] = set()
        for reason, part in journal.parts(dirty):
            counted = _count_dirty(scope, part, start, end, now)
            journal.write(reason, len(counted))
            minutes |= counted
        if minutes:
            transaction.on_commit(lambda: _announce(scope.tenant_id, start, end), using=scope.using)
    return Refreshed(days=1, minutes=len(minutes))


def _count_dirty(scope: Scope, dirty: DirtyMinutes, start: datetime, end: datetime, now: datetime) -> set[int]:
    """Count dirty minutes of the day again in every calendar version; which minutes that were in the end."""
    by_source = {"events": dirty.events, "sessions": dirty.sessions | _derived(scope, dirty, start, end, now)}
    for calendar_id, calendar in scope.calendars:
        for source, minutes in by_source.items():
            recount(scope, calendar_id, calendar, source, sorted(minutes), now=now)
    return by_source["events"] | by_source["sessions"]


def _derived(scope: Scope, dirty: DirtyMinutes, start: datetime, end: datetime, now: datetime) -> set[int]:
    """Derive the sessions of dirty minutes. Returns the minutes of changed ones within the day; marks the others."""
    underived, restated_minutes = (
        [minute for minute in minutes if minute >= scope.frozen_before] for minutes in (dirty.underived, dirty.restated)
    )
    if not underived:
        return set()
    spans, restated = spans_of(underived), spans_of(restated_minutes)
    moved = derive_touched(scope.tenant_id, spans, scope.rules, restated=restated, using=scope.using)
    here = {minute for minute in moved if to_micros(start) <= minute < to_micros(end)}
    mark(scope.tenant_id, moved - here, reason=SESSION, now=now, using=scope.using)
    return here


def _announce(tenant_id: int, start: datetime, end: datetime) -> None:
    buckets_refreshed.send_robust(sender=None, tenant_id=tenant_id, start=start, end=end)


def recount(
    scope: Scope, calendar_id: int, calendar: Calendar, source: str, minutes: Sequence[int], *, now: datetime
) -> None:
    """Recompute the source's buckets of these minutes in one calendar, inside the tenant's transaction.

    Minutes of hours whose events are gone are left out.
    """
    minutes = [minute for minute in minutes if minute >= scope.frozen_before]
    if not minutes:
        return
    scope = scope.of_calendar(calendar_id)
    hours = Hours.touched(calendar, minutes, now)
    store = scope.store(calendar_id, source)
    if hours.open_minutes:
        store.replace(Grain.MINUTE, hours.open_minutes, minute_cells(scope, source, hours), now=now)
    count_closed(scope, store, source, hours.closed, now=now)
    for start, end in hours.open:
        cells = store.read(Grain.MINUTE, start, end)
        merged = merge_up(scope.plan.aggregates, cells, {cell.start: start for cell in cells})
        store.replace(Grain.HOUR, [start], merged, now=now)
    merge_days(scope, store, calendar, [start for start, _ in (*hours.open, *hours.closed)], now=now)


@dataclass(frozen=True)
class Hours:
    """The hours that minutes touch, by whether they are open, as (start, end) in microseconds."""

    open: tuple[tuple[int, int], ...]
    closed: tuple[tuple[int, int], ...]
    open_minutes: tuple[int, ...]

    @classmethod
    def touched(cls, calendar: Calendar, minutes: Sequence[int], now: datetime) -> Hours:
        edges = calendar.edges(from_micros(minutes[0]), from_micros(minutes[-1] + MINUTE), Granularity.HOUR)
        first = np.searchsorted(edges, minutes, side="right") - 1
        # A minute may reach into the next hour where an offset has seconds (Monrovia until 1972).
        last = np.searchsorted(edges, np.asarray(minutes) + MINUTE - 1, side="right") - 1
        spans = [(int(edges[i]), int(edges[i + 1])) for i in np.union1d(first, last).tolist()]
        is_open = [is_hour_open(end, now) for _, end in spans]
        opened = tuple(span for span, flag in zip(spans, is_open, strict=True) if flag)
        closed = tuple(span for span, flag in zip(spans, is_open, strict=True) if not flag)
        return cls(opened, closed, tuple(m for m in minutes if any(a <= m < b for a, b in opened)))


def is_hour_open(end: int, now: datetime) -> bool:
    """Whether the hour that ends at `end` (microseconds) is still kept as minutes."""
    return from_micros(end) + CLOSE_AFTER > now


def are_minutes_kept(end: int, now: datetime) -> bool:
    """Whether the minute totals of a closed hour are kept."""
    return from_micros(end) + MINUTES_KEPT > now


def minute_cells(scope: Scope, source: str, hours: Hours) -> list[Cell]:
    """Cells of the dirty minutes of open hours, counted from the source."""
    grid = np.arange(hours.open_minutes[0], hours.open_minutes[-1] + 2 * MINUTE, MINUTE, dtype=np.int64)
    wanted = set(hours.open_minutes)
    cells = group(scope.plan, source, read(scope, source, spans_of(hours.open_minutes)), grid)
    return [cell for cell in cells if cell.start in wanted]


def read(scope: Scope, source: str, spans: Sequence[tuple[datetime, datetime]]) -> Block:
    """The rows of events or sessions within the spans."""
    if source == "events":
        return read_events(scope.plan, scope.tenant_id, spans, using=scope.using)
    return read_sessions(scope.tenant_id, spans, using=scope.using)


def count_closed(
    scope: Scope, store: Store, source: str, hours: Sequence[tuple[int, int]], *, now: datetime
) -> list[Cell]:
    """Count whole closed hours from the source; recent ones by the minute too, totals only. Returns their cells."""
    counted: list[Cell] = []
    for part in adjacent(hours):
        edges = np.array([start for start, _ in part] + [part[-1][1]], dtype=np.int64)
        rows = read(scope, source, [(from_micros(part[0][0]), from_micros(part[-1][1]))])
        cells = group(scope.plan, source, rows, edges)
        store.replace(Grain.HOUR, [start for start, _ in part], cells, now=now)
        counted += cells
        recent = [hour for hour in part if are_minutes_kept(hour[1], now)]
        if recent:
            grid = np.arange(recent[0][0], recent[-1][1] + MINUTE, MINUTE, dtype=np.int64)
            totals = group(scope.plan, source, rows, grid, dimensions=TOTALS)
            store.replace(Grain.MINUTE, grid[:-1].tolist(), totals, now=now)
    return counted


def adjacent(hours: Sequence[tuple[int, int]]) -> Iterator[list[tuple[int, int]]]:
    """Hours in stretches without a gap, so that each stretch is one read."""
    part: list[tuple[int, int]] = []
    for hour in hours:
        if part and part[-1][1] != hour[0]:
            yield part
            part = []
        part.append(hour)
    if part:
        yield part


def merge_days(scope: Scope, store: Store, calendar: Calendar, hours: Sequence[int], *, now: datetime) -> None:
    """Merge the days that hold these hours from all their hours as stored."""
    for day in sorted({calendar.local_date(from_micros(hour)) for hour in hours}):
        period = calendar.day(day)
        start, end = to_micros(period.start), to_micros(period.end)
        cells = store.read(Grain.HOUR, start, end)
        merged = merge_up(scope.plan.aggregates, cells, {cell.start: start for cell in cells})
        store.replace(Grain.DAY, [start], merged, now=now)
        let_go(store, scope.plan, calendar, [day])


def merge_whole_days(
    scope: Scope, store: Store, calendar: Calendar, hours: Sequence[int], cells: Sequence[Cell], *, now: datetime
) -> None:
    """Merge days all of whose hours have just been counted, without reading them back."""
    day_of = {hour: to_micros(calendar.floor(from_micros(hour), Granularity.DAY)) for hour in hours}
    merged = merge_up(scope.plan.aggregates, cells, day_of)
    store.replace(Grain.DAY, sorted(set(day_of.values())), merged, now=now)
    let_go(store, scope.plan, calendar, {calendar.local_date(from_micros(start)) for start in day_of.values()})


def close_hours(tenant_id: int, *, now: datetime, using: str = "default") -> int:
    """Let go of the minutes of hours that have closed; how many rows.

    Where a minute had more keys than a bucket holds, the hour is marked to be counted from its events.
    """
    with tenant_context(tenant_id, using=using):
        lock_tenant(tenant_id, using=using)
        scope = Scope.of(tenant_id, using=using)
        return sum(_close(scope, calendar_id, calendar, now) for calendar_id, calendar in scope.calendars)


def keep_weeks(tenant_id: int, *, now: datetime, using: str = "default") -> int:
    """Unite the closed weeks that are not kept yet; how many it did. Call again until it is none."""
    with tenant_context(tenant_id, using=using):
        lock_tenant(tenant_id, using=using)
        scope = Scope.of(tenant_id, using=using)
        return sum(
            unite_weeks(scope.store(calendar_id), scope.plan, calendar, now - CLOSE_AFTER, now=now)
            for calendar_id, calendar in scope.calendars
        )


def _close(scope: Scope, calendar_id: int, calendar: Calendar, now: datetime) -> int:
    store = scope.store(calendar_id)
    closed_until = to_micros(calendar.floor(now - CLOSE_AFTER, Granularity.HOUR))
    kept_from = to_micros(calendar.floor(now - MINUTES_KEPT, Granularity.HOUR))
    totals = [pair for pair in scope.plan.pairs if pair[1] == "" or pair[1].endswith(":")]
    parts = [pair for pair in scope.plan.pairs if pair not in set(totals)]
    overflown = store.starts_with_key(Grain.MINUTE, OVERFLOW_KEY, closed_until, pairs=parts)
    mark(scope.tenant_id, overflown, reason=DERIVED, now=now, using=scope.using)
    dropped = store.drop(Grain.MINUTE, 0, closed_until, pairs=parts)
    return dropped + store.drop(Grain.MINUTE, 0, kept_from, pairs=totals)


def retried(work: Callable[[], T], attempts: int = 5) -> T:
    """Run a transaction again after a deadlock (40P01) or a serialisation failure (40001)."""
    for attempt in range(attempts):
        try:
            return work()
        except (OperationalError, psycopg.OperationalError) as error:  # COPY raises psycopg's own
            codes = {getattr(error, "sqlstate", ""), getattr(error.__cause__, "sqlstate", "")}
            if not codes & {"40P01", "40001"} or attempt == attempts - 1:
                raise
    raise AssertionError("unreachable")
