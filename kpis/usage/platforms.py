"""How platforms go together: day by day, with a lag, and by the people they share. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, permutations
from typing import Final

import numpy as np

from kpis.usage.association import Correlation, Floats, pearson, spearman

LONGEST_LAG: Final = 7
FEWEST_DAYS: Final = 10
"""A lag that leaves fewer pairs of days is not looked at: among so few some always agree."""
PAIRINGS: Final = (("engagement", "engagement"), ("revenue", "revenue"), ("engagement", "revenue"))
"""Which daily series of one platform are set beside which of another."""


@dataclass(frozen=True, slots=True)
class Together:
    """Two daily series of two platforms: on the same day, and at the lag at which they go together most.

    At `lag` > 0 the first comes so many days before the second, at `lag` < 0 after it. `lagged` was the strongest of
    `looked_at` lags, and its interval is that much wider.
    """

    first: str
    second: str
    first_measure: str
    second_measure: str
    pearson: Correlation
    spearman: Correlation
    lag: int
    lagged: Correlation
    looked_at: int


def platforms_together(series: Mapping[str, Mapping[str, Floats]]) -> list[Together]:
    """By measure, then platform: values of the same days, NaN for a day that is not known or not over."""
    found: list[Together] = []
    for one, other in PAIRINGS:
        is_same = one == other
        names = sorted(series.get(one, {}).keys() & series.get(other, {}).keys())
        for first, second in combinations(names, 2) if is_same else permutations(names, 2):
            lags = range(-LONGEST_LAG if is_same else 0, LONGEST_LAG + 1)
            found.append(_pair(first, second, (one, other), series[one][first], series[other][second], lags))
    return found


def _pair(first: str, second: str, measures: tuple[str, str], x: Floats, y: Floats, lags: Sequence[int]) -> Together:
    now = _shifted(x, y, 0)
    looked = [(lag, pearson(*_shifted(x, y, lag), best_of=len(lags))) for lag in lags]
    known = [(lag, found) for lag, found in looked if found.value is not None and found.n >= FEWEST_DAYS]
    # The nearest of equals: a longer lag has to be better to be told.
    at_once = looked[lags.index(0)]
    lag, best = max(known, key=lambda each: (abs(each[1].value or 0), -abs(each[0])), default=at_once)
    return Together(first, second, *measures, pearson(*now), spearman(*now), lag, best, len(lags))


def _shifted(x: Floats, y: Floats, lag: int) -> tuple[Floats, Floats]:
    """`x` on a day beside `y` so many days later; days of which either is not known are left out."""
    if lag > 0:
        x, y = x[:-lag] if lag < len(x) else x[:0], y[lag:]
    elif lag < 0:
        x, y = x[-lag:], y[:lag] if -lag < len(y) else y[:0]
    known = ~(np.isnan(x) | np.isnan(y))
    return x[known], y[known]


def pairs_of(names: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Every two, in order."""
    return combinations(sorted(names), 2)
