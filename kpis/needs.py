"""Which states a metric needs for a range: its own, those of a trailing window, or everything since the first day."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import lru_cache
from typing import Any

from analytics.periods import Calendar, Period
from kpis import formula
from kpis.base import (
    DailyMean,
    Formula,
    Growth,
    Kept,
    Metric,
    Newcomers,
    PerMinute,
    Ratio,
    Recurring,
    Retained,
    Share,
    Trailing,
    Value,
)
from kpis.compare import asked_period, range_before


@dataclass(frozen=True, slots=True)
class Need:
    """A measure over a range. `everyone`: without filter or breakdown, because "never before" means anywhere."""

    measure: str
    start: datetime
    end: datetime
    everyone: bool = False


@dataclass(frozen=True, slots=True)
class Asked:
    """A range to answer, with what is needed to widen it: where the tenant's data begin and how far they reach."""

    start: datetime
    end: datetime
    first_day: datetime
    through: datetime
    calendar: Calendar
    catalogue: Mapping[str, Metric]

    def before(self) -> Asked:
        """The same for the period before, over equal elapsed time."""
        earlier = period_before(self.calendar, self.start, self.end, self.through)
        return replace(self, start=earlier.start, end=earlier.end)


def needs_of(metric: Metric, asked: Asked) -> Iterator[Need]:
    """Every need of the metric, those of the metrics it is made of included."""
    yield from _NEEDS[type(metric.form)](metric.form, asked)


@lru_cache(maxsize=4096)
def windows_before(calendar: Calendar, end: datetime, days: int) -> Period:
    """The local days that end with the one holding the last instant before `end`."""
    last = calendar.local_date(end - timedelta(microseconds=1))
    return Period(calendar.day_start(last - timedelta(days=days - 1)), end)


def period_before(calendar: Calendar, start: datetime, end: datetime, through: datetime) -> Period:
    """The period that growth over [start, end) looks back to (S3)."""
    return range_before(asked_period(start, end, calendar), "previous", calendar, through=through)


def days_after(calendar: Calendar, instant: datetime, days: int) -> datetime:
    return calendar.day_start(calendar.local_date(instant - timedelta(microseconds=1)) + timedelta(days=days + 1))


def parts_of(metric: Metric) -> tuple[str, ...]:
    """The metrics that a metric is made of."""
    form = metric.form
    if isinstance(form, Formula):
        return formula.parse(form.text).names
    if isinstance(form, Growth | PerMinute):
        return (form.metric,)
    return (form.numerator, form.denominator) if isinstance(form, Ratio | DailyMean) else ()


def measures_in(metric: Metric, catalogue: Mapping[str, Metric]) -> frozenset[str]:
    """Every measure behind the metric."""
    form = metric.form
    if isinstance(form, Value | Trailing | Newcomers | Retained | Kept | Recurring):
        return frozenset({form.measure})
    if isinstance(form, Share):
        return frozenset({form.who, form.among})
    return frozenset().union(*(measures_in(catalogue[part], catalogue) for part in parts_of(metric)))


def lag_days(metric: Metric, catalogue: Mapping[str, Metric]) -> int:
    """Days after a range until its value cannot change any more."""
    own = metric.form.days if isinstance(metric.form, Retained) else 0
    return max([own, *(lag_days(catalogue[part], catalogue) for part in parts_of(metric))])


def is_daily(metric: Metric, catalogue: Mapping[str, Metric]) -> bool:
    """Whether its value is made of single days, so that states of wider buckets would not do."""
    if isinstance(metric.form, Trailing | DailyMean | Retained):
        return True
    return any(is_daily(catalogue[part], catalogue) for part in parts_of(metric))


def _own(form: Value, asked: Asked) -> Iterator[Need]:
    yield Need(form.measure, asked.start, asked.end)


def _growth(form: Growth, asked: Asked) -> Iterator[Need]:
    yield from needs_of(asked.catalogue[form.metric], asked)
    yield from needs_of(asked.catalogue[form.metric], asked.before())


def _per_minute(form: PerMinute, asked: Asked) -> Iterator[Need]:
    yield from needs_of(asked.catalogue[form.metric], asked)


def _parts(form: Ratio | DailyMean, asked: Asked) -> Iterator[Need]:
    for part in (form.numerator, form.denominator):
        yield from needs_of(asked.catalogue[part], asked)


def _formula(form: Formula, asked: Asked) -> Iterator[Need]:
    for name in formula.parse(form.text).names:
        yield from needs_of(asked.catalogue[name], asked)


def _trailing(form: Trailing, asked: Asked) -> Iterator[Need]:
    first = windows_before(asked.calendar, asked.start + timedelta(microseconds=1), form.days)
    yield Need(form.measure, first.start, asked.end)


def _share(form: Share, asked: Asked) -> Iterator[Need]:
    yield Need(form.who, asked.start, asked.end)
    yield Need(form.among, asked.start, asked.end, everyone=form.of_everyone)


def _newcomers(form: Newcomers, asked: Asked) -> Iterator[Need]:
    yield Need(form.measure, asked.start, asked.end)
    yield Need(form.measure, min(asked.first_day, asked.start), asked.end, everyone=True)


def _kept(form: Kept, asked: Asked) -> Iterator[Need]:
    earlier = asked.before()
    yield Need(form.measure, asked.start, asked.end)
    yield Need(form.measure, earlier.start, earlier.end)


def _recurring(form: Recurring, asked: Asked) -> Iterator[Need]:
    yield Need(form.measure, min(asked.first_day, asked.start), asked.start, everyone=True)
    yield Need(form.measure, asked.start, asked.end, everyone=True)


def _retained(form: Retained, asked: Asked) -> Iterator[Need]:
    yield Need(form.measure, asked.start, asked.end)
    later = days_after(asked.calendar, asked.end, form.days)
    yield Need(form.measure, min(asked.first_day, asked.start), later, everyone=True)


_NEEDS: Mapping[type, Callable[[Any, Asked], Iterator[Need]]] = {
    Value: _own,
    Ratio: _parts,
    DailyMean: _parts,
    Formula: _formula,
    Trailing: _trailing,
    Share: _share,
    Newcomers: _newcomers,
    Kept: _kept,
    Growth: _growth,
    PerMinute: _per_minute,
    Recurring: _recurring,
    Retained: _retained,
}
