"""Metrics of a day worked out from counts and sums alone: what the ledger goes back with. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from decimal import Decimal

from kpis import formula
from kpis.base import Formula, Metric, Ratio, Value, measures
from kpis.contracts import Number
from kpis.series.evaluate import share

State = tuple[int, Decimal]
"""How many, and their sum."""
States = Mapping[str, State]


class Irreducible(Exception):
    """The metric's value does not follow from counts and sums of a day."""


def value_of(metric: Metric, catalogue: Mapping[str, Metric], states: States, exponent: int) -> Number:
    """The metric of a day whose measures have these counts and sums. Raises Irreducible for other forms."""
    form = metric.form
    if isinstance(form, Value):
        return _read(form, states, exponent)
    if isinstance(form, Ratio):
        over, under = (
            value_of(catalogue[name], catalogue, states, exponent) for name in (form.numerator, form.denominator)
        )
        return share(over, under)
    if isinstance(form, Formula):
        parsed = formula.parse(form.text)
        return formula.evaluate(
            parsed, {name: value_of(catalogue[name], catalogue, states, exponent) for name in parsed.names}
        )
    raise Irreducible


def _read(form: Value, states: States, exponent: int) -> Number:
    measure = measures[form.measure]
    n, total = states.get(form.measure, (0, Decimal(0)))
    found = _STATISTICS.get((measure.aggregate, form.statistic))
    if found is None:
        raise Irreducible
    value, is_sum = found(n, total), (measure.aggregate, form.statistic) not in _COUNTS
    is_amount = measure.field == "amount_base" and is_sum
    return value.scaleb(-exponent) if value is not None and is_amount else value


def _mean(n: int, total: Decimal) -> Number:
    return total / n if n else None


_STATISTICS: Mapping[tuple[str, str], Callable[[int, Decimal], Number]] = {
    ("count", ""): lambda n, total: Decimal(n),
    ("count", "count"): lambda n, total: Decimal(n),
    ("distinct", ""): lambda n, total: Decimal(n),
    ("distinct", "count"): lambda n, total: Decimal(n),
    ("repeat", ""): lambda n, total: Decimal(n),
    ("repeat", "once"): lambda n, total: Decimal(n),
    ("repeat", "count"): lambda n, total: Decimal(n),
    ("total", ""): lambda n, total: total,
    ("total", "total"): lambda n, total: total,
    ("total", "count"): lambda n, total: Decimal(n),
    ("total", "mean"): _mean,
    ("moments", ""): _mean,
    ("moments", "mean"): _mean,
    ("moments", "total"): lambda n, total: total,
    ("moments", "count"): lambda n, total: Decimal(n),
}
_COUNTS = frozenset(key for key in _STATISTICS if key[1] in ("count", "once") or key[0] in ("count", "distinct"))
