"""How a number moved, and which earlier range is a fair one to compare with. Pure arithmetic."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Final, Literal, TypeAlias

from analytics.periods import Calendar, Granularity, Period
from kpis.base import Metric, Unit
from kpis.contracts import Change, Number, Series

Against: TypeAlias = Literal["previous", "year_ago"] | Period
Status: TypeAlias = Literal["ok", "warning", "critical", "unknown"]
MICRO: Final = timedelta(microseconds=1)
ONE_DAY: Final = Fraction(1)
EARLY: Final = Fraction(1, 4)
"""So much of a day has to be there before it is held against a limit by day: at one in the night nobody has ordered."""
LIMIT_DAYS: Final = {Granularity.HOUR: Fraction(1, 24), Granularity.DAY: ONE_DAY, Granularity.WEEK: Fraction(7)}
"""How many days of a limit one point stands for; longer points differ in length, so the limit has no one height."""


def change_of(current: Number, previous: Number, *, unit: Unit, better: Literal["up", "down"]) -> Change:
    """(current − previous) / |previous| (S4); percentage points for ratios.

    0 → 0 is flat, 0 %. 0 → x has a direction but no percent (`from_zero`). Without a baseline or a value there is
    nothing (`no_baseline`, `no_value`). `percent` is in percent: 25 means +25 %.
    """
    if previous is None:
        return Change(None, None, None, "", "no_baseline", None)
    if current is None:
        return Change(None, None, None, "", "no_value", None)
    absolute = current - previous
    direction: Literal["up", "down", "flat"] = "flat" if not absolute else "up" if absolute > 0 else "down"
    is_good = None if direction == "flat" else direction == better
    if unit is Unit.RATIO:
        return Change(absolute, None, absolute * 100, direction, "", is_good)
    if previous:
        return Change(absolute, absolute / abs(previous) * 100, None, direction, "", is_good)
    return Change(absolute, None if absolute else Decimal(0), None, direction, "from_zero" if absolute else "", is_good)


def status_of(value: Number, metric: Metric, *, days: Fraction | None = ONE_DAY) -> Status:
    """Where the value stands against the metric's limits; a value at a limit has reached it.

    `days` is how many days the value is of, for limits by day; None for too few of them to tell.
    """
    limits = metric.thresholds
    scale = days if limits.is_per_day else ONE_DAY
    if value is None or scale is None:
        return "unknown"
    levels: tuple[tuple[Literal["critical", "warning"], Number], ...] = (
        ("critical", limits.critical),
        ("warning", limits.warning),
    )
    for level, limit in levels:
        if limit is not None:
            reached = Fraction(limit) * scale
            if value <= reached if metric.better == "up" else value >= reached:
                return level
    return "ok"


def standing_of(series: Series, metric: Metric) -> Status:
    """Where the total of a series stands: by the days of its range that have passed, where limits are of a day."""
    days = days_covered(series) if metric.thresholds.is_per_day else ONE_DAY
    return status_of(series.total, metric, days=days)


def days_covered(series: Series) -> Fraction | None:
    """How many local days of the range have passed and are covered by data, each one whether it has 23, 24 or 25 hours.

    None when there are none, or less than six hours of a range that goes on.
    """
    if series.covered is None:
        return None
    calendar = Calendar(series.timezone)
    first, last = series.covered
    days = _place(last, calendar) - _place(first, calendar)
    return days if days >= EARLY or last == series.end else None


def _place(instant: datetime, calendar: Calendar) -> Fraction:
    """The instant in days since the first one: a day that is not over counts by the share of it that has passed."""
    day = calendar.local_date(instant)
    whole = calendar.day(day)
    passed, length = instant - whole.start, whole.elapsed
    return day.toordinal() + Fraction(passed // MICRO, length // MICRO)


def limits_at(metric: Metric, granularity: str) -> dict[str, Decimal]:
    """The limits as lines over points of a granularity, by level. Limits by day have none over months and longer."""
    limits, scale = metric.thresholds, ONE_DAY
    if limits.is_per_day:
        known = {grain.value: days for grain, days in LIMIT_DAYS.items()}
        if granularity not in known:
            return {}
        scale = known[granularity]
    named = (("warning", limits.warning), ("critical", limits.critical))
    return {name: limit * scale.numerator / scale.denominator for name, limit in named if limit is not None}


def range_before(
    period: Period, against: Against, calendar: Calendar, *, through: datetime, match_weekday: bool = False
) -> Period:
    """The range that `period` is compared with; where data reach only to `through`, equal time from its start (S3).

    `match_weekday` moves by whole weeks instead, so that Mondays meet Mondays: by 52 for a year.
    """
    if isinstance(against, Period):
        return against
    if match_weekday:
        earlier = _by_weeks(period, against, calendar)
    elif against == "year_ago":
        earlier = calendar.year_ago(period)
    else:
        earlier = calendar.previous(period)
    if period.start < through < period.end:
        return Period(earlier.start, min(earlier.start + (through - period.start), earlier.end))
    return Period(earlier.start, earlier.end)


def _by_weeks(period: Period, against: Against, calendar: Calendar) -> Period:
    first, end = calendar.local_date(period.start), calendar.local_date(period.end)
    weeks = 52 if against == "year_ago" else max(1, -(-(end - first).days // 7))
    back = timedelta(weeks=weeks)
    start = calendar.day_start(first - back) + (period.start - calendar.day_start(first))
    return Period(start, calendar.day_start(end - back) + (period.end - calendar.day_start(end)))


def asked_period(start: datetime, end: datetime, calendar: Calendar) -> Period:
    """The period, with its unit if it is whole months, quarters or years: then "previous" means as many of those."""
    for unit, months in ((Granularity.YEAR, 12), (Granularity.QUARTER, 3), (Granularity.MONTH, 1)):
        if calendar.floor(start, unit) == start and calendar.floor(end, unit) == end and end > start:
            first, last = calendar.local_date(start), calendar.local_date(end)
            count = ((last.year - first.year) * 12 + last.month - first.month) // months
            return Period(start, end, unit, count)
    return Period(start, end)
