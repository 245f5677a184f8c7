"""What of a metric can be drawn day by day, and how days make up a period: one entry for each way.

The period's value comes from its days in one of these ways. A sum adds days up. A ratio (or formula) adds the days of
its additive parts up and then divides. A mean of days averages them. A trailing window is the level of the last day.
Anything else (people of a whole period, quantiles, retention) does not follow from its days, so no path is drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

import numpy as np

from kpis import formula
from kpis.base import Additivity, DailyMean, Formula, Metric, Newcomers, Ratio, Trailing, Value, measures
from kpis.contracts import Number
from kpis.goals.chance import Floats
from kpis.goals.contracts import Method
from kpis.ranges import Reading
from kpis.series.evaluate import read

Leaf = Callable[[Reading, datetime, datetime], Number]

NOT_DRAWN = (
    "The value of the whole period does not follow from its days (the same people may come on several), so no paths "
    "are drawn; the pace decides."
)


@dataclass(frozen=True, slots=True)
class Parts:
    """The method, the additive parts that are drawn, and how their sums make the value ((…, parts) → (…)).

    `is_quick` unless a formula has to be worked out for each path: then only the end of a path is.
    """

    method: Method
    leaves: tuple[Leaf, ...] = ()
    combine: Callable[[Floats], Floats] = lambda sums: sums[..., 0]
    is_quick: bool = True


def grows(metric: Metric) -> bool:
    """Whether the value starts at nothing and grows over a period: sums, and people of whom each counts once."""
    return metric.additivity is not Additivity.NONE or _is_sum(metric)


def parts_of_metric(metric: Metric, catalogue: Mapping[str, Metric]) -> Parts:
    """How the metric is drawn; method `none` when it cannot be."""
    if _is_sum(metric):
        return Parts("sum", (_of_metric(metric.id),))
    if isinstance(metric.form, DailyMean):
        return Parts("daily_mean", (_of_metric(metric.id),))
    if isinstance(metric.form, Trailing):
        return Parts("level", (_of_metric(metric.id),))
    leaves: dict[str, Leaf] = {}
    if metric.additivity is Additivity.NONE and _collect(metric, catalogue, leaves):
        names = list(leaves)
        is_quick = not isinstance(metric.form, Formula)
        return Parts("ratio", tuple(leaves.values()), lambda sums: _combined(metric, catalogue, names, sums), is_quick)
    return Parts("none")


def _is_sum(metric: Metric) -> bool:
    is_new = isinstance(metric.form, Newcomers) and not metric.form.is_returning
    return metric.additivity is Additivity.ADDITIVE or is_new


def _of_metric(name: str) -> Leaf:
    return lambda reading, start, end: reading.number(name, start, end)


def _of_measure(form: Value, statistic: str) -> Leaf:
    def leaf(reading: Reading, start: datetime, end: datetime) -> Number:
        state = reading.evaluator.state(form.measure, start, end)
        return read(state, Value(form.measure, statistic), measures[form.measure], reading.context.exponent)

    return leaf


def _collect(metric: Metric, catalogue: Mapping[str, Metric], leaves: dict[str, Leaf]) -> bool:
    """Put the additive parts into `leaves`; False when one of them is no sum of days."""
    form = metric.form
    if _is_sum(metric):
        leaves[metric.id] = _of_metric(metric.id)
        return True
    if isinstance(form, Value) and _is_mean(form):
        leaves[f"{metric.id} total"] = _of_measure(form, "total")
        leaves[f"{metric.id} count"] = _of_measure(form, "count")
        return True
    if isinstance(form, Ratio):
        return all(_collect(catalogue[name], catalogue, leaves) for name in (form.numerator, form.denominator))
    if isinstance(form, Formula):
        return all(_collect(catalogue[name], catalogue, leaves) for name in formula.parse(form.text).names)
    return False


def _is_mean(form: Value) -> bool:
    aggregate = measures[form.measure].aggregate
    return form.statistic == "mean" or (aggregate == "moments" and not form.statistic)


def _combined(metric: Metric, catalogue: Mapping[str, Metric], names: list[str], sums: Floats) -> Floats:
    form = metric.form
    if metric.id in names:
        return sums[..., names.index(metric.id)]
    if isinstance(form, Value):
        return _divided(sums[..., names.index(f"{metric.id} total")], sums[..., names.index(f"{metric.id} count")])
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
