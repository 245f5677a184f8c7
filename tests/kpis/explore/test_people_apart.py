"""How far other people would have moved a share or a sum: by hand, against Newcombe, and in simulated worlds."""

from __future__ import annotations

from math import sqrt

import numpy as np
import pytest

from kpis.explore.intervals import Z95, Interval, newcombe, score, wilson
from kpis.explore.people_apart import (
    Side,
    groups_of,
    jackknife,
    share_interval,
    shares,
    shares_apart,
    sums,
    sums_apart,
)


def side(parts: list[list[float]], wholes: list[float]) -> Side:
    found = shares(np.array(parts, dtype=float), np.array(wholes, dtype=float))
    return Side(float(found.value[0]), float(found.variance[0]), len(wholes))


def once(hits: int, of: int) -> Side:
    """So many people who did one thing once, some of them this one."""
    return side([[1.0]] * hits + [[0.0]] * (of - hits), [1.0] * of)


@pytest.mark.parametrize(
    ("hits", "of", "before", "of_before"), [(5, 12, 3, 40), (0, 8, 3, 9), (7, 7, 1, 50), (0, 5, 0, 9)]
)
def test_where_everybody_did_one_thing_once_it_is_newcombes_interval(
    hits: int, of: int, before: int, of_before: int
) -> None:
    mine, exact = shares_apart(once(hits, of), once(before, of_before)), newcombe(hits, of, before, of_before)
    assert mine is not None
    assert exact is not None
    assert (mine.low, mine.high) == pytest.approx((exact.low, exact.high), abs=1e-12)


def test_the_variance_of_a_share_by_hand() -> None:
    """Three people did 1 of 2, 0 of 1 and 2 of 2: 3/5. Without each of them 2/3, 3/4 and 1/3; the differences are
    1/15, 3/20 and −4/15, their squares 0.098056 together, two thirds of which is 0.065370. As many trials as have that
    variance are 0.24 / 0.065370 + 1 = 4.67; of three people it stays three."""
    found = shares(np.array([[1.0], [0.0], [2.0]]), np.array([2.0, 1.0, 2.0]))
    assert found.value[0] == pytest.approx(0.6)
    assert found.variance[0] == pytest.approx(0.0653704, abs=1e-7)
    assert share_interval(0.6, float(found.variance[0]), 3) == score(0.6, 3)
    assert share_interval(0.6, float(found.variance[0]), 30) == score(0.6, 0.24 / float(found.variance[0]) + 1)


def test_the_variance_of_a_sum_is_the_sum_of_squares() -> None:
    """3, 1, 0 and 4 of four people: 9 + 1 + 16 = 26."""
    each = np.array([[3.0], [1.0], [0.0], [4.0]])
    found = sums(each.sum(axis=0), each.sum(axis=0) - each, 4)
    assert found.variance[0] == pytest.approx(26.0)
    apart = sums_apart(Side(8.0, 26.0, 4), Side(2.0, 4.0, 1))
    assert apart == Interval(6 - Z95 * sqrt(30), 6 + Z95 * sqrt(30))


def test_what_nobody_could_have_done_otherwise_has_no_interval() -> None:
    assert share_interval(0.5, 0.1, 0) is None
    assert shares_apart(once(1, 1), once(3, 9)) is None, "one person says nothing of others"
    assert shares_apart(Side(0.0, 0.0, 0), once(3, 9)) is None
    assert sums_apart(Side(0.0, 0.0, 0), Side(0.0, 0.0, 0)) is None
    nobody = shares(np.zeros((3, 1)), np.zeros(3))
    assert share_interval(float(nobody.value[0]), float(nobody.variance[0]), 3) is None


def test_everybody_alike_leaves_the_doubt_of_so_many_people() -> None:
    """Each of five gave half: the variance is 0, the interval that of five trials."""
    half = side([[0.5]] * 5, [1.0] * 5)
    assert half.variance == 0
    assert share_interval(half.value, half.variance, 5) == score(0.5, 5)


def test_a_person_is_always_in_the_same_group_and_groups_follow_no_order() -> None:
    everybody = np.array([3, 5, 9, 12])
    group, count = groups_of(np.array([9, 3, 9, 12, 5]), everybody)
    assert (count, group.tolist()) == (4, [2, 0, 2, 3, 1]), "a group each"
    many = np.arange(10_000)
    group, count = groups_of(np.concatenate([many, many]), many, 100)
    assert count == 100
    assert np.array_equal(group[:10_000], group[10_000:])
    sizes = np.bincount(group[:10_000], minlength=100)
    assert 60 < sizes.min() < sizes.max() < 145
    thirds = np.bincount(group[:10_000:3], minlength=100)
    assert np.corrcoef(sizes, thirds)[0, 1] < 0.9, "every third of the people is not a third of each group"


def test_one_group_alone_tells_no_variance() -> None:
    assert np.isnan(jackknife(np.array([1.0]), np.array([[1.0]])).variance[0])


def test_intervals_hold_the_truth_as_often_as_they_say_where_people_come_several_times() -> None:
    """People with a habit of their own (Beta(1, 3)) and one to nine paths each. Wilson's interval of the paths, as if
    they were independent, holds the true quarter far too seldom."""
    dice = np.random.default_rng(4)
    held = naive = 0
    worlds, people = 400, 250
    for _ in range(worlds):
        habit, paths = dice.beta(1, 3, size=people), dice.integers(1, 10, size=people)
        hits = dice.binomial(paths, habit)
        found = shares(hits[:, None].astype(float), paths.astype(float))
        interval = share_interval(float(found.value[0]), float(found.variance[0]), people)
        plain = wilson(int(hits.sum()), int(paths.sum()))
        assert interval is not None
        assert plain is not None
        held += interval.low <= 0.25 <= interval.high
        naive += plain.low <= 0.25 <= plain.high
    assert 0.92 <= held / worlds <= 0.98
    assert naive / worlds < 0.85
