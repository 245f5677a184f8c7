"""Intervals of shares, and of what two of them differ by. Pure."""

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

    @property
    def is_clear(self) -> bool:
        """Of a difference: nothing is not among what it may be."""
        return self.low > 0 or self.high < 0


def score(share: float, size: float, z: float = Z95) -> Interval:
    """Wilson's score interval (1927) of a share of `size` independent trials, which need not be a whole number."""
    square = z * z
    middle = (share + square / (2 * size)) / (1 + square / size)
    half = z / (1 + square / size) * sqrt(share * (1 - share) / size + square / (4 * size * size))
    return Interval(0.0 if share == 0 else max(0.0, middle - half), 1.0 if share == 1 else min(1.0, middle + half))


def wilson(hits: int, of: int, z: float = Z95) -> Interval | None:
    """Of a share that was counted; None without trials."""
    return score(hits / of, of, z) if of > 0 else None


def apart(now: float, of_now: Interval, before: float, of_before: Interval) -> Interval:
    """The interval of the difference now − before out of those of the two (Newcombe 1998, method 10; for any two
    estimates Zou and Donner, Statistics in Medicine 27, 2008, eq. 2)."""
    low = now - before - sqrt((now - of_now.low) ** 2 + (of_before.high - before) ** 2)
    high = now - before + sqrt((of_now.high - now) ** 2 + (before - of_before.low) ** 2)
    return Interval(low, high)


def newcombe(hits: int, of: int, hits_before: int, of_before: int, z: float = Z95) -> Interval | None:
    """Of the difference of two independent shares that were counted; None where one has no trials."""
    now, before = wilson(hits, of, z), wilson(hits_before, of_before, z)
    if now is None or before is None:
        return None
    return apart(hits / of, now, hits_before / of_before, before)
