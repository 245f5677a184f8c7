"""Two shops with a little history, and browsers of the people who look at them."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from analytics.models import Tenant
from kpis.rollup.refresh import refresh_tenant
from tests.analytics.events import event, write

_numbers = itertools.count()


def sell(tenant: Tenant, amounts: list[int], *, days_ago: int = 1, **columns: Any) -> None:
    """Orders of a past day, in minor units of the tenant's currency, each by a customer of its own."""
    now = timezone.now()
    common: dict[str, Any] = {
        "name": "order_completed",
        "timestamp": now - timedelta(days=days_ago),
        "received_at": now,
    }
    events = [
        event(
            tenant,
            f"order-{next(_numbers)}",
            amount=amount,
            currency=tenant.base_currency,
            distinct_id=f"customer-{amount}",
            **common,
            **columns,
        )
        for amount in amounts
    ]
    write(tenant, events, now=now)
    refresh_tenant(tenant.pk, now=now)


@pytest.fixture
def shops(acme: Tenant, globex: Tenant) -> datetime:
    """Acme sold 30.50 € to France and 10.00 € to Germany yesterday; Globex sold for 9,999 rupees."""
    sell(acme, [1000, 2050], country="FR", platform="web")
    sell(acme, [999], country="DE", platform="ios")
    sell(globex, [999_900], country="NP")
    return timezone.now()


@pytest.fixture
def browser_of() -> Callable[[Any], Client]:
    """A browser in which that person is signed in."""

    def open_browser(user: Any) -> Client:
        client = Client()
        client.force_login(user)
        return client

    return open_browser


@pytest.fixture
def olga(owner_user: Any, browser_of: Callable[[Any], Client]) -> Client:
    """The browser of Acme's owner."""
    return browser_of(owner_user)


@pytest.fixture
def sam(stranger: Any, browser_of: Callable[[Any], Client]) -> Client:
    """The browser of Globex's owner."""
    return browser_of(stranger)


def text_of(response: Any) -> str:
    """The page as text; the answer has to be a page that was found."""
    assert response.status_code == 200, response.content[:2000]
    return str(response.content.decode())
