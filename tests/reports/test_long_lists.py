"""Lists that grow are shown in pages, and what lies on another page is left out of sums of this one."""

from __future__ import annotations

import re
from datetime import date, timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from analytics.models import Tenant
from analytics.tenancy import tenant_context
from kpis.goals.models import Goal, Objective
from kpis.goals.objectives import goals_grouped
from kpis.models import Annotation, PeopleSegment
from reports.boards.models import Board
from tests.reports.dashboard.conftest import sell, text_of

pytestmark = pytest.mark.django_db
FIRST = date(2026, 11, 1)


@pytest.fixture
def olga(owner_user: Any) -> Client:
    """The browser of Acme's owner."""
    client = Client()
    client.force_login(owner_user)
    return client


def told(html: str) -> str:
    """What the pager says of the list."""
    found = re.search(r'aria-label="Pages of the list">\s*<span class="muted">([^<]+)<', html)
    return found[1] if found else ""


def test_boards_come_in_pages_of_24(acme: Tenant, globex: Tenant, olga: Client) -> None:
    with tenant_context(acme.pk):
        Board.objects.bulk_create(Board(tenant_id=acme.pk, title=f"Board {each:02}") for each in range(25))
    with tenant_context(globex.pk):
        Board.objects.create(tenant_id=globex.pk, title="Theirs")
    first, second = text_of(olga.get("/boards/")), text_of(olga.get("/boards/?page=2"))
    assert (told(first), told(second)) == ("1–24 of 25", "25–25 of 25")
    assert 'href="?page=2"' in first
    assert ("Board 00" in first, "Board 24" in first) == (True, False)
    assert ("Board 00" in second, "Board 24" in second) == (False, True)
    assert "Theirs" not in first + second


@pytest.mark.parametrize("page", ["0", "-1", "99", "x", "1e3", "%00"])
def test_a_page_that_is_not_there_is_the_nearest(page: str, acme: Tenant, olga: Client) -> None:
    assert olga.get(f"/annotations/?page={page}").status_code == 200


def test_annotations_come_newest_first_by_kind_and_page(acme: Tenant, olga: Client) -> None:
    now = timezone.now()
    with tenant_context(acme.pk):
        Annotation.objects.bulk_create(
            Annotation(tenant_id=acme.pk, title=f"Deploy {each:03}", kind="deploy", at=now - timedelta(days=each * 20))
            for each in range(51)
        )
        Annotation.objects.create(tenant_id=acme.pk, title="Black Friday", kind="campaign", at=now)
    first, last = text_of(olga.get("/annotations/")), text_of(olga.get("/annotations/?page=2"))
    assert (told(first), told(last)) == ("1–50 of 52", "51–52 of 52")
    assert "Deploy 050" in last  # three years ago
    deploys = text_of(olga.get("/annotations/?kind=deploy&page=2"))
    assert told(deploys) == "51–51 of 51"
    assert "kind=deploy" in deploys.split("Previous")[0].rpartition("href=")[2]
    assert "Black Friday" not in text_of(olga.get("/annotations/?kind=deploy"))
    assert "Nothing of this kind." in text_of(olga.get("/annotations/?kind=incident"))


def goal_of(tenant: Tenant, name: str, objective: Objective | None = None, **more: Any) -> Goal:
    wanted = {"metric": "revenue.gross", "target": 100, "first": FIRST, "end": FIRST + timedelta(days=30)}
    return Goal.objects.create(tenant_id=tenant.pk, name=name, objective=objective, **{**wanted, **more})


def test_goals_of_an_objective_stay_together_across_pages(acme: Tenant, globex: Tenant, olga: Client) -> None:
    sell(acme, [1000])
    with tenant_context(acme.pk):
        objective = Objective.objects.create(
            tenant_id=acme.pk, name="Grow", first=FIRST, end=FIRST + timedelta(days=30)
        )
        ours = [goal_of(acme, f"Part {each}", objective).pk for each in range(3)]
        alone = [goal_of(acme, f"Alone {each:02}", end=FIRST + timedelta(days=40)).pk for each in range(21)]
        goal_of(acme, "Put away", is_archived=True)
    assert goals_grouped(tenant_id=acme.pk) == [(objective.pk, ours), *((None, [key]) for key in alone)]
    assert goals_grouped(tenant_id=globex.pk) == []
    first, second = text_of(olga.get("/goals/")), text_of(olga.get("/goals/?page=2"))
    assert (told(first), told(second)) == ("1–20 of 22", "21–22 of 22")
    assert first.count('class="card goal-card"') == 3 + 19
    assert second.count('class="card goal-card"') == 2
    assert ("Part 2" in first, "Grow" in second) == (True, False)
    assert "Put away<" not in first + second


def test_segments_come_in_pages_and_are_compared_across_them(acme: Tenant, olga: Client) -> None:
    with tenant_context(acme.pk):
        PeopleSegment.objects.bulk_create(
            PeopleSegment(tenant_id=acme.pk, name=f"Segment {each:02}", source="customers", definition={})
            for each in range(51)
        )
    page = text_of(olga.get("/segments/"))
    assert told(page) == "1–50 of 51"
    assert page.count('scope="row"') == 50
    assert page.count(">Segment 50</option>") == 2
