"""Spreads, pace, chances and standings of goals, by numbers worked out by hand."""

from __future__ import annotations

import itertools
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from math import sqrt
from typing import Any

import numpy as np
import pytest

from analytics.periods import Calendar
from kpis.goals import chance
from kpis.goals.chance import PATHS, Floats, Rest, Wish, drawn, past_of, simulate
from kpis.goals.contracts import Chance, Shape, Status
from kpis.goals.pace import Aim, expected_after, pace_of, progress_of
from kpis.goals.shapes import spread_of
from kpis.goals.status import Facts, status_of
from kpis.goals.timing import elapsed_days

PARIS = Calendar("Europe/Paris")
DAY = timedelta(days=1)


def days(first: date, count: int) -> tuple[date, ...]:
    return tuple(first + number * DAY for number in range(count))


MARCH = days(date(2026, 3, 1), 31)  # begins on a Sunday; the clocks go forward on the 29th


def weekly(first: date, count: int, workday: int, weekend: int) -> dict[date, Decimal | None]:
    """A past of so many days with one value on workdays and one on Saturdays and Sundays."""
    return {day: Decimal(workday if day.weekday() < 5 else weekend) for day in days(first, count)}


# --- Spreads ----------------------------------------------------------------------------------------------------------


def test_a_straight_line_gives_each_local_day_the_same() -> None:
    """3100 in March: 1500 after 15 of 31 days."""
    aim = Aim(Decimal(3100), None, "up", is_sum=True)
    spread = spread_of(Shape.LINEAR, MARCH, {})

    assert [expected_after(aim, spread, Fraction(n)) for n in (0, 15, 31)] == [0, 1500, 3100]


def test_a_day_of_23_hours_is_one_day_and_half_of_it_half_a_day() -> None:
    """On 29 March Paris skips an hour: 11.5 of its 23 hours are half of it."""
    start = PARIS.day_start(date(2026, 3, 29))

    assert elapsed_days(PARIS, MARCH, start) == 28
    assert elapsed_days(PARIS, MARCH, start + timedelta(hours=11, minutes=30)) == Fraction(57, 2)
    assert elapsed_days(PARIS, MARCH, start + timedelta(hours=23)) == 29
    assert elapsed_days(PARIS, MARCH, datetime(2026, 2, 1, tzinfo=UTC)) == 0
    assert elapsed_days(PARIS, MARCH, datetime(2026, 5, 1, tzinfo=UTC)) == 31


def test_a_leap_february_has_29_shares() -> None:
    """2900 in February 2028: 1000 after ten days; in 2026, with 28 days, 2800 make the same."""
    for year, target in ((2028, 2900), (2026, 2800)):
        count = (date(year, 3, 1) - date(year, 2, 1)).days
        spread = spread_of(Shape.LINEAR, days(date(year, 2, 1), count), {})
        aim = Aim(Decimal(target), None, "up", is_sum=True)
        assert expected_after(aim, spread, Fraction(10)) == 1000


def test_a_step_asks_for_everything_from_the_first_day() -> None:
    aim = Aim(Decimal(3100), None, "up", is_sum=True)

    assert expected_after(aim, spread_of(Shape.STEP, MARCH, {}), Fraction(1)) == 3100


def test_a_season_gives_each_weekday_its_share_of_the_past() -> None:
    """Workdays brought 20, weekends 10. March 2026 has 5 Mondays, 5 Tuesdays, 12 other workdays, 4 Saturdays and 5
    Sundays: 22 × 2 + 9 = 53 parts. Until the 7th: one Sunday, five workdays, one Saturday: 12 parts of 53.
    """
    past = weekly(date(2026, 2, 1), 28, 20, 10)
    spread = spread_of(Shape.SEASONAL, MARCH, past)
    aim = Aim(Decimal(530), None, "up", is_sum=True)

    assert (spread.shape, spread.note) == (Shape.SEASONAL, "")
    assert [expected_after(aim, spread, elapsed) for elapsed in (Fraction(7), Fraction(15, 2), Fraction(31))] == [
        120, 125, 530,
    ]  # fmt: skip


def test_a_short_past_makes_a_straight_line_and_says_so() -> None:
    """27 days hold only three of one weekday."""
    spread = spread_of(Shape.SEASONAL, MARCH, weekly(date(2026, 2, 2), 27, 20, 10))

    assert spread.shape is Shape.LINEAR
    assert spread.share(Fraction(31, 2)) == Fraction(1, 2)
    assert spread.note.startswith("Only 27 whole days of history lie before the period; a weekly season needs 28.")


def test_a_past_of_nothing_has_no_season() -> None:
    spread = spread_of(Shape.SEASONAL, MARCH, weekly(date(2026, 2, 1), 28, 0, 0))

    assert (spread.shape, "zero or negative" in spread.note) == (Shape.LINEAR, True)


def test_a_year_has_months_too_where_the_past_has_all_of_them() -> None:
    """2024 (366 days) brought 3 a day in December and 1 a day before: 335 + 31 × 3 = 428 parts. 2026 until
    1 December: 334 parts of 334 + 93 = 427.
    """
    past: dict[date, Decimal | None] = {
        day: Decimal(3 if day.month == 12 else 1) for day in days(date(2024, 1, 1), 366)
    }
    year = days(date(2026, 1, 1), 365)

    assert spread_of(Shape.SEASONAL, year, past).share(Fraction(334)) == Fraction(334, 427)
    without_december = {day: value for day, value in past.items() if day.month < 12}
    shorter = spread_of(Shape.SEASONAL, year, without_december)
    assert shorter.share(Fraction(334)) == Fraction(334, 365)
    assert shorter.note == "No history of month 12 yet: weekdays have their season, months have not."


# --- Pace and progress ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("aim", "value", "elapsed", "expected", "pace", "progress"),
    [
        (Aim(Decimal(3100), None, "up", is_sum=True), "1200", 15, "1500", "0.8", "1200/3100"),
        # At most 310 refunds: 155 allowed by now, 124 used.
        (Aim(Decimal(310), None, "down", is_sum=True), "124", Fraction(31, 2), "155", "1.25", "1"),
        (Aim(Decimal(310), None, "down", is_sum=True), "310", Fraction(31, 2), "155", "0.5", "0.5"),
        # Churn from 8 % to 5 %: half-way it should be 6.5 %; 7.4 % is 0.6 of the 1.5 points that were due.
        (Aim(Decimal("0.05"), Decimal("0.08"), "down", is_sum=False), "0.074", Fraction(31, 2), "0.065", "0.4", "0.2"),
        # Without a baseline a level is expected at its target.
        (Aim(Decimal("0.5"), None, "up", is_sum=False), "0.4", 10, "0.5", "0.8", "0.8"),
        (Aim(Decimal("0.05"), None, "down", is_sum=False), "0.1", 10, "0.05", "0.5", "0.5"),
    ],
)
def test_pace_and_progress(aim: Aim, value: str, elapsed: Any, expected: str, pace: str, progress: str) -> None:
    found = expected_after(aim, spread_of(Shape.LINEAR, MARCH, {}), Fraction(elapsed))
    rate = pace_of(aim, Decimal(value), found)

    assert found == Decimal(expected)
    assert rate == Decimal(pace)
    over, _, under = progress.partition("/")
    assert progress_of(aim, Decimal(value), rate) == Decimal(over) / Decimal(under or 1)


def test_nothing_has_no_pace() -> None:
    aim = Aim(Decimal(10), None, "down", is_sum=True)

    assert pace_of(aim, Decimal(0), Decimal(5)) is None
    assert pace_of(aim, None, Decimal(5)) is None
    assert progress_of(aim, Decimal(0), None) == 1


# --- Chances ----------------------------------------------------------------------------------------------------------

# Eight weeks from a Monday: three of tens, five of zeros.
WEEKS = (1, 0, 0, 1, 0, 0, 1, 0)
TWO_VALUED = past_of(0, [[10.0 * week] for week in WEEKS for _ in range(7)])


def total(base: float) -> Any:
    def value_of(sums: Floats, counts: Floats) -> Floats:
        found: Floats = base + sums[..., 0]
        return found

    return value_of


def chance_of(rest: Rest, target: float, *, base: float = 0, better: Any = "up", seed: int = 1) -> Chance:
    return simulate(TWO_VALUED, rest, Wish(target, better, seed), method="sum", value_of=total(base)).chance


@pytest.mark.parametrize("seed", [1, 2, 3])
@pytest.mark.parametrize(
    ("days_left", "target", "exact"),
    [
        (7, 70, 3 / 8),  # the one week that is drawn is one of tens
        # Of two weeks the second comes out of an urn with nine: the eight, and once more the one that was drawn.
        (14, 70, 1 - (5 / 8) * (6 / 9)),  # at least one of two
        (14, 140, (3 / 8) * (4 / 9)),  # both
        (10, 100, (3 / 8) * (4 / 9)),  # both, the second cut after three days
        (21, 210, (3 / 8) * (4 / 9) * (5 / 10)),  # all three
    ],
)
def test_a_chance_that_can_be_worked_out_is_met_within_its_error(
    seed: int, days_left: int, target: float, exact: float
) -> None:
    """Four standard errors: one failure in sixteen thousand, and the seed is fixed."""
    found = chance_of(Rest(0, days_left), target, seed=seed)

    assert found.probability is not None
    assert abs(found.probability - exact) < 4 * sqrt(exact * (1 - exact) / PATHS)
    assert (found.paths, found.history_days, found.method) == (PATHS, 56, "sum")


def test_chances_of_nothing_and_of_everything() -> None:
    assert chance_of(Rest(0, 7), 71).probability == 0
    assert chance_of(Rest(0, 7), 0).probability == 1
    assert chance_of(Rest(0, 7), 70, base=70).probability == 1
    assert chance_of(Rest(0, 7), -1, better="down").probability == 0
    assert chance_of(Rest(0, 7), 70, better="down").probability == 1


def test_a_chance_to_stay_below_is_the_rest_of_the_chance_to_pass() -> None:
    up, down = chance_of(Rest(0, 7), 70), chance_of(Rest(0, 7), 69, better="down")

    assert up.probability is not None
    assert down.probability == pytest.approx(1 - up.probability)


def test_the_same_seed_draws_the_same_paths() -> None:
    assert chance_of(Rest(0, 14), 70, seed=5) == chance_of(Rest(0, 14), 70, seed=5)


def test_only_the_share_of_today_that_is_ahead_is_added() -> None:
    """A week of tens of which today is a quarter left: 62.5."""
    found = drawn(TWO_VALUED, Rest(0, 7, 0.25), seed=1)

    assert set(found.sum(axis=(1, 2)).tolist()) == {0.0, 62.5}


def test_blocks_keep_the_weekday() -> None:
    """A past that is 1 on Wednesdays only: whatever is drawn has a 1 on each Wednesday and nowhere else."""
    wednesdays = past_of(5, [[float((5 + number) % 7 == 2)] for number in range(40)])
    found = drawn(wednesdays, Rest(3, 20), seed=1)

    expected = [float((3 + number) % 7 == 2) for number in range(20)]
    assert np.array_equal(found[:, :, 0], np.tile(expected, (PATHS, 1)))


def test_a_ratio_draws_both_of_its_numbers_together() -> None:
    """Weeks of 1/2 and weeks of 3/4: two weeks give 1/2, 4/6 or 3/4 of their sums, never 1/4 or 3/2."""
    rows = [[1.0, 2.0] if week else [3.0, 4.0] for week in WEEKS for _ in range(7)]

    def value_of(sums: Floats, counts: Floats) -> Floats:
        found: Floats = sums[..., 0] / sums[..., 1]
        return found

    found = simulate(past_of(0, rows), Rest(0, 14), Wish(0.7, "up", 1), method="ratio", value_of=value_of)
    exact = (5 / 8) * (6 / 9)
    assert found.chance.probability is not None
    assert abs(found.chance.probability - exact) < 4 * sqrt(exact * (1 - exact) / PATHS)
    assert (found.chance.low, found.chance.high) == (Decimal("0.5"), Decimal("0.75"))
    assert (len(found.low), len(found.high)) == (14, 14)


def test_a_short_past_gives_no_chance_and_says_so() -> None:
    found = simulate(past_of(0, [[1.0]] * 27), Rest(0, 7), Wish(1, "up", 1), method="sum", value_of=total(0))

    assert found.chance.probability is None
    assert found.chance.words == "A probability needs 28 whole days of history; there are 27."


# --- Standing ---------------------------------------------------------------------------------------------------------


def facts(**changes: Any) -> Facts:
    base: dict[str, Any] = {
        "value": Decimal(50), "target": Decimal(100), "better": "up", "is_sum": True, "has_begun": True,
        "is_over": False, "pace": Decimal(1), "chance": chance.no_chance(""),
    }  # fmt: skip
    return Facts(**{**base, **changes})


def probable(probability: float) -> Chance:
    return Chance(probability, 0.0, PATHS, 100, "sum", "")


@pytest.mark.parametrize(
    ("changes", "status", "rule"),
    [
        ({"has_begun": False}, "upcoming", "The period has not begun."),
        ({"value": None}, "unknown", "Nothing is known of the metric in this period."),
        ({"chance": probable(0.7)}, "on_track", "The chance of reaching the target is 70 %; on track from 70 %."),
        ({"chance": probable(0.69)}, "at_risk", "The chance of reaching the target is 69 %; on track from 70 %."),
        ({"chance": probable(0.3)}, "at_risk", "The chance of reaching the target is 30 %; on track from 70 %."),
        ({"chance": probable(0.29)}, "off_track", "The chance of reaching the target is 29 %; off track below 30 %."),
        ({"pace": Decimal("0.95")}, "on_track", "The pace is 95 % of what was expected by now; on track from 95 %."),
        ({"pace": Decimal("0.8")}, "at_risk", "The pace is 80 % of what was expected by now; on track from 95 %."),
        ({"pace": Decimal("0.79")}, "off_track", "The pace is 79 % of what was expected by now; off track below 80 %."),
        ({"pace": None}, "unknown", "There is neither a probability nor a pace yet."),
        ({"value": Decimal(100)}, "reached", "The target is reached before the period is over."),
        (
            {"value": Decimal(101), "better": "down"},
            "missed",
            "The limit is passed before the period is over.",
        ),
        (
            {"value": Decimal(100), "is_over": True},
            "reached",
            "The period is over; at least the target was asked for, and it was kept.",
        ),
        (
            {"value": Decimal(100), "is_over": True, "better": "down"},
            "reached",
            "The period is over; at most the target was asked for, and it was kept.",
        ),
        (
            {"value": Decimal(99), "is_over": True},
            "missed",
            "The period is over; at least the target was asked for, and it was not kept.",
        ),
    ],
)
def test_the_rule(changes: dict[str, Any], status: str, rule: str) -> None:
    assert status_of(facts(**changes)) == (Status(status), rule)


def test_a_level_is_reached_at_the_end_only() -> None:
    """A rate above its target today may be below it tomorrow."""
    found, _ = status_of(facts(value=Decimal(120), is_sum=False, chance=probable(0.9)))

    assert found is Status.ON_TRACK


def test_every_pair_of_starts_is_possible() -> None:
    """Of the 64 pairs of weeks every kind turns up about as often as it should."""
    found = drawn(TWO_VALUED, Rest(0, 14), seed=3).reshape(PATHS, 2, 7).sum(axis=2) / 70
    counts = {pair: int((found == pair).all(axis=1).sum()) for pair in itertools.product((0.0, 1.0), repeat=2)}

    for pair, count in counts.items():
        first, second = ((3, 5)[week == 0] for week in pair)
        exact = first / 8 * (second + (pair[0] == pair[1])) / 9
        assert abs(count / PATHS - exact) < 4 * sqrt(exact * (1 - exact) / PATHS)
