"""From what somebody says of a period to its first day and the day after its last one. Pure."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Final

from analytics.filters import EARLIEST, LATEST
from analytics.periods import Calendar, Granularity
from kpis.goals.errors import GoalError

MAX_DAYS: Final = 3660
UNITS: Final = {"month": Granularity.MONTH, "quarter": Granularity.QUARTER, "year": Granularity.YEAR}


def spanned(period: str, first: date, end: date | None, calendar: Calendar) -> tuple[date, date]:
    """`first` may be any day of the month, quarter or year that is meant; `end` (the day after the last) is only asked
    for of `custom` periods. Raises GoalError.
    """
    # A year around either end, so that a whole one still fits.
    if not EARLIEST.year + 2 < first.year < LATEST.year - 2:
        raise GoalError(f"`first` lies between {EARLIEST.year + 3} and {LATEST.year - 3}.", "first")
    if period in UNITS:
        unit = calendar.unit(calendar.day_start(first), UNITS[period])
        return calendar.local_date(unit.start), calendar.local_date(unit.end)
    if period != "custom":
        raise GoalError("`period` is month, quarter, year or custom.", "period")
    if end is None or end <= first:
        raise GoalError("A custom period needs an `end`, the day after its last one.", "end")
    if end - first > timedelta(days=MAX_DAYS):
        raise GoalError(f"A period has at most {MAX_DAYS} days.", "end")
    return first, end
