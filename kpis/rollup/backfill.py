"""Counts a range of days from its events, in parallel, as a job that goes on where it was killed.

Two phases. Sessions first, by slices of persons, because a session may cross any border of time; then buckets, by
stretches of local days. Marks that are there when the first phase begins are set to `derived`; the second deletes
those, and leaves later ones to the next refresh: an event that arrives meanwhile is never skipped.
"""

from __future__ import annotations

import gc
import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from typing import Any, Self

import numpy as np
from django.db import connections
from django.db.backends.utils import CursorWrapper

from analytics.children import each_in_children, may_fork
from analytics.periods import EPOCH, Calendar, Granularity, Period, from_micros, to_micros
from analytics.sessions import derive_persons
from analytics.statistics import statistics_refresh
from analytics.tenancy import tenant_context
from kpis.restatements import RECOUNT, Journal
from kpis.rollup.cells import Cell
from kpis.rollup.dirty import MINUTE, expand_subjects, lock_tenant, mark_derived, take
from kpis.rollup.plan import SOURCES, counts_every_row
from kpis.rollup.read import names_read
from kpis.rollup.refresh import Scope, count_closed, is_hour_open, keep_weeks, merge_whole_days, recount, retried
from kpis.rollup.store import Store

EVENTS_A_PART = 60_000
"""Events in a part, about: enough parts to keep every core busy until the end."""

EVENTS_A_READ = 40_000
"""Events of a part that are counted at a time, about: some 50 MB while they are."""

COUNTS = """
SELECT date_bin(%(step)s, ts, %(origin)s), count(*) FROM bw_event
 WHERE tenant_id = %(tenant)s AND ts >= %(start)s AND ts < %(end)s GROUP BY 1"""

SAMPLE = 50_000
SLICES = """
SELECT percentile_disc(%(shares)s::float8[]) WITHIN GROUP (ORDER BY s.person_id)
  FROM bw_event e TABLESAMPLE SYSTEM (%(percent)s) REPEATABLE (7)
  JOIN bw_subject s ON s.tenant_id = e.tenant_id AND s.id = e.subject_id
 WHERE e.tenant_id = %(tenant)s"""


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of work in one transaction: persons (sessions) or instants in microseconds (buckets), half open."""

    phase: str
    first: int
    end: int
    events: int

    @property
    def name(self) -> str:
        return f"{self.phase}:{self.first}:{self.end}"


STATISTICS = Part("statistics", 0, 0, 0)
"""What the planner of PostgreSQL must know of events that were just loaded before their buckets are read."""


@dataclass
class Ledger:
    """Which parts are done: what a killed backfill goes on from. `save(cursor, done, total)` keeps it."""

    total: int
    save: Callable[[dict[str, Any], int, int], None]
    done: dict[str, int] = field(default_factory=dict)

    @property
    def events(self) -> int:
        return sum(self.done.values())

    def add(self, part: Part) -> None:
        self.done[part.name] = part.events
        self.save({"done": self.done}, self.events, self.total)

    @classmethod
    def of(
        cls, parts: Sequence[Part], done: Mapping[str, int], save: Callable[[dict[str, Any], int, int], None]
    ) -> Self:
        """With what an earlier run had done of the same plan."""
        names = {part.name for part in parts}
        kept = {name: count for name, count in done.items() if name in names}
        return cls(sum(part.events for part in parts), save, kept)


@dataclass(frozen=True, slots=True)
class Backfill:
    """What to count: a tenant's local days from `first` until before `end`, in one calendar version (None: all).

    With `measures`, only those: sessions stay as they are, and what waits to be counted goes on waiting.
    """

    tenant_id: int
    first: date
    end: date
    calendar_id: int | None = None
    with_sessions: bool = True
    measures: tuple[str, ...] = ()

    def scope(self, using: str = "default") -> Scope:
        with tenant_context(self.tenant_id, using=using):
            scope = Scope.of(self.tenant_id, calendar_id=self.calendar_id, using=using)
        return scope.limited(self.measures) if self.measures else scope


def plan_parts(backfill: Backfill) -> list[Part]:
    """The parts, in order: slices of persons, then stretches of whole days of about EVENTS_A_PART events.

    Days of which events are gone are left out.
    """
    scope = backfill.scope()
    period = scope.live.days(backfill.first, backfill.end)
    if scope.kept_from is not None:
        period = Period(max(period.start, min(scope.kept_from, period.end)), period.end)
    if period.start == period.end:
        return []
    with tenant_context(backfill.tenant_id), connections["default"].cursor() as cursor:
        edges = scope.live.edges(period.start, period.end, Granularity.HOUR)
        # The widest step that never crosses the border of an hour: an hour, or half of one where clocks move by that.
        step = timedelta(microseconds=int(np.gcd.reduce(np.diff(edges))))
        # Nobody else works for this backfill yet, so all of PostgreSQL's workers may read.
        cursor.execute("SELECT set_config('parallel_tuple_cost', '0', true)")
        params: dict[str, Any] = {
            "step": step,
            "origin": from_micros(int(edges[0])),
            "start": period.start,
            "end": period.end,
        }
        cursor.execute(COUNTS, params | {"tenant": backfill.tenant_id})
        counts = np.zeros(len(edges), dtype=np.int64)
        for start, count in cursor.fetchall():
            counts[np.searchsorted(edges, to_micros(start), side="right") - 1] += count
        persons = list(_person_parts(cursor, backfill.tenant_id, int(counts.sum()))) if backfill.with_sessions else []
    return [*persons, *_time_parts(scope.live, edges.tolist(), counts.tolist())]


def _person_parts(cursor: CursorWrapper, tenant_id: int, events: int) -> Iterator[Part]:
    """Slices of at most about EVENTS_A_PART events, by a sample: those who came first have most of them. As many for
    each core, else all but one wait for the last.
    """
    cores = os.cpu_count() or 1
    slices = max(1, -(-events // EVENTS_A_PART))
    if slices > cores:
        slices = -(-slices // cores) * cores
    percent = min(100.0, 100.0 * SAMPLE / max(1, events))
    shares = [number / slices for number in range(1, slices)]
    cursor.execute(SLICES, {"tenant": tenant_id, "percent": percent, "shares": shares})
    inner = sorted(set(cursor.fetchone()[0] or ()))
    cursor.execute("SELECT coalesce(max(person_id), 0) FROM bw_subject WHERE tenant_id = %s", [tenant_id])
    for first, end in itertools.pairwise([0, *inner, int(cursor.fetchone()[0]) + 1]):
        yield Part("sessions", first, end, events // (len(inner) + 1))


def _time_parts(calendar: Calendar, edges: list[int], counts: list[int]) -> Iterator[Part]:
    """Whole days together while they are small. A day never shares a part with half of another."""
    day_of = [calendar.local_date(from_micros(edge)) for edge in edges[:-1]]
    start, size, day_size = 0, 0, 0
    for index in range(len(day_of)):
        day_size += counts[index]
        is_last_hour = index + 1 == len(day_of) or day_of[index + 1] != day_of[index]
        if is_last_hour:
            size, day_size = size + day_size, 0
            if size >= EVENTS_A_PART / 2 or index + 1 == len(day_of):
                yield Part("buckets", edges[start], edges[index + 1], size)
                start, size = index + 1, 0


def run_part(backfill: Backfill, part: Part, now: datetime) -> Part:
    """Do one part in one transaction. Safe to repeat."""
    if part == STATISTICS:
        statistics_refresh()
    else:
        retried(lambda: (_derive if part.phase == "sessions" else _count)(backfill, part, now))
    return part


@contextmanager
def _part_transaction(backfill: Backfill) -> Iterator[Scope]:
    """The scope under the tenant's lock, so that it knows from when on events are kept. The commit does not wait for
    the disk: the ledger's does, which comes after it, and a part that is not in the ledger is done again.
    """
    with tenant_context(backfill.tenant_id), connections["default"].cursor() as cursor:
        cursor.execute("SET LOCAL synchronous_commit TO off")
        lock_tenant(backfill.tenant_id, shared=True)
        yield backfill.scope()


def _derive(backfill: Backfill, part: Part, now: datetime) -> None:
    with _part_transaction(backfill) as scope:
        derive_persons(backfill.tenant_id, part.first, part.end, scope.rules)


def _count(backfill: Backfill, part: Part, now: datetime) -> None:
    with _part_transaction(backfill) as scope:
        if backfill.calendar_id is None and not backfill.measures:
            take(backfill.tenant_id, from_micros(part.first), from_micros(part.end), only_derived=True)
        journal = Journal.of(scope.store(scope.calendars[0][0]), from_micros(part.first), from_micros(part.end), now)
        for calendar_id, calendar in scope.calendars:
            _count_calendar(scope, calendar_id, calendar, part, now)
        if backfill.calendar_id is None:  # a version that is being built was never published from
            journal.write(RECOUNT, 0)


def _count_calendar(scope: Scope, calendar_id: int, calendar: Calendar, part: Part, now: datetime) -> None:
    """Days that are over are counted hour by hour and merged as they come; the rest as a refresh would. Hours whose
    events are gone stay as they are.
    """
    scope = scope.of_calendar(calendar_id)
    start, end = from_micros(part.first), from_micros(part.end)
    edges = calendar.edges(start, end, Granularity.HOUR).tolist()
    hours = [hour for hour in itertools.pairwise(edges) if hour[0] >= scope.frozen_before]
    if not hours:
        return
    is_whole = _is_whole(calendar, hours, now)
    whole = [hour for hour, flag in zip(hours, is_whole, strict=True) if flag]
    rest = [hour for hour, flag in zip(hours, is_whole, strict=True) if not flag]
    minutes = [minute for hour in rest for minute in range(hour[0], hour[1], MINUTE)]
    for source in SOURCES:
        store = scope.store(calendar_id, source)
        if whole:
            store = store.known_empty(hours[0][0], hours[-1][1], counts_every_row(source))
        _count_whole(scope, store, calendar, source, whole, part.events, now)
        recount(scope, calendar_id, calendar, source, minutes, now=now)


def _count_whole(
    scope: Scope,
    store: Store,
    calendar: Calendar,
    source: str,
    hours: Sequence[tuple[int, int]],
    events: int,
    now: datetime,
) -> None:
    """Hours of days that are over, in reads of a bounded size, and then their days."""
    reads = max(1, -(-events // EVENTS_A_READ))
    width = max(1, -(-len(hours) // reads))
    cells: list[Cell] = []
    counting = _of_present_events(scope, hours) if hours and source == "events" else scope
    for at in range(0, len(hours), width):
        cells += count_closed(counting, store, source, hours[at : at + width], now=now)
    merge_whole_days(scope, store, calendar, [first for first, _ in hours], cells, now=now)


def _of_present_events(scope: Scope, hours: Sequence[tuple[int, int]]) -> Scope:
    """With a plan for the events that there are: asking each event for the properties of all others takes two fifths
    of their reading. One of a name that comes meanwhile is marked, and counted by the next refresh.
    """
    span = from_micros(hours[0][0]), from_micros(hours[-1][1])
    return replace(scope, plan=scope.plan.among(names_read(scope.tenant_id, span, using=scope.using)))


def _is_whole(calendar: Calendar, hours: Sequence[tuple[int, int]], now: datetime) -> list[bool]:
    """For each hour whether its day lies within the hours and all of it is closed."""
    first, end, found = hours[0][0], hours[-1][1], []
    for start, _ in hours:
        day = calendar.unit(from_micros(start), Granularity.DAY)
        day_end = to_micros(day.end)
        found.append(first <= to_micros(day.start) and day_end <= end and not is_hour_open(day_end, now))
    return found


def run_backfill(
    backfill: Backfill,
    parts: list[Part],
    ledger: Ledger,
    *,
    workers: int,
    now: datetime,
    is_first_look: bool = False,
) -> None:
    """Run the parts that are not done, phase after phase, in `workers` processes (1: in this one). `is_first_look`: the
    planner is told of the events beside the first phase, whose plans need no knowledge.
    """
    period = backfill.scope().live.days(backfill.first, backfill.end)
    # A new calendar leaves sessions as they are, so marks whose sessions are stale must go on saying so.
    if backfill.with_sessions and not ledger.done:
        with tenant_context(backfill.tenant_id):
            lock_tenant(backfill.tenant_id)
            expand_subjects(backfill.tenant_id)  # else each merge of the range would be counted a second time
            mark_derived(backfill.tenant_id, period.start, period.end)
    waiting = [part for part in parts if part.name not in ledger.done]
    waiting.sort(key=lambda part: -part.events)  # so that no worker begins a large one when the others are done
    phases = [[part for part in waiting if part.phase == phase] for phase in ("sessions", "buckets")]
    if is_first_look:
        phases[0].insert(0, STATISTICS)
    for part in _finished(backfill, [phase for phase in phases if phase], workers, now):
        if part != STATISTICS:
            ledger.add(part)
    while keep_weeks(backfill.tenant_id, now=now):
        pass


def _finished(backfill: Backfill, phases: list[list[Part]], workers: int, now: datetime) -> Iterable[Part]:
    """The parts, each when it is done."""
    most = max((sum(part != STATISTICS for part in phase) for phase in phases), default=0)
    if workers <= 1 or most <= 1 or not may_fork():
        yield from (run_part(backfill, part, now) for phase in phases for part in phase)
        return
    stages = [[(backfill, part, now) for part in phase] for phase in phases]
    yield from each_in_children(_run_part_in_child, stages, workers)


def _run_part_in_child(backfill: Backfill, part: Part, now: datetime) -> Part:
    """One of as many processes as there are cores: garbage is collected between parts, and memory that a part needed
    goes back to the system when it ends; Arrow would keep it for the next.
    """
    import pyarrow as pa

    gc.disable()
    done = run_part(backfill, part, now)
    gc.collect()
    pa.default_memory_pool().release_unused()
    return done


def bounds(tenant_id: int, *, calendar_id: int | None = None) -> tuple[date, date] | None:
    """The local days of the tenant's first and last event that can be counted, the second excluded; None when there are
    none.
    """
    with tenant_context(tenant_id), connections["default"].cursor() as cursor:
        scope = Scope.of(tenant_id, calendar_id=calendar_id)
        since = scope.kept_from or EPOCH
        cursor.execute("SELECT min(ts), max(ts) FROM bw_event WHERE tenant_id = %s AND ts >= %s", [tenant_id, since])
        first, last = cursor.fetchone()
    if first is None:
        return None
    end = scope.live.ceil(last, Granularity.DAY)
    return scope.live.local_date(first), scope.live.local_date(end)
