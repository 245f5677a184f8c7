"""One day of a busy tenant, and every built-in metric of it worked out by hand.

The story, on Monday 2 March 2026 in Paris (amounts in euros):

- Sunday: Ann looks at an event page and orders for 9.00. She is no newcomer on Monday.
- Monday, orders: Ann 20.00 and 10.00, Bob 5.50 and 0.00, somebody unknown 4.50. Ann's first order has two product lines
  (6 pieces for 12.00, 2 for 5.00) and postage of 3.00; a stock movement and a ledger correction happen too.
- Refunds: Bob 5.50, written as -5.50.
- Creators: Cyd sends gifts of 1.00 and 2.50 and tops up 30.00 and 10.00; Dan buys a membership of 5.00; Eve starts a
  subscription for 9.00, Fay renews one for 9.00. Two streams start; two end, after 30 and 90 minutes with 10 and 30
  viewers; one battle; Dan writes 3 messages.
- Payments: 10 are created, 2 go through a check, 1 is pending. 8 come to an end: 5 settled (amounts 10, 20, 30, 40, 50;
  1 to 5 seconds; Ann three times, Bob twice), 2 failed, 1 expired. 1 is refunded.
- One-time codes: 4 sent, 3 verified, 1 failed. Hosts: 9 hosted, 1 cancelled. A model publishes a churn share of 0.10
  and 0.14.
- Everything else happens in `areas.py`; Gil hosts on Sunday.
- Events: Ann, Bob, Cyd and Dan look at one, Ann and Bob join it, Ann is there. Dan signs up. Eve opens one page. Gil
  is only identified, which makes nobody active.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from analytics.models import Tenant
from kpis.base import metrics
from kpis.contracts import written
from kpis.series import metrics_series
from tests.golden.areas import EXPECTED_OF_AREAS, tell_areas
from tests.kpis.story import Story

pytestmark = pytest.mark.django_db

MONDAY = datetime(2026, 3, 1, 23, tzinfo=UTC)
DAY = timedelta(days=1)
NOON = MONDAY + timedelta(hours=12)
NOW = MONDAY + 40 * DAY


def tell(story: Story) -> None:
    tell_areas(story, MONDAY)
    story.add("event_viewed", MONDAY - DAY, "ann")
    story.add("order_completed", MONDAY - DAY, "ann", amount=900)

    story.add("order_completed", NOON, "ann", amount=2000, campaign="spring")
    for quantity, amount in ((6, 1200), (2, 500)):
        story.add("item_purchased", NOON, "ann", amount=amount, properties={"quantity": quantity})
    story.add("fee_charged", NOON, "ann", amount=300)
    story.add("stock_adjusted", NOON)
    story.add("ledger_adjusted", NOON, amount=-1_106_206)
    for who, amount in (("ann", 1000), ("bob", 550), ("bob", 0), (None, 450)):
        story.add("order_completed", NOON, who, amount=amount)
    story.add("order_refunded", NOON, "bob", amount=-550)

    for amount in (100, 250):
        story.add("gift_sent", NOON, "cyd", amount=amount, object_type="creator", object_id="zoe")
    for amount in (3000, 1000):
        story.add("top_up_completed", NOON, "cyd", amount=amount)
    story.add("membership_purchased", NOON, "dan", amount=500)
    story.add("subscription_started", NOON, "eve", amount=900)
    story.add("subscription_renewed", NOON, "fay", amount=900)
    for minutes, viewers in ((30, 10), (90, 30)):
        story.add("stream_started", NOON, "cyd")
        story.add("stream_ended", NOON, "cyd", duration_ms=minutes * 60_000, properties={"viewers": viewers})
    story.add("battle_started", NOON, "cyd")
    for _ in range(3):
        story.add("message_sent", NOON, "dan")

    for _ in range(10):
        story.add("payment_created", NOON)
    for status in ("verifying", "verifying", "verified", "verified", "pending", "expired", "refunded"):
        story.add(f"payment_{status}", NOON)
    for seconds, who in enumerate(("ann", "ann", "ann", "bob", "bob"), start=1):
        story.add("payment_settled", NOON, who, amount=seconds * 1000, duration_ms=seconds * 1000)
    for reason in ("insufficient_funds", "expired_card"):
        story.add("payment_failed", NOON, amount=700, reason=reason)

    for who in ("ann", "bob", "cyd", "dan"):
        story.add("otp_sent", NOON, who)
        story.add("otp_failed" if who == "dan" else "otp_verified", NOON, who)
    story.add("event_hosted", NOON, "ann")
    for name in ["hosted"] * 8 + ["cancelled"]:
        story.add(f"event_{name}", NOON)
    for hour, value in ((8, 0.10), (20, 0.14)):
        at = MONDAY + timedelta(hours=hour)
        story.add("data_point", at, value=value, object_type="metric", object_id="users.churn_risk_share")
    story.add("data_point", NOON, value=99.0, object_type="metric", object_id="something.else")

    for who in ("ann", "bob", "cyd", "dan"):
        story.add("event_viewed", NOON, who)
    for who in ("ann", "bob"):
        story.add("event_joined", NOON, who)
    story.add("event_attended", NOON, "ann")
    story.add("signed_up", NOON, "dan")
    story.add("$pageview", NOON, "eve")
    story.add("$identify", NOON, "gil")
    story.add("$pageview", MONDAY + 7 * DAY + timedelta(hours=3), "bob")
    story.add("$pageview", MONDAY + 30 * DAY, "cyd")


EXPECTED = {
    # 20 + 10 + 5.50 + 0 + 4.50 + gifts 3.50 + membership 5 + subscriptions 18
    "revenue.gross": "66.50",
    "revenue.refunds": "5.50",
    "revenue.net": "61.00",
    "revenue.growth": 57.5 / 9,  # 9.00 on Sunday
    "revenue.known": "62.00",  # without the 4.50
    "revenue.aov": "8.00",  # 40 / 5
    "revenue.arppu": "10.33",  # 62 / 6
    "revenue.arpu": "10.33",  # all six are active
    "revenue.refund_rate": 5.5 / 66.5,
    "users.paying": 6,
    "users.payer_rate": 1.0,
    "orders.count": 5,
    "orders.gross": "40.00",
    "orders.refunded": 1,
    "orders.customers": 2,
    "orders.repeat_customers": 2,
    "orders.repeat_rate": 1.0,
    "customers.new": 1,  # Bob
    "customers.returning": 1,  # Ann
    "items.sold": 2,
    "items.quantity": 8,
    "items.revenue": "17.00",
    "revenue.fees": "3.00",
    "revenue.gifts": "3.50",
    "gifts.count": 2,
    "gifts.mean_value": "1.75",
    "topups.volume": "40.00",
    "topups.count": 2,
    "revenue.memberships": "5.00",
    "memberships.buyers": 1,
    "memberships.conversion": 1 / 6,
    "revenue.subscriptions": "18.00",
    "events.count": 240,  # 81 told here, 159 in areas.py
    "users.active": 6,
    "users.growth": 2.0,  # Ann and Gil on Sunday
    "users.wau": 7,  # and Gil
    "users.mau": 7,
    "users.stickiness": 6 / 7,
    "users.new": 5,
    "users.returning": 1,
    "users.signups": 1,
    "pageviews.count": 2,  # Eve's, and one of nobody that the middleware timed
    # Everybody did everything at noon: one session each; Fay's is a single event.
    "sessions.count": 6,
    "sessions.mean_duration": 0.0,
    "sessions.bounced": 1,
    "sessions.bounce_rate": 1 / 6,
    "streams.count": 2,
    "streams.air_time": 7_200_000.0,
    "streams.mean_duration": 3_600_000.0,
    "streams.mean_viewers": 20.0,
    "battles.count": 1,
    "messages.count": 3,
    "payments.created": 10,
    "payments.verifying": 2,
    "payments.verified": 2,
    "payments.pending": 1,
    "payments.settled": 5,
    "payments.failed": 2,
    "payments.expired": 1,
    "payments.refunded": 1,
    "payments.finished": 8,
    "payments.volume": "150.00",
    "payments.average_value": "30.00",
    "payments.success_rate": 5 / 8,
    "payments.failure_rate": 2 / 8,
    "payments.latency_mean": 3000.0,
    # Percentiles are continuous over 1, 2, 3, 4, 5 s: p95 lies at rank 3.8, p99 at 3.96. Sketches are within 1 %.
    "payments.latency_median": pytest.approx(3000, rel=0.01),
    "payments.latency_p95": pytest.approx(4800, rel=0.01),
    "payments.latency_p99": pytest.approx(4960, rel=0.01),
    "payments.unique_payers": 2,
    "otp.sent": 4,
    "otp.failed": 1,
    "otp.checked": 4,
    "otp.failure_rate": 0.25,
    "hosts.cancelled": 1,
    "hosts.scheduled": 10,
    "hosts.cancellation_rate": 0.1,
    "users.churn_risk_share": 0.12,
    "conversion.viewers": 4,
    "conversion.joiners": 2,
    "conversion.attendees": 1,
    "conversion.viewed_to_joined": 0.5,
    "conversion.joined_to_attended": 0.5,
    "conversion.viewed_to_attended": 0.25,
    # Newcomers: Bob, Cyd, Dan, Eve, Fay. Bob is back after exactly 7 days, Cyd after 30.
    "retention.day_7": 0.2,
    "retention.day_30": 0.2,
    **EXPECTED_OF_AREAS,
}


@pytest.fixture
def story(acme: Tenant, globex: Tenant) -> Story:
    neighbour = Story(globex, currency="NPR")
    tell(neighbour)
    neighbour.add("order_completed", NOON, "ann", amount=77_700)
    neighbour.count(NOW)
    story = Story(acme)
    tell(story)
    story.count(NOW)
    return story


def test_every_metric_that_comes_with_the_product_has_a_number_worked_by_hand() -> None:
    ours = {metric.id for metric in metrics if metric.owner != "tests"}
    assert set(EXPECTED) == ours


def test_the_numbers_of_the_day(story: Story) -> None:
    found = metrics_series(
        tenant_id=story.tenant.pk, metrics=list(EXPECTED), start=MONDAY, end=MONDAY + DAY, grain="total", now=NOW
    )
    assert {item.metric: written(item.total, item.unit, item.exponent) for item in found} == {
        name: pytest.approx(value) if isinstance(value, float) else value for name, value in EXPECTED.items()
    }
    assert all(item.is_complete and not item.is_partial for item in found)


def test_arpu_is_arppu_times_payer_rate_over_any_range(story: Story) -> None:
    """S20, over the days around Monday, where payers and active people differ."""
    names = ["revenue.arpu", "revenue.arppu", "users.payer_rate"]
    arpu, arppu, rate = metrics_series(
        tenant_id=story.tenant.pk, metrics=names, start=MONDAY - DAY, end=MONDAY + 9 * DAY, grain="day", now=NOW
    )
    known = 0
    for whole, part, share in zip(arpu.points, arppu.points, rate.points, strict=True):
        if part.value is not None and share.value is not None:
            known += 1
            assert whole.value is not None
            assert round(whole.value - part.value * share.value, 12) == 0
    assert known == 2
    assert arpu.total is not None
    assert (arppu.total or 0) * (rate.total or 0) == pytest.approx(arpu.total)


def test_yen_have_no_decimals_and_dinars_three(db: None) -> None:
    from analytics.access.services import tenant_create

    found = {}
    for currency in ("JPY", "KWD"):
        tenant = tenant_create(slug=currency.lower(), name=currency, zone="UTC", base_currency=currency)
        story = Story(tenant, currency=currency)
        story.add("order_completed", NOON, "ann", amount=1500)
        story.count(NOW)
        (series,) = metrics_series(
            tenant_id=tenant.pk, metrics=["revenue.gross"], start=NOON - DAY, end=NOON + DAY, grain="total", now=NOW
        )
        found[currency] = (series.total, series.exponent)
    assert found == {"JPY": (Decimal(1500), 0), "KWD": (Decimal("1.5"), 3)}
