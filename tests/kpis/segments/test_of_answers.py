"""Segments out of every kind of answer: a bar of a funnel, a cell of retention, a state, a node of paths, a group."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from pyroaring import BitMap
from rest_framework.exceptions import ValidationError

from analytics.contracts import TenantInfo
from analytics.lake.sealing import seal_tenant
from analytics.lake.services import lake_mark
from analytics.models import Tenant
from analytics.tenancy import tenant_by_slug
from insights.customers.services import snapshot_take
from insights.selectors import snapshot_read
from kpis.segments.selectors import people_of, segments_list
from kpis.segments.services import segment_create, segment_refresh
from kpis.series.question import QuestionError
from tests.kpis.story import Story

pytestmark = pytest.mark.django_db(transaction=True)

MONDAY = datetime(2026, 3, 1, 23, tzinfo=UTC)  # 2 March in Paris
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
NOW = MONDAY + 20 * DAY
WEEK = {"from": "2026-03-02", "to": "2026-03-09"}
FUNNEL = {"steps": [{"events": ["page_view"]}, {"events": ["cart_updated"]}, {"events": ["order_completed"]}], **WEEK}
RETENTION = {"from": "2026-03-02", "periods": 2, "unit": "week"}
PATHS = {"anchor": {"events": ["page_view"]}, "depth": 2, **WEEK}
ANN, BOB, CYD = 1, 2, 3


@pytest.fixture
def shop(acme: Tenant, globex: Tenant, settings: Any, tmp_path: Path) -> TenantInfo:
    """On Monday Ann looks, fills her basket and buys; Bob fills his and does not; Cyd only looks. Ann is back a week
    later. Fay is elsewhere."""
    settings.ANALYTICS_LAKE_URL = str(tmp_path / "lake")
    neighbour = Story(globex)
    for name in ("$pageview", "cart_updated", "order_completed"):
        neighbour.add(name, MONDAY + HOUR, "fay", **({"amount": 100} if name == "order_completed" else {}))
    neighbour.count(NOW)
    story = Story(acme)
    for who in ("ann", "bob", "cyd"):
        story.add("$pageview", MONDAY + HOUR, who)
    for who in ("ann", "bob"):
        story.add("cart_updated", MONDAY + HOUR + timedelta(minutes=5), who)
    story.add("order_completed", MONDAY + HOUR + timedelta(minutes=9), "ann", amount=20_00)
    story.add("$pageview", MONDAY + 8 * DAY, "ann")
    story.count(NOW)
    for tenant in (acme, globex):
        lake_mark(tenant_id=tenant.pk, start=MONDAY - DAY, end=NOW, reason="test", now=NOW)
        seal_tenant(tenant.pk, now=NOW, workers=1)
    return tenant_by_slug("acme")


@pytest.mark.parametrize(
    ("kind", "question", "place", "people"),
    [
        ("funnel", FUNNEL, {"step": 1, "outcome": "reached"}, {ANN, BOB}),
        ("funnel", FUNNEL, {"step": 1, "outcome": "dropped"}, {BOB}),
        ("retention", RETENTION, {"cohort": 0, "period": 0}, {ANN, BOB, CYD}),
        ("retention", RETENTION, {"cohort": 0, "period": 1}, {ANN}),
        ("lifecycle", {"from": "2026-03-02", "to": "2026-03-16", "unit": "week"}, {"period": 0, "state": "new"},
         {ANN, BOB, CYD}),
        ("lifecycle", {"from": "2026-03-02", "to": "2026-03-16", "unit": "week"}, {"period": 1, "state": "dormant"},
         {BOB, CYD}),
        ("paths", PATHS, {"place": 1, "name": "cart_updated"}, {ANN, BOB}),
        ("paths", PATHS, {"place": 2, "name": "order_completed"}, {ANN}),
        ("paths", PATHS, {"place": 1, "name": "__end__"}, {CYD}),
    ],
)  # fmt: skip
def test_a_place_in_an_answer_is_kept_and_asked_again(
    shop: TenantInfo, kind: str, question: dict[str, Any], place: dict[str, Any], people: set[int]
) -> None:
    definition = {"kind": kind, "question": question, "place": place}
    made = segment_create(tenant=shop, name="Kept", source="answer", definition=definition, now=NOW)
    assert people_of(made) == BitMap(people)
    again = segment_refresh(tenant=shop, segment=made, now=NOW + HOUR)
    assert (people_of(again), again.error) == (BitMap(people), "")


def test_a_group_of_customers_is_kept(shop: TenantInfo) -> None:
    snapshot_take(tenant_id=shop.id, taken_on=date(2026, 3, 20), now=NOW)
    name = next(segment.name for segment in snapshot_read(tenant_id=shop.id).segments if segment.size)
    made = segment_create(tenant=shop, name="Kept", source="customers", definition={"segment": name}, now=NOW)
    assert people_of(made) == BitMap([ANN])


@pytest.mark.parametrize(
    ("kind", "question", "place"),
    [
        ("funnel", FUNNEL, {"step": 9}),
        ("retention", RETENTION, {"cohort": 5, "period": 0}),
        ("lifecycle", {"unit": "week"}, {"period": 0, "state": "tired"}),
        ("paths", PATHS, {"place": 3, "name": "cart_updated"}),
        ("paths", PATHS, {"place": True, "name": "cart_updated"}),
        ("attribution", {}, {"key": "search"}),
        ("funnel", {"steps": []}, {"step": 0}),
    ],
)
def test_a_place_that_is_none_keeps_nothing(
    shop: TenantInfo, kind: str, question: dict[str, Any], place: dict[str, Any]
) -> None:
    definition = {"kind": kind, "question": question, "place": place}
    with pytest.raises((QuestionError, ValidationError)):
        segment_create(tenant=shop, name="No", source="answer", definition=definition, now=NOW)
    assert segments_list(tenant_id=shop.id) == []
