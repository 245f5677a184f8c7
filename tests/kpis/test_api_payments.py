"""The API of payments, by numbers worked by hand."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from django.utils import timezone

from analytics.models import Tenant
from tests.api import Caller, caller, problem
from tests.kpis.story import Story

MONDAY = datetime(2026, 3, 1, 23, tzinfo=UTC)
NOW = datetime(2026, 3, 9, 12, tzinfo=UTC)
WEEK = {"from_": "2026-03-02", "to": "2026-03-09"}


@pytest.fixture(autouse=True)
def now(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is Monday 2026-03-09, 12:00 UTC."""
    monkeypatch.setattr(timezone, "now", lambda: NOW)


@pytest.fixture
def api(acme: Tenant, globex: Tenant) -> Caller:
    """Acme, with payments p1 to p5; Globex has one of its own.

    p1 settled by card after 1 s (20.00, Ann), p2 by card after 3 s (5.50, Bob), p3 fails for want of funds and is
    retried as p4 (card, order o3, settled after 2 s, 7.00, Ann), p5 is pending. All on Monday, 10:00 in Paris.
    """
    at = MONDAY + timedelta(hours=10)
    story = Story(acme)
    for payment, who in (("p1", "ann"), ("p2", "bob"), ("p3", "ann"), ("p4", "ann"), ("p5", "bob")):
        story.add("payment_created", at, who, object_id=payment, object_type="payment", method="card")
    settled = {"method": "card", "country": "FR", "object_type": "payment"}
    for payment, who, seconds, amount in (("p1", "ann", 1, 2000), ("p2", "bob", 3, 550)):
        when, took = at + timedelta(seconds=seconds), seconds * 1000.0
        story.add("payment_settled", when, who, amount=amount, object_id=payment, duration_ms=took, **settled)
    refused = {"parent_id": "o3", "reason": "no_funds", "method": "sepa"}
    story.add("payment_failed", at + timedelta(minutes=1), "ann", object_id="p3", **refused)
    story.add(
        "payment_settled",
        at + timedelta(minutes=2),
        "ann",
        amount=700,
        object_id="p4",
        parent_id="o3",
        duration_ms=2000.0,
        **settled,
    )
    story.add("payment_pending", at + timedelta(minutes=3), "bob", object_id="p5")
    story.add("product_viewed", at, "ann", object_type="product", object_id="mug")
    story.add("product_viewed", at, "bob", object_type="product", object_id="mug")
    story.add("item_purchased", at, "bob", object_type="product", object_id="mug", amount=550)
    story.add("product_viewed", at, "bob", object_type="product", object_id="hat")
    story.count(NOW)
    neighbour = Story(globex, currency="NPR")
    neighbour.add("payment_settled", at, "ann", amount=99900, object_id="p1", duration_ms=9000.0, method="wallet")
    neighbour.count(NOW)
    return caller(acme)


def test_the_summary_counts_statuses_then_and_now(api: Caller) -> None:
    body = api.get("payments/", **WEEK, limit=2).json()

    assert body["statuses"] == {
        "created": 5,
        "verifying": 0,
        "verified": 0,
        "pending": 1,
        "settled": 3,
        "failed": 1,
        "expired": 0,
        "refunded": 0,
    }
    standing = {status: count for status, count in body["now"].items() if count}
    assert standing == {"settled": 3, "failed": 1, "pending": 1}
    assert (body["volume"], body["average_value"]) == ("32.50", "10.83")
    assert (body["success_rate"], body["unique_payers"]) == (0.75, 2)
    assert [(row["payment"], row["status"], row["amount"]) for row in body["latest"]] == [
        ("p5", "pending", None),
        ("p4", "settled", "7.00"),
    ]


def test_the_neighbour_has_its_own_summary(api: Caller, globex: Tenant) -> None:
    body = caller(globex).get("payments/", **WEEK).json()

    assert (body["volume"], body["currency"], body["timezone"]) == ("999.00", "NPR", "Asia/Kathmandu")
    assert len(body["latest"]) == 1


def test_the_success_rate_over_time(api: Caller) -> None:
    body = api.get("payments/success-rate/", **WEEK).json()

    assert (body["success_rate"]["total"], body["settled"]["total"], body["finished"]["total"]) == (0.75, 3, 4)
    assert [point["value"] for point in body["success_rate"]["points"]][:2] == [0.75, None]


def test_failures_by_reason_hour_and_retry(api: Caller) -> None:
    body = api.get("payments/failures/", **WEEK).json()

    assert (body["failed"]["total"], body["failure_rate"]["total"]) == (1, 0.25)
    assert body["reasons"] == [{"reason": "no_funds", "failed": 1}]
    assert [row for row in body["hours"] if row["failed"]] == [{"hour": 10, "failed": 1}]
    assert len(body["hours"]) == 24
    assert body["retries"] == [
        {"tries": 1, "purchases": 2, "settled": 2},
        {"tries": 2, "purchases": 1, "settled": 1},
    ]


def test_latency_is_a_mean_and_percentiles(api: Caller) -> None:
    body = api.get("payments/latency/", **WEEK).json()

    assert (body["mean"]["unit"], body["mean"]["total"]) == ("duration", 2000.0)
    assert body["median"]["total"] == pytest.approx(2000, rel=0.02)
    assert body["p99"]["total"] == pytest.approx(3000, rel=0.02)


def test_methods_side_by_side(api: Caller) -> None:
    body = api.get("payments/methods/", **WEEK).json()

    found = {row["method"]: row for row in body["results"]}
    assert found["card"] == {"method": "card", "settled": 3, "volume": "32.50", "success_rate": 1.0}
    assert found["sepa"]["success_rate"] == 0.0


def test_top_resources_with_their_accesses(api: Caller) -> None:
    body = api.get("payments/top-resources/", **WEEK).json()

    assert body["results"] == [
        {"type": "product", "id": "mug", "accesses": 2, "sold": 1, "revenue": "5.50"},
        {"type": "product", "id": "hat", "accesses": 1, "sold": 0, "revenue": "0.00"},
    ]


def test_customers_by_volume(api: Caller) -> None:
    body = api.get("payments/customers/", **WEEK, limit=1).json()

    assert body["results"] == [
        {
            "person": 1,
            "payments": 2,
            "volume": "27.00",
            "first_at": "2026-03-02T09:00:01Z",
            "last_at": "2026-03-02T09:02:00Z",
        }
    ]


def test_days_are_complete_days(api: Caller) -> None:
    body = api.get("payments/", days=7).json()

    assert (body["from"], body["to"]) == ("2026-03-01T23:00:00+00:00", "2026-03-08T23:00:00+00:00")


@pytest.mark.parametrize(
    ("parameters", "field"),
    [
        ({"days": "0"}, "days"),
        ({"days": "7", "period": "30d"}, "days"),
        ({"limit": "5000"}, "limit"),
        ({"by": "x"}, "by"),
    ],
)
def test_bad_parameters_are_named(api: Caller, parameters: dict[str, str], field: str) -> None:
    assert [error["field"] for error in problem(api.get("payments/", **parameters))["errors"]] == [field]
