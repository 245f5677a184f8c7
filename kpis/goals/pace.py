"""What was expected by now, and how the actual value compares with it. Pure; exact fractions inside."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Literal

from kpis.contracts import Number
from kpis.goals.shapes import Spread, decimal_of


@dataclass(frozen=True, slots=True)
class Aim:
    """What is aimed at. `is_sum`: the value starts at nothing and grows to the target within the period; else it is a
    level (a rate, a mean, people of the last 30 days), which moves from the baseline to the target.
    """

    target: Decimal
    baseline: Number
    better: Literal["up", "down"]
    is_sum: bool


def expected_after(aim: Aim, spread: Spread, elapsed: Fraction) -> Decimal:
    """What should have been reached after so many days: the target's share for a sum, the way from baseline for a
    level. A level without a baseline is expected at its target all the time.
    """
    share = spread.share(elapsed)
    if aim.is_sum:
        return decimal_of(Fraction(aim.target) * share)
    if aim.baseline is None:
        return aim.target
    return decimal_of(Fraction(aim.baseline) + Fraction(aim.target - aim.baseline) * share)


def pace_of(aim: Aim, value: Number, expected: Number) -> Number:
    """How the value compares with what was expected: 1 is as planned, more is better, also where less is better.

    Null where there is nothing to divide by.
    """
    if value is None or expected is None:
        return None
    if not aim.is_sum and aim.baseline is not None and expected != aim.baseline:
        return (value - aim.baseline) / (expected - aim.baseline)
    over, under = (value, expected) if aim.better == "up" else (expected, value)
    return over / under if under else None


def progress_of(aim: Aim, value: Number, pace: Number) -> Number:
    """The share of the way: 0 at the start, 1 at the target, not clipped.

    A sum that should stay below its target is no way to go: there it is the pace, at most 1 (within what was allowed
    by now).
    """
    if value is None:
        return None
    if aim.is_sum and aim.better == "down":
        return min(pace, Decimal(1)) if pace is not None else Decimal(1)
    if not aim.is_sum and aim.baseline is not None and aim.target != aim.baseline:
        return (value - aim.baseline) / (aim.target - aim.baseline)
    over, under = (value, aim.target) if aim.better == "up" else (aim.target, value)
    return over / under if under else None
