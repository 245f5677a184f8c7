"""Paths by hand: three people and what they do after looking at a product."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

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
