"""The admin pages of goals, annotations and checks."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.test import Client
from django.utils import timezone

from analytics.access.services import membership_set
from analytics.models import Tenant
from analytics.tenancy import tenant_context
from kpis.goals.models import Goal
from kpis.goals.services import GoalDraft, check_in_add, goal_create
from kpis.models import Annotation
from tests.kpis.story import Story

pytestmark = pytest.mark.django_db
GOALS = "/admin/bellwether_kpis/goal/"
ANNOTATIONS = "/admin/bellwether_kpis/annotation/"


def browser_of(tenant: Tenant, role: str) -> Client:
    user = get_user_model().objects.create_user(username=f"{tenant.slug}-{role}", password="x", is_staff=True)
    membership_set(tenant_id=tenant.pk, user=user, role=role)
    client = Client()
    client.force_login(user)
    return client


def filled(**changes: Any) -> dict[str, Any]:
    first = timezone.now().date().replace(day=1)
    base = {
        "name": "Sell more", "metric": "revenue.gross", "filters": "[]", "weight": "1", "target": "310",
        "period": "month", "first": first.isoformat(), "end": "", "shape": "linear", "note": "", "owner": "olga",
        "objective": "", "baseline": "", "stretch": "",
    }  # fmt: skip
    return {**base, **changes}


def test_a_goal_is_made_on_its_page_and_listed_with_its_standing(acme: Tenant, globex: Tenant) -> None:
    now = timezone.now()
    story = Story(acme)
    story.add("order_completed", now - timedelta(minutes=2), "ann", amount=31_100)
    story.count(now)
    browser = browser_of(acme, "owner")
    answer = browser.post(f"{GOALS}add/", filled())
    assert answer.status_code == 302, answer.content.decode()

    page = browser.get(GOALS).content.decode()
    assert "Sell more" in page
    with tenant_context(acme.pk):
        goal = Goal.objects.get()
    assert (goal.end - goal.first).days >= 28
    assert goal.created_by.startswith("user:")
    if now.day > 1 or now.hour > 1:  # the order two minutes ago lies in this month, wherever Paris is
        assert "311.00" in page
        assert "reached" in page
    assert "Sell more" not in browser_of(globex, "owner").get(GOALS).content.decode()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"metric": "revenue.gros"}, "revenue.gross"),
        ({"period": "custom"}, "needs an `end`"),
        ({"filters": '{"a": 1}'}, "is a list of"),
        ({"filters": '[{"field": "mood", "op": "eq", "value": "x"}]'}, "no column `mood`"),
    ],
)
def test_a_goal_that_makes_no_sense_is_refused_at_its_field(
    acme: Tenant, changes: dict[str, str], message: str
) -> None:
    page = browser_of(acme, "owner").post(f"{GOALS}add/", filled(**changes)).content.decode()

    assert message in page
    with tenant_context(acme.pk):
        assert not Goal.objects.exists()


def test_a_goal_is_changed_and_put_away(acme: Tenant, globex: Tenant) -> None:
    browser = browser_of(acme, "owner")
    browser.post(f"{GOALS}add/", filled())
    with tenant_context(acme.pk):
        goal = Goal.objects.get()
    answer = browser.post(f"{GOALS}{goal.pk}/change/", filled(target="500", is_archived="on", end=goal.end.isoformat()))

    assert answer.status_code == 302, answer.content.decode()
    with tenant_context(acme.pk):
        goal.refresh_from_db()
    assert (goal.target, goal.is_archived) == (Decimal(500), True)
    assert browser.post(f"{GOALS}{goal.pk}/delete/").status_code == 403


def test_whoever_may_only_look_does_not_change(acme: Tenant, globex: Tenant) -> None:
    row = goal_create(
        tenant_id=acme.pk,
        draft=GoalDraft(name="Sell", metric="revenue.gross", target=Decimal(1), first=timezone.now().date()),
        actor="olga",
        now=timezone.now(),
    )
    check_in_add(
        tenant_id=acme.pk, goal_id=row.pk, author="olga", confidence=0.5, note="We shall see", now=timezone.now()
    )
    browser = browser_of(acme, "viewer")

    assert browser.get(f"{GOALS}{row.pk}/change/").status_code == 200
    assert browser.post(f"{GOALS}{row.pk}/change/", filled()).status_code == 403
    assert "We shall see" in browser.get("/admin/bellwether_kpis/checkin/").content.decode()


def test_annotations_are_checked_as_the_api_does(acme: Tenant, globex: Tenant) -> None:
    browser = browser_of(acme, "owner")
    said = {
        "kind": "deploy", "title": "v2", "at_0": "2026-03-02", "at_1": "10:00:00", "until_0": "", "until_1": "",
        "text": "", "url": "", "metric": "",
    }  # fmt: skip
    refused = browser.post(f"{ANNOTATIONS}add/", {**said, "until_0": "2026-03-01", "until_1": "10:00:00"})
    assert "is before" in refused.content.decode()
    assert browser.post(f"{ANNOTATIONS}add/", said).status_code == 302
    with tenant_context(acme.pk):
        assert Annotation.objects.get().author.startswith("user:")


def test_restatements_and_checks_have_pages(acme: Tenant, globex: Tenant) -> None:
    browser = browser_of(acme, "viewer")

    for name in ("restatement", "rollupcheck"):
        assert browser.get(f"/admin/bellwether_kpis/{name}/").status_code == 200
