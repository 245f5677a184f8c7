"""How a target spreads over its period: what share of it should lie behind after so many local days. Pure.

Days of the tenant's calendar count, not hours: a day of 23 or 25 hours is one day, and 29 February is a day like any
other. A day that is not over counts by the share of it that has passed.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date
from decimal import Decimal
from fractions import Fraction

from kpis.contracts import Number
from kpis.goals.chance import MIN_PERIODS
from kpis.goals.contracts import Shape

MIN_OF_WEEKDAY = 4
"""Of each weekday this many past days are needed before their mean is called a season."""
MONTHS_FROM_DAYS = 100
"""Periods longer than this have months too: December is not like February."""

Weight = Callable[[date], Fraction]


@dataclass(frozen=True, slots=True)
class Spread:
    """The weight of each day of a period, the shape that was used, and why it is not the one that was wanted."""

    days: tuple[date, ...]
    weights: tuple[Fraction, ...]
    shape: Shape
    note: str

    def share(self, elapsed: Fraction) -> Fraction:
        """What share of the target belongs to the first `elapsed` days (a fraction of a day counts in proportion)."""
        if self.shape is Shape.STEP:
            return Fraction(1)
        whole = min(int(elapsed), len(self.weights))
        part = self.weights[whole] * (elapsed - whole) if whole < len(self.weights) else Fraction(0)
        return (sum(self.weights[:whole], Fraction(0)) + part) / sum(self.weights, Fraction(0))


def spread_of(shape: Shape, days: Sequence[date], past: Mapping[date, Number]) -> Spread:
    """The spread of a period's days. `past` are whole days before the period with the metric's value of each.

    Seasonal: the weight of a day is the mean of past days of the same weekday and, in periods of more than
    MONTHS_FROM_DAYS days, of the same month where the past has all of those. Too short a past gives a linear spread
    that says so.
    """
    even = tuple(Fraction(1) for _ in days)
    if shape is not Shape.SEASONAL:
        return Spread(tuple(days), even, shape, "")
    weight, note = _seasons(days, past)
    if weight is None:
        return Spread(tuple(days), even, Shape.LINEAR, note)
    return Spread(tuple(days), tuple(weight(day) for day in days), Shape.SEASONAL, note)


def spread_of_growths(days: Sequence[date], growths: Sequence[Sequence[float]]) -> Spread:
    """The seasonal spread of what counts once in a period, such as people: the weight of a day is how many its place
    added in earlier periods of the same length, on average. Fewer than MIN_PERIODS give a linear spread that says so.
    """
    if len(growths) < MIN_PERIODS:
        note = (
            f"Only {len(growths)} earlier periods of the same length lie in the history, of {MIN_PERIODS} that are "
            "needed. Each day counts the same instead."
        )
        return replace(spread_of(Shape.LINEAR, days, {}), note=note)
    weights = tuple(sum((Fraction(row[place]) for row in growths), Fraction(0)) for place in range(len(days)))
    if not sum(weights):
        return replace(spread_of(Shape.LINEAR, days, {}), note="Nobody came in earlier periods: each day counts.")
    note = "Who comes twice counts once: the share of a day is what its place added in earlier periods, on average."
    return Spread(tuple(days), weights, Shape.SEASONAL, note)


def _seasons(days: Sequence[date], past: Mapping[date, Number]) -> tuple[Weight | None, str]:
    known = {day: Fraction(value) for day, value in past.items() if value is not None}
    by_weekday = {number: [value for day, value in known.items() if day.weekday() == number] for number in range(7)}
    least = min(len(values) for values in by_weekday.values())
    if least < MIN_OF_WEEKDAY:
        return None, (
            f"Only {len(known)} whole days of history lie before the period; a weekly season needs "
            f"{7 * MIN_OF_WEEKDAY}. Each day counts the same instead."
        )
    means = {number: sum(values, Fraction(0)) / len(values) for number, values in by_weekday.items()}
    if min(means.values()) < 0 or not sum(means[day.weekday()] for day in days):
        return None, "The history is zero or negative on some weekday, so no shares follow from it: each day counts."
    if len(days) <= MONTHS_FROM_DAYS:
        return (lambda day: means[day.weekday()]), ""
    return _with_months(days, known, means)


def _with_months(
    days: Sequence[date], known: Mapping[date, Fraction], means: Mapping[int, Fraction]
) -> tuple[Weight, str]:
    cells: dict[tuple[int, int], list[Fraction]] = {}
    for day, value in known.items():
        cells.setdefault((day.month, day.weekday()), []).append(value)
    wanted = {(day.month, day.weekday()) for day in days}
    if not wanted <= cells.keys():
        missing = sorted({month for month, _ in wanted - cells.keys()})
        return (lambda day: means[day.weekday()]), (
            f"No history of month {', '.join(map(str, missing))} yet: weekdays have their season, months have not."
        )
    by_cell = {cell: sum(values, Fraction(0)) / len(values) for cell, values in cells.items()}
    if min(by_cell[cell] for cell in wanted) < 0:
        return (lambda day: means[day.weekday()]), "Some month is negative in the history: months have no season."
    return (lambda day: by_cell[day.month, day.weekday()]), ""


def decimal_of(value: Fraction) -> Decimal:
    """A fraction as a Decimal of the usual precision."""
    return Decimal(value.numerator) / Decimal(value.denominator)
