"""Goals on a page: ten of them cost as many statements as one, and stand as each does on its own page."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from analytics.models import Tenant
from analytics.tenancy import tenant_context
from kpis.goals.selectors import goal_read, goals_list, goals_shown
from kpis.goals.services import GoalDraft, goal_create
from tests.reports.dashboard.conftest import sell, text_of

pytestmark = pytest.mark.django_db
METRICS = ("revenue.gross", "orders.count", "users.active", "revenue.aov", "users.mau", "sessions.count")


def aim(tenant: Tenant, metric: str, now: datetime, *, days: int = 30, target: str = "500") -> None:
    draft = GoalDraft(
        name=f"{metric} in {days} days",
        metric=metric,
        target=Decimal(target),
        period="custom",
        first=(now - timedelta(days=10)).date(),
        end=(now + timedelta(days=days)).date(),
    )
    goal_create(tenant_id=tenant.pk, draft=draft, actor="olga", now=now)


def asked(browser: Client, path: str) -> int:
    with CaptureQueriesContext(connection) as queries:
        text_of(browser.get(path))
    return len(queries)


@pytest.fixture
def history(acme: Tenant, globex: Tenant) -> datetime:
    for days in range(1, 40, 3):
        sell(acme, [1000 + days, 2000], days_ago=days, country="FR")
    sell(globex, [999_900], country="NP")
    return timezone.now()


def test_many_goals_cost_as_much_as_one(history: datetime, acme: Tenant, olga: Client) -> None:
    aim(acme, METRICS[0], history)
    olga.get("/?period=last_7d")
    one = asked(olga, "/?period=last_30d")
    for days, metric in enumerate(METRICS[1:], start=20):
        aim(acme, metric, history, days=days)
    many = asked(olga, "/?period=last_30d&compare=year_ago")
    assert many == one
    assert many <= 25


def test_goals_stand_together_as_they_stand_alone(history: datetime, acme: Tenant, globex: Tenant) -> None:
    now = history
    for days, metric in enumerate((*METRICS, "revenue.gross", "revenue.growth"), start=5):
        aim(acme, metric, now, days=days, target="0.5" if metric == "revenue.growth" else "500")
    aim(globex, "revenue.gross", now)
    span = {"start": now - timedelta(days=30), "end": now + timedelta(days=1)}
    with tenant_context(acme.pk):
        together = goals_shown(tenant_id=acme.pk, metrics=(*METRICS, "revenue.growth"), now=now, **span)
    assert len(together) == 8
    for goal in together:
        alone = goal_read(tenant_id=acme.pk, goal_id=goal.id, now=now)
        assert replace(goal, check_ins=alone.check_ins) == alone
    listed = {goal.id: goal.standing for goal in goals_list(tenant_id=acme.pk, now=now)}
    assert listed == {goal.id: goal.standing for goal in together}
