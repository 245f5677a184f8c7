"""What passes the steps besides people's best attempts: every attempt, visits, groups. By hand and by definition."""

from __future__ import annotations

import random
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from analytics.periods import to_micros
from analytics.sessions import GAP
from kpis.base import Condition
from kpis.explore.picks import EventPick
from kpis.funnels import Exclusion, Funnel, FunnelAnswer, Step, funnel_people, funnel_read
from kpis.funnels.attempts import Attempts
from kpis.funnels.engines import attempts_read
from kpis.series.question import QuestionError
from tests.kpis.explore import reference
from tests.kpis.explore.reference import Try, after
from tests.kpis.explore.test_funnel_engines import a_funnel, events_of
from tests.lake_tables import lake_store

START = datetime(2026, 3, 2, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
THROUGH = START + 30 * DAY


def event(person: int | None, name: str, at: timedelta, **columns: Any) -> dict[str, Any]:
    return {"name": name, "person_id": person, "ts": START + at, **columns}


def asked(rows: list[dict[str, Any]], through: datetime = THROUGH, **more: Any) -> FunnelAnswer:
    return funnel_read(
        lake_store(rows, data_through=through, columns=("session_id",), properties=("$groups",)),
        a_shop(**more),
        timezone="UTC",
        now=through,
    )


def a_shop(**more: Any) -> Funnel:
    base: dict[str, Any] = {
        "steps": (Step(EventPick(("view",))), Step(EventPick(("buy",)))),
        "start": START,
        "end": START + 7 * DAY,
        "window": DAY,
    }
    return Funnel(**{**base, **more})


def table(answer: FunnelAnswer) -> list[tuple[int, int, int]]:
    return [(step.reached, step.dropped, step.still_open) for step in answer.steps]


# --- Every attempt ----------------------------------------------------------------------------------------------------

ORDERS = [
    event(1, "view", 0 * HOUR), event(1, "view", 1 * HOUR), event(1, "buy", 2 * HOUR),
    event(1, "view", 3 * HOUR), event(1, "buy", 4 * HOUR),
    event(1, "view", 40 * HOUR), event(1, "view", 64 * HOUR), event(1, "view", 65 * HOUR),
    event(2, "view", 1 * HOUR),
]  # fmt: skip


def test_every_attempt_one_after_the_other() -> None:
    """1 begins at 0 (the view at 1 is part of it) and buys at 2, begins at 3 and buys at 4, begins at 40 and has until
    64 (the view then still belongs to it), begins again at 65; 2 begins once. Five attempts, two converted."""
    answer = asked(ORDERS, entry="every")
    assert table(answer) == [(5, 3, 0), (2, 0, 0)]
    assert answer.question.counts == "attempts"
    assert answer.reading.startswith("5 attempts began with “view”; 2 of them (40.0 %")
    assert table(asked(ORDERS)) == [(2, 1, 0), (1, 0, 0)]
    assert answer.steps[1].from_start is not None
    assert answer.steps[1].from_start.n == 2


def test_the_people_of_attempts_are_listed_once() -> None:
    store = lake_store(ORDERS, data_through=THROUGH)
    assert list(funnel_people(store, a_shop(entry="every"), step=0)) == [1, 2]
    assert list(funnel_people(store, a_shop(entry="every"), step=0, outcome="dropped")) == [1, 2]
    assert list(funnel_people(store, a_shop(entry="every"), step=1)) == [1]


def test_every_attempt_with_one_object_each() -> None:
    """With the order held constant, attempts of different orders run side by side: each looks for itself."""
    rows = [
        event(1, "view", 0 * HOUR, object_id="a"), event(1, "view", 1 * HOUR, object_id="b"),
        event(1, "buy", 2 * HOUR, object_id="b"), event(1, "buy", 3 * HOUR, object_id="a"),
        event(1, "view", 4 * HOUR, object_id="a"),
    ]  # fmt: skip
    assert table(asked(rows, entry="every", hold="object_id")) == [(3, 1, 0), (2, 0, 0)]


def test_strict_attempts_end_with_what_does_not_follow() -> None:
    """view, view, buy: the second view ends the first attempt and begins another, which buys."""
    rows = [event(1, "view", 0 * HOUR), event(1, "view", 1 * HOUR), event(1, "buy", 2 * HOUR)]
    assert table(asked(rows, entry="every", order="strict")) == [(2, 1, 0), (1, 0, 0)]


def every_by_definition(funnel: Funnel, rows: list[dict[str, Any]]) -> list[tuple[int, tuple[int, ...]]]:
    """Each unit's attempts, one at a time."""
    held = {None} if funnel.hold is None else {row.get(str(funnel.hold)) for row in rows}
    found = []
    for person in {row["person_id"] for row in rows}:
        mine = sorted((row for row in rows if row["person_id"] == person), key=after)
        for value in held:
            events = [row for row in mine if funnel.hold is None or row.get(funnel.hold) == value is not None]
            free: tuple[int, int] | None = None
            late = -1
            for entry in events:
                if (free is not None and after(entry) <= free) or entry["ts"] <= late:
                    continue
                if not reference.begins(funnel, entry):
                    continue
                one = reference.follow(funnel, events, entry)
                free, late = _over(funnel, one)
                found.append((person, tuple(-1 if e is None else e["ts"] for e in one.events)))
    return sorted(found)


def _over(funnel: Funnel, one: Try) -> tuple[tuple[int, int] | None, int]:
    last = max((event for index in funnel.required if (event := one.events[index]) is not None), key=after)
    is_over = one.level == len(funnel.required) or funnel.order == "strict"
    return (after(last), -1) if is_over else (None, one.deadline)


def test_every_attempt_by_definition() -> None:
    for seed in range(120):
        funnel, rows = replace(a_funnel(seed), entry="every", by=None, exclusions=()), events_of(seed)
        found, _ = attempts_read(lake_store(rows), funnel, to_micros(START + 45 * HOUR), "")
        assert pairs(found) == every_by_definition(funnel, rows), (seed, funnel)


def pairs(found: Attempts) -> list[tuple[int, tuple[int, ...]]]:
    return sorted((int(person), tuple(int(at[row]) for at in found.at)) for row, person in enumerate(found.person))


# --- Visits -----------------------------------------------------------------------------------------------------------


def test_all_steps_lie_in_one_visit() -> None:
    """1 pauses for exactly half an hour, which ends no visit; 2 for a microsecond more. 3's other doings keep the visit
    alive. 4's SDK says that it is one visit, whatever the pause."""
    rows = [
        event(1, "view", 0 * HOUR), event(1, "buy", 30 * MINUTE),
        event(2, "view", 0 * HOUR), event(2, "buy", 30 * MINUTE + timedelta(microseconds=1)),
        event(3, "view", 0 * HOUR), event(3, "scroll", 29 * MINUTE), event(3, "buy", 58 * MINUTE),
        event(4, "view", 0 * HOUR, session_id="s"), event(4, "buy", 5 * HOUR, session_id="s"),
    ]  # fmt: skip
    answer = asked(rows, session=True)
    assert table(answer) == [(4, 1, 0), (3, 0, 0)]
    assert "reached “buy” in one visit and within 1 day." in answer.reading
    store = lake_store(rows, data_through=THROUGH, columns=("session_id",))
    assert list(funnel_people(store, a_shop(session=True), step=0, outcome="dropped")) == [2]
    assert table(asked(rows)) == [(4, 0, 0), (4, 0, 0)]


def test_an_attempt_is_over_half_an_hour_after_the_last_event_of_its_visit() -> None:
    """Not after the window of a day: at 00:30 nothing can follow the view of midnight any more."""
    rows = [event(1, "view", 0 * HOUR), event(2, "view", 0 * HOUR), event(2, "scroll", 20 * MINUTE)]
    at = [table(asked(rows, START + minutes * MINUTE, session=True))[0] for minutes in (30, 31, 50, 51)]
    assert at == [(2, 0, 2), (2, 1, 1), (2, 1, 1), (2, 2, 0)]


def test_a_visit_that_began_before_the_range_is_still_one() -> None:
    """Its first view is too early to enter by; the second enters. What was before tells the SDK's id, too."""
    rows = [event(1, "view", -10 * MINUTE, session_id="s"), event(1, "view", 10 * MINUTE), event(1, "buy", 20 * MINUTE)]
    assert table(asked(rows, session=True)) == [(1, 0, 0), (1, 0, 0)]


def test_what_makes_nobody_active_is_in_no_visit() -> None:
    rows = [event(1, "view", 0 * HOUR), event(1, "$identify", 20 * MINUTE), event(1, "buy", 40 * MINUTE)]
    assert table(asked(rows, session=True)) == [(1, 1, 0), (0, 0, 0)]


def by_visit(rows: list[dict[str, Any]]) -> dict[tuple[int, int], list[dict[str, Any]]]:
    """Events of people without SDK ids by visit: a pause of more than half an hour begins another."""
    found: dict[tuple[int, int], list[dict[str, Any]]] = {}
    last: dict[int, tuple[int, int]] = {}
    for row in sorted(rows, key=after):
        number, at = last.get(row["person_id"], (0, row["ts"]))
        number += row["ts"] - at > GAP
        last[row["person_id"]] = number, row["ts"]
        found.setdefault((row["person_id"], number), []).append(row)
    return found


def test_visits_and_every_attempt_by_definition() -> None:
    for seed in range(40):
        dice = random.Random(seed)
        rows = [
            event(dice.randrange(1, 8), dice.choice("abcx"), dice.randrange(0, 1200) * MINUTE, seq=number)
            for number in range(150)
        ]
        funnel = a_shop(
            steps=tuple(
                Step(EventPick((name,)), within=dice.choice([None, 20 * MINUTE])) for name in dice.sample("abc", 2)
            ),
            start=START + 2 * HOUR,
            end=START + 15 * HOUR,
            window=dice.choice([HOUR, DAY]),
            session=True,
            entry="every",
        )  # fmt: skip
        expected = sorted(
            attempt for mine in by_visit(micros(rows)).values() for attempt in every_by_definition(funnel, mine)
        )
        found, _ = attempts_read(lake_store(rows, columns=("session_id",)), funnel, to_micros(THROUGH), "")
        assert pairs(found) == expected, (seed, funnel)


def micros(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [row | {"ts": to_micros(row["ts"])} for row in rows]


# --- Groups -----------------------------------------------------------------------------------------------------------


def at_company(key: object, **more: Any) -> dict[str, Any]:
    return {"properties": {"$groups": f'{{"company": {key}}}'}, **more}


def test_a_group_passes_a_step_when_anybody_of_it_does() -> None:
    """Acme's Ann views and its Bob buys; 7 only views, twice; who is of no company, or of another type, is nobody."""
    rows = [
        event(1, "view", 0 * HOUR, **at_company('"acme"')), event(2, "buy", 1 * HOUR, **at_company('"acme"')),
        event(3, "view", 0 * HOUR, **at_company(7)), event(4, "view", 2 * HOUR, **at_company(7)),
        event(None, "buy", 30 * HOUR, **at_company(7)),
        event(5, "view", 0 * HOUR), event(5, "buy", 1 * HOUR),
        event(6, "view", 0 * HOUR, properties={"$groups": '{"team": "red"}'}),
        event(7, "view", 0 * HOUR, properties={"$groups": "[company"}),
        event(8, "view", 0 * HOUR, is_bot=True, **at_company('"robots"')),
    ]  # fmt: skip
    answer = asked(rows, group="company")
    assert table(answer) == [(2, 1, 0), (1, 0, 0)]
    assert answer.reading.startswith("2 groups did “view”; 1 of them")
    assert table(asked(rows, group="company", window=2 * DAY)) == [(2, 0, 0), (2, 0, 0)]
    assert table(asked(rows, group="team")) == [(1, 1, 0), (0, 0, 0)]
    assert table(asked(rows, group="nothing' --")) == [(0, 0, 0), (0, 0, 0)]


def test_groups_by_value_and_one_after_the_other() -> None:
    rows = [
        event(1, "view", 0 * HOUR, country="FR", **at_company('"acme"')),
        event(2, "buy", 1 * HOUR, **at_company('"acme"')),
        event(3, "view", 2 * HOUR, country="DE", **at_company('"acme"')),
    ]
    answer = asked(rows, group="company", entry="every", by="country")
    assert [(part.key, part.steps[0].reached, part.steps[1].reached) for part in answer.breakdown] == [
        ("DE", 1, 0), ("FR", 1, 1),
    ]  # fmt: skip


@pytest.mark.parametrize(
    "wrong", [{"group": "company", "session": True}, {"group": "x" * 201}, {"entry": "often"}], ids=str
)
def test_what_makes_no_funnel_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(QuestionError):
        a_shop(**wrong)


def test_exclusions_conditions_and_curves_work_for_all_of_them() -> None:
    rows = [
        event(1, "view", 0 * HOUR, country="FR"), event(1, "help", 5 * MINUTE), event(1, "buy", 10 * MINUTE),
        event(1, "view", 2 * HOUR, country="FR"), event(1, "buy", 2 * HOUR + MINUTE),
        event(2, "view", 0 * HOUR, country="DE"), event(2, "buy", MINUTE),
    ]  # fmt: skip
    answer = asked(
        rows,
        session=True,
        entry="every",
        curve=True,
        steps=(Step(EventPick(("view",), (Condition("country", "eq", "FR"),))), Step(EventPick(("buy",)))),
        exclusions=(Exclusion(EventPick(("help",))),),
    )
    assert (answer.excluded, table(answer)) == (1, [(1, 0, 0), (1, 0, 0)])
    assert answer.curve is not None
    assert [(point.seconds, point.share) for point in answer.curve.points] == [(60, 1.0)]
    assert (answer.curve.until_seconds, answer.curve.censored) == (60, 0)
