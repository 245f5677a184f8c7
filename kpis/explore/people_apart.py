"""How far other people of the same kind would have moved a share or a sum: intervals of what people did. Pure.

What one person does several times is no series of independent trials, and credit for a sale is split; so neither is a
count that Wilson's interval knows. People are taken as independent. They are put into at most `GROUPS` groups, the
estimate is made once without each, and its variance is (G − 1) / G · Σ (θ₍g₎ − θ)² (the delete-a-group jackknife: Kott,
J. of Official Statistics 17, 2001, p. 521; Wolter, Introduction to Variance Estimation, 2nd ed. 2007, ch. 4).

A share then gets Wilson's interval for as many independent trials as have that variance (Korn and Graubard, Survey
Methodology 24, 1998, p. 193), so that it stays between 0 and 1 and a share of 0 has an interval too. Where everybody
did one thing once, that is the number of people, and the difference of two shares has exactly Newcombe's interval.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite, sqrt
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from kpis.explore.intervals import Z95, Interval, apart, score

Ints: TypeAlias = npt.NDArray[np.int64]
Floats: TypeAlias = npt.NDArray[np.float64]

GROUPS: Final = 2_000
"""With as many groups the width of an interval is known to 2 %; fewer people are a group each."""
FEWEST: Final = 30
"""With fewer people a variance is known too badly for an interval narrower than that of so many whole trials."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """By key: the value, and its variance with other people (not a number where it cannot be told)."""

    value: Floats
    variance: Floats


def groups_of(person: Ints, everybody: Ints, most: int = GROUPS) -> tuple[Ints, int]:
    """The group of each row's person, and how many groups there are. `everybody`: ascending, each once.

    Rows of people who are not among them get some group.
    """
    place, count = np.searchsorted(everybody, person), max(1, min(len(everybody), most))
    return (_mixed(place) if len(everybody) > most else place) % count, count


def _mixed(place: Ints) -> Ints:
    """Numbers without the order of the places (the end of SplitMix64): every third person is often like the others."""
    bits = place.astype(np.uint64)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        bits = (bits ^ (bits >> np.uint64(shift))) * np.uint64(factor)
    return (bits >> np.uint64(33)).astype(np.int64)


def jackknife(value: Floats, without: Floats) -> Estimate:
    """`without`: the value by group left out (rows) and key."""
    groups = len(without)
    if groups < 2:
        return Estimate(value, np.full(len(value), np.nan))
    with np.errstate(invalid="ignore"):
        return Estimate(value, (groups - 1) / groups * ((without - value) ** 2).sum(axis=0))


def shares(parts: Floats, wholes: Floats) -> Estimate:
    """Of `parts` (by group and key) in `wholes` (by group), all groups together."""
    part, whole = parts.sum(axis=0), wholes.sum()
    with np.errstate(divide="ignore", invalid="ignore"):
        return jackknife(part / whole, (part - parts) / (whole - wholes)[:, None])


def sums(value: Floats, without: Floats, people: int) -> Estimate:
    """Of sums over so many people, and the same by group left out. How many people come is chance too, as in a Poisson
    stream: the variance is the sum of squares of what each did, which is that of their differences from the mean, and
    value² / people.
    """
    groups = max(len(without), 2)
    found = jackknife(value, without * groups / (groups - 1))
    return Estimate(value, found.variance * (groups - 1) / groups + value**2 / max(people, 1))


def share_interval(share: float, variance: float, people: int) -> Interval | None:
    """None where nobody could have done otherwise."""
    if people < 1 or not isfinite(variance) or not isfinite(share):
        return None
    share = min(max(share, 0.0), 1.0)
    return score(share, _trials(share, variance, people))


def _trials(share: float, variance: float, people: int) -> float:
    """As many independent trials as vary so much: p (1 − p) / (n − 1) is what n of them are found to."""
    if variance <= 0 or not 0 < share < 1:
        return people
    trials = share * (1 - share) / variance + 1
    return trials if people >= FEWEST else min(trials, people)


@dataclass(frozen=True, slots=True)
class Side:
    """One value of one of two periods."""

    value: float
    variance: float
    people: int


def shares_apart(now: Side, before: Side) -> Interval | None:
    """The interval of now − before, of shares."""
    mine = share_interval(now.value, now.variance, now.people)
    other = share_interval(before.value, before.variance, before.people)
    return None if mine is None or other is None else apart(now.value, mine, before.value, other)


def sums_apart(now: Side, before: Side) -> Interval | None:
    """The interval of now − before, of sums; people of the two periods count as independent."""
    spread = now.variance + before.variance
    if not isfinite(spread) or spread <= 0:
        return None
    half = Z95 * sqrt(spread)
    return Interval(now.value - before.value - half, now.value - before.value + half)
