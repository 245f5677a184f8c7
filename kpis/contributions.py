"""What moved a metric between two ranges: how much each value of a dimension contributed. Pure, exact to the last unit.

Sums: each value contributes its own difference.

Ratios R = ΣN/ΣD: value k has the weight w = D_k/D and the rate r = N_k/D_k. Its contribution is
    mix   (w₁ − w₀) × ((r₀ + r₁)/2 − (R₀ + R₁)/2)    that there is more or less of it, seen from the mean rate
    rate  (r₁ − r₀) × (w₀ + w₁)/2                     that it does better or worse
the two-component decomposition with midpoint weights of E. M. Kitagawa, "Components of a Difference Between Two Rates",
Journal of the American Statistical Association 50 (1955), pp. 1168-1194. The mean rate is taken off the mix because
weights always sum to one: it changes no sum, and a value that is as good as the mean then has no mix effect. The terms
add up to R₁ − R₀ exactly. A value that is there in one of the ranges only has its one rate in both.

People and other things that count once: each value's difference, what came, went and stayed, and what is left over
because one person may stand under several values: the overlap.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction

PLACES = 10
OVERLAP = "__overlap__"

Pair = tuple[Fraction, Fraction]
"""A numerator and a denominator."""
ZERO = Fraction(0)


@dataclass(frozen=True, slots=True)
class Term:
    """What one value contributed. `mix` and `rate` are of ratios, and add up to `contribution`."""

    key: str
    contribution: Fraction
    mix: Fraction | None = None
    rate: Fraction | None = None


def difference_terms(before: Mapping[str, Fraction], after: Mapping[str, Fraction]) -> list[Term]:
    """Each value's difference; one that is missing on a side is nothing there."""
    keys = dict.fromkeys((*after, *before))
    return [Term(key, after.get(key, ZERO) - before.get(key, ZERO)) for key in keys]


def ratio_terms(before: Mapping[str, Pair], after: Mapping[str, Pair]) -> list[Term]:
    """Mix and rate of each value. ZeroDivisionError when one of the ranges has no denominator at all."""
    keys = dict.fromkeys((*after, *before))
    over, under = _totals(before), _totals(after)
    mean = (over[0] / over[1] + under[0] / under[1]) / 2
    return [_ratio_term(key, before.get(key), after.get(key), over[1], under[1], mean) for key in keys]


def with_overlap(pairs: Mapping[str, Pair], total: Pair) -> dict[str, Pair]:
    """The values and one more for what they have too much: things that count once in the whole, and under several."""
    summed = _totals(pairs)
    left = (total[0] - summed[0], total[1] - summed[1])
    return {**pairs, OVERLAP: left} if any(left) else dict(pairs)


def _totals(pairs: Mapping[str, Pair]) -> Pair:
    return sum((pair[0] for pair in pairs.values()), ZERO), sum((pair[1] for pair in pairs.values()), ZERO)


def _ratio_term(
    key: str, before: Pair | None, after: Pair | None, whole_before: Fraction, whole_after: Fraction, mean: Fraction
) -> Term:
    weights = ((before or (ZERO, ZERO))[1] / whole_before, (after or (ZERO, ZERO))[1] / whole_after)
    rates = _rates(before, after)
    if rates is None:
        # Without a denominator on either side there is no rate: what is in the numerator stands for itself.
        found = (after or (ZERO, ZERO))[0] / whole_after - (before or (ZERO, ZERO))[0] / whole_before
        return Term(key, found, ZERO, found)
    stray = _stray(after, whole_after) - _stray(before, whole_before)
    mix = (weights[1] - weights[0]) * ((rates[0] + rates[1]) / 2 - mean)
    rate = (rates[1] - rates[0]) * (weights[0] + weights[1]) / 2 + stray
    return Term(key, mix + rate, mix, rate)


def _rates(before: Pair | None, after: Pair | None) -> tuple[Fraction, Fraction] | None:
    known = [pair[0] / pair[1] for pair in (before, after) if pair is not None and pair[1]]
    return (known[0], known[-1]) if known else None


def _stray(pair: Pair | None, whole: Fraction) -> Fraction:
    """A numerator without a denominator, which no rate can tell of."""
    return pair[0] / whole if pair is not None and not pair[1] else ZERO


def rounded(values: Sequence[Fraction], places: int = PLACES) -> list[Decimal]:
    """The values as decimals that add up to their rounded sum: what rounding leaves goes to those it cut most.

    (Largest remainder; ties go to the first. Sums of up to 28 digits in all, as decimals have them.)
    """
    scale = 10**places
    exact = [value * scale for value in values]
    floors = [value.numerator // value.denominator for value in exact]
    left = round(sum(exact, ZERO)) - sum(floors)
    by_cut = sorted(range(len(exact)), key=lambda place: (floors[place] - exact[place], place))
    for place in by_cut[:left]:
        floors[place] += 1
    return [Decimal(number).scaleb(-places) for number in floors]
