"""Calendar retention by hand (S12): three weeks, five people."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from analytics.models import Tenant
from kpis.retention import retention_read
from kpis.series import QuestionError, metric_series
from tests.kpis.story import Story

pytestmark = pytest.mark.django_db

MONDAY = datetime(2026, 3, 1, 23, tzinfo=UTC)  # 2 March in Paris
WEEK = timedelta(weeks=1)
DAY = timedelta(days=1)
NOW = MONDAY + 3 * WEEK


@pytest.fixture
def club(acme: Tenant, globex: Tenant) -> Tenant:
    """Who came in which week (week −1 is before the range):

    week   -1   0   1   2
    ann     x   x   x
    bob         x   x   x
    cyd         x       x
    dan             x
    eve             x   x
    """
    neighbour = Story(globex)
    for week in range(-1, 3):
        neighbour.add("$pageview", MONDAY + week * WEEK + DAY, "fay")
    neighbour.count(NOW)
    story = Story(acme)
    visits = {"ann": (-1, 0, 1), "bob": (0, 1, 2), "cyd": (0, 2), "dan": (1,), "eve": (1, 2)}
    for name, weeks in visits.items():
        for week in weeks:
            story.add("$pageview", MONDAY + week * WEEK + DAY, name)
    story.count(NOW)
    return acme


def table(tenant: Tenant, **asked: Any) -> tuple[list[tuple[int, list[int | None]]], list[Decimal | None]]:
    found = retention_read(
        **{"tenant_id": tenant.pk, "start": MONDAY + 3 * DAY, "periods": 3, "unit": "week", "now": NOW, **asked}
    )
    assert [row.start for row in found.rows] == [MONDAY + week * WEEK for week in range(3)]
    rows = [(row.size, [cell.returned for cell in row.cells]) for row in found.rows]
    return rows, [None if mean is None else round(mean, 4) for mean in found.means]


def test_first_ever_leaves_out_who_came_before_the_range(club: Tenant) -> None:
    """Week 0: Bob and Cyd; week 1: Dan and Eve; week 2: nobody new. Means: 4/4; (1 + 1)/(2 + 2); 2/2."""
    assert table(club) == (
        [(2, [2, 1, 2]), (2, [2, 1, None]), (0, [0, None, None])],
        [Decimal(1), Decimal("0.5"), Decimal(1)],
    )


def test_first_in_range_takes_everybody_at_their_first_week_of_it(club: Tenant) -> None:
    """Ann belongs to week 0 now: 3 people, 2 of them in week 1 and 2 in week 2. Mean of week 1: (2 + 1)/(3 + 2)."""
    assert table(club, cohort="first_in_range") == (
        [(3, [3, 2, 2]), (2, [2, 1, None]), (0, [0, None, None])],
        [Decimal(1), Decimal("0.6"), Decimal("0.6667")],
    )


def test_recurring_people_are_in_every_cohort_they_came_in(club: Tenant) -> None:
    """Week 1 holds Ann, Bob, Dan and Eve; Bob and Eve come again. Mean of week 1: (2 + 2)/(3 + 4)."""
    assert table(club, cohort="recurring") == (
        [(3, [3, 2, 2]), (4, [4, 2, None]), (3, [3, None, None])],
        [Decimal(1), Decimal("0.5714"), Decimal("0.6667")],
    )


def test_on_or_after_counts_whoever_comes_back_later_still(club: Tenant) -> None:
    """Cyd skips week 1 but is back in week 2, so both of week 0's newcomers came in week 1 or after."""
    rows, _ = table(club, mode="on_or_after")
    assert rows == [(2, [2, 2, 2]), (2, [2, 1, None]), (0, [0, None, None])]


def test_a_week_that_is_not_over_is_no_drop(club: Tenant) -> None:
    found = retention_read(tenant_id=club.pk, start=MONDAY, periods=3, unit="week", now=MONDAY + 2 * WEEK + 2 * DAY)
    assert [[cell.is_complete for cell in row.cells] for row in found.rows] == [
        [True, True, False], [True, False, False], [False, False, False],
    ]  # fmt: skip
    assert [row.cells[2].value for row in found.rows] == [None, None, None]
    assert found.means == (1, Decimal("0.5"), None)


def test_seven_day_retention_follows_days_and_leaves_young_cohorts_out(club: Tenant) -> None:
    """Newcomers on Tuesdays. Week 0: Bob of {Bob, Cyd} is there 7 days later; week 1: Eve of {Dan, Eve}."""

    def day_7(start: datetime, end: datetime, now: datetime = NOW) -> Any:
        found = metric_series(tenant_id=club.pk, metric="retention.day_7", start=start, end=end, grain="week", now=now)
        return found.total, [(point.value, point.is_complete) for point in found.points]

    assert day_7(MONDAY, MONDAY + 2 * WEEK) == (Decimal("0.5"), [(Decimal("0.5"), True), (Decimal("0.5"), True)])
    early = MONDAY + WEEK + 2 * DAY
    assert day_7(MONDAY, MONDAY + 2 * WEEK, early) == (Decimal("0.5"), [(Decimal("0.5"), False), (None, False)])


@pytest.mark.parametrize("asked", [{"unit": "hour"}, {"periods": 0}, {"periods": 61}])
def test_what_makes_no_table_is_refused(club: Tenant, asked: dict[str, Any]) -> None:
    with pytest.raises(QuestionError):
        table(club, **asked)
