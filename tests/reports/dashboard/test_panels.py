"""The panels that explain a metric, and what lies over its chart: exact, of this tenant, and for whoever may see it."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from analytics.access.services import membership_set
from analytics.models import Tenant
from kpis.annotations import annotation_add
from kpis.goals.services import GoalDraft, goal_create
from tests.reports.dashboard.conftest import sell, text_of

pytestmark = pytest.mark.django_db
FRAGMENT = {"HX-Request": "true"}


def test_what_moved_it_adds_up(acme: Tenant, olga: Client) -> None:
    sell(acme, [1000], country="FR", days_ago=3)
    sell(acme, [400], country="DE", days_ago=3)
    sell(acme, [2500], country="FR", days_ago=1)
    sell(acme, [150], country="DE", days_ago=1)
    panel = text_of(olga.get("/metrics/revenue.gross/moved/?period=last_2d&by=country", headers=FRAGMENT))
    assert "<html" not in panel
    assert "from €14.00" in panel
    assert "to €26.50: +€12.50" in panel
    amounts = re.findall(r'<td class="number">(?:<b>)?([+−±]€[\d.]+)', panel)
    assert amounts == ["+€15.00", "−€2.50", "+€12.50"]


def test_a_metric_that_cannot_be_taken_apart_says_so(shops: datetime, olga: Client) -> None:
    page = text_of(olga.get("/metrics/users.stickiness/moved/"))
    assert "cannot be taken apart" in page


def test_how_it_is_computed_shows_formula_events_and_lineage(shops: datetime, olga: Client) -> None:
    panel = text_of(olga.get("/metrics/revenue.aov/explained/", headers=FRAGMENT))
    for expected in ("orders.count", "order_completed", "Bots are left out", "Lineage", "The newest of them"):
        assert expected in panel
    assert "customer-" not in panel


def test_a_viewer_sees_the_definition_but_no_single_events(
    shops: datetime, acme: Tenant, browser_of: Callable[[Any], Client]
) -> None:
    viewer = get_user_model().objects.create_user(username="vera")
    membership_set(tenant_id=acme.pk, user=viewer, role="viewer")
    panel = text_of(browser_of(viewer).get("/metrics/revenue.aov/explained/", headers=FRAGMENT))
    assert "order_completed" in panel
    assert "The newest of them" not in panel


def test_the_ledger_says_when_nothing_was_published(shops: datetime, olga: Client) -> None:
    assert "has been published yet" in text_of(olga.get("/metrics/revenue.gross/ledger/"))


@pytest.mark.parametrize(
    "query", ["by=zork", "from=2026-11-30&to=2026-11-01", "compare=none", "period=today", "period=2026"]
)
@pytest.mark.parametrize("kind", ["moved", "explained", "ledger"])
def test_panels_answer_to_any_question(kind: str, query: str, shops: datetime, olga: Client) -> None:
    for metric in ("revenue.gross", "users.mau", "sessions.count", "payments.latency_p95", "mrr.nrr"):
        assert olga.get(f"/metrics/{metric}/{kind}/?{query}").status_code == 200


def data_of(page: str) -> dict[str, Any]:
    """What the page's chart draws."""
    found = re.search(r'<script id="[^"]*" type="application/json">(.*?)</script>', page, re.DOTALL)
    assert found
    data: dict[str, Any] = json.loads(found[1])
    return data


def test_goals_and_annotations_lie_over_the_chart(acme: Tenant, globex: Tenant, shops: datetime, olga: Client) -> None:
    now = timezone.now()
    first = date.fromordinal((now - timedelta(days=10)).date().toordinal())
    draft = GoalDraft(
        name="Ten a day", metric="revenue.gross", target=Decimal(200), period="custom", first=first,
        end=first + timedelta(days=20), shape="linear",
    )  # fmt: skip
    goal_create(tenant_id=acme.pk, draft=draft, actor="test", now=now)
    said = {"at": now - timedelta(days=2), "kind": "deploy", "title": "Release <b>9</b>"}
    annotation_add(tenant_id=acme.pk, said=said, author="test", now=now)
    annotation_add(tenant_id=globex.pk, said={**said, "title": "Not ours"}, author="test", now=now)
    page = text_of(olga.get("/metrics/revenue.gross/?period=last_7d"))
    data = data_of(page)
    assert [value and round(value, 6) for value in data["goals"][0]["values"]] == [10.0] * 7
    assert data["annotations"] == [{"place": 5, "mark": "1", "title": "Release <b>9</b>"}]
    assert "Release &lt;b&gt;9&lt;/b&gt;" in page
    assert "Not ours" not in page
    with CaptureQueriesContext(connection) as asked:
        assert "of €200" in text_of(olga.get("/"))
    assert 3 < len(asked) <= 25
