"""Retention from the lake (S12): by the 24-hour clock of each person, or by the calendar; of people or of money.

By the 24-hour clock a person's period n lasts from n to n + 1 units after their own first event, to the microsecond;
by the calendar it is the unit of the calendar. Calendar retention of whole activity comes faster from bitmaps
(`kpis.retention`); the two agree where both apply.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Final

import numpy as np
import pyarrow as pa
from pyroaring import BitMap, FrozenBitMap

from analytics.periods import to_micros
from kpis.daily_visitors import NOBODY, DailyVisitors, left_out
from kpis.explore.intervals import Interval, wilson
from kpis.explore.picks import EventPick, all_hold, bit, fields_of, people_only, picked
from kpis.explore.stamp import EventSource, Stamp, fingerprint
from kpis.funnels.attempts import Ints
from kpis.funnels.kernel import first_of_run
from kpis.funnels.rows import ordered
from kpis.retention_clock_question import CLOCKS, COHORTS, MODES, MOST_SIZE, UNITS, ClockRetention, period_names
from kpis.retention_versus import Versus, versus_of
from kpis.series.question import QuestionError
from kpis.usage_interval import UsageInterval, interval_in
from kpis.usage_interval import reading_of as interval_reading

__all__ = ["CLOCKS", "COHORTS", "MODES", "MOST_SIZE", "UNITS", "ClockRetention", "clock_people", "clock_retention_read"]

VERSION: Final = 2
COLUMNS: Final = ("name", "person_id", "ts", "seq", "is_bot", "is_internal")


@dataclass(frozen=True, slots=True)
class ClockCell:
    """`returned`, `share` and `revenue` are null, and `is_complete` false, while the period is not over for all.
    `interval` is Wilson's of the share, 95 %."""

    period: int
    returned: int | None
    share: float | None
    revenue: int | None
    is_complete: bool
    interval: Interval | None = None


@dataclass(frozen=True, slots=True)
class ClockRow:
    """One cohort. `is_small`: it has fewer people than the question asks for."""

    start: datetime
    size: int
    cells: tuple[ClockCell, ...]
    is_small: bool = False


@dataclass(frozen=True, slots=True)
class ClockAnswer:
    """`means` are weighted by the sizes of the cohorts and leave incomplete cells out; so do the revenues a head. The
    intervals of the means are none where cohorts share people. `interval`: how long people leave between two uses.
    `daily_visitors` came and are in no cohort, because no day knows those of another (S35)."""

    question: ClockRetention
    rows: tuple[ClockRow, ...]
    means: tuple[float | None, ...]
    revenue_per_person: tuple[float | None, ...]
    reading: str
    stamp: Stamp
    mean_intervals: tuple[Interval | None, ...] = ()
    versus: Versus | None = None
    interval: UsageInterval | None = None
    daily_visitors: DailyVisitors | None = None


@dataclass(frozen=True)
class Members:
    """Who is in which cohort, since when; by person and time."""

    person: Ints
    since: Ints
    cohort: Ints


@dataclass(frozen=True)
class Returns:
    """Events that count as coming back, by person and time, with the money in them so far."""

    person: Ints
    ts: Ints
    spent: Ints


def columns_of(question: ClockRetention) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Columns and properties that the store has to have open."""
    picks = (question.first, question.returning, EventPick(where=question.filters))
    columns, properties = fields_of(picks, "amount_base" if question.revenue else "")
    return tuple(dict.fromkeys((*COLUMNS, *columns))), properties


def clock_retention_read(
    source: EventSource,
    question: ClockRetention,
    *,
    now: datetime,
    known_before: Ints | None = None,
    daily: FrozenBitMap = NOBODY,
) -> ClockAnswer:
    """`known_before`: who had come before the range, ascending; needed for "first_ever". `daily`: the daily visitors,
    who are in no cohort."""
    everybody, returns = _read(source, question, known_before)
    members = _without(everybody, daily)
    through = source.data_through
    count = len(question.windows)
    rows = tuple(_row(question, members, returns, index, count, through) for index in range(question.periods))
    means = tuple(_mean(rows, period) for period in range(count))
    heads = tuple(_per_head(rows, period) if question.revenue else None for period in range(count))
    until = min(through, question.span[1])
    interval = interval_in(returns.person, returns.ts, question.calendar, until)
    gone = left_out(FrozenBitMap(everybody.person.astype(np.uint32)), daily) if daily else None
    return answered(question, rows, means, heads, _stamp(source, question, now), interval, gone)


def answered(
    question: ClockRetention,
    rows: tuple[ClockRow, ...],
    means: tuple[float | None, ...],
    heads: tuple[float | None, ...],
    stamp: Stamp,
    interval: UsageInterval | None,
    daily_visitors: DailyVisitors | None = None,
) -> ClockAnswer:
    """The answer around a table, whichever way that was counted."""
    rows = tuple(_with_intervals(question, row) for row in rows)
    pooled = [_over(rows, period) for period in range(len(means))]
    is_apart = question.cohort != "recurring"
    versus = _versus(question, rows)
    reading = reading_of(question, rows, means)
    if any(row.size for row in rows):
        reading += (f" {versus.reading}" if versus else "") + interval_reading(interval)
    return ClockAnswer(
        question,
        rows,
        means,
        heads,
        reading,
        stamp,
        tuple(wilson(*hits) if is_apart else None for hits in pooled),
        versus,
        interval,
        daily_visitors,
    )


def _with_intervals(question: ClockRetention, row: ClockRow) -> ClockRow:
    cells = tuple(
        cell if cell.returned is None else replace(cell, interval=wilson(cell.returned, row.size)) for cell in row.cells
    )
    return replace(row, cells=cells, is_small=row.size < question.min_size)


def _versus(question: ClockRetention, rows: tuple[ClockRow, ...]) -> Versus | None:
    if question.versus is None:
        return None
    one, other = (rows[place] for place in question.versus)
    returned = [(left.returned, right.returned) for left, right in zip(one.cells, other.cells, strict=False)]
    return versus_of(question.versus, (one.size, other.size), returned, period_names(question))


def clock_people(
    source: EventSource,
    question: ClockRetention,
    *,
    cohort: int,
    period: int,
    known_before: Ints | None = None,
    daily: FrozenBitMap = NOBODY,
) -> BitMap:
    """The people of a cell."""
    everybody, returns = _read(source, question, known_before)
    members = _without(everybody, daily)
    mine = members.cohort == cohort
    low, high = _window(question, members, mine, cohort, period, returns)
    return BitMap(members.person[mine][high > low].tolist())


def came_before(source: EventSource, question: ClockRetention) -> Ints:
    """Who did the first thing before the range, over all that the store holds; ascending."""
    table = people_only(source.events, question.include)
    table = table.filter(table.ts < to_micros(question.edges[0]))
    table = table.filter(picked(source, table, question.first) & all_hold(source, table, question.filters))
    found = source.run(table.select(person=table.person_id.cast("int64")).distinct())
    return np.sort(found.column("person").to_numpy())


def _read(source: EventSource, question: ClockRetention, known_before: Ints | None) -> tuple[Members, Returns]:
    found = source.run(_selection(source, question))
    person, ts, seq, flags = (_ints(found, name) for name in ("person", "ts", "seq", "flags"))
    order = ordered(person, ts, seq)
    person, ts, flags = person[order], ts[order], flags[order]
    back = flags & 2 > 0
    spent = _ints(found, "amount")[order][back] if question.revenue else np.zeros(int(back.sum()), dtype=np.int64)
    returns = Returns(person[back], ts[back], np.concatenate([[0], np.cumsum(spent)]))
    begun = flags & 1 > 0
    return _members(question, person[begun], ts[begun], known_before), returns


def _selection(source: EventSource, question: ClockRetention) -> Any:
    start, end = (to_micros(instant) for instant in question.span)
    table = people_only(source.events, question.include)
    table = table.filter((table.ts >= start) & (table.ts < end))
    begun = picked(source, table, question.first) & all_hold(source, table, question.filters)
    wanted = {"person": table.person_id.cast("int64"), "ts": table.ts, "seq": table.seq.cast("int64")}
    wanted["flags"] = bit(begun, 0) + bit(picked(source, table, question.returning), 1)
    if question.revenue:
        wanted["amount"] = table.amount_base
    found = table.select(**wanted)
    return found.filter(found.flags > 0)


def _members(question: ClockRetention, person: Ints, ts: Ints, known_before: Ints | None) -> Members:
    edges = np.array([to_micros(edge) for edge in question.edges[: question.periods + 1]])
    inside = (ts >= edges[0]) & (ts < edges[-1])
    person, ts = person[inside], ts[inside]
    cohort = np.searchsorted(edges, ts, side="right") - 1
    if question.cohort == "recurring":
        chosen = first_of_run(person * len(edges) + cohort)
    else:
        chosen = first_of_run(person)
    if question.cohort == "first_ever" and known_before is not None:
        chosen &= ~np.isin(person, known_before)
    return Members(person[chosen], ts[chosen], cohort[chosen])


def _without(members: Members, daily: FrozenBitMap) -> Members:
    """Those who can be seen to come again."""
    if not daily:
        return members
    lasting = ~np.isin(members.person, np.asarray(daily.to_array(), dtype=np.int64))
    return Members(members.person[lasting], members.since[lasting], members.cohort[lasting])


def _row(
    question: ClockRetention, members: Members, returns: Returns, index: int, count: int, through: datetime
) -> ClockRow:
    mine = members.cohort == index
    size = int(mine.sum())
    cells = []
    for period in range(count):
        is_over = _ends(question, index, period) <= through
        low, high = _window(question, members, mine, index, period, returns)
        returned = int((high > low).sum()) if is_over else None
        spent = int((returns.spent[high] - returns.spent[low]).sum()) if is_over and question.revenue else None
        share = returned / size if returned is not None and size else None
        cells.append(ClockCell(period, returned, share, spent, is_over))
    return ClockRow(question.edges[index], size, tuple(cells))


def _ends(question: ClockRetention, index: int, period: int) -> datetime:
    """When the period is over for everybody of the cohort."""
    if question.clock == "calendar":
        return question.edges[index + period + 1]
    return question.edges[index + 1] + timedelta(microseconds=question.windows[period][1])


def _window(
    question: ClockRetention, members: Members, mine: Any, index: int, period: int, returns: Returns
) -> tuple[Ints, Ints]:
    """For each member of the cohort the events [low, high) of coming back that lie in the period."""
    person, since = members.person[mine], members.since[mine]
    if question.clock == "calendar":
        edges = question.edges
        start = np.full(len(person), to_micros(edges[index + period]))
        end = np.full(len(person), to_micros(edges[index + period + 1]))
    else:
        low, high = question.windows[period]
        start, end = since + low, since + high
    if question.mode == "on_or_after":
        end = np.maximum(end, to_micros(question.edges[-1]))
    return _places(returns, person, start), _places(returns, person, end)


def _places(returns: Returns, person: Ints, ts: Ints) -> Ints:
    """Where (person, ts) would go among the returns."""
    if len(returns.ts) == 0:
        return np.zeros(len(person), dtype=np.int64)
    low = min(int(returns.ts.min()), int(ts.min(initial=2**62)))
    width = (max(int(returns.ts.max()), int(ts.max(initial=0))) - low).bit_length()
    if max(int(returns.person.max()), int(person.max(initial=0))).bit_length() + width > 63:
        raise QuestionError("so many people over so long a range cannot be followed: ask for fewer periods", "periods")
    return np.searchsorted((returns.person << width) | (returns.ts - low), (person << width) | (ts - low))


def _mean(rows: tuple[ClockRow, ...], period: int) -> float | None:
    returned, people = _over(rows, period)
    return returned / people if people else None


def _over(rows: tuple[ClockRow, ...], period: int) -> tuple[int, int]:
    """How many came in a period, of how many: over the cohorts for whom it is over."""
    over = [(row.cells[period].returned or 0, row.size) for row in rows if row.cells[period].is_complete]
    return sum(returned for returned, _ in over), sum(size for _, size in over)


def _per_head(rows: tuple[ClockRow, ...], period: int) -> float | None:
    over = [(row.cells[period].revenue or 0, row.size) for row in rows if row.cells[period].is_complete]
    people = sum(size for _, size in over)
    return sum(spent for spent, _ in over) / people if people else None


def _ints(table: pa.Table, name: str) -> Ints:
    values: Ints = table.column(name).fill_null(0).to_numpy().astype(np.int64)
    return values


def reading_of(question: ClockRetention, rows: tuple[ClockRow, ...], means: tuple[float | None, ...]) -> str:
    """The result in words, of its own numbers only."""
    people = sum(row.size for row in rows)
    later = [(period, mean) for period, mean in enumerate(means) if (period or question.days) and mean is not None]
    if not people:
        return "Nobody came in these cohorts."
    if not later:
        return f"{people:,} people came; no period after their first is over yet."
    first, last = later[0], later[-1]
    names = period_names(question)
    when = " or later" if question.mode == "on_or_after" else ""
    told = f"{people:,} people came. {first[1] * 100:.1f} % of them came back {names[first[0]]}{when}"
    if last is not first:
        told += f", {last[1] * 100:.1f} % {names[last[0]]}{when}"
    few = sum(1 for row in rows if row.is_small and row.size)
    if not few:
        return f"{told}."
    one = "cohort has" if few == 1 else "cohorts have"
    return f"{told}. {few} {one} fewer than {question.min_size} people: read their shares with care."


def _stamp(source: EventSource, question: ClockRetention, now: datetime) -> Stamp:
    count = len(question.windows)
    return Stamp(
        timezone=question.calendar.zone,
        start=question.edges[0],
        end=question.edges[question.periods],
        filters=question.filters,
        include=question.include,
        definition_version=fingerprint(VERSION, ""),
        data_through=source.data_through,
        is_complete=_ends(question, question.periods - 1, count - 1) <= source.data_through,
        computed_at=now,
        executor=f"{source.engine}+kernel",
    )
