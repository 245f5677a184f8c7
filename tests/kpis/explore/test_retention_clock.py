"""Retention by the 24-hour clock by hand, and that both clocks and both stores agree where they ask the same."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pytest

from analytics.models import Tenant
from analytics.periods import Calendar, to_micros
from kpis.explore.picks import EventPick
from kpis.retention import retention_read
from kpis.retention_clock import ClockAnswer, ClockRetention, clock_people, clock_retention_read
from kpis.series.question import QuestionError
from kpis.usage_interval import interval_in, usage_interval_read
from tests.kpis.story import PEOPLE, Story
from tests.lake_tables import lake_store

MONDAY = datetime(2026, 3, 2, tzinfo=UTC)
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
LATER = MONDAY + 60 * DAY


def visit(person: int, after: timedelta, cents: int | None = None) -> dict[str, Any]:
    return {"name": "order_completed", "person_id": person, "ts": MONDAY + after, "amount_base": cents}


# 1 comes Monday 22:00 and Tuesday 21:00: another day by the calendar, not by the clock; then Wednesday 22:00.
# 2 comes Monday 08:00 and Wednesday 07:59:59: day 1 by the clock, day 2 by the calendar.
STORY = [
    visit(1, 22 * HOUR, 100), visit(1, 45 * HOUR, 20), visit(1, 70 * HOUR, 3),
    visit(2, 8 * HOUR, 500), visit(2, 56 * HOUR - timedelta(seconds=1), 50),
]  # fmt: skip


def asked(rows: list[dict[str, Any]], through: datetime = LATER, **more: Any) -> ClockAnswer:
    known = more.pop("known_before", None)
    base = {"start": MONDAY, "calendar": Calendar("UTC"), "periods": 3, "unit": "day"}
    question = ClockRetention(**{**base, **more})
    return clock_retention_read(lake_store(rows, data_through=through), question, now=LATER, known_before=known)


def table(answer: ClockAnswer) -> list[tuple[int, list[int | None]]]:
    return [(row.size, [cell.returned for cell in row.cells]) for row in answer.rows]


def test_a_day_lasts_from_ones_own_first_event() -> None:
    assert table(asked(STORY))[0] == (2, [2, 1, 1])
    assert table(asked(STORY, clock="calendar"))[0] == (2, [2, 1, 2])
    assert [clock_who(STORY, period, clock) for clock in ("24h", "calendar") for period in (1, 2)] == [
        [2], [1], [1], [1, 2],
    ]  # fmt: skip


def clock_who(rows: list[dict[str, Any]], period: int, clock: Any) -> list[int]:
    question = ClockRetention(start=MONDAY, calendar=Calendar("UTC"), periods=3, unit="day", clock=clock)
    return list(clock_people(lake_store(rows), question, cohort=0, period=period))


def test_money_of_each_period() -> None:
    """By the clock Ann's second order is still of her day 0: 100 + 20 + 500; day 1: 50; day 2: 3."""
    found = asked(STORY, revenue=True)
    assert [cell.revenue for cell in found.rows[0].cells] == [620, 50, 3]
    assert found.revenue_per_person == (310, 25, 1.5)


def test_a_period_that_is_not_over_for_all_is_null_and_left_out_of_the_mean() -> None:
    """The last of Monday's could come until Wednesday midnight for day 1, so day 1 is over then and not before."""
    almost = asked(STORY, through=MONDAY + 3 * DAY - timedelta(microseconds=1))
    assert [(cell.returned, cell.is_complete) for cell in almost.rows[0].cells] == [
        (2, True), (None, False), (None, False),
    ]  # fmt: skip
    assert almost.means == (1.0, None, None)
    assert table(asked(STORY, through=MONDAY + 3 * DAY))[0] == (2, [2, 1, None])


def test_who_is_in_which_cohort() -> None:
    rows = [*STORY, visit(3, 30 * HOUR)]
    assert [size for size, _ in table(asked(rows, cohort="first_in_range"))] == [2, 1, 0]
    assert [size for size, _ in table(asked(rows, cohort="first_ever", known_before=np.array([2])))] == [1, 1, 0]
    assert [size for size, _ in table(asked(rows, cohort="recurring"))] == [2, 2, 2]


def test_brackets_are_uneven_periods() -> None:
    found = asked(STORY, brackets=(0, 1, 3))
    assert table(found)[0] == (2, [2, 2])


def test_on_or_after_counts_whoever_comes_later_still() -> None:
    assert table(asked(STORY, mode="on_or_after", clock="calendar"))[0] == (2, [2, 2, 2])


@pytest.mark.parametrize(
    "wrong",
    [
        {"unit": "hour"}, {"periods": 0}, {"periods": 61}, {"clock": "sand"}, {"mode": "never"}, {"cohort": "all"},
        {"brackets": (0, 1), "clock": "calendar"}, {"brackets": (3,)}, {"brackets": (1, 1)},
    ],
)  # fmt: skip
def test_what_makes_no_table_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(QuestionError):
        asked(STORY, **wrong)


def test_both_clocks_agree_when_everything_happens_at_midnight() -> None:
    dice = random.Random(3)
    rows = [visit(dice.randrange(1, 40), dice.randrange(40) * DAY) for _ in range(300)]
    for unit in ("day", "week"):
        for cohort in ("first_in_range", "recurring"):
            shared: dict[str, Any] = {"unit": unit, "cohort": cohort, "periods": 4}
            clock, calendar = asked(rows, **shared), asked(rows, **shared, clock="calendar")
            if unit == "day":
                assert table(clock) == table(calendar)
            assert [row.size for row in clock.rows] == [row.size for row in calendar.rows]


@pytest.mark.django_db
def test_bitmaps_and_the_lake_give_the_same_calendar_retention(acme: Tenant) -> None:
    """Every cell of every kind of cohort, in Paris, over a change of its clocks."""
    paris = Calendar("Europe/Paris")
    start = paris.day_start(datetime(2026, 3, 16, tzinfo=UTC).date())
    dice, story = random.Random(11), Story(acme)
    rows: list[dict[str, Any]] = []
    for _ in range(160):
        who, at = dice.choice(list(PEOPLE)), start + dice.randrange(-7 * 24 * 60, 35 * 24 * 60) * timedelta(minutes=1)
        story.add("$pageview", at, who)
        rows.append({"name": "$pageview", "person_id": PEOPLE[who], "ts": at})
    now = start + 36 * DAY
    story.count(now)
    before = np.unique([row["person_id"] for row in rows if row["ts"] < start])
    for unit, periods in (("day", 12), ("week", 4)):
        for cohort in ("first_ever", "first_in_range", "recurring"):
            for mode in ("on", "on_or_after"):
                shared: dict[str, Any] = {
                    "start": start,
                    "periods": periods,
                    "unit": unit,
                    "cohort": cohort,
                    "mode": mode,
                }
                expected = retention_read(tenant_id=acme.pk, now=now, **shared)
                question = ClockRetention(calendar=paris, clock="calendar", first=EventPick(), **shared)
                store = lake_store(rows, data_through=now)
                found = clock_retention_read(store, question, now=now, known_before=before)
                assert table(found) == [(row.size, [cell.returned for cell in row.cells]) for row in expected.rows], (
                    shared
                )


@pytest.mark.django_db
def test_bitmaps_and_the_lake_tell_the_same_interval_between_uses(acme: Tenant) -> None:
    """By local days of Paris, over a change of its clocks; a sample is of the same people whatever the day."""
    paris = Calendar("Europe/Paris")
    start = paris.day_start(datetime(2026, 3, 16, tzinfo=UTC).date())
    dice, story = random.Random(12), Story(acme)
    person, ts = [], []
    for _ in range(120):
        who, at = dice.choice(list(PEOPLE)), start + dice.randrange(0, 35 * 24 * 60) * timedelta(minutes=1)
        story.add("$pageview", at, who)
        person.append(PEOPLE[who])
        ts.append(to_micros(at))
    now = start + 36 * DAY
    story.count(now)
    from_bitmaps = usage_interval_read(tenant_id=acme.pk, until=now, now=now)
    assert from_bitmaps == interval_in(np.array(person), np.array(ts), paris, now)
    assert from_bitmaps is not None
    assert from_bitmaps.people == 7
