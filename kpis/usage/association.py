"""How two things go together: coefficients with their 95 % intervals. Pure.

Association, never cause; the words of every answer say so.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import atanh, sqrt, tanh
from statistics import NormalDist
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.float64]

LEVEL: Final = 0.95
FEW: Final = 30
"""Under so many pairs, or so small a group, an interval by a normal approximation is not to be leaned on."""
FEW_OF_GROUP: Final = 5
LOW_DATA: Final = "low data: {n} {what}"
NO_CHANGE: Final = "one of the two never varies, so that nothing can go along with it"
PERFECT: Final = "a perfect fit has no interval"


@dataclass(frozen=True, slots=True)
class Correlation:
    """From −1 to 1 over `n` pairs, the true value inside [low, high] 95 times of 100; null with `note` saying why."""

    value: float | None
    n: int
    low: float | None = None
    high: float | None = None
    note: str = ""


def pearson(x: Floats, y: Floats, *, best_of: int = 1) -> Correlation:
    """Pearson's r. With `best_of` it was the strongest of so many, and the interval is wider by Bonferroni's rule."""
    n = len(x)
    dx, dy = x - x.mean() if n else x, y - y.mean() if n else y
    return _told(_ratio(float(dx @ dy), float(dx @ dx), float(dy @ dy)), n, best_of=best_of)


def spearman(x: Floats, y: Floats, *, best_of: int = 1) -> Correlation:
    """Spearman's rho: Pearson's r of the ranks, equal values sharing their mean rank. Interval: Bonett, Wright 2000."""
    ranked = pearson(ranks(x), ranks(y))
    return _told(ranked.value, len(x), best_of=best_of, is_ranked=True)


def of_group(*, n: int, members: int, total: int, squares: int, members_total: int) -> Correlation:
    """Pearson's r of belonging to a group (1 or 0) with an amount: the point-biserial coefficient.

    `total` and `squares` are sums of the amount and of its square over all `n`, `members_total` the sum over the group.
    With amounts of 1 and 0 it is the phi coefficient of a table of four. Exact until its one division.
    """
    above = n * members_total - members * total
    value = _ratio(float(above), float(members * (n - members)), float(n * squares - total * total))
    fewest = min(members, n - members)
    return _told(value, n, group=fewest if n else None)


def ranks(values: Floats) -> Floats:
    """Ranks from 1; equal values share the mean of theirs."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    mean: Floats = (last - (counts - 1) / 2).astype(np.float64)
    return mean[place]


def fisher(value: float, n: int, *, best_of: int = 1, is_ranked: bool = False) -> tuple[float, float] | None:
    """The interval of a coefficient by Fisher's z; None for fewer than four pairs or a perfect fit."""
    if n <= 3 or abs(value) >= 1:
        return None
    spread = sqrt((1 + value * value / 2 if is_ranked else 1.0) / (n - 3))
    half = NormalDist().inv_cdf(1 - (1 - LEVEL) / (2 * best_of)) * spread
    return tanh(atanh(value) - half), tanh(atanh(value) + half)


def _ratio(shared: float, first: float, second: float) -> float | None:
    if first <= 0 or second <= 0:
        return None
    found = shared / (sqrt(first) * sqrt(second))
    return 1.0 if found > 1 - 1e-12 else -1.0 if found < -1 + 1e-12 else found


def _told(
    value: float | None, n: int, *, best_of: int = 1, is_ranked: bool = False, group: int | None = None
) -> Correlation:
    if value is None:
        return Correlation(None, n, note=NO_CHANGE)
    interval = fisher(value, n, best_of=best_of, is_ranked=is_ranked)
    note = ""
    if n < FEW:
        note = LOW_DATA.format(n=n, what="pairs" if group is None else "people")
    elif group is not None and group < FEW_OF_GROUP:
        note = LOW_DATA.format(n=group, what="people in the smaller group")
    elif interval is None:
        note = PERFECT
    low, high = interval or (None, None)
    return Correlation(value, n, low, high, note)
