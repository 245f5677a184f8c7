"""A shop and its neighbour with a week of visits in a real lake, and browsers of the people who look at them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import pytest
from django.contrib.auth import get_user_model
from django.test import Client
from django.utils import timezone

from analytics.access.services import membership_set
from analytics.lake.sealing import seal_tenant
from analytics.lake.services import lake_mark
from analytics.models import Tenant
from reports.explore.asking import written
from tests.kpis.story import Story

MONDAY = datetime(2026, 3, 1, 23, tzinfo=UTC)  # 2 March in Paris
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
NOW = MONDAY + 10 * DAY
MARCH = {"from": "2026-03-02", "to": "2026-03-09"}
SHOP: dict[str, Any] = {
    "steps": [{"events": ["page_view"]}, {"events": ["cart_updated"]}, {"events": ["order_completed"]}],
    **MARCH,
}
EVIL = "<script>alert(1)</script>"


def told(tenant: Tenant, *happened: tuple[str, str, timedelta, dict[str, Any]], begun: int = 0) -> None:
    """Store, count and seal. `begun`: so many events have been told before."""
    story = Story(tenant, _told=begun)
    for who, name, after, columns in happened:
        story.add(name, MONDAY + after, who, **columns)
    story.count(NOW)
    lake_mark(tenant_id=tenant.pk, start=MONDAY, end=NOW, reason="test", now=NOW)
    seal_tenant(tenant.pk, now=NOW, workers=1)


@pytest.fixture
def shop(acme: Tenant, globex: Tenant, monkeypatch: pytest.MonkeyPatch) -> Tenant:
    """Ann buys, Bob fills his basket on Monday and no more, Cyd looks on Sunday, and her week is not over."""
    monkeypatch.setattr(timezone, "now", lambda: NOW)
    told(globex, *[(who, "$pageview", HOUR, {"country": "NP"}) for who in ("dan", "eve", "fay", "gil")])
    told(
        acme,
        ("ann", "$pageview", HOUR, {"channel": "google", "country": "FR"}),
        ("ann", "cart_updated", 2 * HOUR, {}),
        ("ann", "order_completed", 3 * HOUR, {"amount": 1000, "object_id": "o1"}),
        ("bob", "$pageview", HOUR, {"country": EVIL}),
        ("bob", "cart_updated", 5 * HOUR, {}),
        ("cyd", "$pageview", 6 * DAY, {"country": "FR"}),
        ("cyd", "gift_wrapped", 6 * DAY + HOUR / 60, {}),
    )
    return acme


def signed_in(user: Any) -> Client:
    """A browser."""
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def olga(shop: Tenant, owner_user: Any) -> Client:
    """Acme's owner."""
    return signed_in(owner_user)


@pytest.fixture
def theo(shop: Tenant, teammate: Any) -> Client:
    """Acme's analyst: reads events, writes questions, has no business with persons' worth."""
    return signed_in(teammate)


@pytest.fixture
def vera(shop: Tenant) -> Client:
    """Acme's viewer: numbers only."""
    users: Any = get_user_model().objects
    user = users.create_user(username="vera", email="vera@example.org", password="correct horse")
    membership_set(tenant_id=shop.pk, user=user, role="viewer")
    return signed_in(user)


@pytest.fixture
def sam(shop: Tenant, stranger: Any) -> Client:
    """Globex's owner."""
    return signed_in(stranger)


def at(path: str, wanted: dict[str, Any] | None = None, **more: Any) -> str:
    """The address of a question."""
    given = {"q": written(wanted)} if wanted is not None else {}
    return f"{path}?{urlencode({**given, **more})}"


def text_of(response: Any, status: int = 200) -> str:
    """The page as text."""
    assert response.status_code == status, response.content[:2000]
    return str(response.content.decode())


Opener = Callable[[Any], Client]
