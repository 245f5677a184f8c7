"""The page of use: numbers as the API has them, hostile names as text, words where there is nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from analytics.access.services import membership_set, tenant_create
from analytics.models import Tenant
from tests.kpis.usage.test_usage import suite  # noqa: F401  the same week

pytestmark = pytest.mark.django_db(transaction=True)
WEEK = {"from": "2026-03-02", "to": "2026-03-09"}


def member(django_user_model: Any, tenant: Tenant, name: str, role: str) -> Client:
    user = django_user_model.objects.create_user(username=name, password="correct horse")
    membership_set(tenant_id=tenant.pk, user=user, role=role)
    client = Client()
    client.force_login(user)
    return client


def text_of(response: Any) -> str:
    assert response.status_code == 200, response.content[:300]
    return str(response.content.decode())


def test_the_week_is_told(suite: Tenant, django_user_model: Any) -> None:  # noqa: F811
    page = text_of(member(django_user_model, suite, "nina", "analyst").get("/usage/", WEEK))
    assert "of 5 people who were active, 3 of whom bought" in page
    for told in (
        "€65.00",
        "€55.00",
        "+0.67",
        "low data: 5 people",
        "1 of 2, after 2 days in the middle",
        "5.0 h saved",
    ):
        assert told in page
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)" in page
    assert "secret" not in page


def test_a_viewer_sees_no_small_groups(suite: Tenant, django_user_model: Any) -> None:  # noqa: F811
    page = text_of(member(django_user_model, suite, "vera", "viewer").get("/usage/", WEEK))
    assert "fewer than 5" in page
    assert "€65.00" not in page
    assert "€55.00" not in page


def test_a_window_and_what_is_no_window(suite: Tenant, django_user_model: Any) -> None:  # noqa: F811
    nina = member(django_user_model, suite, "nina", "analyst")
    assert "€80.00" in text_of(nina.get("/usage/", {**WEEK, "window": "1d"}))
    assert "7 days are taken" in text_of(nina.get("/usage/", {**WEEK, "window": "soon"}))


def test_an_empty_tenant_is_told_what_to_send(db: None, django_user_model: Any, settings: Any, tmp_path: Path) -> None:
    settings.ANALYTICS_LAKE_URL = str(tmp_path / "lake")
    empty = tenant_create(slug="empty", name="Empty", zone="UTC", base_currency="EUR")
    page = text_of(member(django_user_model, empty, "emma", "owner").get("/usage/"))
    assert "feature_used" in page or "Nothing is counted yet" in page


def test_strangers_are_sent_to_the_door(db: None) -> None:
    assert Client().get("/usage/").status_code == 302
