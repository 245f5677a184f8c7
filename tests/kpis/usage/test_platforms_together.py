"""Days of platforms beside each other, by hand."""

from __future__ import annotations

import numpy as np
import pytest

from kpis.usage.platforms import platforms_together

WEB = np.array([1.0, 5, 2, 8, 3, 9, 4, 7, 6, 2, 8, 1])


def test_a_platform_that_follows_two_days_later_is_found() -> None:
    """Mobile does what web did two days before: at that lag ten pairs fit exactly."""
    mobile = np.concatenate([[4.0, 4.0], WEB[:-2]])
    (pair,) = platforms_together({"engagement": {"web": WEB, "mobile": mobile}})
    assert (pair.first, pair.second, pair.first_measure, pair.second_measure) == (
        "mobile", "web", "engagement", "engagement",
    )  # fmt: skip
    assert (pair.lag, pair.lagged.value, pair.lagged.n, pair.looked_at) == (-2, 1.0, 10, 15)
    assert pair.pearson.value == pytest.approx(np.corrcoef(WEB, mobile)[0, 1])
    assert pair.pearson.n == 12


def test_engagement_is_set_beside_later_revenue_of_others_only() -> None:
    series = {"engagement": {"web": WEB, "app": WEB[::-1].copy()}, "revenue": {"web": WEB * 2, "app": WEB + 1}}
    found = platforms_together(series)
    assert [(p.first, p.second, p.first_measure, p.second_measure, p.looked_at) for p in found] == [
        ("app", "web", "engagement", "engagement", 15),
        ("app", "web", "revenue", "revenue", 15),
        ("app", "web", "engagement", "revenue", 8),
        ("web", "app", "engagement", "revenue", 8),
    ]
    assert found[1].pearson.value == 1.0


def test_days_that_are_not_known_are_left_out() -> None:
    holed = WEB.copy()
    holed[3] = np.nan
    (pair,) = platforms_together({"engagement": {"a": WEB, "b": holed}})
    assert (pair.pearson.n, pair.pearson.value, pair.lag) == (11, 1.0, 0)


def test_one_platform_or_none_has_nothing_beside_it() -> None:
    assert platforms_together({}) == []
    assert platforms_together({"engagement": {"web": WEB}, "revenue": {"web": WEB}}) == []


def test_a_platform_without_change_has_no_coefficient() -> None:
    (pair,) = platforms_together({"engagement": {"a": WEB, "b": np.zeros(12)}})
    assert (pair.pearson.value, pair.spearman.value, pair.lag, pair.lagged.value) == (None, None, 0, None)
