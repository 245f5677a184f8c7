"""Retention from the lake (S12): by the 24-hour clock of each person, or by the calendar; of people or of money.

By the 24-hour clock a person's period n lasts from n to n + 1 units after their own first event, to the microsecond;
by the calendar it is the unit of the calendar. Calendar retention of whole activity comes faster from bitmaps
(`kpis.retention`); the two agree where both apply.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, Final

import numpy as np
import pyarrow as pa
from pyroaring import BitMap, FrozenBitMap

from analytics.periods import Calendar, to_micros
from kpis.contracts import OTHER
from kpis.daily_visitors import NOBODY, left_out
from kpis.explore.picks import EventPick, all_hold, bit, column_of, fields_of, people_only, picked
from kpis.explore.stamp import EventSource, Stamp, fingerprint
from kpis.explore.values import largest
from kpis.funnels.attempts import Flags, Ints
from kpis.funnels.kernel import first_of_run
from kpis.funnels.rows import coded, ordered
from kpis.retention_clock_answer import ClockAnswer, ClockCell, ClockRow, answered
from kpis.retention_clock_question import CLOCKS, COHORTS, MODES, MOST_SIZE, UNITS, ClockRetention
from kpis.series.question import QuestionError
from kpis.usage_interval import UsageInterval, interval_in

__all__ = [
    "CLOCKS", "COHORTS", "MODES", "MOST_SIZE", "UNITS", "ClockAnswer", "ClockRetention", "clock_people",
    "clock_retention_read",
]  # fmt: skip

VERSION: Final = 2
COLUMNS: Final = ("name", "person_id", "ts", "seq", "is_bot", "is_internal")


@dataclass(frozen=True)
class Members:
    """Who is in which cohort, since when; by person and time. `value` numbers, among `values`, what the event by which
    they came had to break down by; -1 for none."""

    person: Ints
    since: Ints
    cohort: Ints
    value: Ints
    values: tuple[str, ...] = ()

    def taken(self, chosen: Any) -> Members:
        """Some of them."""
        person, since, cohort, value = (each[chosen] for each in (self.person, self.since, self.cohort, self.value))
        return Members(person, since, cohort, value, self.values)


@dataclass(frozen=True)
class Tally:
    """Counts by part of the people, cohort and period (`size`: by part and cohort); the sum over parts is the whole.
    Where a period is not over for all of a cohort (`is_over`), nobody is counted."""

    is_over: Flags
    size: Ints
    returned: Ints
    spent: Ints

    def rows(self, question: ClockRetention, parts: Sequence[int]) -> tuple[ClockRow, ...]:
        """The table of some parts together."""
        size, returned, spent = (each[list(parts)].sum(axis=0) for each in (self.size, self.returned, self.spent))
        cohorts = zip(question.edges, size.tolist(), self.is_over, returned.tolist(), spent.tolist(), strict=False)
        return tuple(
            ClockRow(start, people, tuple(_cells(people, *counts, has_money=question.revenue)))
            for start, people, *counts in cohorts
        )


@dataclass(frozen=True)
class Returns:
    """Events that count as coming back, by person and time, with the money in them so far."""

    person: Ints
    ts: Ints
    spent: Ints

    @cached_property
    def packed(self) -> tuple[Ints, int, int]:
        """Person and time as one number each, ascending; the time it begins with, and the bits that time takes."""
        low = int(self.ts.min())
        width = (int(self.ts.max()) + 1 - low).bit_length()
        return (self.person << width) | (self.ts - low), low, width


def columns_of(question: ClockRetention) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Columns and properties that the store has to have open."""
    picks = (question.first, question.returning, EventPick(where=question.filters))
    columns, properties = fields_of(picks, "amount_base" if question.revenue else "", question.by or "")
    return tuple(dict.fromkeys((*COLUMNS, *columns))), properties


def clock_retention_read(
    source: EventSource,
    question: ClockRetention,
    *,
    now: datetime,
    known_before: Ints | None = None,
    daily: FrozenBitMap = NOBODY,
    interval_of: Callable[[Ints, Ints, Calendar, datetime], UsageInterval | None] = interval_in,
) -> ClockAnswer:
    """`known_before`: who had come before the range, ascending; needed for "first_ever". `daily`: the daily visitors,
    who are in no cohort. `interval_of`: how long people leave between two uses, where more is known than the events of
    the range."""
    everybody, returns = _read(source, question, known_before)
    members = _without(everybody, daily)
    through = source.data_through
    keys, part = _parts(question, members)
    tally = _tallied(question, members, returns, part, max(len(keys), 1), through)
    rows = tally.rows(question, range(len(tally.size)))
    parts = [(key, tally.rows(question, [place])) for place, key in enumerate(keys)]
    until = min(through, question.span[1])
    interval = interval_of(returns.person, returns.ts, question.calendar, until)
    gone = left_out(FrozenBitMap(everybody.person.astype(np.uint32)), daily) if daily else None
    return answered(question, rows, _stamp(source, question, now), interval, gone, parts)


def _parts(question: ClockRetention, members: Members) -> tuple[list[str], Ints]:
    """The values that are shown, none without a breakdown; and which of them each member has."""
    part = np.zeros(len(members.person), dtype=np.int64)
    if not question.by:
        return [], part
    found = list(largest(members.value, members.values, question.limit))
    for place, (_, codes) in enumerate(found):
        part[np.isin(members.value, codes)] = place
    return [key for key, _ in found], part


def clock_people(
    source: EventSource,
    question: ClockRetention,
    *,
    cohort: int,
    period: int,
    key: str | None = None,
    known_before: Ints | None = None,
    daily: FrozenBitMap = NOBODY,
) -> BitMap:
    """The people of a cell; with `key` those of a value of the breakdown, whether or not it is among the largest."""
    everybody, returns = _read(source, question, known_before)
    members = _without(everybody, daily)
    mine = members.cohort == cohort
    if key is not None:
        limit = question.limit if key == OTHER else len(members.values) + 1
        codes = dict(largest(members.value, members.values, limit)).get(key, np.zeros(0, dtype=np.int64))
        mine &= np.isin(members.value, codes)
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
    code, values = coded(found.column("key")) if question.by else (np.full(len(order), -1), ())
    edges = np.array([to_micros(edge) for edge in question.edges[: question.periods + 1]])
    cohort = np.searchsorted(edges, ts, side="right") - 1
    begun = (flags & 1 > 0) & (cohort >= 0) & (cohort < question.periods)
    entries = Members(person, ts, cohort, code[order], values).taken(begun)
    return _members(question, entries, known_before), returns


def _selection(source: EventSource, question: ClockRetention) -> Any:
    start, end = (to_micros(instant) for instant in question.span)
    table = people_only(source.events, question.include)
    table = table.filter((table.ts >= start) & (table.ts < end))
    begun = picked(source, table, question.first) & all_hold(source, table, question.filters)
    wanted = {"person": table.person_id.cast("int64"), "ts": table.ts, "seq": table.seq.cast("int64")}
    wanted["flags"] = bit(begun, 0) + bit(picked(source, table, question.returning), 1)
    if question.revenue:
        wanted["amount"] = table.amount_base
    if question.by:
        wanted["key"] = column_of(source, table, question.by)
    found = table.select(**wanted)
    return found.filter(found.flags > 0)


def _members(question: ClockRetention, entries: Members, known_before: Ints | None) -> Members:
    """`entries`: all events by which one can come into a cohort, by person, time and order of receipt. The first
    counts."""
    person = entries.person
    is_again = question.cohort == "recurring"
    chosen = first_of_run(person * question.periods + entries.cohort if is_again else person)
    if question.cohort == "first_ever" and known_before is not None:
        chosen &= ~np.isin(person, known_before)
    return entries.taken(chosen)


def _without(members: Members, daily: FrozenBitMap) -> Members:
    """Those who can be seen to come again."""
    if not daily:
        return members
    return members.taken(~np.isin(members.person, np.asarray(daily.to_array(), dtype=np.int64)))


def _tallied(
    question: ClockRetention, members: Members, returns: Returns, part: Ints, parts: int, through: datetime
) -> Tally:
    """`part`: of each member, below `parts`."""
    periods = range(len(question.windows))
    is_over = [[_ends(question, index, period) <= through for period in periods] for index in range(question.periods)]
    shape = (parts, question.periods, len(periods))
    tally = Tally(np.array(is_over), *(np.zeros(each, dtype=np.int64) for each in (shape[:2], shape, shape)))
    for index in range(question.periods):
        mine = members.cohort == index
        whose = part[mine]
        tally.size[:, index] = np.bincount(whose, minlength=parts)
        for period in np.flatnonzero(tally.is_over[index]).tolist():
            low, high = _window(question, members, mine, index, period, returns)
            tally.returned[:, index, period] = np.bincount(whose[high > low], minlength=parts)
            if question.revenue:
                np.add.at(tally.spent[:, index, period], whose, returns.spent[high] - returns.spent[low])
    return tally


def _cells(
    size: int, is_over: Sequence[bool], returned: Sequence[int], spent: Sequence[int], *, has_money: bool
) -> Iterator[ClockCell]:
    for period, (over, came, money) in enumerate(zip(is_over, returned, spent, strict=True)):
        if over:
            yield ClockCell(period, came, came / size if size else None, money if has_money else None, True)
        else:
            yield ClockCell(period, None, None, None, False)


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
    packed, low, width = returns.packed
    if max(int(returns.person[-1]), int(person.max(initial=0))).bit_length() + width > 63:
        raise QuestionError("so many people over so long a range cannot be followed: ask for fewer periods", "periods")
    return np.searchsorted(packed, (person << width) | np.clip(ts - low, 0, (1 << width) - 1))


def _ints(table: pa.Table, name: str) -> Ints:
    values: Ints = table.column(name).fill_null(0).to_numpy().astype(np.int64)
    return values


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
