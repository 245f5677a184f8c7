"""What retention from the lake asks (S12), checked when it is made."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Final, Literal

from analytics.periods import Calendar, Granularity
from kpis.base import Condition
from kpis.explore.picks import EventPick, dimension_check, field_check
from kpis.explore.stamp import micros_of
from kpis.funnels.question import MAX_VALUES
from kpis.retention import MAX_PERIODS, unit_edges
from kpis.series.question import INCLUDABLE, QuestionError

UNITS: Final = {"day": timedelta(days=1), "week": timedelta(days=7), "month": timedelta(days=30)}
COHORTS: Final = ("first_ever", "first_in_range", "recurring")
MODES: Final = ("on", "on_or_after")
CLOCKS: Final = ("24h", "calendar")
ANY: Final = EventPick()
LAST_DAY: Final = 3660
MOST_SIZE: Final = 1_000_000
MOST_CELLS: Final = 50_000
"""Of all tables of an answer: the longest, of 60 × 60, for the usual ten values, or 13 × 13 for a hundred."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ClockRetention:
    """`periods` cohorts by the calendar unit in which people came, from the one that holds `start`.

    first, returning   what makes a cohort, and what counts as coming back (any activity when left out)
    cohort   "first_ever": never before at all; "first_in_range"; "recurring": in every unit in which they came
    mode     "on": in that period; "on_or_after": then or later, as far as the table reaches
    days     single days instead of equal periods: 1, 3, 7, 14, 28 asks who came on day 1 (24 to 48 hours after their
             first event), on day 3 … ("on_or_after": that day or later); by the 24-hour clock only
    brackets days between which to look instead of equal periods: (0, 1, 3, 7, 14, 28) gives days 0, 1–2, 3–6 …; by the
             24-hour clock only. "month" is 30 days by that clock.
    min_size cohorts of fewer people are marked as small: their shares say little
    versus   two cohorts by their place in the table: is the first better than the second?
    revenue  what they spent in the period, in minor units of the base currency, beside how many came
    by       a table for each value that the event had by which a person came into the cohort: their first one in it, of
             several at one microsecond the one received first. What they come back with does not matter. The `limit`
             values with most people, and the rest as one; a cohort's people are in exactly one of them.
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
    days: tuple[int, ...] = ()
    brackets: tuple[int, ...] = ()
    min_size: int = 30
    versus: tuple[int, int] | None = None
    revenue: bool = False
    filters: tuple[Condition, ...] = ()
    include: tuple[str, ...] = ()
    by: str | None = None
    limit: int = 10

    def __post_init__(self) -> None:
        choices = (("unit", self.unit, UNITS), ("clock", self.clock, CLOCKS), ("cohort", self.cohort, COHORTS))
        for name, value, known in (*choices, ("mode", self.mode, MODES)):
            if value not in known:
                raise QuestionError(f"{name} is one of {', '.join(known)}, not {value!r}", name)
        if not 1 <= self.periods <= MAX_PERIODS:
            raise QuestionError(f"periods is from 1 to {MAX_PERIODS}", "periods")
        _check_days(self)
        _check_versus(self)
        for condition in self.filters:
            field_check(condition.field)
        if set(self.include) - INCLUDABLE:
            raise QuestionError(f"include takes {', '.join(sorted(INCLUDABLE))}", "include")
        _check_values(self)

    @property
    def edges(self) -> tuple[datetime, ...]:
        """The units of the calendar: of the cohorts, and as many after."""
        return unit_edges(self.calendar, self.start, Granularity(self.unit), 2 * self.periods - 1)

    @property
    def windows(self) -> list[tuple[int, int]]:
        """By the 24-hour clock: from when to when each period lasts, in microseconds after one's first event."""
        day = micros_of(timedelta(days=1))
        if self.days:
            return [(number * day, (number + 1) * day) for number in self.days]
        if self.brackets:
            return [(low * day, high * day) for low, high in pairwise(self.brackets)]
        unit = micros_of(UNITS[self.unit])
        return [(period * unit, (period + 1) * unit) for period in range(self.periods)]

    @property
    def span(self) -> tuple[datetime, datetime]:
        """The events that can matter, but for what was before the range."""
        edges = self.edges
        own = edges[self.periods] + timedelta(microseconds=self.windows[-1][1])
        return edges[0], max(edges[-1], own) if self.clock == "24h" else edges[-1]


def _check_days(question: ClockRetention) -> None:
    days, brackets = question.days, question.brackets
    if days and brackets:
        raise QuestionError("ask for single days or for brackets, not for both", "days")
    if (days or brackets) and question.clock != "24h":
        raise QuestionError("days and brackets go with the 24-hour clock", "days" if days else "brackets")
    if brackets and question.mode != "on":
        raise QuestionError("brackets go with `on`", "brackets")
    if days and not (len(days) <= MAX_PERIODS and days[0] >= 0 and _is_rising(days)):
        raise QuestionError("days are rising numbers, such as 1, 3, 7, 14, 28", "days")
    if brackets and not (2 <= len(brackets) <= MAX_PERIODS and brackets[0] >= 0 and _is_rising(brackets)):
        raise QuestionError("brackets are at least two rising numbers of days, such as 0, 1, 3, 7, 14, 28", "brackets")
    if max((*days, *brackets), default=0) > LAST_DAY:
        raise QuestionError(f"days reach at most {LAST_DAY}", "days" if days else "brackets")


def _is_rising(numbers: tuple[int, ...]) -> bool:
    return all(left < right for left, right in pairwise(numbers))


def _check_versus(question: ClockRetention) -> None:
    if not 0 <= question.min_size <= MOST_SIZE:
        raise QuestionError(f"min_size is from 0 to {MOST_SIZE:,}", "min_size")
    if question.versus is None:
        return
    one, other = question.versus
    if one == other or not (0 <= one < question.periods and 0 <= other < question.periods):
        raise QuestionError("versus are two different cohorts by their place in the table, from 0", "versus")
    if question.cohort == "recurring":
        raise QuestionError(
            "cohorts of everybody who came share people, so they cannot be compared by chance", "versus"
        )


def _check_values(question: ClockRetention) -> None:
    if question.by:
        dimension_check(question.by)
    if not 1 <= question.limit <= MAX_VALUES:
        raise QuestionError(f"limit is from 1 to {MAX_VALUES}", "limit")
    cells = question.periods * len(question.windows)
    if question.by and cells * (question.limit + 2) > MOST_CELLS:
        fits = MOST_CELLS // cells - 2
        ask = f"of at most {fits} values (`limit`), or of fewer periods" if fits > 0 else "of fewer periods"
        raise QuestionError(f"tables of {question.limit} values and so many periods are too large: ask {ask}", "limit")


def period_names(question: ClockRetention) -> list[str]:
    """Its periods in a sentence: "in week 2", "on day 7"."""
    if question.days:
        return [f"on day {day}" for day in question.days]
    name = "bracket" if question.brackets else question.unit
    return [f"in {name} {period}" for period in range(len(question.windows))]
