"""Whom a number counts, form by form, to tell how many of them are daily visitors (S35)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import repeat
from typing import Any, Final

from pyroaring import FrozenBitMap

from analytics.aggregates import Repeat
from analytics.periods import Granularity
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
    measures,
)
from kpis.daily_visitors import NOBODY, DailyVisitors, among, is_of_days, left_out
from kpis.needs import windows_before
from kpis.series.context import micros
from kpis.series.evaluate import Evaluator
from kpis.series.question import Slot
from kpis.series.strips import Strip, members


@dataclass(frozen=True, slots=True)
class Counted:
    """The people in a number, and those whom it counts without its daily visitors."""

    people: FrozenBitMap = NOBODY
    lasting: FrozenBitMap = NOBODY

    def __or__(self, other: Counted) -> Counted:
        return Counted(self.people | other.people, self.lasting | other.lasting)


def daily_visitors_in(evaluator: Evaluator, metric: Metric, start: datetime, end: datetime) -> DailyVisitors | None:
    """Those among whom the metric counts over [start, end), if it counts them over more than one UTC day."""
    if evaluator.context.daily_through is None:
        return None
    counted = _counted(evaluator, metric.id, start, end)
    daily = evaluator.context.daily
    return among(counted.people, daily) or left_out(counted.lasting, daily)


LONGER_THAN_A_DAY: Final = frozenset({Granularity.WEEK, Granularity.MONTH, Granularity.QUARTER, Granularity.YEAR})


def daily_visitors_of_points(
    evaluator: Evaluator, metric: Metric, slots: Sequence[Slot], granularity: Granularity | None
) -> Iterable[DailyVisitors | None]:
    """Those of each point of a series, where points are longer than a day or look back over several; else no end of
    None."""
    if evaluator.context.daily_through is None:
        return repeat(None)
    if isinstance(metric.form, Trailing):
        return _of_windows(evaluator, metric.form, slots)
    if granularity in LONGER_THAN_A_DAY:
        return [daily_visitors_in(evaluator, metric, slot.start, slot.end) for slot in slots]
    return repeat(None)


def _of_windows(evaluator: Evaluator, form: Trailing, slots: Sequence[Slot]) -> Iterable[DailyVisitors | None]:
    """All windows in one slide over the daily visitors of each bucket: no union of a window is made."""
    declared = measures[form.measure]
    if declared.aggregate != "distinct" or declared.over != "person":
        return repeat(None)
    calendar = evaluator.context.calendar
    windows = [windows_before(calendar, slot.end, form.days) for slot in slots]
    asked = [micros((window.start, window.end)) for window in windows]
    strip = evaluator.shelf.strip(form.measure)
    daily = strip.among(evaluator.context.daily, asked)
    daily.prime(asked)
    found: list[DailyVisitors | None] = []
    for slot, window in zip(slots, asked, strict=True):
        count = daily.size(window) if evaluator.context.is_known(slot.start, slot.end) else 0
        found.append(DailyVisitors(count, is_everybody=count == strip.size(window)) if count else None)
    return found


def _counted(evaluator: Evaluator, metric: str, start: datetime, end: datetime) -> Counted:
    if not evaluator.context.is_known(start, end):
        return Counted()
    form = evaluator.catalogue[metric].form
    return _FORMS[type(form)](evaluator, form, start, end)


def _all(parts: Iterable[Counted]) -> Counted:
    found = Counted()
    for part in parts:
        found |= part
    return found


def _people(strip: Strip, measure: str, start: datetime, end: datetime) -> FrozenBitMap:
    """The people of a measure; nobody where it counts no people, or where the range is one UTC day."""
    declared = measures[measure]
    if declared.aggregate not in ("distinct", "repeat") or declared.over != "person" or not is_of_days(start, end):
        return NOBODY
    return members(strip.merged(micros((start, end))))


def _value(evaluator: Evaluator, form: Value, start: datetime, end: datetime) -> Counted:
    people = _people(evaluator.shelf.strip(form.measure), form.measure, start, end)
    state = evaluator.state(form.measure, start, end) if people and form.statistic == "twice" else None
    return Counted(people & state.twice if isinstance(state, Repeat) else people)


def _trailing(evaluator: Evaluator, form: Trailing, start: datetime, end: datetime) -> Counted:
    window = windows_before(evaluator.context.calendar, end, form.days)
    return Counted(_people(evaluator.shelf.strip(form.measure), form.measure, window.start, window.end))


def _ratio(evaluator: Evaluator, form: Ratio, start: datetime, end: datetime) -> Counted:
    return _all(_counted(evaluator, part, start, end) for part in (form.numerator, form.denominator))


def _formula(evaluator: Evaluator, form: Formula, start: datetime, end: datetime) -> Counted:
    return _all(_counted(evaluator, part, start, end) for part in formula.parse(form.text).names)


def _daily_mean(evaluator: Evaluator, form: DailyMean, start: datetime, end: datetime) -> Counted:
    """Of all its days; windows that trail behind them are one stretch together."""
    days, found = evaluator.days(start, end), Counted()
    for part in (form.numerator, form.denominator) if days else ():
        trailing = evaluator.catalogue[part].form
        if isinstance(trailing, Trailing):
            window = windows_before(evaluator.context.calendar, days[0][1], trailing.days)
            strip = evaluator.shelf.strip(trailing.measure)
            found |= Counted(_people(strip, trailing.measure, window.start, days[-1][1]))
        elif isinstance(trailing, Value) and trailing.statistic != "twice" and all(is_of_days(*day) for day in days):
            # Whoever is in any of the days is in all of them together, which is one union instead of many.
            found |= _counted(evaluator, part, days[0][0], days[-1][1])
        else:
            found |= _all(_counted(evaluator, part, *day) for day in days)
    return found


def _share(evaluator: Evaluator, form: Share, start: datetime, end: datetime) -> Counted:
    shelf = evaluator.shelf
    strip = shelf.everyone(form.among) if form.of_everyone else shelf.strip(form.among)
    return Counted(_people(strip, form.among, start, end))


def _newcomers(evaluator: Evaluator, form: Newcomers, start: datetime, end: datetime) -> Counted:
    now = _people(evaluator.shelf.strip(form.measure), form.measure, start, end)
    before = evaluator.people_before(form.measure, start)
    return Counted(now & before if form.is_returning else now - before)


def _growth(evaluator: Evaluator, form: Growth, start: datetime, end: datetime) -> Counted:
    earlier = evaluator.before(start, end)
    before = Counted() if earlier is None else _counted(evaluator, form.metric, earlier.start, earlier.end)
    return _counted(evaluator, form.metric, start, end) | before


def _per_minute(evaluator: Evaluator, form: PerMinute, start: datetime, end: datetime) -> Counted:
    return _counted(evaluator, form.metric, start, end)


def _kept(evaluator: Evaluator, form: Kept, start: datetime, end: datetime) -> Counted:
    earlier = evaluator.before(start, end)
    if earlier is None:
        return Counted()
    return Counted(lasting=evaluator.people(form.measure, earlier.start, earlier.end))


def _retained(evaluator: Evaluator, form: Retained, start: datetime, end: datetime) -> Counted:
    came = evaluator.people(form.measure, start, end)
    return Counted(lasting=came - evaluator.people_before(form.measure, start))


def _nobody(evaluator: Evaluator, form: Recurring, start: datetime, end: datetime) -> Counted:
    return Counted()


_FORMS: Mapping[type, Callable[[Evaluator, Any, datetime, datetime], Counted]] = {
    Value: _value,
    Ratio: _ratio,
    Formula: _formula,
    Trailing: _trailing,
    DailyMean: _daily_mean,
    Share: _share,
    Newcomers: _newcomers,
    Kept: _kept,
    Growth: _growth,
    PerMinute: _per_minute,
    Recurring: _nobody,
    Retained: _retained,
}
