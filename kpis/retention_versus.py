"""Is this cohort better than that one? Two shares of different people, period by period. Pure.

Of each period that is over for both: the difference with Newcombe's interval (1998, method 10), and the chance of a
difference at least as large if both were alike: the two-proportion z test with the pooled share (equal to Pearson's
χ², 1900), or, where a cell expects fewer than five people (Cochran, Biometrics 10, 1954), Fisher's exact test, by the
sum of all tables that are no likelier. Of many periods some differ by chance, so what is clear is decided by Holm's
step-down rule (Scand. J. Statist. 6, 1979).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import erfc, exp, lgamma, sqrt
from typing import Final

from kpis.explore.intervals import Interval, newcombe

LEVEL: Final = 0.05
LEAST_EXPECTED: Final = 5
NEARLY: Final = 1 + 1e-9
"""Tables that are as likely but for rounding."""


@dataclass(frozen=True, slots=True)
class PeriodTest:
    """`share` of the one cohort against `share_other`. `p` is null where neither can differ (all came, or none did);
    `p_holm` is p after Holm's rule over the periods that can. `test`: "z" or "exact"."""

    period: int
    share: float
    share_other: float
    difference: float
    interval: Interval | None
    p: float | None
    p_holm: float | None
    test: str
    is_clear: bool


@dataclass(frozen=True, slots=True)
class Versus:
    """The cohorts by their place in the table, and their sizes."""

    cohort: int
    other: int
    size: int
    size_other: int
    periods: tuple[PeriodTest, ...]
    reading: str


Hits = tuple[int | None, int | None]


def versus_of(
    cohorts: tuple[int, int], sizes: tuple[int, int], returned: Sequence[Hits], names: Sequence[str]
) -> Versus:
    """`returned`: of both cohorts, by period; None while it is not over. `names` of the periods are for the reading."""
    over = [(period, hits, other) for period, (hits, other) in enumerate(returned) if None not in (hits, other)]
    raw = [_tested(period, hits or 0, sizes[0], other or 0, sizes[1]) for period, hits, other in over if all(sizes)]
    adjusted = holm([test[5] for test in raw])
    periods = tuple(
        PeriodTest(*test[:5], test[5], p_holm, test[6], p_holm is not None and p_holm < LEVEL)
        for test, p_holm in zip(raw, adjusted, strict=True)
    )
    return Versus(*cohorts, *sizes, periods, _reading(cohorts, periods, sizes, names))


_Raw = tuple[int, float, float, float, Interval | None, float | None, str]


def _tested(period: int, hits: int, of: int, hits_other: int, of_other: int) -> _Raw:
    share, other = hits / of, hits_other / of_other
    interval = newcombe(hits, of, hits_other, of_other)
    p, test = two_proportions(hits, of, hits_other, of_other)
    return period, share, other, share - other, interval, p, test


def two_proportions(hits: int, of: int, hits_other: int, of_other: int) -> tuple[float | None, str]:
    """The two-sided p value and by which test; None where the pooled share is 0 or 1."""
    came, people = hits + hits_other, of + of_other
    if came in (0, people):
        return None, "z"
    if min(came, people - came) * min(of, of_other) < LEAST_EXPECTED * people:
        return fisher(hits, of, hits_other, of_other), "exact"
    pooled = came / people
    z = (hits / of - hits_other / of_other) / sqrt(pooled * (1 - pooled) * (1 / of + 1 / of_other))
    return erfc(abs(z) / sqrt(2)), "z"


def fisher(hits: int, of: int, hits_other: int, of_other: int) -> float:
    """Two-sided, by the sum of all tables with these margins that are no likelier than this one."""
    came, people = hits + hits_other, of + of_other
    low, high = max(0, came - of_other), min(came, of)
    whole = _choices(people, came)
    chances = [exp(_choices(of, k) + _choices(of_other, came - k) - whole) for k in range(low, high + 1)]
    mine = chances[hits - low] * NEARLY
    return min(1.0, sum(chance for chance in chances if chance <= mine))


def _choices(of: int, k: int) -> float:
    """The logarithm of the binomial coefficient."""
    return lgamma(of + 1) - lgamma(k + 1) - lgamma(of - k + 1)


def holm(values: Sequence[float | None]) -> list[float | None]:
    """p values after Holm's step-down rule, in the order they came; None stays None and counts for nothing."""
    known = sorted((p, place) for place, p in enumerate(values) if p is not None)
    found: list[float | None] = [None] * len(values)
    least = 0.0
    for rank, (p, place) in enumerate(known):
        least = max(least, min(1.0, p * (len(known) - rank)))
        found[place] = least
    return found


def _reading(
    cohorts: tuple[int, int], periods: Sequence[PeriodTest], sizes: tuple[int, int], names: Sequence[str]
) -> str:
    one, other = (f"cohort {place + 1}" for place in cohorts)
    if not all(sizes):
        return f"Of {one} and {other} one is empty."
    if not any(test.p is not None for test in periods):
        return f"No period in which {one} and {other} could differ is over for both."
    clear = [test for test in periods if test.is_clear]
    if not clear:
        return f"Between {one} and {other} no period differs by more than chance would make it."
    parts = [
        f"{word} than {other} {', '.join(_told(test, names) for test in some)}"
        for word, some in (
            ("better", [test for test in clear if test.difference > 0]),
            ("worse", [test for test in clear if test.difference < 0]),
        )
        if some
    ]
    return f"C{one[1:]} is clearly {' and '.join(parts)}."


def _told(test: PeriodTest, names: Sequence[str]) -> str:
    return f"{names[test.period]} ({test.difference * 100:+.1f} percentage points)"
