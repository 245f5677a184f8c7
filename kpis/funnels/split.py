"""Which step a change of the conversion comes from: an exact split of the difference of two products. Pure.

The share that converts is the product of what each step lets through. The difference of two such products is split
with Shapley's value: each factor is changed from before to now in every order, and gets the mean of what its turn
changes (Shapley, A value for n-person games, 1953; for decompositions Shorrocks, J. Econ. Inequality 11, 2013, eq. 9).
The parts add up to the whole with nothing left over, no step is favoured by coming first, and a share of nothing is no
trouble, as it is for the logarithmic mean (LMDI: Ang, Energy Policy 33, 2005).
"""

from __future__ import annotations

from collections.abc import Sequence
from math import comb

import numpy as np

from kpis.explore.intervals import newcombe
from kpis.funnels.answer import FunnelStep, Split, StepPart
from kpis.funnels.question import Funnel


def split_of(funnel: Funnel, now: Sequence[FunnelStep], before: Sequence[FunnelStep]) -> Split | None:
    """None when one of the ranges has nobody whose window is over."""
    entered, entered_before = now[0].settled_entered, before[0].settled_entered
    if not entered or not entered_before:
        return None
    required = funnel.required
    counts = [(now[index].settled_reached, before[index].settled_reached) for index in required]
    pairs = [_rates(*left, *right) for left, right in zip(counts[1:], counts, strict=False)]
    new, old = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
    points = shapley(new, old)
    numbers = shapley([entered, *new], [entered_before, *old])
    steps = []
    for place, index in enumerate(required[1:]):
        (hits, hits_before), (of, of_before) = counts[place + 1], counts[place]
        interval = newcombe(hits, of, hits_before, of_before)
        steps.append(
            StepPart(
                index=index,
                label=now[index].label,
                rate=hits / of if of else None,
                rate_before=hits_before / of_before if of_before else None,
                interval=interval,
                is_clear=interval is not None and interval.is_clear,
                points=points[place],
                conversions=numbers[place + 1],
            )
        )
    total, total_before = counts[-1]
    return Split(total / entered - total_before / entered_before, total - total_before, numbers[0], tuple(steps))


def _rates(hits: int, hits_before: int, of: int, of_before: int) -> tuple[float, float]:
    """What a step lets through, now and before. Where nobody got to it, it is taken to be as in the other range: a
    step before it lets nobody through then, so the product is the same, and what nobody tried has changed nothing."""
    rate = hits / of if of else None
    rate_before = hits_before / of_before if of_before else None
    if rate is None and rate_before is None:
        return 1.0, 1.0
    if rate is None or rate_before is None:
        known = rate if rate is not None else rate_before
        assert known is not None
        return known, known
    return rate, rate_before


def shapley(now: Sequence[float], before: Sequence[float]) -> list[float]:
    """The part of each factor in the difference of the products, now − before.

    Of all the orders, s of the other n − 1 factors have changed already in a share of 1 / (n · C(n − 1, s)); the sum of
    the products over all sets of s of them is the coefficient of x^s in ∏ (before + now · x).
    """
    count = len(now)
    weights = np.array([1 / (count * comb(count - 1, changed)) for changed in range(count)])
    parts = []
    for mine in range(count):
        sums = np.array([1.0])
        for other in range(count):
            if other != mine:
                sums = np.convolve(sums, [before[other], now[other]])
        parts.append(float((now[mine] - before[mine]) * (weights @ sums)))
    return parts
