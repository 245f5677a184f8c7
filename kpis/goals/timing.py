"""Where a goal's period stands: its local days, how many have passed, how far back its history is looked at."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from fractions import Fraction

from analytics.periods import Calendar, Granularity
from kpis.goals.models import Goal
from kpis.series.context import Context

HISTORY: tuple[tuple[int, int], ...] = ((31, 182), (92, 364), (10_000, 728))
"""Days of history by the length of the period: half a year for months, a year for quarters, two for years."""


@dataclass(frozen=True, slots=True)
class Timing:
    """Where the goal's period stands: its days, how many of them have passed, and until which day there are data."""

    calendar: Calendar
    days: tuple[date, ...]
    start: datetime
    end: datetime
    as_of: datetime
    elapsed: Fraction
    until: datetime
    past_first: date

    @property
    def has_begun(self) -> bool:
        return self.as_of > self.start

    @property
    def today(self) -> date:
        return self.calendar.local_date(self.as_of)


def timing_of(goal: Goal, context: Context) -> Timing:
    """The goal's period in the tenant's calendar, at the last moment that is known."""
    calendar, as_of = context.calendar, context.known_until
    every = [goal.first + timedelta(days=number) for number in range((goal.end - goal.first).days)]
    days = tuple(day for day in every if calendar.day(day).elapsed)  # Samoa had no 2011-12-30
    start, end = calendar.day_start(goal.first), calendar.day_start(goal.end)
    history = next(count for most, count in HISTORY if len(days) <= most)
    today = calendar.local_date(as_of)
    return Timing(
        calendar,
        days,
        start,
        end,
        as_of,
        elapsed_days(calendar, days, as_of),
        min(end, calendar.ceil(as_of, Granularity.DAY)),
        min(goal.first, today) - timedelta(days=history),
    )


def elapsed_days(calendar: Calendar, days: tuple[date, ...], at: datetime) -> Fraction:
    """How many of the days have passed at that instant; the one that is not over counts by its share."""
    whole = 0
    for day in days:
        period = calendar.day(day)
        if at >= period.end:
            whole += 1
        elif at > period.start:
            return whole + Fraction(micros_of(at - period.start), micros_of(period.elapsed))
        else:
            break
    return Fraction(whole)


def micros_of(length: timedelta) -> int:
    return length // timedelta(microseconds=1)
