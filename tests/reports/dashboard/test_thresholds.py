"""The form of limits on a metric's page: who may set them, what it refuses, and that tiles and charts follow."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import datetime
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.test import Client

from analytics.access.services import membership_set
from analytics.models import Tenant
from analytics.tenancy import tenant_context
from kpis.models import MetricThreshold
from tests.reports.dashboard.conftest import text_of

pytestmark = pytest.mark.django_db
PAGE = "/metrics/revenue.gross/?period=last_7d"
FORM = "/metrics/revenue.gross/thresholds/"
FRAGMENT = {"HX-Request": "true"}


@pytest.fixture
def vera(acme: Tenant, browser_of: Callable[[Any], Client]) -> Client:
    """The browser of one who only looks at Acme."""
    user = get_user_model().objects.create_user(username="vera")
    membership_set(tenant_id=acme.pk, user=user, role="viewer")
    return browser_of(user)


def limits_drawn(page: str) -> Any:
    (data,) = re.findall(r'<script[^>]*type="application/json"[^>]*id="chart-revenue-gross-data"[^>]*>(.*?)</script>|'
                         r'<script[^>]*id="chart-revenue-gross-data"[^>]*>(.*?)</script>', page, re.DOTALL)  # fmt: skip
    return json.loads(data[0] or data[1]).get("limits")


@pytest.mark.django_db(transaction=True)
def test_limits_are_set_by_the_form_and_seen_at_once(shops: datetime, olga: Client, sam: Client) -> None:
    assert limits_drawn(text_of(olga.get(PAGE))) is None
    assert "No limits are set" in text_of(olga.get(FORM, headers=FRAGMENT))

    answer = olga.post(FORM, {"warning": "50000", "critical": "41000"})

    assert (answer.status_code, answer["Location"]) == (302, "/metrics/revenue.gross/#thresholds")
    page = text_of(olga.get(PAGE))
    assert limits_drawn(page) == {"warning": 50000, "critical": 41000}
    assert limits_drawn(text_of(olga.get(f"{PAGE}&granularity=week"))) == {"warning": 350_000, "critical": 287_000}
    assert "at or below €41,000.00 a day, the limit for critical" in text_of(olga.get("/?period=last_7d"))
    form = text_of(olga.get(FORM, headers=FRAGMENT))
    assert "at or below €50,000.00 a day" in form
    assert 'value="41000"' in form
    assert "Limits per day, in EUR" in form
    assert limits_drawn(text_of(sam.get(PAGE))) is None
    assert "No limits are set" in text_of(sam.get(FORM))


def test_both_empty_is_back_to_the_limits_it_came_with(shops: datetime, olga: Client) -> None:
    address = "/metrics/payments.success_rate/thresholds/"
    olga.post(address, {"warning": "0.5", "critical": ""})
    changed = text_of(olga.get(address))
    assert "at or below 50.0 %" in changed
    assert "It came with: warning at or below 95.0 %, critical at or below 90.0 %." in changed
    assert "a share: 0.05 for 5 %" in changed
    assert "per day" not in changed

    assert olga.post(address, {"warning": "", "critical": ""}).status_code == 302
    back = text_of(olga.get(address))
    assert "at or below 95.0 %" in back
    assert "It came with" not in back


def test_the_wrong_order_is_told_in_the_form(shops: datetime, acme: Tenant, olga: Client) -> None:
    answer = olga.post(FORM, {"warning": "4", "critical": "5"})

    assert answer.status_code == 400
    assert "it has to lie above 5." in answer.content.decode()
    assert olga.post(FORM, {"warning": "many"}).status_code == 400
    with tenant_context(acme.pk):
        assert not MetricThreshold.objects.exists()


def test_who_only_looks_sees_the_limits_and_no_form(shops: datetime, olga: Client, vera: Client) -> None:
    olga.post(FORM, {"warning": "50000", "critical": "41000"})
    page = text_of(vera.get(FORM))

    assert "at or below €50,000.00 a day" in page
    assert 'name="warning"' not in page
    assert vera.post(FORM, {"warning": "1", "critical": ""}).status_code == 403


def test_a_metric_that_is_not_there_is_told_with_the_nearest(shops: datetime, olga: Client) -> None:
    answer = olga.get("/metrics/revenue.gros/thresholds/")

    assert answer.status_code == 404
    assert "/metrics/revenue.gross/" in answer.content.decode()
