"""How the share of converted grows with time, without bias for those who have not had theirs. Pure.

Kaplan and Meier, Nonparametric estimation from incomplete observations (J. Am. Stat. Assoc. 53, 1958), eq. 2b: the
share that has not converted by t is the product of 1 − d/n over the moments at which somebody converts, where d convert
of the n who have neither converted nor run out of observation before. Who entered an hour ago counts for one hour and
then for nothing, instead of as a loss.

The band is pointwise, 95 %: Greenwood's sum of d / (n (n − d)) (Reports on Public Health 33, 1926) on the scale of
log(−log S), so that it stays between 0 and 1 (Kalbfleisch and Prentice, The Statistical Analysis of Failure Time Data,
2nd ed. 2002, sec. 1.4).
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, log, sqrt
from typing import Final

import numpy as np
import numpy.typing as npt

from kpis.explore.intervals import Z95, Interval
from kpis.explore.stamp import micros_of
from kpis.funnels.attempts import Attempts, Ints
from kpis.funnels.question import Funnel

MOST_POINTS: Final = 120
MICROS: Final = 1_000_000
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class CurvePoint:
    """`share` have converted `seconds` after they entered. `at_risk` had not before, and were still watched;
    `converted` had by then. No interval where nobody has yet, or all have."""

    seconds: float
    share: float
    interval: Interval | None
    at_risk: int
    converted: int


@dataclass(frozen=True, slots=True)
class Curve:
    """Where it rises (at most 120 moments, evenly spaced when there are more; the shares are exact at each).

    `until_seconds`: how long anybody has been watched, at most the window; beyond it nothing is known. (Of visits: the
    longest time to convert.) `censored`: those who have not converted and still may. `share` and `interval` are of the
    end of the curve.
    """

    points: tuple[CurvePoint, ...]
    entered: int
    censored: int
    until_seconds: float
    share: float
    interval: Interval | None


@dataclass(frozen=True)
class Estimate:
    """By moment at which somebody converts: how many were at risk just before, how many converted at it, the share
    that has not converted after it, and Greenwood's sum."""

    moments: Ints
    at_risk: Ints
    events: Ints
    survival: Floats
    greenwood: Floats


def kaplan_meier(took: Ints, watched: Ints) -> Estimate:
    """`took`: how long each who converted needed; `watched`, ascending: how long each of the others was seen not to.

    Who converts at the moment to which another was watched does so while the other is still at risk.
    """
    moments, events = np.unique(took, return_counts=True)
    at_risk = len(took) + len(watched) - np.cumsum(events) + events - np.searchsorted(watched, moments)
    stay = (at_risk - events).astype(np.float64)
    with np.errstate(divide="ignore"):
        terms = (events / (at_risk * stay)).astype(np.float64)
    survival = np.cumprod(stay / at_risk).astype(np.float64)
    return Estimate(moments, at_risk, events, survival, np.cumsum(terms))


def curve_of(attempts: Attempts, funnel: Funnel, data_through: int) -> Curve | None:
    """Of those who are not excluded; None without any. `data_through` in microseconds."""
    chosen = attempts.taken(~attempts.excluded) if attempts.excluded.any() else attempts
    if len(chosen) == 0:
        return None
    window = micros_of(funnel.window)
    entered, done = chosen.at[0], chosen.at[funnel.required[-1]]
    is_done = done >= 0
    took = done[is_done] - entered[is_done]
    seen = np.maximum(data_through - entered[~is_done], 0)
    watched = np.sort(np.minimum(seen, window))
    found = kaplan_meier(took, watched)
    longest = took.max(initial=0)
    # A visit is over long before the window: after the last who converted in one, the line would only be level.
    until = int(longest if funnel.session and len(took) else max(longest, watched.max(initial=0)))
    points = tuple(_point(found, moment, watched) for moment in _moments(found.moments, until))
    last = points[-1] if points else None
    return Curve(
        points,
        len(chosen),
        int(np.count_nonzero(chosen.deadline[~is_done] >= data_through)),
        until / MICROS,
        last.share if last else 0.0,
        last.interval if last else None,
    )


def _moments(moments: Ints, until: int) -> list[int]:
    """Where the curve is told: wherever it rises, or evenly."""
    if len(moments) <= MOST_POINTS:
        return [int(moment) for moment in moments]
    return [until * place // MOST_POINTS for place in range(1, MOST_POINTS + 1)]


def _point(found: Estimate, moment: int, watched: Ints) -> CurvePoint:
    place = int(np.searchsorted(found.moments, moment, side="right")) - 1
    converted = int(found.events[: place + 1].sum())
    # At risk just before: who has not converted earlier, and was watched that long.
    earlier = converted - (int(found.events[place]) if place >= 0 and found.moments[place] == moment else 0)
    people = int(found.events.sum()) + len(watched)
    at_risk = people - earlier - int(np.searchsorted(watched, moment))
    if place < 0:
        return CurvePoint(moment / MICROS, 0.0, None, at_risk, 0)
    survival, greenwood = float(found.survival[place]), float(found.greenwood[place])
    return CurvePoint(moment / MICROS, 1 - survival, band(survival, greenwood), at_risk, converted)


def band(survival: float, greenwood: float, z: float = Z95) -> Interval | None:
    """Of the share that has converted, 1 − survival."""
    if not 0 < survival < 1:
        return None
    spread = exp(z * sqrt(greenwood) / abs(log(survival)))
    low: float = 1 - survival ** (1 / spread)
    high: float = 1 - survival**spread
    return Interval(low, high)
