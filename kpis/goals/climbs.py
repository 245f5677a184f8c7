"""Numbers that climb: fed the days of a period one after another, each says what the period has come to so far.

What counts once in a period (people, and whatever is made of sets of them) does not follow from its days one by one,
but from their states one after another.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from pyroaring import BitMap, FrozenBitMap

from analytics.aggregates import AGGREGATES, AnyState, Distinct
from kpis.base import Share, Value, measures
from kpis.ranges import Reading
from kpis.series.context import micros
from kpis.series.evaluate import read
from kpis.series.strips import members

Climb = Callable[[datetime, datetime], float]
"""Takes the next day and gives the number so far; nan where there is none."""
Begin = Callable[[Reading, datetime], Climb]
"""Begins a climb at an instant."""


def of_value(form: Value) -> Begin:
    """A statistic of the union of states."""
    measure = measures[form.measure]

    def begin(reading: Reading, start: datetime) -> Climb:
        state: AnyState = AGGREGATES[measure.aggregate]()

        def climb(start: datetime, end: datetime) -> float:
            nonlocal state
            state = state + reading.evaluator.state(form.measure, start, end)  # type: ignore[operator]  # of one kind
            found = read(state, form, measure, reading.context.exponent)
            return float("nan") if found is None else float(found)

        return climb

    return begin if measure.aggregate != "distinct" else _of_people(form.measure, begin)


def _of_people(measure: str, otherwise: Begin) -> Begin:
    """The same in place, for sets of people: a set of a million is not copied each day."""

    def begin(reading: Reading, start: datetime) -> Climb:
        seen, names = BitMap(), 0.0
        names_climb = otherwise(reading, start)

        def climb(start: datetime, end: datetime) -> float:
            nonlocal seen, names
            state = reading.evaluator.state(measure, start, end)
            if isinstance(state, Distinct):  # an empty day of names is one too
                seen |= state.ids
            else:
                names = names_climb(start, end)
            return len(seen) + names

        return climb

    return begin


def among_of(reading: Reading, form: Share, start: datetime, end: datetime) -> FrozenBitMap:
    """The denominator of a share over a range, as the evaluator takes it."""
    shelf = reading.evaluator.shelf
    strip = shelf.everyone(form.among) if form.of_everyone else shelf.strip(form.among)
    return members(strip.merged(micros((start, end))))


def of_both(form: Share) -> Begin:
    """Who is in both sets of a share."""

    def begin(reading: Reading, start: datetime) -> Climb:
        who, among = BitMap(), BitMap()

        def climb(start: datetime, end: datetime) -> float:
            nonlocal who, among
            who |= reading.evaluator.people(form.who, start, end)
            among |= among_of(reading, form, start, end)
            return float(who.intersection_cardinality(among))

        return climb

    return begin


def of_among(form: Share) -> Begin:
    """Everyone in the denominator of a share."""

    def begin(reading: Reading, start: datetime) -> Climb:
        among = BitMap()

        def climb(start: datetime, end: datetime) -> float:
            nonlocal among
            among |= among_of(reading, form, start, end)
            return float(len(among))

        return climb

    return begin


def of_returning(measure: str) -> Begin:
    """Who had been there before the period, and came in it."""

    def begin(reading: Reading, start: datetime) -> Climb:
        known = reading.evaluator.people_before(measure, start)
        seen = BitMap()

        def climb(start: datetime, end: datetime) -> float:
            nonlocal seen
            seen |= reading.evaluator.people(measure, start, end)
            return float(seen.intersection_cardinality(known))

        return climb

    return begin
