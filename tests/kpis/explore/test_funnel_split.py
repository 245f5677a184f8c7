"""What a change comes from: by hand, exact, and fair to every step."""

from __future__ import annotations

import itertools
import random
from datetime import UTC, datetime, timedelta
from math import factorial, prod
from typing import Any

import pytest

from kpis.explore.picks import EventPick
from kpis.funnels import Funnel, Step, funnel_read
from kpis.funnels.split import shapley
from tests.lake_tables import lake_store

START = datetime(2026, 3, 2, tzinfo=UTC)
DAY = timedelta(days=1)
STEPS = ("view", "cart", "buy")


def test_two_factors_by_hand() -> None:
    """0.5 · 0.4 = 0.20 became 0.6 · 0.3 = 0.18: the first factor makes 0.1 · (0.4 + 0.3)/2 = 0.035, the second
    −0.1 · (0.5 + 0.6)/2 = −0.055."""
    assert shapley([0.6, 0.3], [0.5, 0.4]) == pytest.approx([0.035, -0.055])


def by_definition(now: list[float], before: list[float]) -> list[float]:
    """The mean over all orders of what each factor's turn changes."""
    count = len(now)
    parts = [0.0] * count
    for order in itertools.permutations(range(count)):
        values = list(before)
        for place in order:
            start = prod(values)
            values[place] = now[place]
            parts[place] += prod(values) - start
    return [part / factorial(count) for part in parts]


def test_it_is_the_mean_over_all_orders_and_leaves_nothing_over() -> None:
    dice = random.Random(1)
    for count in range(1, 7):
        now = [dice.choice([0.0, 1.0, dice.random()]) for _ in range(count)]
        before = [dice.choice([0.0, 1.0, dice.random()]) for _ in range(count)]
        found = shapley(now, before)
        assert found == pytest.approx(by_definition(now, before), abs=1e-12)
        assert sum(found) == pytest.approx(prod(now) - prod(before), abs=1e-12)


def test_twenty_steps_are_no_trouble() -> None:
    dice = random.Random(2)
    now, before = ([dice.random() for _ in range(20)] for _ in range(2))
    assert sum(shapley(now, before)) == pytest.approx(prod(now) - prod(before), abs=1e-12)


def people(first: int, start: datetime, views: int, carts: int, buys: int) -> list[dict[str, Any]]:
    """So many people who got so far, an hour apart."""
    rows = []
    for person in range(first, first + views):
        far = 1 + (person - first < carts) + (person - first < buys)
        rows += [{"name": STEPS[n], "person_id": person, "ts": start + n * timedelta(hours=1)} for n in range(far)]
    return rows


def asked(rows: list[dict[str, Any]]) -> Any:
    funnel = Funnel(
        steps=tuple(Step(EventPick((name,))) for name in STEPS),
        start=START,
        end=START + 7 * DAY,
        window=DAY,
        against=(START - 7 * DAY, START),
    )
    through = START + 30 * DAY
    found = funnel_read(lake_store(rows, data_through=through), funnel, timezone="UTC", now=through)
    assert found.comparison is not None
    return found


def test_a_funnel_whose_second_step_got_worse() -> None:
    """Before: 200 → 100 → 40 (0.5, 0.4; 20 %). Now: 100 → 60 → 18 (0.6, 0.3; 18 %): as by hand above. Of the 22
    conversions fewer, half as many entries make −100 · (0.2 + 0.18 + (0.6·0.4 + 0.5·0.3)/2)/3 …"""
    answer = asked([*people(1, START - 7 * DAY, 200, 100, 40), *people(1000, START, 100, 60, 18)])
    split = answer.comparison.split
    assert split.change == pytest.approx(-0.02)
    assert [(step.label, step.rate, step.rate_before) for step in split.steps] == [
        ("cart", 0.6, 0.5), ("buy", 0.3, 0.4),
    ]  # fmt: skip
    assert [step.points for step in split.steps] == pytest.approx([0.035, -0.055])
    assert split.conversions == -22
    # Three factors: N −100 in orders where 0, 1 or 2 of the rates have changed, weights 1/3, 1/6 + 1/6, 1/3.
    volume = -100 * (0.5 * 0.4 / 3 + 0.6 * 0.4 / 6 + 0.5 * 0.3 / 6 + 0.6 * 0.3 / 3)
    assert split.volume == pytest.approx(volume)
    assert split.volume + sum(step.conversions for step in split.steps) == pytest.approx(-22)
    assert not any(step.is_clear for step in split.steps)
    assert answer.reading.endswith("which may be chance. The step to “buy” makes -5.5 of it.")


def test_a_step_that_nobody_got_to_has_changed_nothing() -> None:
    """Before nobody filled a basket, so nobody could buy: all of the change is the basket's."""
    answer = asked([*people(1, START - 7 * DAY, 10, 0, 0), *people(1000, START, 10, 5, 2)])
    split = answer.comparison.split
    assert split.change == pytest.approx(0.2)
    assert [(step.points, step.rate_before) for step in split.steps] == [(pytest.approx(0.2), 0.0), (0.0, None)]


def test_nobody_before_is_nothing_to_compare_with() -> None:
    assert asked(people(1, START, 10, 5, 2)).comparison.split is None
