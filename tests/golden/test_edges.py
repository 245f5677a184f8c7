"""What the busy day of `test_every_metric` cannot tell apart, worked out by hand: the edges of windows, each event that
makes somebody a payer or a player by itself, shares that are neither nothing nor all.

Monday 2 March 2026 in Paris; amounts are powers of two, so that each sum says what is in it.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from analytics.models import Tenant
from kpis.contracts import written
from kpis.series import metrics_series
from tests.kpis.story import Story

pytestmark = pytest.mark.django_db

MONDAY = datetime(2026, 3, 1, 23, tzinfo=UTC)
DAY = timedelta(days=1)
NOON = MONDAY + timedelta(hours=12)
NOW = MONDAY + 40 * DAY


def values(tenant: Tenant, expected: dict[str, Any]) -> dict[str, Any]:
    found = metrics_series(
        tenant_id=tenant.pk, metrics=list(expected), start=MONDAY, end=MONDAY + DAY, grain="total", now=NOW
    )
    return {item.metric: written(item.total, item.unit, item.exponent) for item in found}


def near(expected: dict[str, Any]) -> dict[str, Any]:
    return {name: pytest.approx(value) if isinstance(value, float) else value for name, value in expected.items()}


WINDOWS: dict[str, Any] = {
    "users.active": 1,  # Ann
    "users.wau": 2,  # and Bob, on the first of the seven days; Cyd came a day too early
    "users.mau": 4,  # and Cyd, and Dan on the first of the thirty; Eve came a day too early
    "users.stickiness": 0.25,
    "users.new": 1,
}


def tell_windows(story: Story) -> None:
    for days, who in enumerate(("ann", "bob", "cyd", "dan", "eve")):
        story.add("$pageview", NOON - (0, 6, 7, 29, 30)[days] * DAY, who)


def test_a_week_has_seven_days_and_a_month_thirty(acme: Tenant, globex: Tenant) -> None:
    story = Story(acme)
    tell_windows(story)
    story.count(NOW)

    assert values(acme, WINDOWS) == near(WINDOWS)


RETURNS: dict[str, Any] = {"retention.day_7": 1 / 5, "retention.day_30": 2 / 5}


def tell_returns(story: Story) -> None:
    """Five newcomers. Bob is back after 7 days, Cyd and Dan after 30; others a day beside."""
    for who in ("ann", "bob", "cyd", "dan", "eve"):
        story.add("$pageview", NOON, who)
    for who, days in (("ann", 6), ("bob", 7), ("eve", 8), ("ann", 29), ("cyd", 30), ("dan", 30), ("eve", 31)):
        story.add("$pageview", NOON + days * DAY, who)


def test_who_returns_a_day_beside_has_not_returned_on_that_day(acme: Tenant, globex: Tenant) -> None:
    story = Story(acme)
    tell_returns(story)
    story.count(NOW)

    assert values(acme, RETURNS) == near(RETURNS)


CREATORS: dict[str, Any] = {"creators.active": 3, "creators.new": 3, "creators.returning": 0}


def tell_creators(story: Story) -> None:
    """One goes live, one battles, one hosts, and none of them was there before."""
    for who, name in (("ann", "stream_started"), ("bob", "battle_started"), ("cyd", "event_hosted")):
        story.add(name, NOON, who)


def test_each_way_to_create_makes_a_new_creator(acme: Tenant, globex: Tenant) -> None:
    story = Story(acme)
    tell_creators(story)
    story.count(NOW)

    assert values(acme, CREATORS) == near(CREATORS)


ALONE: dict[str, Any] = {
    "revenue.gross": "255.50",
    "revenue.known": "255.50",
    "revenue.gifts": "1.50",
    "revenue.memberships": "2.00",
    "revenue.subscriptions": "24.00",
    "orders.gross": "228.00",
    "marketing.revenue": "31.00",  # one of each kind
    "users.active": 7,
    "users.paying": 6,  # all but Fay
    "users.payer_rate": 6 / 7,
    "revenue.arppu": "42.58",
    "revenue.arpu": "36.50",
    "orders.customers": 3,  # Cyd, Gil and Dan
    "orders.repeat_customers": 1,
    "orders.repeat_rate": 1 / 3,
    "customers.new": 2,
    "customers.returning": 1,  # Gil ordered on Sunday
    "gifts.count": 2,
    "creators.gifts": 1,  # the other one went to a stream
    "creators.revenue": "3.00",
    "creators.active": 3,  # one live, one in a battle, one as a host
    "creators.new": 1,  # Cyd
    "creators.returning": 2,  # Ann and Bob
    "creators.retention": 2 / 3,  # they and Gil on Sunday
    "gaming.players": 3,
    "trading.traders": 2,
    "conversion.viewers": 2,
    "conversion.viewed_to_joined": 0.5,
    "conversion.viewed_to_attended": 0.5,
    "verification.started": 3,
    "verification.completed": 2,
    "verification.completion": 2 / 3,
    "hosts.scheduled": 2,
    "hosts.cancelled": 1,
    "sessions.count": 7,
    "sessions.mean_duration": 240_000 / 7,  # Ann's lasts four minutes
    "sessions.bounced": 2,  # Eve and Fay
    "sessions.bounce_rate": 2 / 7,
    "system.requests": 3,
    "system.errors": 2,  # a page and a call
    "system.response_mean": 300.0,
    "system.response_p99": pytest.approx(592, rel=0.01),  # rank 1.98 of 100, 200 and 600
    "system.up_time": 60_000.0,
    "system.observed_time": 120_000.0,
    "system.uptime": 0.5,
    "webhooks.total": 4,  # more came to an end than were told to wait
    "webhooks.pending": 0,
}


def tell_alone(story: Story) -> None:
    _tell_payers(story)
    for who, names in {
        "ann": "stream_started game_started trade_opened event_viewed event_joined otp_sent otp_verified",
        "bob": "battle_started game_ended trade_closed listing_viewed event_attended "
        "verification_started verification_completed",
        "cyd": "event_hosted stake_placed verification_started",
        "fay": "$pageview",
    }.items():
        for name in names.split():
            story.add(name, NOON, who)
    story.add("message_sent", NOON + timedelta(minutes=4), "ann")
    story.add("event_hosted", NOON - DAY, "ann")
    story.add("battle_started", NOON - DAY, "bob")
    story.add("stream_started", NOON - DAY, "gil")
    story.add("event_cancelled", NOON)
    for name, took, status in (("page_view", 100, 500), ("request_completed", 200, 503), ("page_view", 600, 200)):
        story.add(name, NOON, duration_ms=took, properties={"path": "/", "status": status})
    for metric, value, took in (("heartbeat", 60_000.0, 120_000), ("cpu", 0.5, 5000)):
        story.add("data_point", NOON, value=value, duration_ms=took, object_type="metric", object_id=f"system.{metric}")
    for name in ["queued"] * 3 + ["delivered"] * 2 + ["failed"] * 2:
        story.add(f"webhook_{name}", NOON)


def _tell_payers(story: Story) -> None:
    creator = {"object_type": "creator", "object_id": "zoe"}
    spring = {"campaign": "spring"}
    story.add("gift_sent", NOON, "ann", amount=100, **creator, **spring)
    story.add("gift_sent", NOON, "ann", amount=50, object_type="stream", object_id="live")
    story.add("membership_purchased", NOON, "bob", amount=200, **creator, **spring)
    story.add("order_completed", NOON, "cyd", amount=400, **spring)
    story.add("subscription_started", NOON, "dan", amount=800, **spring)
    story.add("subscription_renewed", NOON, "eve", amount=1600, **spring)
    story.add("order_completed", NOON, "cyd", amount=3200)
    story.add("order_completed", NOON - DAY, "gil", amount=900)
    story.add("order_completed", NOON, "gil", amount=6400)
    story.add("message_sent", NOON, "gil")
    story.add("order_completed", NOON, "dan", amount=12_800)


def test_each_event_by_itself_makes_somebody_what_it_says(acme: Tenant, globex: Tenant) -> None:
    story = Story(acme)
    tell_alone(story)
    story.count(NOW)

    assert values(acme, ALONE) == near(ALONE)
