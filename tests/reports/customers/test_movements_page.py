"""Movements of recurring revenue on screen and as files: the bridge adds up, people are shown to who may see them."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.contrib.auth import get_user_model
from django.test import Client

from analytics.access.services import membership_set
from analytics.models import Tenant
from analytics.tenancy import tenant_context
from kpis.explore.models import PeopleRead
from tests.kpis.test_movements import club  # noqa: F401  the story of a club
from tests.reports.explore.conftest import signed_in, text_of
from tests.reports.exports.test_exports import cells_of

pytestmark = pytest.mark.django_db
MARCH = "from=2026-03-01&to=2026-04-01"
PAGE = f"/customers/movements/?{MARCH}"


@pytest.fixture
def olga(club: Tenant, owner_user: Any) -> Client:  # noqa: F811
    return signed_in(owner_user)


@pytest.fixture
def vera(club: Tenant) -> Client:  # noqa: F811
    users: Any = get_user_model().objects
    user = users.create_user(username="vera", email="vera@example.org", password="correct horse")
    membership_set(tenant_id=club.pk, user=user, role="viewer")
    return signed_in(user)


@pytest.fixture
def sam(club: Tenant, stranger: Any) -> Client:  # noqa: F811
    return signed_in(stranger)


def looked(tenant: Tenant) -> list[tuple[str, int]]:
    with tenant_context(tenant.pk):
        return [(row.question["kind"], row.people) for row in PeopleRead.objects.order_by("pk")]


def test_the_bridge_of_march(olga: Client, club: Tenant) -> None:  # noqa: F811
    """54 + 56.33 + 2 − 10 − 10 + 0.50 = 92.83: see the story of the club."""
    page = text_of(olga.get(PAGE))
    found = json.loads(b"".join(olga.get(f"/tables/customers-movements.json?{MARCH}").streaming_content))  # type: ignore[attr-defined]
    bridge = {row["movement"]: float(row["amount (EUR)"]) for row in found["rows"]}
    signs = {"new": 1, "expansion": 1, "reactivation": 1, "contraction": -1, "churn": -1, "fx": 1}
    assert bridge["opening"] + sum(bridge[kind] * sign for kind, sign in signs.items()) == pytest.approx(
        bridge["closing"], abs=0.011
    )
    assert {kind: bridge[kind] for kind in signs} == {
        "new": 56.33, "expansion": 2.0, "reactivation": 0.0, "contraction": 10.0, "churn": 10.0, "fx": 0.5,
    }  # fmt: skip
    for text in (
        "€56.33",
        "Monthly recurring revenue rose from",
        "Exchange rates",
        "Customers who left",
        "Month by month",
    ):
        assert text in page, text
    assert "95 % interval" in page
    assert looked(club) == [], "numbers are no people"


def test_customers_behind_a_movement_and_that_somebody_looked(olga: Client, club: Tenant) -> None:  # noqa: F811
    page = text_of(olga.get(f"{PAGE}&kind=churn"))
    assert "Churn: 1 customers" in page
    assert 'href="/customers/2/"' in page
    assert 'href="/customers/4/"' not in page
    everybody = text_of(olga.get(f"{PAGE}&kind=all"))
    assert all(f'href="/customers/{person}/"' in everybody for person in (2, 3, 4, 6, 7))
    assert looked(club) == [("churn", 1), ("all", 5)]


def test_viewers_see_numbers_and_nobody(vera: Client, club: Tenant) -> None:  # noqa: F811
    page = text_of(vera.get(f"{PAGE}&kind=all"))
    assert "€56.33" in page
    assert "/customers/4/" not in page
    assert vera.get(f"/tables/customers-movers.csv?{MARCH}").status_code == 403
    assert vera.get(f"/tables/customers-movements.csv?{MARCH}").status_code == 200
    assert looked(club) == []


def test_movers_as_a_file_are_written_down(olga: Client, club: Tenant) -> None:  # noqa: F811
    answer: Any = olga.get(f"/tables/customers-movers.xlsx?{MARCH}&kind=new")
    assert answer.status_code == 200
    rows = cells_of(b"".join(answer.streaming_content))
    assert [text for _, text in rows[0]][:3] == ["person", "movement", "amount (EUR)"]
    assert [text for _, text in rows[1]][:3] == ["4", "new", "56.33"]
    assert looked(club) == [("new", 1)]


def test_the_neighbour_and_an_empty_range(sam: Client, olga: Client) -> None:
    assert "999.00" in text_of(sam.get(PAGE))
    assert "No subscriptions in this range" in text_of(olga.get("/customers/movements/?from=2020-01-01&to=2020-02-01"))


@pytest.mark.parametrize(
    "query", ["period=zork", "kind=zork", "after=-1", "after=99999999999", "compare=none", "from=x"]
)
def test_odd_questions(query: str, olga: Client) -> None:
    text_of(olga.get(f"/customers/movements/?{query}"))
