"""Weeks of people that are kept: the same answers as from days, and gone as soon as one of their days changes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from analytics.models import Tenant
from analytics.tenancy import tenant_context
from kpis.models import Bucket
from kpis.retention import retention_read
from kpis.rollup.check import check_tenant
from kpis.rollup.refresh import keep_weeks
from tests.kpis.story import Story

pytestmark = pytest.mark.django_db

MONDAY = datetime(2026, 3, 1, 23, tzinfo=UTC)  # 2 March in Paris
WEEK = timedelta(weeks=1)
DAY = timedelta(days=1)
NOW = MONDAY + 4 * WEEK + 2 * DAY  # summer time began in the last of the four weeks


@pytest.fixture
def club(acme: Tenant, globex: Tenant) -> Story:
    """Four weeks over, one begun; the third is empty. Another tenant has the same days."""
    neighbour = Story(globex)
    for week in range(5):
        neighbour.add("$pageview", MONDAY + week * WEEK + DAY, "fay")
    neighbour.count(NOW)
    story = Story(acme)
    for name, weeks in {"ann": (0, 1, 3), "bob": (1, 3, 4), "cyd": (0, 4)}.items():
        for week in weeks:
            story.add("$pageview", MONDAY + week * WEEK + DAY, name)
    story.count(NOW)
    return story


def starts(tenant: Tenant) -> list[datetime]:
    with tenant_context(tenant.pk):
        rows = Bucket.objects.filter(measure="users.active", dimension="", grain=4).order_by("start")
        return list(rows.values_list("start", flat=True))


def table(tenant: Tenant) -> list[list[int | None]]:
    found = retention_read(tenant_id=tenant.pk, start=MONDAY, periods=5, unit="week", cohort="first_ever", now=NOW)
    return [[row.size, *(cell.returned for cell in row.cells)] for row in found.rows]


EXPECTED = [[2, 2, 1, 0, 1, None], [1, 1, 0, 1, None, None], [0, 0, 0, None, None, None]]


def test_closed_weeks_are_kept_once_and_answer_as_their_days_do(club: Story, acme: Tenant, globex: Tenant) -> None:
    before = table(acme)
    assert before[:3] == EXPECTED
    assert keep_weeks(acme.pk, now=NOW) == 4
    assert keep_weeks(acme.pk, now=NOW) == 0
    assert starts(acme) == [MONDAY + week * WEEK for week in range(4)]
    assert starts(globex) == []
    assert table(acme) == before
    assert check_tenant(acme.pk, now=NOW, refresh=False) == []


def test_a_late_event_lets_go_of_its_week_only_and_heals_the_answer(club: Story, acme: Tenant) -> None:
    keep_weeks(acme.pk, now=NOW)
    club.add("$pageview", MONDAY + 2 * WEEK + 6 * DAY, "cyd")
    club.count(NOW)
    assert starts(acme) == [MONDAY + week * WEEK for week in (0, 1, 3)]
    assert table(acme)[0] == [2, 2, 1, 1, 1, None]
    assert keep_weeks(acme.pk, now=NOW) == 1
    assert table(acme)[0] == [2, 2, 1, 1, 1, None]
    assert check_tenant(acme.pk, now=NOW, refresh=False) == []


def test_a_kept_week_that_is_wrong_is_found(club: Story, acme: Tenant) -> None:
    keep_weeks(acme.pk, now=NOW)
    with tenant_context(acme.pk):
        empty = Bucket.objects.get(measure="users.active", dimension="", grain=4, start=MONDAY + 2 * WEEK)
        Bucket.objects.filter(measure="users.active", dimension="", grain=4, start=MONDAY).update(
            n=empty.n, state=empty.state
        )
    (found,) = check_tenant(acme.pk, now=NOW, refresh=False)
    assert found.startswith("users.active = week 2026-03-01T23:00:00+00:00: expected n=2")
