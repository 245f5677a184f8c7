"""Sharing whole minor units by weights, to the last one (largest remainder). Pure."""

from __future__ import annotations

from typing import Final

import numpy as np

from kpis.attribution.paths import Floats, Ints

_FRACTION: Final = 28
_PLACE: Final = 14
# Whole shares that arithmetic on floats puts a hair above the truth must not round up past it.
_SHY: Final = 1 - 2**-45


def split(amounts: Ints, weights: Floats, starts: Ints, counts: Ints) -> Ints:
    """`amounts[i]` (≥ 0) shared among the weights [starts[i], starts[i] + counts[i]), which sum to 1.

    Each gets the whole part of its share; the units left go one each to the largest fractions (compared to 2⁻²⁸;
    ties to the earlier). The parts sum to the amount exactly.
    """
    run = np.repeat(np.arange(len(amounts)), counts)
    exact = amounts[run] * weights * _SHY
    whole = np.floor(exact).astype(np.int64)
    left = amounts - _summed(whole, starts, counts)
    each, left = np.divmod(left, np.maximum(counts, 1))
    whole += each[run]
    if (uneven := np.flatnonzero(left > 0)).size:
        whole += _units(exact - np.floor(exact), run, left, starts, counts, uneven)
    return whole


def _units(fraction: Floats, run: Ints, left: Ints, starts: Ints, counts: Ints, uneven: Ints) -> Ints:
    """One for each weight that gets one of the units left."""
    given = np.zeros(len(fraction), dtype=np.int64)
    mine = np.flatnonzero(left[run] > 0)
    place = mine - starts[run[mine]]
    number = np.cumsum(left > 0) - 1
    ranked = (number[run[mine]].astype(np.uint64) << np.uint64(_FRACTION + _PLACE)) | (
        _descending(fraction[mine]) << np.uint64(_PLACE)
    )
    ranked |= np.minimum(place, (1 << _PLACE) - 1).astype(np.uint64)
    order = np.argsort(ranked)
    rank = np.arange(len(mine)) - np.repeat(np.cumsum(counts[uneven]) - counts[uneven], counts[uneven])
    given[mine[order]] = rank < np.repeat(left[uneven], counts[uneven])
    return given


def _descending(fraction: Floats) -> np.ndarray[tuple[int], np.dtype[np.uint64]]:
    top = (1 << _FRACTION) - 1
    return (top - np.minimum(np.round(fraction * (1 << _FRACTION)), top)).astype(np.uint64)


def _summed(values: Ints, starts: Ints, counts: Ints) -> Ints:
    """Sums of runs that follow each other without a gap; empty runs are 0."""
    total = np.concatenate([[0], np.cumsum(values)])
    sums: Ints = total[starts + counts] - total[starts]
    return sums


def apportion(amount: int, weights: Floats) -> Ints:
    """One amount (of either sign) by weights that need not sum to 1; all zero weights share alike."""
    total = float(weights.sum())
    fair = weights / total if total > 0 else np.full(len(weights), 1 / max(1, len(weights)))
    found = split(np.array([abs(amount)]), fair, np.array([0]), np.array([len(weights)]))
    return found if amount >= 0 else -found
