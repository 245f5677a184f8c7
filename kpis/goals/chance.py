"""How likely a goal is: the rest of the period drawn many times from the metric's own past. Pure, seeded.

Blocks of BLOCK consecutive days are drawn, each beginning on the weekday that it fills, so that weeks keep their
rhythm and neighbouring days their likeness (moving-block bootstrap: Künsch 1989, "The jackknife and the bootstrap for
general stationary observations", with starts bound to the weekday). They come out of an urn: a week that was drawn goes
back with another like it (Pólya's urn, which is Rubin's Bayesian bootstrap, 1981), because a few weeks of the past are
not all that can happen. Nothing is extrapolated: a metric that grows is drawn from days on which it was smaller, and
the words say so. Forecasts are the business of `insights`.

People of a period count once in it, so their days do not add up. What adds up is how the count grew: day 20 of a
period brings those whom its first 19 days did not. Earlier periods of the same length that began on the same weekday
say how much that was, place by place; blocks of places are drawn, each from a period of its own (`Growths`). Of
periods that began with more people than others, fewer are left to come: `leaning` says how much fewer.

A quantile does not add up either, but its sketches do: days are drawn with the counts of all their bins (`Bins`).
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
MIN_PERIODS = 8
"""Of a count of people so many earlier periods are needed; a week apart, so 79 whole days for a month of 30."""
BOUNDS = (10, 50, 90)
LEAN = 0.5
"""How much of the slope from a period's beginning to its growth ahead is believed (`leaning`)."""

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
    "growth": "How the count grew from this day of a period to its end is drawn {paths} times, in blocks of {block} "
    "days, from {periods} earlier periods of the same length that began on the same weekday within the last {days} "
    "days; whoever came before in a period is not counted again, and where periods that began like this one grew more "
    "or less than others, half of that is taken over. No trend is assumed.",
    "quantile": "Days are drawn with all their values (sketches of ±1 %), {paths} times in blocks of {block} from the "
    "last {days} days, and put to those of the period so far; the quantile is that of the whole. No trend is assumed.",
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
class Growths:
    """(periods, days, columns): how much each day of earlier periods added to what the period had until then.

    `days` are the whole days of history that they were found in.
    """

    rows: Floats
    days: int

    @property
    def periods(self) -> int:
        return len(self.rows)


@dataclass(frozen=True, slots=True)
class Bins:
    """Sketches as counts: `past` has a row of bins for each day, `base` is the period so far; `values` of the bins."""

    past: Past
    base: Floats
    values: Floats
    q: float


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


def urn(source: np.random.Generator, balls: int, *, paths: int, draws: int) -> npt.NDArray[np.int64]:
    """(paths, draws): numbers of balls; each drawn one goes back with another of its number (Blackwell & MacQueen 1973,
    "Ferguson distributions via Pólya urn schemes"), so that paths differ in what is usual, too.
    """
    chosen = np.empty((paths, draws), dtype=np.int64)
    for place in range(draws):
        ball = source.integers(balls + place, size=paths)
        again = np.flatnonzero(ball >= balls)
        chosen[:, place] = ball
        chosen[again, place] = chosen[again, ball[again] - balls]
    return chosen


def drawn(past: Past, rest: Rest, *, seed: int, paths: int = PATHS) -> Floats:
    """(paths, days, columns): values for the days to come, in blocks that begin on the weekday that they fill.

    ValueError when the past has no such block.
    """
    starts, lengths = _weeks(past, rest)
    source = np.random.Generator(np.random.PCG64(seed))
    chosen = starts[urn(source, len(starts), paths=paths, draws=len(lengths))]
    parts = [past.rows[chosen[:, n, None] + np.arange(length)[None, :]] for n, length in enumerate(lengths)]
    found = np.concatenate(parts, axis=1) if parts else np.zeros((paths, 0, past.rows.shape[1]))
    if rest.days:
        found[:, 0] = found[:, 0] * rest.first_share
    return found


def drawn_growths(growths: Growths, rest: Rest, *, seed: int, paths: int = PATHS) -> Floats:
    """(paths, days, columns): the last `rest.days` places of the periods, each block of them from one drawn period."""
    source = np.random.Generator(np.random.PCG64(seed))
    ahead = growths.rows[:, growths.rows.shape[1] - rest.days :]
    parts = []
    for at in range(0, rest.days, BLOCK):
        chosen = source.integers(growths.periods, size=paths)
        parts.append(ahead[chosen, at : at + BLOCK])
    found = np.concatenate(parts, axis=1)
    found[:, 0] = found[:, 0] * rest.first_share
    return found


def leaning(growths: Growths, rest: Rest, so_far: Floats) -> Floats:
    """By what to multiply the growth ahead, column by column, now that a period has begun with `so_far`.

    Least squares over the earlier periods: growth ahead against growth until here. Half of its slope is taken (a shrunk
    estimate: James & Stein 1961, "Estimation with quadratic loss"), because half a year holds six months that do not
    overlap; and no beginning counts as further out than those that were seen.
    """
    begun_days = growths.rows.shape[1] - rest.days
    ahead = growths.rows[:, begun_days:].copy()
    ahead[:, 0] *= rest.first_share
    begun = growths.rows[:, :begun_days].sum(axis=1) + growths.rows[:, begun_days] * (1 - rest.first_share)
    grown = ahead.sum(axis=1)
    apart = begun - begun.mean(axis=0)
    slope = _divided((apart * grown).sum(axis=0), (apart**2).sum(axis=0), 0.0)
    here = np.clip(so_far, begun.min(axis=0), begun.max(axis=0)) - begun.mean(axis=0)
    usual = grown.mean(axis=0)
    return np.clip(_divided(usual + LEAN * slope * here, usual, 1.0), 0.0, None)


def _divided(over: Floats, under: Floats, otherwise: float) -> Floats:
    found: Floats = np.divide(over, under, out=np.full(np.shape(over), otherwise), where=under > 0)
    return found


@dataclass(frozen=True, slots=True)
class Simulated:
    """The chance, and the bounds of 80 % of the paths after each day to come (empty where days have no value)."""

    chance: Chance
    low: tuple[Number, ...] = ()
    high: tuple[Number, ...] = ()


@dataclass(frozen=True, slots=True)
class Wish:
    """What the paths are judged by: a value at the target has reached it. `with_days`: bounds of each day too."""

    target: float
    better: Literal["up", "down"]
    seed: int
    paths: int = PATHS
    with_days: bool = True


ValueOf = Callable[[Floats, Floats], Floats]
"""Takes (paths, days, columns) cumulated over days, and how many days that is, and gives (paths, days): the period's
value if it ended then; nan where there is none, which reaches nothing."""


def simulate(
    past: Past, rest: Rest, wish: Wish, *, method: Literal["sum", "ratio", "daily_mean", "level"], value_of: ValueOf
) -> Simulated:
    """Draw the days to come, work out where each path ends, count those that reach the target."""
    if past.days < MIN_HISTORY:
        return Simulated(no_chance(_too_short(past.days), past.days))
    _must_be_ahead(rest)
    draws = drawn(past, rest, seed=wish.seed, paths=wish.paths)
    words = WORDS[method].format(paths=wish.paths, block=BLOCK, days=past.days)
    return _ended(draws, wish, value_of, method, words, past.days)


def simulate_growth(growths: Growths, rest: Rest, wish: Wish, *, value_of: ValueOf, so_far: Floats) -> Simulated:
    """The same for what counts once in a period: the growth from here, where it has `so_far`, to its end is drawn."""
    if growths.periods < MIN_PERIODS:
        return Simulated(no_chance(_too_few(growths), growths.days))
    _must_be_ahead(rest)
    draws = drawn_growths(growths, rest, seed=wish.seed, paths=wish.paths) * leaning(growths, rest, so_far)
    words = WORDS["growth"].format(paths=wish.paths, block=BLOCK, days=growths.days, periods=growths.periods)
    return _ended(draws, wish, value_of, "growth", words, growths.days)


def simulate_quantile(bins: Bins, rest: Rest, wish: Wish) -> Simulated:
    """The same for a quantile: sketches of days are drawn and put to that of the period so far."""
    if bins.past.days < MIN_HISTORY:
        return Simulated(no_chance(_too_short(bins.past.days), bins.past.days))
    _must_be_ahead(rest)
    source = np.random.Generator(np.random.PCG64(wish.seed))
    before = np.concatenate((np.zeros((1, bins.past.rows.shape[1])), np.cumsum(bins.past.rows, axis=0)))
    counts = np.tile(bins.base.astype(np.float64), (wish.paths, 1))
    starts, lengths = _weeks(bins.past, rest)
    weeks = starts[urn(source, len(starts), paths=wish.paths, draws=len(lengths))]
    for place, length in enumerate(lengths):
        counts += before[weeks[:, place] + length] - before[weeks[:, place]]
    counts -= bins.past.rows[weeks[:, 0]] * (1 - rest.first_share)
    words = WORDS["quantile"].format(paths=wish.paths, block=BLOCK, days=bins.past.days)
    return Simulated(_chance(quantiles(counts, bins.values, bins.q), wish, "quantile", words, bins.past.days))


def quantiles(counts: Floats, values: Floats, q: float) -> Floats:
    """The q-quantile of each row of counts, interpolated as `Quantiles.quantile` does; nan for a row of nothing."""
    upto = np.cumsum(counts, axis=-1)
    rank = np.maximum(q * (upto[..., -1:] - 1), 0)
    low, high = (np.sum(upto <= edge, axis=-1) for edge in (np.floor(rank), np.ceil(rank)))
    most = len(values) - 1
    below, above = values[np.minimum(low, most)], values[np.minimum(high, most)]
    found: Floats = below + (above - below) * (rank - np.floor(rank))[..., 0]
    return np.where(upto[..., -1] > 0, found, np.nan)


def starts_of(past: Past, weekday: int, length: int) -> npt.NDArray[np.int64]:
    """Where blocks of that length that begin on the weekday may start. ValueError when none does."""
    starts = np.arange((weekday - past.weekday) % 7, past.days - length + 1, 7)
    if not len(starts):
        raise ValueError(f"a past of {past.days} days has no block of {length} days from that weekday")
    return starts


def _weeks(past: Past, rest: Rest) -> tuple[npt.NDArray[np.int64], list[int]]:
    """Where blocks may start, and how long each block of the rest is: whole weeks, so all begin on one weekday."""
    lengths = [min(BLOCK, rest.days - at) for at in range(0, rest.days, BLOCK)]
    return starts_of(past, rest.weekday, lengths[0] if lengths else 1), lengths


def _must_be_ahead(rest: Rest) -> None:
    if not rest.days:
        raise ValueError("nothing is left to draw")


def _ended(draws: Floats, wish: Wish, value_of: ValueOf, method: Method, words: str, history: int) -> Simulated:
    sums = np.cumsum(draws, axis=1)
    counts = np.arange(1, sums.shape[1] + 1, dtype=np.float64)
    reached = value_of(sums, counts) if wish.with_days else value_of(sums[:, -1:], counts[-1:])
    chance = _chance(reached[:, -1], wish, method, words, history)
    if not wish.with_days:
        return Simulated(chance)
    days = [_bounds(reached[:, day]) for day in range(reached.shape[1])]
    return Simulated(chance, tuple(bound[0] for bound in days), tuple(bound[2] for bound in days))


def _chance(ends: Floats, wish: Wish, method: Method, words: str, history: int) -> Chance:
    hits = (ends >= wish.target) if wish.better == "up" else (ends <= wish.target)
    probability = float(np.mean(hits))
    error = float(np.sqrt(probability * (1 - probability) / wish.paths))
    return Chance(probability, error, wish.paths, history, method, words, *_bounds(ends))


def _bounds(values: Floats) -> tuple[Number, Number, Number]:
    known = values[np.isfinite(values)]
    if not len(known):
        return None, None, None
    low, median, high = (Decimal(repr(float(bound))) for bound in np.percentile(known, BOUNDS))
    return low, median, high


def _too_short(days: int) -> str:
    return f"A probability needs {MIN_HISTORY} whole days of history; there are {days}."


def _too_few(growths: Growths) -> str:
    return (
        f"A probability needs {MIN_PERIODS} earlier periods of the same length that began on the same weekday, a week "
        f"apart from each other; the {growths.days} whole days of history have {growths.periods}."
    )


def past_of(weekday: int, rows: Sequence[Sequence[float]]) -> Past:
    """Rows as an array."""
    return Past(weekday, np.array(rows, dtype=np.float64).reshape(len(rows), -1))
