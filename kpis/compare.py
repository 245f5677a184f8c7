"""How a number moved, and which earlier range is a fair one to compare with. Pure arithmetic."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Literal, TypeAlias

from analytics.periods import Calendar, Granularity, Period
from kpis.base import Metric, Unit
from kpis.contracts import Change, Number

Against: TypeAlias = Literal["previous", "year_ago"] | Period


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


def status_of(value: Number, metric: Metric) -> Literal["ok", "warning", "critical", "unknown"]:
    """Where the value stands against the metric's limits; a value at a limit has reached it."""
    if value is None:
        return "unknown"
    levels: tuple[tuple[Literal["critical", "warning"], Number], ...] = (
        ("critical", metric.thresholds.critical),
        ("warning", metric.thresholds.warning),
    )
    for level, limit in levels:
        if limit is not None and (value <= limit if metric.better == "up" else value >= limit):
            return level
    return "ok"


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
