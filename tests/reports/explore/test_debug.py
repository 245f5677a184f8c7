"""With DEBUG on, as somebody runs it who looks for a fault, everything is counted, sealed, answered and shown."""

from __future__ import annotations

from typing import Any

import pytest

from analytics.access.services import api_key_create
from analytics.models import Tenant
from tests.api import Caller
from tests.reports.explore.conftest import MARCH, SHOP, at, signed_in, text_of

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def debug(settings: Any) -> None:
    settings.DEBUG = True


@pytest.fixture
def shop_told_under_debug(debug: None, shop: Tenant) -> Tenant:
    """All of it: stored, counted and sealed with DEBUG on."""
    return shop


def test_numbers_questions_and_pages_are_those_of_any_day(
    shop_told_under_debug: Tenant, globex: Tenant, owner_user: Any
) -> None:
    acme, neighbour = (
        Caller(api_key_create(tenant_id=tenant.pk, kind="sk", name="test", scopes=())[1])
        for tenant in (shop_told_under_debug, globex)
    )

    reached = [
        [step["reached"] for step in each.post("explore/funnel/", SHOP).json()["steps"]] for each in (acme, neighbour)
    ]
    assert reached == [[3, 2, 1], [4, 0, 0]]

    sessions = [
        each.get(f"kpis/sessions.count/series/?from={MARCH['from']}&to={MARCH['to']}").json()["total"]
        for each in (acme, neighbour)
    ]
    assert sessions == [3 + 2 + 1, 4]  # an hour apart each

    olga = signed_in(owner_user)
    for page in ("/", "/revenue/", at("/explore/funnel/", SHOP), at("/explore/retention/"), "/quality/"):
        assert "<h1" in text_of(olga.get(page)), page
