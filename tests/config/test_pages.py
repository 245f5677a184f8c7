"""Pages of the admin about the installation and about the trust in numbers."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.test import Client
from django.urls import reverse
from django_celery_beat.models import IntervalSchedule, PeriodicTask

from analytics.access.services import membership_set
from analytics.models import Tenant
from config import queries
from kpis.rollup.refresh import refresh_tenant
from tests.analytics.events import event, write

pytestmark = pytest.mark.django_db


def browser(tenant: Tenant, role: str, *, is_operator: bool = False) -> Client:
    user = get_user_model().objects.create_user(
        username=f"{role}-{is_operator}", password="x", is_staff=True, is_superuser=is_operator
    )
    membership_set(tenant_id=tenant.pk, user=user, role=role)
    client = Client()
    client.force_login(user)
    return client


def page(client: Client, name: str) -> str:
    answer = client.get(reverse(name))
    assert answer.status_code == 200
    return answer.content.decode().partition('id="content-main"')[2]


def test_statements_are_for_the_operator_only(acme: Tenant, globex: Tenant, settings: Any) -> None:
    settings.SLOW_QUERY_MS = 60_000  # only the statement told here: on a busy machine any other may be slow
    queries.slow_queries_forget()
    queries.slow("default", "SELECT '<script>' FROM everything", 1.5)

    shown = page(browser(acme, "owner", is_operator=True), "operation-slow-queries")
    assert "1500 ms" in shown
    assert "SELECT &#x27;&lt;script&gt;&#x27; FROM everything" in shown
    owner = browser(acme, "owner")
    assert "everything" not in page(owner, "operation-slow-queries")
    owner.post(reverse("operation-slow-queries"))
    assert len(queries.slow_queries() or []) == 1


def test_pages_of_the_admin_have_an_icon_and_no_script_within(acme: Tenant, globex: Tenant) -> None:
    operator = browser(acme, "owner", is_operator=True)
    every = IntervalSchedule.objects.create(every=5, period=IntervalSchedule.MINUTES)
    task = PeriodicTask.objects.create(name="a task", task="analytics.tick", interval=every)
    for address in (reverse("admin:index"), reverse("admin:django_celery_beat_periodictask_change", args=[task.pk])):
        shown = operator.get(address).content.decode()
        assert 'rel="icon"' in shown
        assert re.findall(r"<script(?![^>]*\bsrc=)(?![^>]*application/json)[^>]*>", shown) == []


def test_the_operator_begins_the_list_anew(acme: Tenant, globex: Tenant, settings: Any) -> None:
    settings.SLOW_QUERY_MS = 60_000
    queries.slow("default", "SELECT 1", 1.5)

    browser(acme, "owner", is_operator=True).post(reverse("operation-slow-queries"))

    assert queries.slow_queries() == []


def test_quality_tells_of_the_chosen_tenant_only(acme: Tenant, globex: Tenant) -> None:
    now = datetime.now(UTC)
    for tenant, name in ((acme, "ours"), (globex, "neighbours_canary")):
        at = now - timedelta(minutes=2)
        write(tenant, [event(tenant, f"{name}{n}", name=name, timestamp=at, received_at=at) for n in range(5)])
        refresh_tenant(tenant.pk, now=now)

    shown: Any = page(browser(acme, "viewer"), "operation-quality")

    assert shown.count('<th scope="row">') >= 5
    assert "neighbours_canary" not in shown
