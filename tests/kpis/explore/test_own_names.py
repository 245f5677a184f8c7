"""Events under names of the tenant's own stand for the standard ones in every exploration, from the switch on."""

from __future__ import annotations

from typing import Any

import pytest
from django.utils import timezone

from analytics.jobs import run_due
from analytics.models import Tenant
from kpis.explore.names import with_own_names
from kpis.explore.picks import EventPick
from kpis.funnels import Funnel, Step
from kpis.mapping import event_names_set
from tests.api import Caller, caller, problem
from tests.kpis.explore.test_api_explore import HOUR, MARCH, MONDAY, NOW, told

pytestmark = pytest.mark.django_db(transaction=True)
OWN = {"Purchase Done": "order_completed", "Screen": "page_view"}
STEPS = [{"events": ["page_view"]}, {"events": ["order_completed"]}]


@pytest.fixture
def shop(acme: Tenant, globex: Tenant, monkeypatch: pytest.MonkeyPatch, settings: Any) -> Tenant:
    """Ann buys as the standard says; Bob looks and buys under the shop's own names, for 5.00."""
    monkeypatch.setattr(timezone, "now", lambda: NOW)
    settings.API_RATE_PER_MINUTE = 0
    for tenant in (globex, acme):
        told(
            tenant,
            ("ann", "page_view", HOUR, {"channel": "google"}),
            ("ann", "order_completed", 2 * HOUR, {"amount": 2000, "object_id": "o1"}),
            ("bob", "Screen", HOUR, {"channel": "news"}),
            ("bob", "Purchase Done", 2 * HOUR, {"amount": 500, "object_id": "o2"}),
        )
    assert event_names_set(tenant_id=acme.pk, names=OWN) is not None
    assert run_due(only=["rollup.switch_calendar"]) == 1
    return acme


def asked(api: Caller, kind: str, **question: Any) -> dict[str, Any]:
    answer = api.post(f"explore/{kind}/", question)
    assert answer.status_code == 200, answer.content
    found: dict[str, Any] = answer.json()
    return found


def test_a_funnel_counts_both_and_the_neighbours_only_its_own(shop: Tenant, globex: Tenant) -> None:
    mine = asked(caller(shop), "funnel", steps=STEPS, **MARCH)
    assert [(step["label"], step["reached"]) for step in mine["steps"]] == [("page_view", 2), ("order_completed", 2)]
    theirs = asked(caller(globex), "funnel", steps=STEPS, **MARCH)
    assert [step["reached"] for step in theirs["steps"]] == [1, 1]
    alone = asked(caller(shop), "funnel", steps=[{"events": ["Screen"]}, {"events": ["Purchase Done"]}], **MARCH)
    assert [step["reached"] for step in alone["steps"]] == [1, 1], "an own name means itself alone"


def test_people_retention_paths_and_attribution_too(shop: Tenant, globex: Tenant) -> None:
    api = caller(shop)
    place = {"kind": "funnel", "question": {"steps": STEPS, **MARCH}, "place": {"step": 1, "outcome": "reached"}}
    assert api.post("explore/people/", place).json()["people"] == [1, 2]
    orders = {"events": ["order_completed"]}
    came = {"from": "2026-03-02", "unit": "day", "periods": 2, "first": orders}
    assert asked(api, "retention", **came)["rows"][0]["size"] == 2
    assert asked(api, "paths", anchor={"events": ["page_view"]}, within="1d", **MARCH)["paths"] == 2
    found = asked(api, "attribution", models=["last"], by="source", **MARCH)
    credits = {credit["key"]: credit["revenue"] for credit in found["models"][0]["credits"]}
    assert (found["revenue"], credits) == ("25.00", {"google": "20.00", "news": "5.00"})
    assert asked(caller(globex), "attribution", models=["last"], by="source", **MARCH)["revenue"] == "20.00"


@pytest.mark.parametrize(
    ("wrong", "right"),
    [("Purchase_Don", "Purchase Done"), ("purchase done", "Purchase Done"), ("scren", "Screen"), ("page_vew", "page")],
)
def test_a_slip_of_the_pen_is_answered_with_the_nearest_name(shop: Tenant, wrong: str, right: str) -> None:
    found = problem(caller(shop).post("explore/funnel/", {"steps": [{"events": [wrong]}, STEPS[1]], **MARCH}))
    assert (found["status"], found["errors"][0]["field"]) == (400, "events")
    assert right in found["errors"][0]["detail"]


def test_a_name_that_was_sent_but_not_counted_yet_is_known(shop: Tenant) -> None:
    from tests.kpis.story import Story

    story = Story(shop)
    story._told = 100
    story.add("just_now", MONDAY + HOUR, "cyd")
    story.store()
    found = asked(caller(shop), "funnel", steps=[{"events": ["just_now"]}, STEPS[1]], **MARCH)
    assert found["entered"] in (0, 1)


def test_picks_are_opened_wherever_they_lie() -> None:
    funnel = Funnel(
        steps=(Step(EventPick(("page_view",))), Step(EventPick(("gift_sent", "order_completed")))),
        start=MONDAY,
        end=NOW,
    )
    opened = with_own_names(funnel, {"Purchase Done": "order_completed", "Kauf": "order_completed"})
    assert opened.steps[0] is funnel.steps[0]
    assert opened.steps[1].pick.own == ("Kauf", "Purchase Done")
    assert opened.steps[1].pick.names == ("gift_sent", "order_completed")
    assert with_own_names(funnel, {}) is funnel
    assert with_own_names(funnel, {"Else": "signed_up"}) is funnel
