"""Is one cohort better than another? Against published tests, by hand, and over the whole table."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from math import comb
from typing import Any

import numpy as np
import pytest

from analytics.periods import Calendar
from kpis.explore.intervals import wilson
from kpis.retention_clock import ClockAnswer, ClockRetention, clock_people, clock_retention_read
from kpis.retention_versus import fisher, holm, two_proportions, versus_of
from kpis.series.question import QuestionError
from kpis.usage_interval import UsageInterval, interval_of
from tests.lake_tables import lake_store

MONDAY = datetime(2026, 3, 2, tzinfo=UTC)
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
LATER = MONDAY + 200 * DAY


def test_the_exact_test_is_fishers() -> None:
    """The lady tasting tea, three of four cups right: 0.4857; 1 in 10 against 11 in 14: 0.00276 (two-sided)."""
    assert fisher(3, 4, 1, 4) == pytest.approx(34 / 70)
    assert fisher(1, 10, 11, 14) == pytest.approx(0.002759, abs=1e-6)


def test_the_exact_test_by_counting_tables() -> None:
    dice = random.Random(5)
    for _ in range(50):
        of, other = dice.randrange(1, 12), dice.randrange(1, 12)
        hits, more = dice.randrange(of + 1), dice.randrange(other + 1)
        came = hits + more
        ways = {k: comb(of, k) * comb(other, came - k) for k in range(max(0, came - other), min(of, came) + 1)}
        expected = sum(way for way in ways.values() if way <= ways[hits]) / comb(of + other, came)
        assert fisher(hits, of, more, other) == pytest.approx(expected)


def test_many_are_tested_with_the_pooled_share() -> None:
    """45 of 100 against 30 of 100: pooled 0.375, z = 0.15 / √(0.375 · 0.625 · 0.02) = 2.1909, p = 0.0285."""
    assert two_proportions(45, 100, 30, 100) == (pytest.approx(0.028460, abs=1e-6), "z")
    assert two_proportions(5, 10, 1, 10)[1] == "exact"
    assert two_proportions(10, 10, 20, 20) == (None, "z")
    assert two_proportions(0, 10, 0, 20) == (None, "z")


def test_of_several_periods_the_smallest_is_held_to_the_most() -> None:
    """Holm: 0.01 · 3, 0.02 · 2, 0.04 · 1; never smaller than the one before, and what cannot differ takes no part."""
    assert holm([0.04, None, 0.01, 0.02]) == pytest.approx([0.04, None, 0.03, 0.04])
    assert holm([0.5, 0.9]) == [1.0, 1.0]
    assert holm([]) == []


def test_two_cohorts_side_by_side() -> None:
    """45 % against 30 % has p 0.0285, 44 % against 30 % 0.0403: each alone would seem clear. Of the two the smaller is
    doubled, and the larger is no smaller than that: 0.0569 both, too close to call."""
    found = versus_of(
        (2, 0), (100, 100), [(100, 100), (45, 30), (44, 30), (None, 10)], [f"in week {n}" for n in range(4)]
    )
    assert [(p.period, p.share, p.share_other, p.is_clear) for p in found.periods] == [
        (0, 1.0, 1.0, False), (1, 0.45, 0.3, False), (2, 0.44, 0.3, False),
    ]  # fmt: skip
    assert [test.p for test in found.periods] == pytest.approx([None, 0.028460, 0.040324], abs=1e-6)
    assert [test.p_holm for test in found.periods] == pytest.approx([None, 0.056919, 0.056919], abs=1e-6)
    assert found.reading == ("Between cohort 3 and cohort 1 no period differs by more than chance would make it.")


def visits(cohort: int, people: int, back: dict[int, int]) -> list[dict[str, Any]]:
    """So many who come in the week `cohort`, of whom so many come again after so many days."""
    rows = []
    for number in range(people):
        person = cohort * 1000 + number + 1
        begun = MONDAY + cohort * 7 * DAY + HOUR
        rows.append({"name": "open", "person_id": person, "ts": begun})
        rows += [
            {"name": "open", "person_id": person, "ts": begun + day * DAY + HOUR}
            for day, count in back.items()
            if number < count
        ]
    return rows


def asked(rows: list[dict[str, Any]], through: datetime = LATER, **more: Any) -> ClockAnswer:
    base: dict[str, Any] = {"start": MONDAY, "calendar": Calendar("UTC"), "periods": 2, "unit": "week"}
    question = ClockRetention(**{**base, **more})
    return clock_retention_read(
        lake_store(rows, data_through=through), question, now=through, known_before=np.zeros(0, dtype=np.int64)
    )


STORY = [*visits(0, 40, {1: 20, 7: 10, 8: 30}), *visits(1, 20, {1: 2, 6: 5, 7: 4})]


def test_single_days_of_everybodys_own_clock() -> None:
    """Day 1 is 24 to 48 hours after one's first event. Of 40: 20 on day 1, 10 on day 7; of 20: 2 and 4."""
    found = asked(STORY, days=(1, 3, 7))
    assert [[cell.returned for cell in row.cells] for row in found.rows] == [[20, 0, 10], [2, 0, 4]]
    assert found.means == pytest.approx((22 / 60, 0.0, 14 / 60))
    assert [found.mean_intervals[0], found.rows[0].cells[2].interval] == [wilson(22, 60), wilson(10, 40)]
    assert "36.7 % of them came back on day 1, 23.3 % on day 7." in found.reading
    question = ClockRetention(start=MONDAY, calendar=Calendar("UTC"), periods=2, days=(1, 3, 7))
    people = clock_people(lake_store(STORY), question, cohort=1, period=2, known_before=np.zeros(0, dtype=np.int64))
    assert list(people) == [1001, 1002, 1003, 1004]


def test_that_day_or_later() -> None:
    """Day 3 or later: 30 who came on day 8 and the 10 of day 7 are among them; of 20, those of day 6."""
    found = asked(STORY, days=(1, 3, 7), mode="on_or_after")
    assert [[cell.returned for cell in row.cells] for row in found.rows] == [[30, 30, 30], [5, 5, 4]]
    assert "on day 1 or later" in found.reading


def test_a_day_is_over_when_it_is_over_for_the_last_who_came() -> None:
    """Who comes at the end of week 0 has day 7 until the end of the eighth day after."""
    at = [asked(STORY, MONDAY + days * DAY, days=(1, 7)).rows[0].cells for days in (8, 9, 14, 15)]
    assert [[cell.is_complete for cell in cells] for cells in at] == [
        [False, False], [True, False], [True, False], [True, True],
    ]  # fmt: skip


def test_is_this_cohort_better_than_that_one() -> None:
    """Day 1: 2 of 20 against 20 of 40, exact p for 10 % against 50 %; day 7: 20 % against 25 %."""
    found = asked(STORY, days=(1, 7), versus=(1, 0))
    assert found.versus is not None
    first, last = found.versus.periods
    assert (found.versus.size, found.versus.size_other) == (20, 40)
    assert (first.difference, last.difference) == (pytest.approx(-0.4), pytest.approx(-0.05))
    assert first.test == "z"  # 22 of 60 among 20: 7.3 expected
    assert first.p == pytest.approx(0.002438, abs=1e-6)
    assert first.p_holm == pytest.approx(2 * 0.002438, abs=2e-6)
    assert (first.is_clear, last.is_clear) == (True, False)
    assert "Cohort 2 is clearly worse than cohort 1 on day 1 (-40.0 percentage points)." in found.reading


def test_small_cohorts_are_marked_and_told() -> None:
    found = asked(STORY, min_size=30)
    assert [row.is_small for row in found.rows] == [False, True]
    assert "1 cohort has fewer than 30 people" in found.reading
    assert [row.is_small for row in asked(STORY, min_size=0).rows] == [False, False]


def test_cohorts_that_share_people_have_no_intervals_of_means() -> None:
    assert asked(STORY, cohort="recurring").mean_intervals == (None, None)


@pytest.mark.parametrize(
    "wrong",
    [
        {"days": (1, 3), "brackets": (0, 1)}, {"days": (1, 3), "clock": "calendar"}, {"days": (3, 1)},
        {"days": (-1,)}, {"days": (4000,)}, {"days": tuple(range(61))}, {"min_size": -1}, {"versus": (0, 0)},
        {"versus": (0, 2)}, {"versus": (-1, 0)}, {"versus": (0, 1), "cohort": "recurring"},
        {"brackets": (0, 1), "mode": "on_or_after"},
    ],
)  # fmt: skip
def test_what_cannot_be_compared_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(QuestionError):
        asked(STORY, **wrong)


# --- How often people come --------------------------------------------------------------------------------------------


def uses(**days: list[int]) -> UsageInterval | None:
    pairs = [(person, day) for person, (_, found) in enumerate(days.items()) for day in found]
    return interval_of(np.array([person for person, _ in pairs]), np.array([day for _, day in pairs]))


def test_the_interval_of_a_person_is_the_median_of_their_pauses() -> None:
    """Ann pauses 1, 1, 5: 1. Bob 3 and 4: 3.5. Cyd 10. Dan came once, Eve twice on one day: no interval. Median 3.5;
    four in five of three people: between 3.5 and 10 at 0.6 of the way, 7.4."""
    found = uses(ann=[1, 2, 3, 8], bob=[7, 0, 3, 3], cyd=[5, 15], dan=[4], eve=[6, 6])
    assert found is not None
    assert (found.people, found.median_days, found.unit, found.is_sampled) == (3, 3.5, "week", False)
    assert found.p80_days == pytest.approx(7.4)


@pytest.mark.parametrize(("pause", "unit"), [(1, "day"), (2, "week"), (7, "week"), (8, "month"), (60, "month")])
def test_the_unit_is_the_smallest_that_is_long_enough(pause: int, unit: str) -> None:
    found = uses(ann=[0, pause])
    assert found is not None
    assert found.unit == unit


def test_who_came_once_says_nothing() -> None:
    assert uses(ann=[1], bob=[2, 2]) is None
    assert interval_of(np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)) is None


def test_the_reading_tells_how_often_people_come() -> None:
    """By medians: ten of week 0 pause 1 day, ten 4, ten 8; of week 1 two 1 day, two 3.5, one 6. The 18th of 35: 4."""
    found = asked(STORY)
    assert found.interval is not None
    assert found.interval.people == 35
    assert (
        " Of 35 people who came on two days or more, half come again within 4 days and four in five within 8 days:"
        " weeks fit that." in found.reading
    )
