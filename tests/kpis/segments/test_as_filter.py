"""A kept segment narrows questions to its people, by every way in which events are read."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.utils import timezone

from analytics.models import Tenant
from analytics.tenancy import tenant_context
from kpis.models import PeopleSegment
from tests.api import Caller, caller, problem
from tests.kpis.explore.test_api_explore import DAY, HOUR, MARCH, NOW, SHOP, told

pytestmark = pytest.mark.django_db(transaction=True)
FRENCH = {"kind": "funnel", "question": {"steps": SHOP, **MARCH, "filters": [{"field": "country", "op": "eq",
          "value": "FR"}]}, "place": {"step": 0, "outcome": "reached"}}  # fmt: skip


@pytest.fixture
def shop(acme: Tenant, globex: Tenant, monkeypatch: pytest.MonkeyPatch, settings: Any) -> Tenant:
    """Ann (French) and Bob buy, Cyd (French) looks only."""
    monkeypatch.setattr(timezone, "now", lambda: NOW)
    settings.API_RATE_PER_MINUTE = 0
    told(globex, ("ann", "$pageview", HOUR, {"country": "FR"}), ("bob", "cart_updated", 2 * HOUR, {}))
    told(
        acme,
        ("ann", "$pageview", HOUR, {"channel": "google", "country": "FR", "properties": {"plan": "pro"}}),
        ("ann", "cart_updated", 2 * HOUR, {}),
        ("ann", "order_completed", 3 * HOUR, {"amount": 1000, "object_id": "o1"}),
        ("bob", "$pageview", HOUR, {"channel": "news", "country": "DE"}),
        ("bob", "cart_updated", 2 * HOUR, {}),
        ("bob", "order_completed", 3 * HOUR, {"amount": 500, "object_id": "o2"}),
        ("cyd", "$pageview", DAY, {"country": "FR"}),
    )
    return acme


@pytest.fixture
def french(shop: Tenant) -> str:
    made = caller(shop).post("segments/", {"name": "French", "source": "answer", "definition": FRENCH})
    assert made.status_code == 201, made.content
    assert made.json()["size"] == 2
    return str(made.json()["id"])


def asked(api: Caller, kind: str, **question: Any) -> dict[str, Any]:
    answer = api.post(f"explore/{kind}/", {**question})
    assert answer.status_code == 200, answer.content
    found: dict[str, Any] = answer.json()
    return found


@pytest.mark.parametrize(
    "more",
    [
        {},
        {"by": "country"},
        {"order": "any"},
        {"order": "strict"},
        {"exclusions": [{"events": ["order_refunded"]}]},
        {"filters": [{"field": "is_bot", "op": "eq", "value": False}]},
        {"compare": "2026-02"},
    ],
)
def test_a_funnel_of_these_people_only(shop: Tenant, french: str, more: dict[str, Any]) -> None:
    found = asked(caller(shop), "funnel", steps=SHOP, **MARCH, segment=french, **more)
    assert [step["reached"] for step in found["steps"]] == [2, 1, 1]
    assert (found["segment"]["name"], found["segment"]["size"]) == ("French", 2)
    everybody = asked(caller(shop), "funnel", steps=SHOP, **MARCH, **more)
    assert [step["reached"] for step in everybody["steps"]] == [3, 2, 2]
    assert "segment" not in everybody


def test_paths_attribution_retention_and_people_too(shop: Tenant, french: str) -> None:
    api = caller(shop)
    assert asked(api, "paths", anchor={"events": ["page_view"]}, within="1d", **MARCH, segment=french)["paths"] == 2
    found = asked(api, "attribution", models=["last", "markov"], by="source", **MARCH, segment=french)
    assert found["revenue"] == "10.00"
    credits = {credit["key"]: credit["revenue"] for credit in found["models"][0]["credits"]}
    assert {key: revenue for key, revenue in credits.items() if revenue != "0.00"} == {"google": "10.00"}
    cohorts = {"from": "2026-03-02", "unit": "day", "periods": 3}
    assert [row["size"] for row in asked(api, "retention", **cohorts, segment=french)["rows"]] == [1, 1, 0]
    assert [row["size"] for row in asked(api, "retention", **cohorts)["rows"]] == [2, 1, 0]
    clock = {**cohorts, "clock": "24h", "segment": french}
    assert sum(row["size"] for row in asked(api, "retention", **clock)["rows"]) == 2
    place = {"kind": "funnel", "question": {"steps": SHOP, **MARCH, "segment": french},
             "place": {"step": 2, "outcome": "reached"}}  # fmt: skip
    assert api.post("explore/people/", place).json()["people"] == [1]


def test_nobody_in_it_is_nobody_in_the_answer(shop: Tenant, french: str) -> None:
    with tenant_context(shop.pk):
        PeopleSegment.objects.update(members=b"", size=0, refreshed_at=NOW + timedelta(days=1))
    found = asked(caller(shop), "funnel", steps=SHOP, **MARCH, segment=french)
    assert (found["entered"], found["converted"]) == (0, 0)
    assert asked(caller(shop), "attribution", models=["last"], **MARCH, segment=french)["revenue"] == "0.00"


@pytest.mark.parametrize("segment", ["zork", "00000000-0000-4000-8000-000000000000", 7, ["x"]])
def test_a_segment_that_is_not_there(shop: Tenant, segment: Any) -> None:
    found = problem(caller(shop).post("explore/funnel/", {"steps": SHOP, **MARCH, "segment": segment}))
    assert (found["status"], found["errors"][0]["field"]) == (400, "segment")


def test_the_neighbours_segment_is_as_one_that_is_not_there(shop: Tenant, globex: Tenant, french: str) -> None:
    found = problem(caller(globex).post("explore/funnel/", {"steps": SHOP, **MARCH, "segment": french}))
    assert (found["status"], found["errors"][0]["code"]) == (400, "unknown_segment")


def test_lifecycle_is_of_everybody(shop: Tenant, french: str) -> None:
    found = problem(caller(shop).post("explore/lifecycle/", {"unit": "day", "period": "last_7d", "segment": french}))
    assert "not narrowed" in found["errors"][0]["detail"]


def test_sizes_are_remembered_by_day(shop: Tenant, french: str, monkeypatch: pytest.MonkeyPatch) -> None:
    api = caller(shop)
    assert api.get(f"segments/{french}/").json()["sizes"] == [["2026-03-11", 2]]
    monkeypatch.setattr(timezone, "now", lambda: NOW + DAY)
    assert api.post(f"segments/{french}/refresh/").json()["sizes"] == [["2026-03-11", 2], ["2026-03-12", 2]]
    assert len(api.post(f"segments/{french}/refresh/").json()["sizes"]) == 2
