"""Lifecycle by hand (S11): four weeks, four people."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from analytics.models import Tenant
from kpis.lifecycle import LifecyclePoint, lifecycle_people, lifecycle_read
from kpis.series.question import QuestionError
from tests.kpis.story import Story

pytestmark = pytest.mark.django_db

MONDAY = datetime(2026, 3, 1, 23, tzinfo=UTC)  # 2 March in Paris
WEEK = timedelta(weeks=1)
DAY = timedelta(days=1)
NOW = MONDAY + 2 * WEEK + DAY


@pytest.fixture
def club(acme: Tenant, globex: Tenant) -> Tenant:
    """week  −2  −1   0   1   2
    ann    x       x   x          comes back in week 0, stays in week 1
    bob        x   x              stays in week 0, dormant in week 1
    cyd            x   x          new in week 0
    dan        x           x      dormant in week 0; week 2 is not over
    """
    story, neighbour = Story(acme), Story(globex)
    visits = {"ann": (-2, 0, 1), "bob": (-1, 0), "cyd": (0, 1), "dan": (-1, 2)}
    for name, weeks in visits.items():
        for week in weeks:
            story.add("$pageview", MONDAY + week * WEEK + timedelta(hours=5), name)
    neighbour.add("$pageview", MONDAY + DAY, "eve")
    neighbour.count(NOW)
    story.count(NOW)
    return acme


def test_everybody_is_in_one_state(club: Tenant) -> None:
    found = lifecycle_read(tenant_id=club.pk, start=MONDAY + DAY, end=MONDAY + 2 * WEEK + DAY, now=NOW)
    assert found.points == (
        LifecyclePoint(MONDAY, 3, 1, 1, 1, 1, 2.0, True),
        LifecyclePoint(MONDAY + WEEK, 2, 0, 2, 0, 1, 0.0, True),
        LifecyclePoint(MONDAY + 2 * WEEK, None, None, None, None, None, None, False),
    )
    assert not found.is_complete
    assert found.reading == (
        "In the last whole week 2 people were active: 0 new, 2 who stayed and 0 who came back. "
        "1 fell asleep and 0 were won: 0.00 won for each one lost."
    )


def test_the_people_of_a_state(club: Tenant) -> None:
    def who(index: int, state: str) -> list[int]:
        return list(
            lifecycle_people(
                tenant_id=club.pk, start=MONDAY, end=MONDAY + WEEK, unit="week", index=index, state=state, now=NOW
            )
        )

    assert {state: who(0, state) for state in ("new", "returning", "resurrected", "dormant")} == {
        "new": [3], "returning": [2], "resurrected": [1], "dormant": [4],
    }  # fmt: skip
    with pytest.raises(QuestionError):
        who(0, "active' --")


def test_what_makes_no_table_is_refused(club: Tenant) -> None:
    for wrong in ({"unit": "hour"}, {"unit": "day", "end": MONDAY + 500 * DAY}):
        with pytest.raises(QuestionError):
            lifecycle_read(**{"tenant_id": club.pk, "start": MONDAY, "end": MONDAY + WEEK, "now": NOW, **wrong})  # type: ignore[arg-type]
