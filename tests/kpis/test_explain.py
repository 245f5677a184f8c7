"""How a number is computed: the tree with its values, the names that count, samples without persons, the lineage."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from django.contrib.auth import get_user_model

from analytics.access.selectors import places_of_user
from analytics.access.services import membership_set
from analytics.access.tokens import TokenPair
from analytics.models import Tenant
from kpis.ledger import day_freeze
from tests.api import Caller, caller
from tests.kpis.story import Story

pytestmark = pytest.mark.django_db

MONDAY = datetime(2026, 3, 1, 23, tzinfo=UTC)
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)


@pytest.fixture
def shop(acme: Tenant, globex: Tenant) -> Tenant:
    """Two days: orders of 20.00 and 10.00, a refund of 6.00, an order by a bot, and two days of the neighbour."""
    for tenant in (acme, globex):
        story = Story(tenant)
        secret = {"properties": {"email": "ann@example.org"}, "object_id": "parcel of Ann", "session_id": "s-ann"}
        story.add("order_completed", MONDAY + 9 * HOUR, "ann", amount=2000, country="FR", **secret)
        story.add("order_completed", MONDAY + DAY + 9 * HOUR, "bob", amount=1000, country="DE")
        story.add("Order Completed", MONDAY + DAY + 10 * HOUR, "bob", amount=9900, is_bot=True)
        story.add("order_refunded", MONDAY + DAY + 11 * HOUR, "ann", amount=600)
        story.count(MONDAY + 2 * DAY)
    day_freeze(tenant_id=acme.pk, now=MONDAY + 2 * DAY)
    return acme


def explained(api: Caller, metric: str, **asked: Any) -> Any:
    answer = api.get(f"kpis/{metric}/explain/", **{"from_": "2026-03-02", "to": "2026-03-04", **asked})
    assert answer.status_code == 200, answer.content
    return answer.json()


def test_the_tree_has_the_value_of_each_part(shop: Tenant) -> None:
    body = explained(caller(shop), "revenue.net")
    tree = body["tree"]

    assert (body["value"], tree["metric"], tree["value"], tree["how"]) == (
        "24.00", "revenue.net", "24.00", "gross revenue - refunds",
    )  # fmt: skip
    assert [(part["metric"], part["value"]) for part in tree["parts"]] == [
        ("revenue.gross", "30.00"), ("revenue.refunds", "6.00"),
    ]  # fmt: skip
    refunds = tree["parts"][1]["measures"]
    assert [(use["measure"], use["words"], use["events"]) for use in refunds] == [
        (
            "revenue.refunds",
            "sum of amount_base of Order Refunded, order_refunded events",
            ["Order Refunded", "order_refunded"],
        )
    ]


def test_the_names_that_count_and_how_often(shop: Tenant) -> None:
    """The bot's order is in no number."""
    body = explained(caller(shop), "revenue.net")
    counts = {use["name"]: use["count"] for use in body["events"]}

    assert counts["order_completed"] == 2
    assert counts["order_refunded"] == 1
    assert counts["Order Completed"] == 0
    assert any("Bots are left out" in words for words in body["exclusions"])
    assert any("exchange rate" in words for words in body["exclusions"])


def test_samples_show_no_person(shop: Tenant) -> None:
    answer = caller(shop).get("kpis/revenue.gross/explain/", from_="2026-03-02", to="2026-03-04")
    samples = answer.json()["samples"]

    assert [(sample["name"], sample["amount"], sample["country"]) for sample in samples] == [
        ("order_completed", "10.00", "DE"), ("order_completed", "20.00", "FR"),
    ]  # fmt: skip
    for hidden in (b"ann@example.org", b"parcel of Ann", b"s-ann", b"subject", b"properties"):
        assert hidden not in answer.content


def test_who_may_not_read_events_sees_no_samples(shop: Tenant) -> None:
    user = get_user_model().objects.create_user(username="vera")
    membership_set(tenant_id=shop.pk, user=user, role="viewer")
    viewer = Caller(TokenPair(user, places_of_user(user)[0]).access)

    assert explained(viewer, "revenue.gross")["samples"] == []
    assert len(explained(caller(shop), "revenue.gross")["samples"]) == 2


def test_where_the_numbers_come_from(shop: Tenant) -> None:
    body = explained(caller(shop), "revenue.gross")

    assert body["lineage"] == [
        {"measure": "revenue.gross", "buckets": {"day": 2, "hour": 0, "minute": 0}, "records": 2}
    ]
    assert body["executor"] == "rollup"
    cut = explained(caller(shop), "revenue.gross", from_="2026-03-02T22:30:00+01:00", to="2026-03-04")
    assert cut["lineage"][0]["buckets"] == {"day": 1, "hour": 1, "minute": 30}


def test_filters_in_words_and_the_versions_that_were_published(shop: Tenant) -> None:
    body = explained(caller(shop), "revenue.gross", country="FR")

    assert (body["value"], body["filters"]) == ("20.00", ["country is FR"])
    assert [(version["version"], version["is_current"]) for version in body["versions"]] == [
        (body["definition_version"], True)
    ]


def test_every_metric_can_be_explained(shop: Tenant) -> None:
    api = caller(shop)
    for metric in api.get("kpis/", values="false").json()["results"]:
        body = explained(api, metric["metric"])
        assert body["in_words"], metric
        assert body["lineage"], metric


def test_an_unknown_metric_is_not_found(shop: Tenant) -> None:
    assert caller(shop).get("kpis/revenue.grosss/explain/").status_code == 404
