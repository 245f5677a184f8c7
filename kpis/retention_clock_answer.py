"""What retention answers (S12), and all that follows from counts alone: shares, means, intervals, words. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from kpis.contracts import OTHER
from kpis.daily_visitors import DailyVisitors
from kpis.explore.intervals import Interval, wilson
from kpis.explore.stamp import Stamp
from kpis.retention_clock_question import ClockRetention, period_names
from kpis.retention_versus import Versus, versus_of
from kpis.rollup.keys import NONE_KEY
from kpis.usage_interval import UsageInterval
from kpis.usage_interval import reading_of as interval_reading

LONGEST_NAME: Final = 60


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
class RetentionPart:
    """The table of one value of the breakdown: that of the event by which a person came into the cohort, OTHER for
    those beyond the limit, NONE_KEY where the event has none. `size` adds up its cohorts, and `is_small` says that they
    are too few together. Parts share nobody within a cohort and add up to the whole table, cell by cell."""

    key: str
    size: int
    is_small: bool
    rows: tuple[ClockRow, ...]
    means: tuple[float | None, ...]
    revenue_per_person: tuple[float | None, ...]
    mean_intervals: tuple[Interval | None, ...]


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
    breakdown: tuple[RetentionPart, ...] = ()


def answered(
    question: ClockRetention,
    rows: Sequence[ClockRow],
    stamp: Stamp,
    interval: UsageInterval | None,
    daily_visitors: DailyVisitors | None = None,
    parts: Sequence[tuple[str, Sequence[ClockRow]]] = (),
) -> ClockAnswer:
    """The answer around a table, whichever way that was counted, and around those of the breakdown."""
    whole = part_of(question, "", rows)
    breakdown = tuple(part_of(question, key, table) for key, table in parts)
    versus = _versus(question, whole.rows)
    reading = reading_of(question, whole)
    if whole.size:
        reading += _values_reading(question, breakdown)
        reading += (f" {versus.reading}" if versus else "") + interval_reading(interval)
    return ClockAnswer(
        question=question,
        rows=whole.rows,
        means=whole.means,
        revenue_per_person=whole.revenue_per_person,
        reading=reading,
        stamp=stamp,
        mean_intervals=whole.mean_intervals,
        versus=versus,
        interval=interval,
        daily_visitors=daily_visitors,
        breakdown=breakdown,
    )


def part_of(question: ClockRetention, key: str, rows: Sequence[ClockRow]) -> RetentionPart:
    """A table with what its cells come to together."""
    periods = range(len(question.windows))
    pooled = [_over(rows, period) for period in periods]
    is_apart = question.cohort != "recurring"
    size = sum(row.size for row in rows)
    return RetentionPart(
        key=key,
        size=size,
        is_small=size < question.min_size,
        rows=tuple(_with_intervals(question, row) for row in rows),
        means=tuple(returned / people if people else None for returned, people in pooled),
        revenue_per_person=tuple(_per_head(rows, period) if question.revenue else None for period in periods),
        mean_intervals=tuple(wilson(*hits) if is_apart else None for hits in pooled),
    )


def _with_intervals(question: ClockRetention, row: ClockRow) -> ClockRow:
    cells = tuple(
        cell if cell.returned is None else replace(cell, interval=wilson(cell.returned, row.size)) for cell in row.cells
    )
    return replace(row, cells=cells, is_small=row.size < question.min_size)


def _over(rows: Sequence[ClockRow], period: int) -> tuple[int, int]:
    """How many came in a period, of how many: over the cohorts for whom it is over."""
    over = [(row.cells[period].returned or 0, row.size) for row in rows if row.cells[period].is_complete]
    return sum(returned for returned, _ in over), sum(size for _, size in over)


def _per_head(rows: Sequence[ClockRow], period: int) -> float | None:
    over = [(row.cells[period].revenue or 0, row.size) for row in rows if row.cells[period].is_complete]
    people = sum(size for _, size in over)
    return sum(spent for spent, _ in over) / people if people else None


def _versus(question: ClockRetention, rows: Sequence[ClockRow]) -> Versus | None:
    if question.versus is None:
        return None
    one, other = (rows[place] for place in question.versus)
    returned = [(left.returned, right.returned) for left, right in zip(one.cells, other.cells, strict=False)]
    return versus_of(question.versus, (one.size, other.size), returned, period_names(question))


def reading_of(question: ClockRetention, whole: RetentionPart) -> str:
    """The result in words, of its own numbers only."""
    later = _later(question, whole)
    if not whole.size:
        return "Nobody came in these cohorts."
    if not later:
        return f"{whole.size:,} people came; no period after their first is over yet."
    first, last = later[0], later[-1]
    names = period_names(question)
    when = " or later" if question.mode == "on_or_after" else ""
    told = f"{whole.size:,} people came. {first[1] * 100:.1f} % of them came back {names[first[0]]}{when}"
    if last is not first:
        told += f", {last[1] * 100:.1f} % {names[last[0]]}{when}"
    few = sum(1 for row in whole.rows if row.is_small and row.size)
    if not few:
        return f"{told}."
    one = "cohort has" if few == 1 else "cohorts have"
    return f"{told}. {few} {one} fewer than {question.min_size} people: read their shares with care."


def _later(question: ClockRetention, part: RetentionPart) -> list[tuple[int, float]]:
    """The means of the periods in which one can come back."""
    return [(period, mean) for period, mean in enumerate(part.means) if (period or question.days) and mean is not None]


def _values_reading(question: ClockRetention, parts: Sequence[RetentionPart]) -> str:
    """Which values come back most and least, of those that enough people have."""
    if not parts:
        return ""
    if [part.key for part in parts] == [NONE_KEY]:
        return f" Nobody's first event had {_short(question.by or '')}."
    told = [
        (later[0], part)
        for part in parts
        if not part.is_small and part.key not in (OTHER, NONE_KEY) and (later := _later(question, part))
    ]
    period = min((later[0] for later, _ in told), default=0)
    ranked = sorted(((later[1], part.key) for later, part in told if later[0] == period), key=lambda each: -each[0])
    if len(ranked) < 2:
        return ""
    most, least = ranked[0], ranked[-1]
    if most[0] == least[0]:
        return ""
    return (
        f" By {_short(question.by or '')}, {_short(most[1])} came back most {period_names(question)[period]}"
        f" ({most[0] * 100:.1f} %), {_short(least[1])} least ({least[0] * 100:.1f} %)."
    )


def _short(text: str) -> str:
    return text if len(text) <= LONGEST_NAME else f"{text[:LONGEST_NAME]}…"
