"""Intervals of shares. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt
from typing import Final

Z95: Final = 1.959963984540054
"""The 97.5 % quantile of the normal distribution: intervals hold the true share 95 times of 100."""


@dataclass(frozen=True, slots=True)
class Interval:
    """From `low` to `high`, both included."""

    low: float
    high: float


def wilson(hits: int, of: int, z: float = Z95) -> Interval | None:
    """Wilson's score interval of a share (Wilson 1927); None without trials."""
    if of <= 0:
        return None
    share, square = hits / of, z * z
    middle = (share + square / (2 * of)) / (1 + square / of)
    half = z / (1 + square / of) * sqrt(share * (1 - share) / of + square / (4 * of * of))
    return Interval(0.0 if hits == 0 else max(0.0, middle - half), 1.0 if hits == of else min(1.0, middle + half))


def newcombe(hits: int, of: int, hits_before: int, of_before: int, z: float = Z95) -> Interval | None:
    """The interval of the difference of two independent shares, now − before (Newcombe 1998, method 10)."""
    now, before = wilson(hits, of, z), wilson(hits_before, of_before, z)
    if now is None or before is None:
        return None
    p, q = hits / of, hits_before / of_before
    low = p - q - sqrt((p - now.low) ** 2 + (before.high - q) ** 2)
    high = p - q + sqrt((now.high - p) ** 2 + (q - before.low) ** 2)
    return Interval(low, high)
