"""The only place that rounds time: a tenant's days, hours and weeks as instants of UTC.

A `Calendar` knows the zone and the first day of the week. Every boundary it gives is an instant; ranges are half open,
`[start, end)`. An hour starts at each local full hour and at each change of offset, so that the repeated hour of
autumn is two buckets, a day has 23 to 25 of them, and Kathmandu's (+05:45) fit its days. A local day begins at the
first instant of its date; a date that a zone skipped (Samoa, 2011-12-30) has no day.
"""

from __future__ import annotations

import bisect
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from enum import StrEnum
from functools import cached_property, lru_cache
from itertools import pairwise
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import numpy as np
import numpy.typing as npt

Micros = npt.NDArray[np.int64]
"""Instants as microseconds since 1970-01-01 UTC, ascending."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICRO = timedelta(microseconds=1)
_SCAN = 6 * 3600  # no zone has changed its offset twice within six hours since 1970


class Granularity(StrEnum):
    """The widths a series may have. Weeks start on the tenant's day; quarters in January, April, July, October."""

    MINUTE = "minute"
    HOUR = "hour"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    QUARTER = "quarter"
    YEAR = "year"


class RangeError(ValueError):
    """A range that cannot be read; the message says which text, why, and what would do."""


@dataclass(frozen=True, slots=True)
class Period:
    """`[start, end)`, aware and in UTC. `unit` and `count` are set when it is that many units of the calendar;
    `is_to_date` when the last unit is not over yet, so that it is compared over equal elapsed time (S3)."""

    start: datetime
    end: datetime
    unit: Granularity | None = None
    count: int = 1
    is_to_date: bool = False

    def __post_init__(self) -> None:
        if self.start.tzinfo is None or self.end.tzinfo is None:
            raise RangeError("a period needs aware datetimes")
        if self.end < self.start:
            raise RangeError(f"the end {self.end.isoformat()} is before the start {self.start.isoformat()}")

    @property
    def elapsed(self) -> timedelta:
        return self.end - self.start

    def __contains__(self, instant: datetime) -> bool:
        return self.start <= instant < self.end


def to_micros(instant: datetime) -> int:
    return (instant - EPOCH) // _MICRO


def from_micros(micros: int) -> datetime:
    return EPOCH + timedelta(microseconds=int(micros))


def floor_minute(instant: datetime) -> datetime:
    """The start of the UTC minute, which is what a dirty mark names."""
    return instant.astimezone(UTC).replace(second=0, microsecond=0)


def zone_named(name: str) -> ZoneInfo:
    """The IANA zone. Raises RangeError for an unknown name."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise RangeError(f"there is no time zone {name!r}; use an IANA name such as Europe/Paris or UTC") from None


@dataclass(frozen=True)
class Calendar:
    """How one tenant cuts time: `Calendar("Asia/Kathmandu").day(date(2026, 11, 21))`."""

    zone: str = "UTC"
    week_start: int = 0
    base_currency: str = "EUR"

    def __post_init__(self) -> None:
        zone_named(self.zone)
        if not 0 <= self.week_start <= 6:
            raise RangeError(f"the week starts on a day from 0 (Monday) to 6 (Sunday), not {self.week_start}")

    @cached_property
    def tz(self) -> ZoneInfo:
        return zone_named(self.zone)

    # Days

    def local_date(self, instant: datetime) -> date:
        """The date whose day the instant belongs to (the wall date, but for a clock set back over midnight)."""
        day = instant.astimezone(self.tz).date()
        return day + timedelta(days=1) if instant >= self.day_start(day + timedelta(days=1)) else day

    def day_start(self, day: date) -> datetime:
        """The first instant of the date; for a skipped date, the start of the next one."""
        return _day_start(self.tz, day)

    def day(self, day: date) -> Period:
        return Period(self.day_start(day), self.day_start(day + timedelta(days=1)), Granularity.DAY)

    def days(self, first: date, end: date) -> Period:
        """The local days from `first` until before `end`."""
        return Period(self.day_start(first), self.day_start(end), Granularity.DAY, (end - first).days)

    # Boundaries

    def floor(self, instant: datetime, unit: Granularity) -> datetime:
        """The start of the bucket that holds the instant."""
        if unit is Granularity.MINUTE:
            return floor_minute(instant)
        if unit is Granularity.HOUR:
            edges = self.hour_edges(instant - timedelta(hours=2), instant + _MICRO)
            return from_micros(edges[np.searchsorted(edges, to_micros(instant), "right") - 1])
        return self.day_start(self._first_date(self.local_date(instant), unit))

    def ceil(self, instant: datetime, unit: Granularity) -> datetime:
        """The end of the bucket that holds the instant."""
        if unit is Granularity.MINUTE:
            return floor_minute(instant) + timedelta(minutes=1)
        if unit is Granularity.HOUR:
            edges = self.hour_edges(instant, instant + timedelta(hours=2))
            return from_micros(edges[np.searchsorted(edges, to_micros(instant), "right")])
        day = self._first_date(self.local_date(instant), unit)
        end = self.day_start(self._shift_date(day, unit, 1))
        while end <= instant:  # a date without a day (Samoa) ends where it starts
            day = self._shift_date(day, unit, 1)
            end = self.day_start(self._shift_date(day, unit, 1))
        return end

    def edges(self, start: datetime, end: datetime, unit: Granularity) -> Micros:
        """The starts of all buckets that touch [start, end), and the end of the last: n + 1 instants for n buckets."""
        if end <= start:
            return np.array([], dtype=np.int64)
        if unit is Granularity.MINUTE:
            first, last = to_micros(floor_minute(start)), to_micros(end)
            return np.arange(first, last + 60_000_000, 60_000_000, dtype=np.int64)[
                : -(-(last - first) // 60_000_000) + 1
            ]
        if unit is Granularity.HOUR:
            return self.hour_edges(self.floor(start, unit), self.ceil(end - _MICRO, unit), closed=True)
        return np.array([to_micros(instant) for instant in self._date_edges(start, end, unit)], dtype=np.int64)

    def starts(self, period: Period, unit: Granularity) -> list[datetime]:
        """The starts of all buckets that touch the period."""
        return [from_micros(edge) for edge in self.edges(period.start, period.end, unit)[:-1].tolist()]

    def hour_edges(self, start: datetime, end: datetime, *, closed: bool = False) -> Micros:
        """Hour boundaries t with start <= t < end (`closed`: also t = end): local full hours, changes of offset."""
        first, last = to_micros(start), to_micros(end)
        if last < first:
            return np.array([], dtype=np.int64)
        micros = np.unique(np.concatenate(list(_boundaries(self.tz, first // 1_000_000, -(-last // 1_000_000)))))
        micros *= 1_000_000
        return micros[(micros >= first) & ((micros <= last) if closed else (micros < last))]

    def starts_between(self, start: datetime, end: datetime, unit: Granularity) -> list[datetime]:
        """The bucket starts t with start <= t <= end."""
        edges = self.edges(start, end + timedelta(microseconds=1), unit).tolist()
        return [instant for instant in map(from_micros, edges) if start <= instant <= end]

    def first_change(self, start: datetime, end: datetime) -> datetime | None:
        """The first change of offset t with start <= t <= end."""
        first, last = to_micros(start) // 1_000_000, to_micros(end) // 1_000_000
        changes = [second for year in {start.year, end.year} for second in _transitions(self.tz, year)]
        return next((EPOCH + timedelta(seconds=s) for s in sorted(changes) if first <= s <= last), None)

    def _date_edges(self, start: datetime, end: datetime, unit: Granularity) -> Iterator[datetime]:
        day = self._first_date(self.local_date(start), unit)
        last: datetime | None = None
        while last is None or last < end:
            edge = self.day_start(day)
            if edge != last:
                yield edge
            last, day = edge, self._shift_date(day, unit, 1)

    def _first_date(self, day: date, unit: Granularity) -> date:
        if unit is Granularity.WEEK:
            return day - timedelta(days=(day.weekday() - self.week_start) % 7)
        if unit is Granularity.MONTH:
            return day.replace(day=1)
        if unit is Granularity.QUARTER:
            return date(day.year, (day.month - 1) // 3 * 3 + 1, 1)
        return date(day.year, 1, 1) if unit is Granularity.YEAR else day

    @staticmethod
    def _shift_date(day: date, unit: Granularity, count: int) -> date:
        if unit in (Granularity.DAY, Granularity.WEEK):
            return day + timedelta(days=count * (7 if unit is Granularity.WEEK else 1))
        months = {Granularity.MONTH: 1, Granularity.QUARTER: 3, Granularity.YEAR: 12}[unit] * count
        year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
        return date(year, month + 1, min(day.day, _days_in_month(year, month + 1)))

    # Ranges

    def unit(self, instant: datetime, unit: Granularity) -> Period:
        """The whole unit that holds the instant."""
        return Period(self.floor(instant, unit), self.ceil(instant, unit), unit)

    def last(self, count: int, unit: Granularity, now: datetime) -> Period:
        """The `count` complete units before the one that holds `now` ("last 7 days": 7 complete local days)."""
        if unit in (Granularity.MINUTE, Granularity.HOUR):
            width = timedelta(minutes=count) if unit is Granularity.MINUTE else timedelta(hours=count)
            end = self.floor(now, unit)
            return Period(end - width, end)
        first = self._first_date(self.local_date(now), unit)
        return Period(self.day_start(self._shift_date(first, unit, -count)), self.day_start(first), unit, count)

    def to_date(self, unit: Granularity, now: datetime) -> Period:
        """From the start of the current unit until now."""
        return Period(self.floor(now, unit), now, unit, is_to_date=True)

    def previous(self, period: Period) -> Period:
        """The range before, of the same shape: units for units, equal elapsed time for a unit not yet over."""
        if period.unit in (None, Granularity.MINUTE, Granularity.HOUR):
            return self._previous_span(period)
        return self._shifted(period, period.unit, -period.count)

    def year_ago(self, period: Period) -> Period:
        """The same dates one year before (29 February becomes the 28th); to date: equal elapsed time."""
        return self._shifted(period, Granularity.YEAR, -1)

    def _previous_span(self, period: Period) -> Period:
        first, end = self.local_date(period.start), self.local_date(period.end)
        if first < end and self.day_start(first) == period.start and self.day_start(end) == period.end:
            return self.days(first - (end - first), first)
        return Period(period.start - period.elapsed, period.start)

    def _shifted(self, period: Period, unit: Granularity, count: int) -> Period:
        start = self._shift_instant(period.start, unit, count)
        if period.is_to_date:
            return Period(start, min(start + period.elapsed, period.start), period.unit, period.count, is_to_date=True)
        return Period(start, self._shift_instant(period.end, unit, count), period.unit, period.count)

    def _shift_instant(self, instant: datetime, unit: Granularity, count: int) -> datetime:
        day = self.local_date(instant)
        moved = self.day_start(self._shift_date(day, unit, count))
        return moved + (instant - self.day_start(day))


_UNITS = {"h": Granularity.HOUR, "d": Granularity.DAY, "w": Granularity.WEEK, "m": Granularity.MONTH}
_NAMED = {unit.value: unit for unit in Granularity if unit not in (Granularity.MINUTE, Granularity.HOUR)}
_TO_DATE = {"today": Granularity.DAY, **{f"{unit[0]}td": named for unit, named in _NAMED.items() if unit != "day"}}
FORMS = (
    "today, yesterday, last_7d, last_4w, last_3m, last_24h (complete units), rolling_7d (7 x 24 hours), this_week, "
    "last_month, mtd, 2026, 2026-Q4, 2026-11, 2026-W47, 2026-11-21, 2026-11-01..2026-11-08 (the end is not in it)"
)


def parse_range(text: str, calendar: Calendar, now: datetime) -> Period:
    """A range by its name or dates (FORMS), in the tenant's zone. Raises RangeError."""
    text = text.strip()
    if ".." in text:
        start, _, end = text.partition("..")
        return period_between(start, end, calendar)
    period = _named_range(text.lower(), calendar, now) or _dated_range(text, calendar)
    if period is None:
        raise RangeError(f"{text!r} is no range; write one of: {FORMS}")
    return period


def period_between(start: str, end: str, calendar: Calendar) -> Period:
    """From two dates (local days, the end not in it) or instants (without an offset: local time). Raises RangeError."""
    first, last = (parse_instant(text, calendar) for text in (start, end))
    if last <= first:
        raise RangeError(f"the range from {start!r} to {end!r} is empty: `to` is exclusive and must be later")
    if len(start.strip()) == len(end.strip()) == 10:
        return calendar.days(calendar.local_date(first), calendar.local_date(last))
    return Period(first, last)


def parse_instant(text: str, calendar: Calendar) -> datetime:
    """A date (its local day's start) or an ISO 8601 time; without an offset it is local. Raises RangeError."""
    text = text.strip()
    try:
        if len(text) == 10:
            return calendar.day_start(date.fromisoformat(text))
        instant = datetime.fromisoformat(text)
        return (instant if instant.tzinfo else instant.replace(tzinfo=calendar.tz)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise RangeError(f"{text!r} is no date or time; write 2026-11-21 or 2026-11-21T10:40:00+01:00") from None


def _named_range(text: str, calendar: Calendar, now: datetime) -> Period | None:
    if text in _TO_DATE:
        return calendar.to_date(_TO_DATE[text], now)
    if text == "yesterday":
        return calendar.last(1, Granularity.DAY, now)
    if match := re.fullmatch(r"(last|rolling)_([1-9]\d{0,3})([hdwm])", text):
        mode, count, unit = match[1], int(match[2]), _UNITS[match[3]]
        if mode == "last":
            return calendar.last(count, unit, now)
        return (
            None
            if match[3] == "m"
            else Period(now - timedelta(hours=count * {"h": 1, "d": 24, "w": 168}[match[3]]), now)
        )
    mode, _, name = text.partition("_")
    if name in _NAMED and mode in ("this", "last"):
        return calendar.to_date(_NAMED[name], now) if mode == "this" else calendar.last(1, _NAMED[name], now)
    return None


def _dated_range(text: str, calendar: Calendar) -> Period | None:
    match = re.fullmatch(r"(\d{4})(?:-(?:Q([1-4])|W(\d{2})|(\d{2})(?:-(\d{2}))?))?", text)
    if match is None:
        return None
    year, quarter, week, month, day = (int(part) if part else None for part in match.groups())
    try:
        if week:  # ISO weeks start on Monday; a tenant's own week is the one that holds that week's Thursday
            return calendar.unit(calendar.day_start(date.fromisocalendar(year or 0, week, 4)), Granularity.WEEK)
        unit = (
            Granularity.DAY
            if day
            else Granularity.MONTH
            if month
            else Granularity.QUARTER
            if quarter
            else Granularity.YEAR
        )
        first = date(year or 0, month or (quarter or 1) * 3 - 2, day or 1)
        return calendar.unit(calendar.day_start(first), unit)
    except ValueError as error:
        raise RangeError(f"{text!r} is not in the calendar: {error}") from None


def _days_in_month(year: int, month: int) -> int:
    following = date(year + month // 12, month % 12 + 1, 1)
    return (following - timedelta(days=1)).day


def _offset(zone: ZoneInfo, second: int) -> int:
    offset = (EPOCH + timedelta(seconds=second)).astimezone(zone).utcoffset()
    return int(offset.total_seconds()) if offset is not None else 0


@lru_cache(maxsize=4096)
def _transitions(zone: ZoneInfo, year: int) -> tuple[int, ...]:
    """The seconds of the UTC year at which the offset changes."""
    start, end = (to_micros(datetime(y, 1, 1, tzinfo=UTC)) // 1_000_000 for y in (year, year + 1))
    lefts = range(start, end, _SCAN)
    return tuple(
        _first_change(zone, left, left + _SCAN) for left in lefts if _offset(zone, left) != _offset(zone, left + _SCAN)
    )


def _first_change(zone: ZoneInfo, left: int, right: int) -> int:
    """The first second in (left, right] whose offset is not the one at `left`, by halving."""
    old = _offset(zone, left)
    while right - left > 1:
        middle = (left + right) // 2
        left, right = (middle, right) if _offset(zone, middle) == old else (left, middle)
    return right


def _boundaries(zone: ZoneInfo, start: int, end: int) -> Iterator[npt.NDArray[np.int64]]:
    """Hour boundaries in the seconds [start, end], stretch by stretch of one offset."""
    years = range(from_micros(start * 1_000_000).year - 1, from_micros(end * 1_000_000).year + 1)
    changes = [second for year in years for second in _transitions(zone, year) if start <= second <= end]
    for left, right in pairwise([start, *changes, end + 1]):
        offset = _offset(zone, left)
        yield np.arange(-(-(left + offset) // 3600) * 3600 - offset, right, 3600, dtype=np.int64)
    yield np.array(changes, dtype=np.int64)


@lru_cache(maxsize=65536)
def _day_start(zone: ZoneInfo, day: date) -> datetime:
    midnight = datetime.combine(day, time(), tzinfo=zone)
    instant = midnight.astimezone(UTC)
    if instant.astimezone(zone).replace(tzinfo=None) == datetime.combine(day, time()):
        return instant
    # The clock jumped over this midnight: the day starts at the jump.
    seconds = to_micros(instant) // 1_000_000
    jumps = [second for year in (instant.year - 1, instant.year) for second in _transitions(zone, year)]
    return EPOCH + timedelta(seconds=jumps[bisect.bisect_right(jumps, seconds) - 1])
