"""What of a metric can be drawn, and how it makes up the value of a period: one entry for each form.

A sum adds its days up. A ratio (or formula) adds the days of its parts up and then divides. A mean of days averages
them. A trailing window, and recurring revenue, are the level of the last day. What counts once in a period (people)
adds up by how it grew from day to day. A quantile is read off the sketches of its days. Growth against the period
before is drawn as what grows. Anything else says why it is not drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

import numpy as np

from kpis import formula
from kpis.base import (
    Additivity,
    DailyMean,
    Form,
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
from kpis.contracts import Number
from kpis.goals import climbs
from kpis.goals.chance import Floats
from kpis.goals.climbs import Begin
from kpis.goals.contracts import Method
from kpis.ranges import Reading
from kpis.series.evaluate import read

OfRange = Callable[[Reading, datetime, datetime], Number]

LEVELS = frozenset({"closing", "customers"})
"""Parts of recurring revenue that are what there is at the end of a day, not what happened in it."""

WHY: Mapping[type, str] = {
    Retained: "Whoever comes is judged days later, so at the end of the period its last cohorts are not known; the "
    "pace decides.",
    Kept: "It follows people out of the period before, whose return is not drawn; the pace decides.",
    Recurring: "Movements of recurring revenue are worked out customer by customer between two instants and do not "
    "follow from days; the pace decides. Its level can be drawn.",
    Growth: "What grows cannot be drawn itself; the pace decides.",
    PerMinute: "A rate per minute is not drawn; the pace decides.",
    Trailing: "A part of it is the level of a window of days, which does not add up; the pace decides.",
    DailyMean: "A part of it is a mean of days, which does not add up; the pace decides.",
    Value: "Neither its days nor their growth add up (an extreme, or a quantile within a formula); the pace decides.",
}


@dataclass(frozen=True, slots=True)
class Leaf:
    """One additive part: its number over a range, and how it climbs through a period where its days do not add up."""

    of_range: OfRange
    climb: Begin | None = None


@dataclass(frozen=True, slots=True)
class Spectrum:
    """The measure whose sketches are drawn, the quantile, and what its values are multiplied by to be shown."""

    measure: str
    q: float
    is_amount: bool


@dataclass(frozen=True, slots=True)
class Parts:
    """The method, the parts that are drawn, and how their sums make the value ((…, parts) → (…)).

    `is_quick` unless a formula has to be worked out for each path: then only the end of a path is. `why` says why
    nothing is drawn. `grows` is the metric that is drawn in place of its growth.
    """

    method: Method
    leaves: tuple[Leaf, ...] = ()
    combine: Callable[[Floats], Floats] = lambda sums: sums[..., 0]
    is_quick: bool = True
    why: str = ""
    spectrum: Spectrum | None = None
    grows: str = ""


class _NotDrawn(Exception):
    """A part does not add up; the form is the reason."""

    def __init__(self, form: Form) -> None:
        super().__init__(WHY[type(form)])


def grows(metric: Metric) -> bool:
    """Whether the value starts at nothing and grows over a period: sums, and people of whom each counts once."""
    return metric.additivity is not Additivity.NONE or _is_sum(metric)


def parts_of_metric(metric: Metric, catalogue: Mapping[str, Metric]) -> Parts:
    """How the metric is drawn; method `none` with the reason when it cannot be."""
    form = metric.form
    if _is_sum(metric):
        return Parts("sum", (Leaf(_of_metric(metric.id)),))
    if isinstance(form, DailyMean):
        return Parts("daily_mean", (Leaf(_of_metric(metric.id)),))
    if isinstance(form, Trailing) or (isinstance(form, Recurring) and form.part in LEVELS):
        return Parts("level", (Leaf(_of_metric(metric.id)),))
    if isinstance(form, Value) and _is_quantile(form):
        assert form.q is not None
        return Parts("quantile", spectrum=Spectrum(form.measure, form.q, measures[form.measure].field == "amount_base"))
    if isinstance(form, Growth):
        return _of_growth(form, catalogue)
    leaves: dict[str, Leaf] = {}
    try:
        _collect(metric, catalogue, leaves)
    except _NotDrawn as reason:
        return Parts("none", why=str(reason))
    names = list(leaves)
    method: Method = "growth" if any(leaf.climb for leaf in leaves.values()) else "ratio"
    is_quick = not isinstance(form, Formula)
    return Parts(method, tuple(leaves.values()), lambda sums: _combined(metric, catalogue, names, sums), is_quick)


def _of_growth(form: Growth, catalogue: Mapping[str, Metric]) -> Parts:
    inner = parts_of_metric(catalogue[form.metric], catalogue)
    if inner.method not in ("sum", "growth", "ratio"):
        return Parts("none", why=WHY[Growth])
    return Parts(inner.method, inner.leaves, inner.combine, inner.is_quick, grows=form.metric)


def _is_sum(metric: Metric) -> bool:
    is_new = isinstance(metric.form, Newcomers) and not metric.form.is_returning
    return metric.additivity is Additivity.ADDITIVE or is_new


def _is_quantile(form: Value) -> bool:
    return measures[form.measure].aggregate == "quantiles" and form.statistic in ("", "quantile") and form.q is not None


def _is_mean(form: Value) -> bool:
    aggregate = measures[form.measure].aggregate
    return form.statistic == "mean" or (aggregate == "moments" and not form.statistic)


def _is_set(form: Value) -> bool:
    return measures[form.measure].aggregate in ("distinct", "repeat")


def _of_metric(name: str) -> OfRange:
    return lambda reading, start, end: reading.number(name, start, end)


def _of_measure(form: Value, statistic: str) -> OfRange:
    def of_range(reading: Reading, start: datetime, end: datetime) -> Number:
        state = reading.evaluator.state(form.measure, start, end)
        return read(state, Value(form.measure, statistic), measures[form.measure], reading.context.exponent)

    return of_range


def _of_climb(begin: Begin) -> OfRange:
    """A whole range is a climb of one step."""
    return lambda reading, start, end: _number(begin(reading, start)(start, end))


def _collect(metric: Metric, catalogue: Mapping[str, Metric], leaves: dict[str, Leaf]) -> None:
    """Put the additive parts into `leaves`. Raises _NotDrawn for one that does not add up."""
    form = metric.form
    if _is_sum(metric):
        leaves[metric.id] = Leaf(_of_metric(metric.id))
    elif isinstance(form, Value) and _is_mean(form):
        leaves[f"{metric.id} total"] = Leaf(_of_measure(form, "total"))
        leaves[f"{metric.id} count"] = Leaf(_of_measure(form, "count"))
    elif isinstance(form, Value) and _is_set(form):
        leaves[metric.id] = Leaf(_of_metric(metric.id), climbs.of_value(form))
    elif isinstance(form, Newcomers):
        leaves[metric.id] = Leaf(_of_metric(metric.id), climbs.of_returning(form.measure))
    elif isinstance(form, Share):
        for name, begin in (("both", climbs.of_both(form)), ("among", climbs.of_among(form))):
            leaves[f"{metric.id} {name}"] = Leaf(_of_climb(begin), begin)
    elif isinstance(form, Ratio):
        for name in (form.numerator, form.denominator):
            _collect(catalogue[name], catalogue, leaves)
    elif isinstance(form, Formula):
        for name in formula.parse(form.text).names:
            _collect(catalogue[name], catalogue, leaves)
    else:
        raise _NotDrawn(form)


def _combined(metric: Metric, catalogue: Mapping[str, Metric], names: list[str], sums: Floats) -> Floats:
    form = metric.form
    if metric.id in names:
        return sums[..., names.index(metric.id)]
    if isinstance(form, Value | Share):
        ends = ("total", "count") if isinstance(form, Value) else ("both", "among")
        over, under = (sums[..., names.index(f"{metric.id} {end}")] for end in ends)
        return _divided(over, under)
    if isinstance(form, Ratio):
        over, under = (
            _combined(catalogue[part], catalogue, names, sums) for part in (form.numerator, form.denominator)
        )
        return _divided(over, under)
    assert isinstance(form, Formula)
    parsed = formula.parse(form.text)
    columns = {name: _combined(catalogue[name], catalogue, names, sums) for name in parsed.names}
    return _evaluated(parsed, columns, sums.shape[:-1])


def _evaluated(parsed: formula.Parsed, columns: Mapping[str, Floats], shape: tuple[int, ...]) -> Floats:
    """Formulas are worked out one by one by their own evaluator: one meaning, wherever they stand."""
    flat = {name: column.reshape(-1) for name, column in columns.items()}
    found = np.full(int(np.prod(shape)), np.nan)
    for place in range(len(found)):
        values = {name: _number(column[place]) for name, column in flat.items()}
        value = formula.evaluate(parsed, values)
        found[place] = np.nan if value is None else float(value)
    return found.reshape(shape)


def _number(value: float) -> Number:
    return Decimal(repr(float(value))) if np.isfinite(value) else None


def _divided(over: Floats, under: Floats) -> Floats:
    found: Floats = np.divide(over, under, out=np.full(np.shape(over), np.nan), where=under != 0)
    return found
