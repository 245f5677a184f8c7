"""From states to numbers: one function for each form of metric."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from itertools import pairwise
from typing import Any, Protocol

from pyroaring import FrozenBitMap

from analytics.aggregates import AnyState, Extremes, Moments, Prices, Quantiles, Repeat, Total
from analytics.periods import Granularity, Period, from_micros, to_micros
from kpis import formula
from kpis.base import (
    DailyMean,
    Form,
    Formula,
    Growth,
    Kept,
    Measure,
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
from kpis.contracts import Number
from kpis.mrr import Movement, movement_of
from kpis.needs import days_after, period_before, windows_before
from kpis.series.context import Context, micros
from kpis.series.strips import Strip, members


class Shelf(Protocol):
    """Where the strips are: of one value of the breakdown, or of everyone."""

    def strip(self, measure: str) -> Strip: ...
    def everyone(self, measure: str) -> Strip: ...


@dataclass(slots=True)
class Evaluator:
    """The values of metrics over ranges, from one shelf of states. Remembers what it worked out."""

    shelf: Shelf
    context: Context
    catalogue: Mapping[str, Metric]
    _numbers: dict[tuple[str, datetime, datetime], Number] = field(default_factory=dict)
    _forms: dict[str, Form] = field(default_factory=dict)
    _primed: set[tuple[Trailing, datetime, datetime]] = field(default_factory=set)
    _prices: dict[tuple[str, datetime], Prices] = field(default_factory=dict)
    _movements: dict[tuple[str, datetime, datetime], Movement] = field(default_factory=dict)

    def number(self, metric: str, start: datetime, end: datetime) -> Number:
        """The metric over [start, end); null where nothing is known (S5)."""
        asked = (metric, start, end)
        if asked not in self._numbers:
            known = self.context.is_known(start, end)
            form = self._form(metric)
            self._numbers[asked] = _FORMS[type(form)](self, form, start, end) if known else None
        return self._numbers[asked]

    def _form(self, metric: str) -> Form:
        """As the catalogue has it, which looks for limits too: asked once and not for each point."""
        if metric not in self._forms:
            self._forms[metric] = self.catalogue[metric].form
        return self._forms[metric]

    def state(self, measure: str, start: datetime, end: datetime) -> AnyState:
        return self.shelf.strip(measure).merged(micros((start, end)))

    def people(self, measure: str, start: datetime, end: datetime) -> FrozenBitMap:
        return members(self.state(measure, start, end))

    def people_before(self, measure: str, start: datetime) -> FrozenBitMap:
        """Everyone ever seen before `start`, in whatever dimension."""
        return members(self.shelf.everyone(measure).merged((0, to_micros(start))))

    def before(self, start: datetime, end: datetime) -> Period | None:
        """The period before this one, over equal elapsed time; None where data begin in the middle of it or later."""
        known = self.context
        earlier = period_before(known.calendar, start, end, known.known_until)
        return earlier if known.first_day is not None and earlier.start >= known.first_day else None

    def movement(self, measure: str, start: datetime, end: datetime) -> Movement:
        """How recurring revenue moved between two instants."""
        asked = (measure, start, end)
        if asked not in self._movements:
            found = movement_of(self.prices_at(measure, start), self.prices_at(measure, end))
            self._movements[asked] = found.in_units(self.context.exponent)
        return self._movements[asked]

    def prices_at(self, measure: str, instant: datetime) -> Prices:
        """The last word on every subscription before an instant, going on from the nearest earlier one asked for."""
        asked = (measure, instant)
        if asked not in self._prices:
            known = [at for name, at in self._prices if name == measure and at < instant]
            since = max(known, default=None)
            later = self.shelf.everyone(measure).merged((to_micros(since) if since else 0, to_micros(instant)))
            assert isinstance(later, Prices)
            self._prices[asked] = self._prices[measure, since] + later if since else later
        return self._prices[asked]

    def prime(self, metric: Metric, ends: Sequence[datetime]) -> None:
        """Slide the metric's trailing windows over all these period ends in one go."""
        if len(ends) <= 2:
            return
        for form in self._trailing_forms(metric):
            asked = (form, ends[0], ends[-1])
            if asked not in self._primed:
                self._primed.add(asked)
                windows = [windows_before(self.context.calendar, end, form.days) for end in ends]
                self.shelf.strip(form.measure).prime([micros((window.start, window.end)) for window in windows])

    def days(self, start: datetime, end: datetime) -> list[tuple[datetime, datetime]]:
        """The local days of a range that data can lie in, the first and last one cut to it."""
        # Two centuries of days without data would cost seconds and a gigabyte to find nothing.
        known = self.context
        start = max(start, known.first_day or start)
        end = min(end, known.calendar.ceil(known.known_until, Granularity.DAY))
        edges = [from_micros(edge) for edge in self.context.calendar.edges(start, end, Granularity.DAY).tolist()]
        return [(max(left, start), min(right, end)) for left, right in pairwise(edges)]

    def _trailing_forms(self, metric: Metric) -> list[Trailing]:
        if isinstance(metric.form, Trailing):
            return [metric.form]
        parts = (metric.form.numerator, metric.form.denominator) if isinstance(metric.form, Ratio | DailyMean) else ()
        return [form for part in parts for form in self._trailing_forms(self.catalogue[part])]


def read(state: AnyState, value: Value, measure: Measure, exponent: int) -> Number:
    """The statistic that `value` names; money in whole units. An empty state has a count and a sum, but no mean."""
    number = _STATISTICS[value.statistic or _OBVIOUS[measure.aggregate]](state, value)
    is_amount = measure.field == "amount_base" and (value.statistic or _OBVIOUS[measure.aggregate]) != "count"
    return number.scaleb(-exponent) if number is not None and is_amount else number


def _total(state: Any, value: Value) -> Number:
    return Decimal(state.units).scaleb(-state.places) if isinstance(state, Total | Moments) else None


def _mean(state: Any, value: Value) -> Number:
    if not isinstance(state, Total | Moments) or not state.n:
        return None
    return Decimal(state.units).scaleb(-state.places) / state.n


def _least(state: Any, value: Value) -> Number:
    return Decimal(repr(state.least)) if isinstance(state, Extremes) and state.n else None


def _greatest(state: Any, value: Value) -> Number:
    return Decimal(repr(state.greatest)) if isinstance(state, Extremes) and state.n else None


def _quantile(state: Any, value: Value) -> Number:
    found = state.quantile(value.q) if isinstance(state, Quantiles) and value.q is not None else None
    return None if found is None else Decimal(repr(found))


def _twice(state: Any, value: Value) -> Number:
    return Decimal(len(state.twice)) if isinstance(state, Repeat) else None


_STATISTICS: Mapping[str, Callable[[Any, Value], Number]] = {
    "count": lambda state, value: Decimal(state.n),
    "total": _total,
    "mean": _mean,
    "minimum": _least,
    "maximum": _greatest,
    "quantile": _quantile,
    "once": lambda state, value: Decimal(state.n),
    "twice": _twice,
}
_OBVIOUS: Mapping[str, str] = {
    "count": "count",
    "total": "total",
    "moments": "mean",
    "extremes": "maximum",
    "distinct": "count",
    "quantiles": "quantile",
    "repeat": "once",
    "prices": "count",
}
STATISTICS: Mapping[str, frozenset[str]] = {
    "count": frozenset({"count"}),
    "total": frozenset({"count", "total", "mean"}),
    "moments": frozenset({"count", "total", "mean"}),
    "extremes": frozenset({"count", "minimum", "maximum"}),
    "distinct": frozenset({"count"}),
    "quantiles": frozenset({"count", "quantile"}),
    "repeat": frozenset({"count", "once", "twice"}),
    "prices": frozenset({"count"}),
}
"""Which statistics each aggregate has."""


def share(part: Number, whole: Number) -> Number:
    """part / whole; null when either is missing or the whole is zero (S6)."""
    return part / whole if part is not None and whole else None


def _value(evaluator: Evaluator, form: Value, start: datetime, end: datetime) -> Number:
    state = evaluator.state(form.measure, start, end)
    return read(state, form, measures[form.measure], evaluator.context.exponent)


def _ratio(evaluator: Evaluator, form: Ratio, start: datetime, end: datetime) -> Number:
    return share(evaluator.number(form.numerator, start, end), evaluator.number(form.denominator, start, end))


def _formula(evaluator: Evaluator, form: Formula, start: datetime, end: datetime) -> Number:
    parsed = formula.parse(form.text)
    return formula.evaluate(parsed, {name: evaluator.number(name, start, end) for name in parsed.names})


def _trailing(evaluator: Evaluator, form: Trailing, start: datetime, end: datetime) -> Number:
    window = windows_before(evaluator.context.calendar, end, form.days)
    if measures[form.measure].aggregate == "distinct":
        return Decimal(evaluator.shelf.strip(form.measure).size(micros((window.start, window.end))))
    state = evaluator.state(form.measure, window.start, window.end)
    return read(state, Value(form.measure), measures[form.measure], evaluator.context.exponent)


def _daily_mean(evaluator: Evaluator, form: DailyMean, start: datetime, end: datetime) -> Number:
    days = evaluator.days(start, end)
    evaluator.prime(evaluator.catalogue[form.denominator], [day_end for _, day_end in days])
    ratios = [_ratio(evaluator, Ratio(form.numerator, form.denominator), *day) for day in days]
    known = [ratio for ratio in ratios if ratio is not None]
    return sum(known, start=Decimal(0)) / len(known) if known else None


def _share(evaluator: Evaluator, form: Share, start: datetime, end: datetime) -> Number:
    shelf = evaluator.shelf
    strip = shelf.everyone(form.among) if form.of_everyone else shelf.strip(form.among)
    among = members(strip.merged(micros((start, end))))
    both = evaluator.people(form.who, start, end).intersection_cardinality(among)
    return share(Decimal(both), Decimal(len(among)))


def _newcomers(evaluator: Evaluator, form: Newcomers, start: datetime, end: datetime) -> Number:
    now = evaluator.people(form.measure, start, end)
    known = now.intersection_cardinality(evaluator.people_before(form.measure, start))
    return Decimal(known if form.is_returning else len(now) - known)


def _kept(evaluator: Evaluator, form: Kept, start: datetime, end: datetime) -> Number:
    earlier = evaluator.before(start, end)
    if earlier is None:
        return None
    # Nobody could see a daily visitor come again (S35).
    before = evaluator.people(form.measure, earlier.start, earlier.end) - evaluator.context.daily
    still = before.intersection_cardinality(evaluator.people(form.measure, start, end))
    return share(Decimal(still), Decimal(len(before)))


def _growth(evaluator: Evaluator, form: Growth, start: datetime, end: datetime) -> Number:
    earlier = evaluator.before(start, end)
    if earlier is None:
        return None
    now, before = evaluator.number(form.metric, start, end), evaluator.number(form.metric, earlier.start, earlier.end)
    return (now - before) / abs(before) if now is not None and before else None


def _per_minute(evaluator: Evaluator, form: PerMinute, start: datetime, end: datetime) -> Number:
    known = evaluator.context
    first, last = max(start, known.first_day or start), min(end, known.known_until)
    minutes = Decimal(to_micros(last) - to_micros(first)) / 60_000_000
    return share(evaluator.number(form.metric, start, end), minutes)


def _recurring(evaluator: Evaluator, form: Recurring, start: datetime, end: datetime) -> Number:
    return Decimal(getattr(evaluator.movement(form.measure, start, end), form.part))


def _retained(evaluator: Evaluator, form: Retained, start: datetime, end: datetime) -> Number:
    """Day by day: who came for the first time, and who of them was there `days` days later, if that day is over."""
    # Nobody could see a daily visitor come again (S35): they are as if they had been there before.
    seen = evaluator.people_before(form.measure, start) | evaluator.context.daily
    new, back = 0, 0
    for left, right in evaluator.days(start, end):
        came = evaluator.people(form.measure, left, right)
        later = days_after(evaluator.context.calendar, right, form.days)
        day = (days_after(evaluator.context.calendar, right, form.days - 1), later)
        if later <= evaluator.context.known_until:
            cohort = came - seen
            new += len(cohort)
            back += cohort.intersection_cardinality(members(evaluator.shelf.everyone(form.measure).merged(micros(day))))
        seen = seen | members(evaluator.shelf.everyone(form.measure).merged(micros((left, right))))
    return share(Decimal(back), Decimal(new))


_FORMS: Mapping[type, Callable[[Evaluator, Any, datetime, datetime], Number]] = {
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
    Recurring: _recurring,
    Retained: _retained,
}
