"""Chances of what counts once in a period, and of quantiles: by hand, and against worlds whose answer is known."""

from __future__ import annotations

from math import sqrt
from typing import Any

import numpy as np
import pytest

from analytics.aggregates import Quantiles, bin_value, quantile_bins
from kpis.goals.chance import (
    PATHS,
    Bins,
    Floats,
    Growths,
    Rest,
    Wish,
    drawn_growths,
    leaning,
    past_of,
    quantiles,
    simulate_growth,
    simulate_quantile,
)
from kpis.goals.shapes import spread_of_growths
from tests.kpis.test_goal_arithmetic import MARCH

# Eight periods of fourteen days: everybody comes in the first week of three of them, in the second of two others.
FIRST, SECOND = (1, 0, 0, 1, 0, 0, 1, 0), (0, 1, 0, 0, 0, 1, 0, 0)
# The same second weeks after first weeks that were all alike, so that a beginning tells nothing of the rest.
EVEN = Growths(np.array([[[0.0]] * 7 + [[10.0 * second]] * 7 for second in SECOND]), 63)
GROWTHS = Growths(
    np.array([[[10.0 * first]] * 7 + [[10.0 * second]] * 7 for first, second in zip(FIRST, SECOND, strict=True)]), 63
)


def counted(base: float) -> Any:
    def value_of(sums: Floats, days: Floats) -> Floats:
        found: Floats = base + sums[..., 0]
        return found

    return value_of


@pytest.mark.parametrize(
    ("days_left", "target", "base", "exact"),
    [
        (7, 70, 0, 2 / 8),  # two of eight second weeks brought anybody
        (7, 100, 30, 2 / 8),
        (7, 101, 30, 0),
    ],
)
def test_the_chance_is_the_share_of_earlier_periods_that_grew_so_much(
    days_left: int, target: float, base: float, exact: float
) -> None:
    """Four standard errors."""
    so_far = np.array([float(base)])
    wish = Wish(target, "up", 5)
    found = simulate_growth(EVEN, Rest(0, days_left), wish, value_of=counted(base), so_far=so_far).chance

    assert found.probability is not None
    assert abs(found.probability - exact) <= 4 * sqrt(exact * (1 - exact) / PATHS)
    assert (found.method, found.paths, found.history_days) == ("growth", PATHS, 63)
    assert "from 8 earlier periods of the same length" in found.words


@pytest.mark.parametrize(("target", "exact"), [(70, 1 - (5 / 8) * (6 / 8)), (140, (3 / 8) * (2 / 8))])
def test_each_week_of_a_period_comes_from_a_period_of_its_own(target: float, exact: float) -> None:
    """Either week, and both."""
    wish = Wish(target, "up", 5)
    found = simulate_growth(GROWTHS, Rest(0, 14), wish, value_of=counted(0), so_far=np.zeros(1)).chance

    assert found.probability is not None
    assert abs(found.probability - exact) <= 4 * sqrt(exact * (1 - exact) / PATHS)


# Eight periods of two days: the first day brings 10, 20 … 80 people, the second as many fewer: 80, 70 … 10.
FALLING = Growths(np.array([[[10.0 * n], [90.0 - 10 * n]] for n in range(1, 9)]), 63)


@pytest.mark.parametrize(
    ("so_far", "factor"),
    [
        (45, 1),  # as usual: 45 are to come
        (65, (45 - 10) / 45),  # 20 more than usual: the slope is -1, half of it is believed
        (25, (45 + 10) / 45),
        (500, (45 - 17.5) / 45),  # no further out than the 80 that were seen
        (0, (45 + 17.5) / 45),
    ],
)
def test_who_came_early_does_not_come_again(so_far: float, factor: float) -> None:
    found = leaning(FALLING, Rest(1, 1), np.array([float(so_far)]))

    assert found.tolist() == [pytest.approx(factor)]


def test_a_beginning_that_tells_nothing_changes_nothing() -> None:
    assert leaning(EVEN, Rest(0, 7), np.array([30.0])).tolist() == [1]
    assert leaning(FALLING, Rest(0, 2), np.zeros(1)).tolist() == [1]  # not begun yet


def test_the_part_of_today_that_is_over_belongs_to_the_beginning() -> None:
    """Half of the first day is over: 5, 10 … 40 came so far; 40 more than the least, 5 + 80 … 40 + 10 are to come."""
    found = leaning(FALLING, Rest(0, 2, 0.5), np.array([22.5]))
    assert found.tolist() == [1]
    # The slope of 85, 80 … 50 on 5, 10 … 40 is -1: 10 above the usual 22.5 take half of 10 off the usual 67.5.
    assert leaning(FALLING, Rest(0, 2, 0.5), np.array([32.5])).tolist() == [pytest.approx(62.5 / 67.5)]


def test_each_place_of_a_period_is_drawn_from_its_own_place() -> None:
    """A period whose n-th day always adds n: the last five of fourteen add 10, 11, 12, 13 and 14."""
    growths = Growths(np.tile(np.arange(1.0, 15.0)[None, :, None], (8, 1, 1)), 63)
    found = drawn_growths(growths, Rest(0, 5, 0.5), seed=1)

    assert found[:, :, 0].tolist() == [[5.0, 11.0, 12.0, 13.0, 14.0]] * PATHS


def test_seven_earlier_periods_are_too_few_and_it_is_said() -> None:
    few = Growths(EVEN.rows[:7], 56)
    wish = Wish(70, "up", 5)
    found = simulate_growth(few, Rest(0, 7), wish, value_of=counted(0), so_far=np.zeros(1)).chance

    assert (found.probability, found.method) == (None, "none")
    assert found.words == (
        "A probability needs 8 earlier periods of the same length that began on the same weekday, a week apart from "
        "each other; the 56 whole days of history have 7."
    )


def test_the_share_of_a_day_is_what_its_place_added() -> None:
    """Each of 31 days of eight periods added 2, the first 40: 42 % after a day, 100 after the last."""
    rows = [[40] + [2] * 30] * 8
    spread = spread_of_growths(MARCH, rows)

    assert [float(spread.share(n)) for n in (0, 1, 31)] == [0, 0.4, 1]  # type: ignore[arg-type]
    assert (spread.shape.value, spread.note[:21]) == ("seasonal", "Who comes twice count")
    assert spread_of_growths(MARCH, rows[:7]).shape.value == "linear"


# --- Calibration ------------------------------------------------------------------------------------------------------

PEOPLE, LENGTH, ELAPSED, HISTORY = 300, 28, 10, 182


def days_of(source: np.random.Generator, habits: Floats, days: int) -> np.ndarray[Any, np.dtype[np.bool_]]:
    """Who came on each day: everybody by a habit of their own, half as much at weekends."""
    week = np.where(np.arange(days) % 7 < 5, 1.0, 0.5)
    return source.random((days, len(habits))) < habits[None, :] * week[:, None]


def climbed(days: np.ndarray[Any, np.dtype[np.bool_]]) -> Floats:
    """How many different people there were by the end of each day."""
    found: Floats = np.logical_or.accumulate(days, axis=0).sum(axis=1).astype(np.float64)
    return found


def world(number: int) -> tuple[float, float, bool]:
    """What was said of a goal ten days into a period of 28, what would be without `leaning`, and if it was reached.

    The target is where another period of the same people ended, so that every probability turns up.
    """
    source = np.random.Generator(np.random.PCG64(number))
    habits = source.beta(0.5, 12, size=PEOPLE)
    past = days_of(source, habits, HISTORY)
    rows = [np.diff(climbed(past[at : at + LENGTH]), prepend=0.0) for at in range(0, HISTORY - LENGTH + 1, 7)]
    growths = Growths(np.array(rows)[:, :, None], HISTORY)
    truth, target = climbed(days_of(source, habits, LENGTH)), climbed(days_of(source, habits, LENGTH))[-1]
    wish = Wish(float(target), "up", number, paths=500, with_days=False)
    rest = Rest(ELAPSED % 7, LENGTH - ELAPSED)
    here = np.array([truth[ELAPSED - 1]])
    said = simulate_growth(growths, rest, wish, value_of=counted(here[0]), so_far=here).chance.probability
    plainly = here[0] + drawn_growths(growths, rest, seed=number, paths=500)[..., 0].sum(axis=1)
    assert said is not None
    return said, float(np.mean(plainly >= target)), bool(truth[-1] >= target)


def test_of_goals_said_to_have_seventy_percent_about_seventy_are_reached() -> None:
    """Eight hundred worlds with habits of their own. In each fifth of what was said, what came true is as much."""
    found = np.array([world(number) for number in range(800)])
    for low in (0.0, 0.2, 0.4, 0.6, 0.8):
        told = found[(found[:, 0] >= low) & (found[:, 0] < low + 0.2 + (low == 0.8))]
        said, _, came = told.mean(axis=0)
        error = sqrt(said * (1 - said) / len(told))
        assert abs(said - came) < 3 * error + 0.02
    leaning_score, plain_score = (float(np.mean((found[:, way] - found[:, 2]) ** 2)) for way in (0, 1))
    assert leaning_score < 0.98 * plain_score  # Brier: the beginning of a period tells something of its rest


# --- Quantiles --------------------------------------------------------------------------------------------------------


def test_a_quantile_of_counts_is_that_of_the_sketch() -> None:
    values = [1.0, 2.0, 2.0, 5.0, 9.0, 40.0, 41.0]
    sketch = Quantiles.of(values)
    index = [bin for bin, _ in sketch.bins]
    counts = np.array([[float(count) for _, count in sketch.bins]])

    for q in (0.0, 0.1, 0.5, 0.9, 0.95, 1.0):
        assert quantiles(counts, np.array([bin_value(bin) for bin in index]), q)[0] == sketch.quantile(q)
    assert np.isnan(quantiles(np.zeros((1, 3)), np.array([1.0, 2.0, 3.0]), 0.5)[0])


def test_a_quantile_is_drawn_from_sketches_of_days() -> None:
    """Three of eight weeks are slow: ten events of 900 ms a day and none of 100; the others the other way round.

    After a quick week of 70 events the median of a fortnight is slow only with more slow events than quick ones,
    which 70 against 70 are not: the rank of the median lies between the two. After an empty week it is slow when the
    week to come is: 3 of 8.
    """
    slow, quick = [0.0, 10.0], [10.0, 0.0]
    past = past_of(0, [slow if week else quick for week in FIRST for _ in range(7)])
    values = np.array([100.0, 900.0])

    def chance(base: list[float], target: float) -> float:
        bins = Bins(past, np.array(base), values, 0.5)
        found = simulate_quantile(bins, Rest(0, 7), Wish(target, "down", 7)).chance
        assert found.probability is not None
        assert found.method == "quantile"
        return found.probability

    assert abs(chance([0, 0], 100) - 5 / 8) < 4 * sqrt(15 / 64 / PATHS)
    assert abs(chance([70, 0], 100) - 5 / 8) < 4 * sqrt(15 / 64 / PATHS)
    assert chance([70, 0], 500) == 1  # 70 quick and 70 slow: halfway between, 500
    assert chance([80, 0], 100) == 1
    assert chance([0, 80], 100) == 0


def test_bins_of_sketches_order_as_their_values() -> None:
    found = quantile_bins(np.array([-5.0, 0.0, 1e-12, 3.0, 1e6]))

    assert found.tolist() == sorted(found.tolist())
