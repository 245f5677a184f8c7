"""Retention from the lake (S12): by the 24-hour clock of each person, or by the calendar; of people or of money.

By the 24-hour clock a person's period n lasts from n to n + 1 units after their own first event, to the microsecond;
by the calendar it is the unit of the calendar. Calendar retention of whole activity comes faster from bitmaps
(`kpis.retention`); the two agree where both apply.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, Literal

import numpy as np
import pyarrow as pa
from pyroaring import BitMap

from analytics.periods import Calendar, Granularity, to_micros
from kpis.base import Condition
from kpis.explore.picks import EventPick, all_hold, bit, field_check, fields_of, people_only, picked
from kpis.explore.stamp import EventSource, Stamp, fingerprint, micros_of
from kpis.funnels.attempts import Ints
from kpis.funnels.kernel import first_of_run
from kpis.funnels.rows import ordered
from kpis.retention import MAX_PERIODS, unit_edges
from kpis.series.question import INCLUDABLE, QuestionError

VERSION: Final = 1
UNITS: Final = {"day": timedelta(days=1), "week": timedelta(days=7), "month": timedelta(days=30)}
COHORTS: Final = ("first_ever", "first_in_range", "recurring")
MODES: Final = ("on", "on_or_after")
CLOCKS: Final = ("24h", "calendar")
ANY: Final = EventPick()
COLUMNS: Final = ("name", "person_id", "ts", "seq", "is_bot", "is_internal")


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockRetention:
    """`periods` cohorts by the calendar unit in which people came, from the one that holds `start`.

    first, returning   what makes a cohort, and what counts as coming back (any activity when left out)
    cohort   "first_ever": never before at all; "first_in_range"; "recurring": in every unit in which they came
    mode     "on": in that period; "on_or_after": then or later, as far as the table reaches
    brackets days between which to look instead of equal periods: (0, 1, 3, 7, 14, 28) gives days 0, 1–2, 3–6 …; by the
             24-hour clock only. "month" is 30 days by that clock.
    revenue  what they spent in the period, in minor units of the base currency, beside how many came
    """

    start: datetime
    calendar: Calendar
    periods: int = 13
    unit: Literal["day", "week", "month"] = "week"
    clock: Literal["24h", "calendar"] = "24h"
    cohort: Literal["first_ever", "first_in_range", "recurring"] = "first_ever"
    mode: Literal["on", "on_or_after"] = "on"
    first: EventPick = ANY
    returning: EventPick = ANY
    brackets: tuple[int, ...] = ()
    revenue: bool = False
    filters: tuple[Condition, ...] = ()
    include: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        choices = (("unit", self.unit, UNITS), ("clock", self.clock, CLOCKS), ("cohort", self.cohort, COHORTS))
        for name, value, known in (*choices, ("mode", self.mode, MODES)):
            if value not in known:
                raise QuestionError(f"{name} is one of {', '.join(known)}, not {value!r}", name)
        if not 1 <= self.periods <= MAX_PERIODS:
            raise QuestionError(f"periods is from 1 to {MAX_PERIODS}", "periods")
        if self.brackets and (self.clock != "24h" or self.mode != "on"):
            raise QuestionError("brackets go with the 24-hour clock and `on`", "brackets")
        rising = all(left < right for left, right in zip(self.brackets, self.brackets[1:], strict=False))
        if self.brackets and not (2 <= len(self.brackets) <= MAX_PERIODS and self.brackets[0] >= 0 and rising):
            raise QuestionError(
                "brackets are at least two rising numbers of days, such as 0, 1, 3, 7, 14, 28", "brackets"
            )
        if self.brackets and self.brackets[-1] > 3660:
            raise QuestionError("brackets reach at most 3660 days", "brackets")
        for condition in self.filters:
            field_check(condition.field)
        if set(self.include) - INCLUDABLE:
            raise QuestionError(f"include takes {', '.join(sorted(INCLUDABLE))}", "include")

    @property
    def edges(self) -> list[datetime]:
        """The units of the calendar: of the cohorts, and as many after."""
        return unit_edges(self.calendar, self.start, Granularity(self.unit), 2 * self.periods - 1)

    @property
    def offsets(self) -> list[int]:
        """By the 24-hour clock: where periods begin, and the end of the last, in microseconds."""
        if self.brackets:
            return [micros_of(timedelta(days=day)) for day in self.brackets]
        return [micros_of(UNITS[self.unit]) * period for period in range(self.periods + 1)]

    @property
    def span(self) -> tuple[datetime, datetime]:
        """The events that can matter, but for what was before the range."""
        edges = self.edges
        own = edges[self.periods] + timedelta(microseconds=self.offsets[-1])
        return edges[0], max(edges[-1], own) if self.clock == "24h" else edges[-1]


@dataclass(frozen=True, slots=True)
class ClockCell:
    """`returned`, `share` and `revenue` are null, and `is_complete` false, while the period is not over for all."""

    period: int
    returned: int | None
    share: float | None
    revenue: int | None
    is_complete: bool


@dataclass(frozen=True, slots=True)
class ClockRow:
    """One cohort."""

    start: datetime
    size: int
    cells: tuple[ClockCell, ...]


@dataclass(frozen=True, slots=True)
class ClockAnswer:
    """`means` are weighted by the sizes of the cohorts and leave incomplete cells out; so do the revenues a head."""

    question: ClockRetention
    rows: tuple[ClockRow, ...]
    means: tuple[float | None, ...]
    revenue_per_person: tuple[float | None, ...]
    reading: str
    stamp: Stamp


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
    source: EventSource, question: ClockRetention, *, now: datetime, known_before: Ints | None = None
) -> ClockAnswer:
    """`known_before`: who had come before the range, ascending; needed for "first_ever"."""
    members, returns = _read(source, question, known_before)
    through = source.data_through
    count = len(question.offsets) - 1
    rows = tuple(_row(question, members, returns, index, count, through) for index in range(question.periods))
    means = tuple(_mean(rows, period) for period in range(count))
    heads = tuple(_per_head(rows, period) if question.revenue else None for period in range(count))
    return ClockAnswer(question, rows, means, heads, reading_of(question, rows, means), _stamp(source, question, now))


def clock_people(
    source: EventSource, question: ClockRetention, *, cohort: int, period: int, known_before: Ints | None = None
) -> BitMap:
    """The people of a cell."""
    members, returns = _read(source, question, known_before)
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
    return question.edges[index + 1] + timedelta(microseconds=question.offsets[period + 1])


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
        start, end = since + question.offsets[period], since + question.offsets[period + 1]
    if question.mode == "on_or_after":
        end = np.full(len(person), to_micros(question.edges[-1]))
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
    over = [(row.cells[period].returned or 0, row.size) for row in rows if row.cells[period].is_complete]
    people = sum(size for _, size in over)
    return sum(returned for returned, _ in over) / people if people else None


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
    later = [(period, mean) for period, mean in enumerate(means) if period and mean is not None]
    if not people:
        return "Nobody came in these cohorts."
    if not later:
        return f"{people:,} people came; no period after their first is over yet."
    first, last = later[0], later[-1]
    name = "bracket" if question.brackets else question.unit
    told = f"{people:,} people came. {first[1] * 100:.1f} % of them came back in {name} {first[0]}"
    return f"{told}, {last[1] * 100:.1f} % in {name} {last[0]}." if last is not first else f"{told}."


def _stamp(source: EventSource, question: ClockRetention, now: datetime) -> Stamp:
    count = len(question.offsets) - 1
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
