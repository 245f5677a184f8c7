"""Paths by hand: three people and what they do after looking at a product."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from kpis.explore.intervals import newcombe
from kpis.explore.picks import EventPick
from kpis.paths import END, PathNode, PathRow, Paths, PathsAnswer, paths_read
from kpis.series.question import QuestionError
from tests.lake_tables import lake_store

START = datetime(2026, 3, 2, tzinfo=UTC)
MINUTE = timedelta(minutes=1)


def did(person: int, *names: str, at: int = 0, every: int = 5) -> list[dict[str, Any]]:
    return [
        {"name": name, "person_id": person, "ts": START + (at + number * every) * MINUTE}
        for number, name in enumerate(names)
    ]


# 1 looks, puts it in the basket twice, buys; 2 looks, reads help, and much later buys; 3 only looks.
STORY = [
    *did(1, "home", "look", "cart", "cart", "buy"),
    *did(2, "look", "help"),
    *did(2, "buy", at=300),
    *did(3, "look"),
]


def asked(rows: list[dict[str, Any]], **more: Any) -> PathsAnswer:
    base = {"start": START, "end": START + timedelta(days=1), "anchor": EventPick(("look",)), "depth": 2}
    store = lake_store(rows)
    return paths_read(store, Paths(**{**base, **more}), timezone="UTC", now=START + timedelta(days=9))


def test_what_people_do_next_within_a_visit() -> None:
    """The basket twice is one step. Bob's purchase after five hours is another visit."""
    found = asked(STORY)
    assert found.rows == (PathRow((END, END), 1), PathRow(("cart", "buy"), 1), PathRow(("help", END), 1))
    assert found.nodes == (
        PathNode(1, END, 1, 1), PathNode(1, "cart", 1, 1), PathNode(1, "help", 1, 1),
        PathNode(2, END, 2, 2), PathNode(2, "buy", 1, 1),
    )  # fmt: skip
    assert [(link.source, link.target, link.paths) for link in found.links] == [("cart", "buy", 1), ("help", END, 1)]
    assert (found.paths, found.people) == (3, 3)
    assert found.reading.startswith("After “look” (3 paths), 33 % have nothing more. Most frequent is “cart”")


def test_a_window_reaches_over_visits() -> None:
    found = asked(STORY, within=timedelta(hours=6))
    assert PathRow(("help", "buy"), 1) in found.rows


def test_what_came_before() -> None:
    found = asked(STORY, anchor=EventPick(("buy",)), direction="before")
    assert found.rows == (PathRow((END, END), 1), PathRow(("cart", "look"), 1))


def test_the_rest_is_other() -> None:
    rows = [event for person in range(1, 8) for event in did(person, "look", f"page-{person // 3}")]
    found = asked(rows, depth=1, top=1)
    assert [(node.name, node.paths) for node in found.nodes] == [("__other__", 4), ("page-1", 3)]


def test_each_time_anew_or_the_first_time_only() -> None:
    rows = did(1, "look", "cart", "buy", "look", "buy")
    assert asked(rows, entry="each").rows == (PathRow(("buy", END), 1), PathRow(("cart", "buy"), 1))
    assert asked(rows).paths == 1


def test_an_anchor_outside_the_range_begins_nothing_and_a_long_visit_stays_one() -> None:
    """Twenty clicks of two minutes on one page are one step, and the visit goes on behind them."""
    rows = [*did(1, "look", *["scroll"] * 20, "buy", every=2), *did(2, "look", at=-10)]
    assert asked(rows).rows == (PathRow(("scroll", "buy"), 1),)


# A day before: five look, four of them put it in the basket, one has nothing more.
EARLIER = [
    {**event, "ts": event["ts"] - timedelta(days=1)}
    for person in range(11, 16)
    for event in did(person, "look", *(["cart"] if person < 15 else []))
]
OTHER_DAY = (START - timedelta(days=1), START)


def test_two_days_side_by_side_by_hand() -> None:
    """Each person has one path, so the intervals are Newcombe's: the basket 1 of 3 against 4 of 5."""
    found = asked([*STORY, *EARLIER], against=OTHER_DAY).comparison
    assert found is not None
    assert (found.paths, found.people) == (5, 5)
    told = {(change.place, change.name): change for change in found.changes}
    assert set(told) == {(1, "cart"), (1, "help"), (1, END), (2, "buy"), (2, END)}
    for key, hits, hits_before in (((1, "cart"), 1, 4), ((1, "help"), 1, 0), ((1, END), 1, 1), ((2, END), 2, 5)):
        change, exact = told[key], newcombe(hits, 3, hits_before, 5)
        assert (change.paths, change.paths_before) == (hits, hits_before)
        assert change.difference == pytest.approx(hits / 3 - hits_before / 5)
        assert change.interval is not None
        assert exact is not None
        assert (change.interval.low, change.interval.high) == pytest.approx((exact.low, exact.high))
        assert not change.is_clear
    assert found.reading.endswith("no share of the first step differs by more than chance would make it.")


def test_names_that_are_not_shown_now_are_all_others_in_both() -> None:
    rows = [*STORY, *EARLIER, *did(4, "look", "cart")]
    found = asked(rows, against=OTHER_DAY, top=1, depth=1).comparison
    assert found is not None
    told = {change.name: (change.paths, change.paths_before) for change in found.changes}
    assert told == {"cart": (2, 4), "__other__": (1, 0), END: (1, 1)}


def test_several_paths_of_one_person_count_for_less_than_those_of_several() -> None:
    """Three people walk eight times each and always alike: the interval is as wide as that of three."""
    rows = [
        event
        for person in (1, 2, 3)
        for turn in range(8)
        for event in did(person, "look", "cart" if person == 1 else "help", at=turn * 60)
    ]
    found = asked([*rows, *EARLIER], against=OTHER_DAY, entry="each", depth=1).comparison
    assert found is not None
    change = next(change for change in found.changes if change.name == "cart")
    exact = newcombe(1, 3, 4, 5)
    assert (change.paths, change.share) == (8, pytest.approx(1 / 3))
    assert change.interval is not None
    assert exact is not None
    assert (change.interval.low, change.interval.high) == pytest.approx((exact.low, exact.high))


def test_a_clear_difference_is_told_and_an_empty_range_too() -> None:
    many = [event for person in range(100, 140) for event in did(person, "look", "cart")]
    before = [{**event, "ts": event["ts"] - timedelta(days=1)} for event in many if event["name"] == "look"]
    found = asked([*many, *before], against=OTHER_DAY, depth=1)
    assert "Against the other period “cart” is next in +100.0 percentage points of the paths" in found.reading
    assert "a clear difference" in found.reading
    alone = asked(many, against=OTHER_DAY, depth=1)
    assert alone.reading.endswith("There is no path in the other period to compare with.")
    assert alone.comparison is not None
    assert {change.difference for change in alone.comparison.changes} == {None}
    assert asked([], against=OTHER_DAY).comparison is not None


@pytest.mark.parametrize(
    "wrong",
    [
        {"depth": 0}, {"depth": 11}, {"top": 0}, {"anchor": EventPick()}, {"direction": "sideways"},
        {"by": "amount"}, {"within": timedelta(0)}, {"end": START},
    ],
)  # fmt: skip
def test_what_cannot_be_asked_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(QuestionError):
        asked(STORY, **wrong)
