"""States out of the buckets: which widths cover a range, and one statement for everything an answer needs."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal
from functools import lru_cache
from itertools import pairwise
from typing import Any

from django.db import connection
from psycopg.adapt import PyFormat, Transformer
from psycopg.errors import error_from_result
from psycopg.pq import ExecStatus, Format

from analytics.contracts import Grain
from analytics.periods import Calendar, Granularity, to_micros
from analytics.retention import floors_read
from kpis.base import measures
from kpis.needs import Need
from kpis.rollup.keys import cohorts, stored_dimension
from kpis.rollup.weeks import SETS
from kpis.series.context import Context
from kpis.series.count import are_minutes_stored, cells_counted
from kpis.series.strips import Strip, together

Piece = tuple[Grain, datetime, datetime]
MINUTE = 60_000_000
Row = tuple[int, Decimal | None, bytes | None]
Window = tuple[str, str, Grain, datetime, datetime]
BucketRow = tuple[str, bool, str, int, int, Decimal | None, bytes | None]

# Windows as five arrays ($1 measures, $2 dimensions, $3 widths, $4 starts, $5 ends), tenant, calendar, the dimensions
# that are the whole, and the values to keep (null for all).
_READ = b"""
SELECT b.measure, b.dimension <> ALL($8::text[]), b.key, (extract(epoch FROM b.start) * 1000000)::int8,
       b.n, b.total, b.state
  FROM unnest($1::text[], $2::text[], $3::int2[], $4::timestamptz[], $5::timestamptz[])
       AS w (measure, dimension, grain, lo, hi)
  JOIN bw_bucket b
    ON b.tenant_id = $6::int4 AND b.calendar_id = $7::int4 AND b.measure = w.measure
   AND b.dimension = w.dimension AND b.grain = w.grain AND b.start >= w.lo AND b.start < w.hi
 WHERE b.dimension = ANY($8::text[]) OR $9::text[] IS NULL OR b.key = ANY($9::text[])
"""


@dataclass(frozen=True, slots=True)
class Selection:
    """What part of the buckets an answer is about.

    `dimension` '' is the whole. `keys` keeps some of its values; `include` adds bots or internal users.
    """

    dimension: str = ""
    keys: tuple[str, ...] | None = None
    include: frozenset[str] = frozenset()


@dataclass(slots=True)
class Strips:
    """Every strip that was read: of each value of the dimension, and of everyone. `events_from` is set where events
    were read of a time of which some are gone: from then on all are there.
    """

    by_key: dict[str, dict[str, Strip]] = field(default_factory=dict)
    whole: dict[str, Strip] = field(default_factory=dict)
    events_from: datetime | None = None

    @property
    def keys(self) -> tuple[str, ...]:
        return tuple(self.by_key)

    def shelf(self, keys: Sequence[str] | None = None) -> KeyShelf:
        """The strips of some values together; None for the whole."""
        return KeyShelf(self, tuple(keys) if keys is not None else None)


@dataclass(slots=True)
class KeyShelf:
    """The strips of some values of the dimension, as one."""

    strips: Strips
    keys: tuple[str, ...] | None
    _joined: dict[str, Strip] = field(default_factory=dict)

    def strip(self, measure: str) -> Strip:
        if self.keys is None:
            return self.everyone(measure)
        if measure not in self._joined:
            found = [
                self.strips.by_key[key][measure] for key in self.keys if measure in self.strips.by_key.get(key, {})
            ]
            self._joined[measure] = together(found) if len(found) > 1 else found[0] if found else _empty(measure)
        return self._joined[measure]

    def everyone(self, measure: str) -> Strip:
        if measure not in self.strips.whole:
            self.strips.whole[measure] = _empty(measure)
        return self.strips.whole[measure]


def _empty(measure: str) -> Strip:
    return Strip(measures[measure].aggregate)


def strips_read(
    context: Context, needs: Iterable[Need], selection: Selection, granularity: Granularity, *, by_week: bool = False
) -> Strips:
    """All states of the needs, in one statement. The range is cut as fine as the granularity, and no finer.

    `by_week` promises that no range asked of the strips cuts a week, so that weeks of people are read as they are kept.
    """
    whole = [stored_dimension("", cohort) for cohort in cohorts(selection.include)]
    split = [stored_dimension(selection.dimension, cohort) for cohort in cohorts(selection.include)]
    windows = sorted(
        {
            (need.measure, dimension, *piece)
            for need in _cut(needs)
            for dimension in (whole if need.everyone or not selection.dimension else split)
            for piece in cover(context.calendar, need.start, need.end, granularity)
        }
    )
    lost = [window for window in windows if _is_lost(window, context, whole)]
    stored_windows = [window for window in windows if window not in set(lost)] if lost else windows
    wide, narrow = weeks_in(context.calendar, stored_windows, context.now) if by_week else ([], stored_windows)
    rows = _rows(context, _without_overlap([*wide, *narrow]), whole, selection.keys)
    found = {(measure, start) for measure, _, _, start, *_ in rows}
    missing = [_days_of(week) for week in wide if (week[0], to_micros(week[3])) not in found]
    rows += _rows(context, _without_overlap(missing), whole, selection.keys)
    strips = _shelved([*rows, *_lost_rows(context, lost, selection, whole)])
    strips.events_from = events_from(context, [window[3] for window in lost])
    return strips


def events_from(context: Context, starts: Collection[datetime]) -> datetime | None:
    """From when on all events are kept, if that is after any of the instants from which they are read."""
    kept = floors_read(context.tenant_id).kept_from if starts else None
    return kept if kept is not None and min(starts) < kept else None


def _cut(needs: Iterable[Need]) -> Iterator[Need]:
    """The needs, cut wherever another one of the measure begins or ends.

    Else the bucket of one that reaches over the beginning of another would count there too ("never before 10:40").
    """
    found = list(dict.fromkeys(needs))
    edges: dict[str, set[datetime]] = {}
    for need in found:
        edges.setdefault(need.measure, set()).update((need.start, need.end))
    for need in found:
        inside = sorted(edge for edge in edges[need.measure] if need.start <= edge <= need.end)
        for start, end in pairwise(inside):
            yield replace(need, start=start, end=end)


def weeks_in(calendar: Calendar, windows: Sequence[Window], now: datetime) -> tuple[list[Window], list[Window]]:
    """The windows with their whole weeks that are over as windows of their own: (weeks, the rest), each sorted."""
    weeks: list[Window] = []
    rest: list[Window] = []
    for window in windows:
        measure, dimension, grain, start, end = window
        if grain is not Grain.DAY or dimension or measures[measure].aggregate not in SETS:
            rest.append(window)
            continue
        edges = [edge for edge in week_edges(calendar, start, end) if edge <= now]
        weeks.extend((measure, dimension, Grain.WEEK, *week) for week in pairwise(edges))
        first, last = (edges[0], edges[-1]) if edges else (end, end)
        around = ((start, min(first, end)), (last, end)) if last > first else ((start, end),)
        rest.extend((measure, dimension, grain, *span) for span in around if span[0] < span[1])
    return weeks, sorted(rest)


@lru_cache(maxsize=512)
def week_edges(calendar: Calendar, start: datetime, end: datetime) -> tuple[datetime, ...]:
    """The starts of the tenant's weeks from `start` to `end`, both included."""
    edge = calendar.floor(start, Granularity.WEEK)
    edge = start if edge == start else calendar.ceil(start, Granularity.WEEK)
    edges = []
    while edge <= end:
        edges.append(edge)
        edge = calendar.ceil(edge, Granularity.WEEK)
    return tuple(edges)


def _days_of(week: Window) -> Window:
    return (*week[:2], Grain.DAY, *week[3:])


def _is_lost(window: Window, context: Context, whole: list[str]) -> bool:
    """Whether the window's minutes have been let go, so that only the events still know them."""
    _, dimension, grain, _, end = window
    return grain is Grain.MINUTE and not are_minutes_stored(end, context.now, is_split=dimension not in whole)


def _lost_rows(context: Context, lost: Sequence[Window], selection: Selection, whole: list[str]) -> Iterator[BucketRow]:
    """The odd minutes at the ends of a range, counted from their events: less than an hour each."""
    if not lost:
        return
    wanted = [
        replace(measures[name], dimensions=(selection.dimension,) if selection.dimension else ())
        for name in sorted({window[0] for window in lost})
    ]
    names = {window[:2] for window in lost}
    cells = cells_counted(
        tenant_id=context.tenant_id,
        wanted=wanted,
        spans=[(window[3], window[4]) for window in lost],
        edges={edge for window in lost for edge in range(to_micros(window[3]), to_micros(window[4]), MINUTE)},
        dimensions=frozenset({"", selection.dimension}),
        include=selection.include,
    )
    for cell in cells:
        is_split = cell.dimension not in whole
        is_wanted = not is_split or selection.keys is None or cell.key in selection.keys
        if is_wanted and (cell.measure, cell.dimension) in names:
            yield cell.measure, is_split, cell.key, cell.start, cell.n, cell.total, cell.state


def _without_overlap(windows: Sequence[Window]) -> list[tuple[object, ...]]:
    """Windows of one measure, dimension and width that touch become one, so that no bucket is read twice."""
    merged: list[list[object]] = []
    for *name, start, end in windows:
        if merged and merged[-1][:3] == name and start <= merged[-1][4]:  # type: ignore[operator]
            merged[-1][4] = max(merged[-1][4], end)  # type: ignore[call-overload]
        else:
            merged.append([*name, start, end])
    return [tuple(window) for window in merged]


def _rows(
    context: Context, windows: Sequence[tuple[object, ...]], whole: list[str], keys: tuple[str, ...] | None
) -> list[BucketRow]:
    if not windows:
        return []
    names, dimensions, grains, starts, ends = (list(column) for column in zip(*windows, strict=True))
    frame = [context.tenant_id, context.calendar_id, whole, list(keys) if keys is not None else None]
    return binary_rows(_READ, [names, dimensions, [int(grain) for grain in grains], starts, ends, *frame])


def binary_rows(query: bytes, parameters: Sequence[object]) -> list[Any]:
    """The rows of a query with `$n` parameters, in the open transaction.

    Binary, because bitmaps then come as they are and not as hexadecimal text of twice the size; and waited for inside
    libpq, because a cursor wakes Python for every 16 kB of them. Raises what a cursor raises.
    """
    connection.ensure_connection()
    transformer = Transformer(connection.connection)
    values = transformer.dump_sequence(parameters, [PyFormat.AUTO] * len(parameters))
    result = connection.connection.pgconn.exec_params(
        query, values, param_types=transformer.types, param_formats=transformer.formats, result_format=Format.BINARY
    )
    if result.status != ExecStatus.TUPLES_OK:
        with connection.wrap_database_errors:
            raise error_from_result(result)
    transformer.set_pgresult(result)
    return transformer.load_rows(0, result.ntuples, tuple)


def _shelved(rows: Iterable[BucketRow]) -> Strips:
    found: dict[tuple[str | None, str], list[tuple[int, Row]]] = {}
    for measure, is_split, key, start, *row in rows:
        found.setdefault((key if is_split else None, measure), []).append((start, tuple(row)))  # type: ignore[arg-type]
    strips = Strips()
    for (name, measure), parts in found.items():
        shelf = strips.whole if name is None else strips.by_key.setdefault(name, {})
        shelf[measure] = Strip.of(measures[measure].aggregate, parts)
    return strips


@lru_cache(maxsize=512)
def cover(calendar: Calendar, start: datetime, end: datetime, granularity: Granularity) -> tuple[Piece, ...]:
    """The widest buckets that fill [start, end) without being wider than the granularity; whole minutes at the ends."""
    finest = _GRAINS.get(granularity, Grain.DAY)
    return tuple(_cover(calendar, start, end, finest))


_GRAINS = {Granularity.MINUTE: Grain.MINUTE, Granularity.HOUR: Grain.HOUR}
_UNITS = {Grain.MINUTE: Granularity.MINUTE, Grain.HOUR: Granularity.HOUR, Grain.DAY: Granularity.DAY}


def _cover(calendar: Calendar, start: datetime, end: datetime, grain: Grain) -> Iterator[Piece]:
    if start >= end:
        return
    if grain is Grain.MINUTE:
        yield grain, calendar.floor(start, Granularity.MINUTE), end
        return
    unit, finer = _UNITS[grain], Grain(grain - 1)
    first = calendar.floor(start, unit)
    first = start if first == start else calendar.ceil(start, unit)
    last = calendar.floor(end, unit)
    if first >= last:
        yield from _cover(calendar, start, end, finer)
        return
    yield from _cover(calendar, start, first, finer)
    yield grain, first, last
    yield from _cover(calendar, last, end, finer)


def stored(dimension: str | None, wanted: Collection[str]) -> bool:
    """Whether every one of the measures has buckets of the dimension."""
    return not dimension or all(dimension in measures[name].dimensions for name in wanted)
