"""How likely a goal is: the rest of the period drawn many times from the metric's own past. Pure, seeded.

Blocks of BLOCK consecutive days are drawn, each beginning on the weekday that it fills, so that weeks keep their
rhythm and neighbouring days their likeness (moving-block bootstrap: Künsch 1989, "The jackknife and the bootstrap for
general stationary observations", with starts bound to the weekday). Nothing is extrapolated: a metric that grows is
drawn from days on which it was smaller, and the words say so. Forecasts are the business of `insights`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

import numpy as np
import numpy.typing as npt

from kpis.contracts import Number
from kpis.goals.contracts import Chance, Method

PATHS = 2000
BLOCK = 7
MIN_HISTORY = 28
BOUNDS = (10, 50, 90)

Floats = npt.NDArray[np.float64]

WORDS: dict[Method, str] = {
    "sum": "The rest of the period is drawn {paths} times from blocks of {block} days of the last {days} days and "
    "added to what there is. No trend is assumed.",
    "ratio": "Days are drawn with numerator and denominator together, {paths} times in blocks of {block} from the "
    "last {days} days; the sums of the whole period are divided. No trend is assumed.",
    "daily_mean": "The period's value is the mean of its days: the days to come are drawn {paths} times in blocks of "
    "{block} from the last {days} days. No trend is assumed.",
    "level": "The value of the last day counts: daily changes are drawn {paths} times in blocks of {block} from the "
    "last {days} days and added to the level of today.",
    "settled": "Nothing is left to draw: the outcome is known.",
    "none": "",
}


@dataclass(frozen=True, slots=True)
class Past:
    """Whole consecutive days before now: the weekday (0 Monday) of the first, and a row of values for each."""

    weekday: int
    rows: Floats

    @property
    def days(self) -> int:
        return len(self.rows)


@dataclass(frozen=True, slots=True)
class Rest:
    """The days to come: the weekday of the first one, how many, and which share of the first is still ahead."""

    weekday: int
    days: int
    first_share: float = 1.0


def no_chance(words: str, days: int = 0) -> Chance:
    """There is no probability, and why."""
    return Chance(None, None, 0, days, "none", words)


def settled_chance(is_reached: bool, value: Number) -> Chance:
    """The outcome is known."""
    return Chance(float(is_reached), 0.0, 0, 0, "settled", WORDS["settled"], value, value, value)


def drawn(past: Past, rest: Rest, *, seed: int, paths: int = PATHS, block: int = BLOCK) -> Floats:
    """(paths, days, columns): values for the days to come. Every possible start of a block is equally likely.

    ValueError when the past has no block that begins on the weekday it has to fill.
    """
    source = np.random.Generator(np.random.PCG64(seed))
    parts = []
    for at in range(0, rest.days, block):
        length = min(block, rest.days - at)
        first = ((rest.weekday + at) - past.weekday) % 7
        starts = np.arange(first, past.days - length + 1, 7)
        if not len(starts):
            raise ValueError(f"a past of {past.days} days has no block of {length} days from that weekday")
        chosen = source.choice(starts, size=paths)
        parts.append(past.rows[chosen[:, None] + np.arange(length)[None, :]])
    found = np.concatenate(parts, axis=1) if parts else np.zeros((paths, 0, past.rows.shape[1]))
    if rest.days:
        found[:, 0] = found[:, 0] * rest.first_share
    return found


@dataclass(frozen=True, slots=True)
class Simulated:
    """The chance, and the bounds of 80 % of the paths after each day to come (empty where days have no value)."""

    chance: Chance
    low: tuple[Number, ...] = ()
    high: tuple[Number, ...] = ()


def simulate(
    past: Past,
    rest: Rest,
    *,
    method: Literal["sum", "ratio", "daily_mean", "level"],
    value_of: Callable[[Floats, Floats], Floats],
    target: float,
    better: Literal["up", "down"],
    seed: int,
    paths: int = PATHS,
    with_days: bool = True,
) -> Simulated:
    """Draw, work out where each path ends, count those that reach the target (a value at the target has).

    `value_of` takes (paths, days, columns) cumulated over days, and how many days that is, and gives (paths, days): the
    period's value if it ended then; nan where there is none, which reaches nothing.
    """
    if past.days < MIN_HISTORY:
        return Simulated(no_chance(_too_short(past.days), past.days))
    if not rest.days:
        raise ValueError("nothing is left to draw")
    sums = np.cumsum(drawn(past, rest, seed=seed, paths=paths), axis=1)
    counts = np.arange(1, rest.days + 1, dtype=np.float64)
    reached = value_of(sums, counts) if with_days else value_of(sums[:, -1:], counts[-1:])
    ends = reached[:, -1]
    hits = (ends >= target) if better == "up" else (ends <= target)
    probability = float(np.mean(hits))
    words = WORDS[method].format(paths=paths, block=BLOCK, days=past.days)
    low, median, high = _bounds(ends)
    error = float(np.sqrt(probability * (1 - probability) / paths))
    chance = Chance(probability, error, paths, past.days, method, words, low, median, high)
    if not with_days:
        return Simulated(chance)
    days = [_bounds(reached[:, day]) for day in range(reached.shape[1])]
    return Simulated(chance, tuple(bound[0] for bound in days), tuple(bound[2] for bound in days))


def _bounds(values: Floats) -> tuple[Number, Number, Number]:
    known = values[np.isfinite(values)]
    if not len(known):
        return None, None, None
    low, median, high = (Decimal(repr(float(bound))) for bound in np.percentile(known, BOUNDS))
    return low, median, high


def _too_short(days: int) -> str:
    return f"A probability needs {MIN_HISTORY} whole days of history; there are {days}."


def past_of(weekday: int, rows: Sequence[Sequence[float]]) -> Past:
    """Rows as an array."""
    return Past(weekday, np.array(rows, dtype=np.float64).reshape(len(rows), -1))
