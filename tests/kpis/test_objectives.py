"""Objectives: what goals come to by their weights, what is written down at the end, and who may see it."""

from __future__ import annotations

from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from django.utils import timezone

from analytics.models import Tenant
from analytics.tenancy import tenant_context
from kpis.goals.errors import GoalError
from kpis.goals.models import Objective
from kpis.goals.objective_services import (
    ObjectiveDraft,
    objective_archive,
    objective_change,
    objective_create,
    objectives_freeze,
)
from kpis.goals.objectives import UnknownObjective, objective_read
from kpis.goals.selectors import goal_read
from kpis.goals.services import check_in_add, goal_change, goals_freeze
from tests.api import caller, problem
from tests.kpis.test_goals import DAY, HOUR, MONDAY, make, nine_weeks

pytestmark = pytest.mark.django_db
WEEK = {"period": "custom", "first": date(2026, 3, 2), "end": date(2026, 3, 9)}


def objective(tenant: Tenant, **changes: Any) -> Objective:
    draft = ObjectiveDraft(**{"name": "Grow", **WEEK, **changes})
    return objective_create(tenant_id=tenant.pk, draft=draft, actor="olga", now=MONDAY)


def test_a_goal_joins_by_name_and_a_new_name_makes_an_objective(acme: Tenant, globex: Tenant) -> None:
    nine_weeks(acme)
    grow = objective(acme)
    first, second, third = make(acme, objective="grow"), make(acme, objective="Delight", owner="ann"), make(acme)

    assert (first.objective, third.objective) == (grow, None)
    made = second.objective
    assert made is not None
    assert (made.name, made.owner, made.first, made.end) == ("Delight", "ann", date(2026, 3, 2), date(2026, 3, 9))
    goal_change(tenant_id=acme.pk, goal_id=third.pk, changes={"objective": "Delight"}, now=MONDAY)
    goal_change(tenant_id=acme.pk, goal_id=first.pk, changes={"objective": ""}, now=MONDAY)
    _, goals = objective_read(tenant_id=acme.pk, objective_id=made.pk, now=MONDAY)
    assert {goal.id for goal in goals} == {second.pk, third.pk}
    assert goal_read(tenant_id=acme.pk, goal_id=first.pk, now=MONDAY).objective == ""


def test_progress_chance_and_confidence_by_weight(acme: Tenant, globex: Tenant) -> None:
    """30.00 on Monday. Of 60.00 with weight 3: half. Of 15.00 with weight 1: reached, so 1. (1.5 + 1) / 4.

    Olga is 40 % sure of the first, then 80; Bob 20 % of the second: (2.4 + 0.2) / 4. Of the reached one the chance is
    1, of the other that of its own page.
    """
    story = nine_weeks(acme)
    story.add("order_completed", MONDAY + HOUR, "ann", amount=3000)
    now = MONDAY + DAY
    story.count(now)
    sixty = make(acme, objective="Grow", weight=Decimal(3))
    fifteen = make(acme, name="Fifteen", objective="Grow", target=Decimal(15))
    for goal, author, sure in ((sixty, "olga", 0.4), (sixty, "olga", 0.8), (fifteen, "bob", 0.2)):
        check_in_add(tenant_id=acme.pk, goal_id=goal.pk, author=author, confidence=sure, note="", now=now)
        now += HOUR
    view, goals = objective_read(tenant_id=acme.pk, objective_id=sixty.objective_id, now=now)  # type: ignore[arg-type]

    chance = next(goal.standing.chance.probability for goal in goals if goal.id == sixty.pk)
    assert chance is not None
    assert (view.progress, view.confidence) == (Decimal("0.625"), Decimal("0.65"))
    assert float(view.chance or 0) == pytest.approx((3 * chance + 1) / 4)
    assert view.status == next(goal.standing.status for goal in goals if goal.id == sixty.pk)
    assert view.rule == "As the worst of its goals: Sixty."
    assert view.elapsed == pytest.approx(27 / (7 * 24))


def test_a_goal_that_weighs_nothing_does_not_decide(acme: Tenant, globex: Tenant) -> None:
    story = nine_weeks(acme)
    story.add("order_completed", MONDAY + HOUR, "ann", amount=3000)
    story.count(MONDAY + 6 * DAY)
    make(acme, objective="Grow", target=Decimal(15))
    hopeless = make(acme, objective="Grow", target=Decimal(9000), weight=Decimal(0))
    view, _ = objective_read(tenant_id=acme.pk, objective_id=hopeless.objective_id, now=MONDAY + 6 * DAY)  # type: ignore[arg-type]

    assert (view.status, view.progress) == ("reached", 1)


def test_a_closed_objective_stays_and_shows_what_is_known_now(acme: Tenant, globex: Tenant) -> None:
    """15.00 of 60.00 when the week was over: a quarter. 30.00 more arrive late: three quarters are known, a quarter
    stands. Its name is free again for the next week.
    """
    story = nine_weeks(acme)
    story.add("order_completed", MONDAY + HOUR, "ann", amount=1500)
    after = MONDAY + 7 * DAY + 5 * HOUR
    story.count(after)
    goal, empty, later = (
        make(acme, objective="Grow"),
        objective(acme, name="Nobody's"),
        objective(acme, name="Later", end=date(2026, 3, 11)),
    )
    goals_freeze(tenant_id=acme.pk, now=after)
    assert objectives_freeze(tenant_id=acme.pk, now=after) == 2
    assert objectives_freeze(tenant_id=acme.pk, now=after) == 0

    found = goal.objective_id
    assert found is not None
    view, _ = objective_read(tenant_id=acme.pk, objective_id=found, now=after)
    assert view.frozen is not None
    assert (view.progress, view.status, view.frozen.known_now) == (Decimal("0.25"), "missed", None)
    assert view.rule.startswith("Closed on 2026-03-09.")
    assert objective_read(tenant_id=acme.pk, objective_id=empty.pk, now=after)[0].progress is None
    assert objective_read(tenant_id=acme.pk, objective_id=later.pk, now=after)[0].frozen is None
    with pytest.raises(GoalError, match="its result written down"):
        objective_change(tenant_id=acme.pk, objective_id=found, changes={"period": "year"}, now=after)
    objective_change(tenant_id=acme.pk, objective_id=found, changes={"note": "so close"}, now=after)
    goal_change(tenant_id=acme.pk, goal_id=goal.pk, changes={"note": "too"}, now=after)  # and keeps its objective
    assert make(acme, now=after, objective="Grow", end=date(2026, 3, 16)).objective_id != found
    assert goal_read(tenant_id=acme.pk, goal_id=goal.pk, now=after).objective_id == found


def test_an_objective_that_is_put_away_leaves_its_goals_alone(acme: Tenant, globex: Tenant) -> None:
    nine_weeks(acme)
    goal = make(acme, objective="Grow")
    assert goal.objective_id is not None
    objective_archive(tenant_id=acme.pk, objective_id=goal.objective_id, now=MONDAY)
    view = goal_read(tenant_id=acme.pk, goal_id=goal.pk, now=MONDAY)

    assert (view.objective, view.objective_id) == ("", None)
    assert objective(acme).pk != goal.objective_id


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"name": " "}, "name"),
        ({"name": "gROW"}, "name"),
        ({"name": "New", "end": date(2026, 3, 1)}, "end"),
        ({"name": "New", "period": "decade"}, "period"),
        ({"name": "New", "first": date(1, 1, 1)}, "first"),
    ],
)
def test_an_objective_that_makes_no_sense_is_refused(acme: Tenant, changes: dict[str, Any], field: str) -> None:
    objective(acme)
    with pytest.raises(GoalError) as refused:
        objective(acme, **changes)
    assert refused.value.field == field


def test_a_neighbours_objective_is_not_there(acme: Tenant, globex: Tenant) -> None:
    """Not to read, not to change, not to join: a goal that names it makes one of its own."""
    nine_weeks(acme)
    nine_weeks(globex)
    theirs = objective(acme)
    for call in (
        lambda: objective_read(tenant_id=globex.pk, objective_id=theirs.pk, now=MONDAY),
        lambda: objective_change(tenant_id=globex.pk, objective_id=theirs.pk, changes={"name": "x"}, now=MONDAY),
        lambda: objective_archive(tenant_id=globex.pk, objective_id=theirs.pk, now=MONDAY),
    ):
        with pytest.raises(UnknownObjective):
            call()
    assert make(globex, objective="Grow").objective_id != theirs.pk
    with tenant_context(globex.pk):
        assert Objective.objects.count() == 1


def test_objectives_by_api(acme: Tenant, globex: Tenant, monkeypatch: pytest.MonkeyPatch) -> None:
    nine_weeks(acme)
    monkeypatch.setattr(timezone, "now", lambda: MONDAY + 3 * DAY)
    api = caller(acme)
    made = api.post("objectives/", {"name": "Grow", "first": "2026-02-11", "owner": "olga"})
    assert made.status_code == 201, made.content
    body = made.json()
    wanted = {"name": "Grow", "period": "quarter", "first": "2026-01-01", "end": "2026-04-01", "progress": None}
    assert {name: body[name] for name in wanted} == wanted
    assert (body["status"], body["key_results"], body["frozen"]) == ("unknown", [], None)

    goal = {"name": "March", "metric": "revenue.gross", "target": "310", "first": "2026-03-14", "objective": "Grow"}
    goal_id = api.post("goals/", goal).json()["id"]
    address = f"objectives/{body['id']}/"
    assert [found["id"] for found in api.get(address).json()["key_results"]] == [goal_id]
    assert api.get("objectives/").json()["results"][0]["goals"] == [goal_id]
    assert api.send("PATCH", address, {"name": "Grow more"}).json()["name"] == "Grow more"
    assert api.get(f"goals/{goal_id}/").json()["objective"] == "Grow more"
    assert (
        problem(api.post("objectives/", {"name": "GROW MORE", "first": "2026-02-11"}))["errors"][0]["field"] == "name"
    )
    assert problem(api.post("objectives/", {"name": "x", "first": "0001-01-01"}))["errors"][0]["field"] == "first"
    assert api.send("DELETE", address).status_code == 204
    assert api.get("objectives/").json()["results"] == []
    assert len(api.get("objectives/", archived="true").json()["results"]) == 1
    assert caller(globex).get(address).status_code == 404
