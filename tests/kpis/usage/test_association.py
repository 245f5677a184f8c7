"""Coefficients and intervals against numbers worked out by hand."""

from __future__ import annotations

from math import log, sqrt

import numpy as np
import pytest

from kpis.usage.association import Correlation, fisher, of_group, pearson, ranks, spearman

Z = 1.959963984540054


def test_pearson_by_hand() -> None:
    """x 1 2 3 4 5, y 2 1 4 3 5: the deviations multiply to 8, their squares sum to 10 and 10, so r = 0.8.

    z = ½ ln(1.8 / 0.2) = 1.09861; half = 1.95996 / √2 = 1.38590; tanh(−0.28729) = −0.27964, tanh(2.48452) = 0.98619.
    """
    found = pearson(np.arange(1.0, 6), np.array([2.0, 1, 4, 3, 5]))
    assert found.value == pytest.approx(0.8)
    assert (found.low, found.high) == (pytest.approx(-0.27964, abs=1e-5), pytest.approx(0.98619, abs=1e-5))
    assert (found.n, found.note) == (5, "low data: 5 pairs")


def test_equal_values_share_their_rank() -> None:
    assert ranks(np.array([7.0, 3, 7, 9])).tolist() == [2.5, 1.0, 2.5, 4.0]


def test_spearman_by_hand() -> None:
    """Ranks 1 2 3 4 against 1 3 2 4: 1 − 6·(0 + 1 + 1 + 0) / (4·15) = 0.8, whatever the values are."""
    assert spearman(np.array([1.0, 10, 100, 1000]), np.array([0.0, 5, 4, 99])).value == pytest.approx(0.8)


def test_the_best_of_many_has_a_wider_interval() -> None:
    """Of 15 looks: 1 − 0.05 / 30 of the normal distribution lies below 2.93520."""
    low, high = fisher(0.5, 103, best_of=15) or (0, 0)
    half = 2.935199468866699 / sqrt(100)
    middle = 0.5 * log(1.5 / 0.5)
    assert low == pytest.approx(np.tanh(middle - half))
    assert high == pytest.approx(np.tanh(middle + half))


def test_a_group_and_money_by_hand() -> None:
    """Four people spend 0, 10, 20 and 30; the last two use it.

    r = (4·50 − 2·60) / √(2·2·(4·1400 − 3600)) = 80 / √8000 = 0.894427.
    """
    found = of_group(n=4, members=2, total=60, squares=1400, members_total=50)
    assert found.value == pytest.approx(0.894427, abs=1e-6)
    assert found.value == pytest.approx(pearson(np.array([0.0, 0, 1, 1]), np.array([0.0, 10, 20, 30])).value)
    assert found.note == "low data: 4 people"


def test_phi_by_hand() -> None:
    """100 people: 40 use it, 30 pay, 20 do both. (100·20 − 40·30) / √(40·60·30·70) = 800 / 2244.99 = 0.356348."""
    found = of_group(n=100, members=40, total=30, squares=30, members_total=20)
    assert found.value == pytest.approx(0.356348, abs=1e-6)
    z, half = 0.5 * log((1 + 800 / sqrt(5_040_000)) / (1 - 800 / sqrt(5_040_000))), Z / sqrt(97)
    assert (found.low, found.high) == (pytest.approx(np.tanh(z - half)), pytest.approx(np.tanh(z + half)))
    assert found.note == ""


@pytest.mark.parametrize(
    ("members", "total", "squares", "members_total"), [(0, 5, 25, 0), (50, 5, 25, 5), (3, 0, 0, 0)]
)
def test_what_never_varies_goes_along_with_nothing(members: int, total: int, squares: int, members_total: int) -> None:
    found = of_group(n=50, members=members, total=total, squares=squares, members_total=members_total)
    assert found == Correlation(None, 50, note="one of the two never varies, so that nothing can go along with it")


def test_a_perfect_fit_and_no_data_have_no_interval() -> None:
    line = np.arange(40.0)
    assert pearson(line, 2 * line) == Correlation(1.0, 40, None, None, "a perfect fit has no interval")
    assert pearson(np.empty(0), np.empty(0)).value is None


def test_a_small_group_among_many_is_told() -> None:
    assert of_group(n=1000, members=3, total=100, squares=100, members_total=2).note == (
        "low data: 3 people in the smaller group"
    )
