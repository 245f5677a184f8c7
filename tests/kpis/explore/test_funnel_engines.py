"""Kernel, plan and the plain definition give the same attempts, for funnels of every kind over random events."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from analytics.periods import to_micros
from kpis.base import Condition
from kpis.explore.picks import EventPick
from kpis.funnels import Exclusion, Funnel, Step
from kpis.funnels.attempts import NEVER, Attempts
from kpis.funnels.engines import attempts_read
from kpis.funnels.packed import packed_attempts
from kpis.funnels.rows import places_sorted
from tests.kpis.explore import reference
from tests.lake_tables import lake_store

START = datetime(2026, 3, 2, tzinfo=UTC)
HOUR = timedelta(hours=1)


def events_of(seed: int, count: int = 260) -> list[dict[str, Any]]:
    """Few people, few names and many equal times, so that every border is met."""
    dice = random.Random(seed)
    rows = []
    for number in range(count):
        rows.append(
            {
                "name": dice.choice("abcdx"),
                "person_id": dice.randrange(1, 16),
                "ts": to_micros(START + dice.randrange(60) * HOUR),
                "seq": number,
                "country": dice.choice(["FR", "DE", None]),
                "object_id": dice.choice(["o1", "o2", None]),
            }
        )
    return rows


def step(*names: str, **more: Any) -> Step:
    return Step(EventPick(names), **more)


def a_funnel(seed: int) -> Funnel:
    """A random question that is allowed."""
    dice = random.Random(seed)
    order = dice.choice(["ordered", "ordered", "ordered", "strict", "any"])
    names = [dice.choice("abcd") for _ in range(dice.randrange(2, 5))]
    steps = [step(name) for name in names]
    if order == "any" and dice.random() < 0.4:
        steps[0] = step("a", "b")
    if order != "any":
        steps = [step(*s.pick.names, within=dice.choice([None, None, 3 * HOUR])) for s in steps]
    if order == "ordered" and dice.random() < 0.5:
        place = dice.randrange(1, len(steps) + 1)
        steps.insert(place, step("x", is_optional=True, within=dice.choice([None, 2 * HOUR])))
        if dice.random() < 0.5:
            steps.insert(place, step(dice.choice("xa"), is_optional=True))
    if dice.random() < 0.3:
        steps[-1] = Step(EventPick(steps[-1].pick.names, (Condition("country", "eq", "FR"),)), steps[-1].label,
                         steps[-1].is_optional, steps[-1].within)  # fmt: skip
    required = [index for index, one in enumerate(steps) if not one.is_optional]
    exclusions: tuple[Exclusion, ...] = ()
    if order == "ordered" and dice.random() < 0.4:
        left, right = sorted(dice.sample(required, 2))
        exclusions = (Exclusion(EventPick(("x",)), left, right),)
    return Funnel(
        steps=tuple(steps),
        start=START + 10 * HOUR,
        end=START + 40 * HOUR,
        window=dice.choice([5, 12, 30]) * HOUR,
        order=order,  # type: ignore[arg-type]
        entry=dice.choice(["best", "first"]),
        exclusions=exclusions,
        hold=dice.choice([None, None, "object_id"]),
        by=dice.choice([None, "country"]),
        at=dice.choice(["first", "last", 1]),
    )


def shown(found: Attempts) -> dict[int, Any]:
    return {
        int(person): (
            tuple(int(column[row]) for column in found.at),
            None if found.key is None or found.key[row] < 0 else found.keys[found.key[row]],
            bool(found.excluded[row]),
            int(found.deadline[row]),
        )
        for row, person in enumerate(found.person)
    }


@pytest.mark.parametrize("block", range(6))
def test_kernel_and_plan_give_what_the_definition_says(block: int) -> None:
    for seed in range(block * 20, block * 20 + 20):
        funnel, rows = a_funnel(seed), events_of(seed)
        through = START + 45 * HOUR
        store = lake_store(rows)
        expected = reference.attempts(funnel, rows, to_micros(through))
        ways = ["kernel"] if funnel.order == "any" else ["kernel", "plan"]
        for way in ways:
            found, _ = attempts_read(store, funnel, to_micros(through), way)

            assert shown(found) == expected, (seed, way, funnel)
            assert np.all(found.person[1:] > found.person[:-1])


@pytest.mark.parametrize("is_tied", [False, True])
def test_plain_funnels_by_numbers_give_what_the_definition_says(is_tied: bool) -> None:
    """With times apart the numbers answer; people who have equal ones go to the kernel, and only they."""
    packed = 0
    for seed in range(40):
        dice = random.Random(seed)
        rows = [event for event in events_of(seed) if event["name"] != "x"]
        for number, event in enumerate(rows):
            event["ts"] += 0 if is_tied else number
        steps = tuple(step(name, within=dice.choice([None, 3 * HOUR])) for name in dice.sample("abcd", 3))
        funnel = Funnel(
            steps=steps,
            start=START + 5 * HOUR,
            end=START + 40 * HOUR,
            window=dice.choice([5, 12]) * HOUR,
            entry=dice.choice(["best", "first"]),
        )
        through = to_micros(START + 45 * HOUR)
        found, _ = attempts_read(lake_store(rows), funnel, through, "packed")
        assert shown(found) == reference.attempts(funnel, rows, through), (seed, funnel)
        packed += packed_attempts(lake_store(rows), funnel, through) is not None
    assert packed == 40


def test_a_step_that_nobody_reached_leaves_the_others_as_they_are() -> None:
    rows = [
        {"name": name, "person_id": person, "ts": START + at * HOUR}
        for person, names in ((1, "ab"), (2, "a"), (5, "ab"))
        for at, name in enumerate(names)
    ]
    funnel = Funnel(steps=tuple(map(step, "abcd")), start=START, end=START + 5 * HOUR, window=6 * HOUR)
    found = packed_attempts(lake_store(rows), funnel, to_micros(START + 9 * HOUR))
    assert found is not None
    first, second, until = (to_micros(START + hours * HOUR) for hours in (0, 1, 6))
    assert shown(found) == {
        1: ((first, second, NEVER, NEVER), None, False, until),
        2: ((first, NEVER, NEVER, NEVER), None, False, until),
        5: ((first, second, NEVER, NEVER), None, False, until),
    }


def test_people_whose_numbers_are_too_far_apart_go_to_the_kernel() -> None:
    rows = [
        {"name": name, "person_id": person, "ts": START + at * HOUR}
        for person in (1, 2**31 - 2)
        for at, name in enumerate("ab")
    ]
    funnel = Funnel(steps=(step("a"), step("b")), start=START, end=START + 3000 * 24 * HOUR)
    through = to_micros(START + 9000 * 24 * HOUR)
    assert packed_attempts(lake_store(rows), funnel, through) is None
    assert attempts_read(lake_store(rows), funnel, through, "")[0].at[1].tolist() == [to_micros(START + HOUR)] * 2


def test_sorting_in_parts_is_sorting() -> None:
    numbers = np.random.default_rng(1).integers(0, 2**62, 5_000)
    for case in (numbers, numbers % 3, np.zeros(5_000, dtype=np.int64)):
        assert np.array_equal(case[places_sorted(case, alone=10)], np.sort(case))
        assert len(np.unique(places_sorted(case, alone=10))) == len(case)


def test_an_empty_store_has_nobody() -> None:
    funnel = Funnel(steps=(step("a"), step("b")), start=START, end=START + HOUR)
    for way in ("packed", "kernel", "plan"):
        assert len(attempts_read(lake_store([]), funnel, 0, way)[0]) == 0
