"""What else happens on the Monday of `test_every_metric`, area by area, with the numbers worked out by hand.

Nobody new comes: machines and people who are there anyway do all of it, at noon.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from tests.kpis.story import Story

DAY = timedelta(days=1)


def tell_areas(story: Story, monday: datetime) -> None:
    noon = monday + timedelta(hours=12)
    for tell in (_creation, _product, _marketing, _shop_and_directory, _trades, _games, _moderation, _machines):
        tell(story, noon)


def _creation(story: Story, noon: datetime) -> None:
    """Two things made on Sunday, three on Monday. Gil hosts on Sunday, Ann on both days."""
    for who in ("ann", "gil"):
        story.add("event_hosted", noon - DAY, who)
    for _ in range(2):
        story.add("content_created", noon - DAY)
    for name in ("event_created", "content_created", "listing_created"):
        story.add(name, noon)


def _product(story: Story, noon: datetime) -> None:
    for who in ("ann", "ann", "bob"):
        story.add("feature_used", noon, who, object_type="feature", object_id="search")
    for hours in (0.5, 0.5, 1.0):
        story.add("automation_completed", noon, value=hours)
    story.add("automation_failed", noon)
    for name in ["post_published"] * 2 + ["post_engaged"] * 6:
        story.add(name, noon)


def _marketing(story: Story, noon: datetime) -> None:
    for name in ["ad_shown"] * 40 + ["ad_clicked"] * 4 + ["lead_created"] * 2 + ["lead_converted"]:
        story.add(name, noon, campaign="spring")
    for amount in (400, 600):
        story.add("campaign_charged", noon, amount=amount, campaign="spring")


def _shop_and_directory(story: Story, noon: datetime) -> None:
    for name in ["product_viewed"] * 3 + ["cart_updated"] * 2:
        story.add(name, noon)
    for who in ("ann", "bob", "cyd", "dan"):
        story.add("checkout_started", noon, who)
    for who in ("ann", "ann", "bob", "cyd", "dan"):
        story.add("listing_viewed", noon, who)
    for _ in range(2):
        story.add("listing_contacted", noon, "ann")


def _trades(story: Story, noon: datetime) -> None:
    story.add("trade_opened", noon, "ann")
    story.add("trade_closed", noon, "ann", amount=1200)
    story.add("trade_closed", noon, "bob", amount=-500)


def _games(story: Story, noon: datetime) -> None:
    free = {"properties": {"free_play": True}}
    for who, minutes, score in (("dan", 2, 10), ("eve", 4, 30)):
        story.add("game_started", noon, who)
        story.add("game_ended", noon, who, duration_ms=minutes * 60_000, value=float(score))
    for who, amount, more in (("dan", 1000, {}), ("eve", 500, {}), ("dan", 10_000, free)):
        story.add("stake_placed", noon, who, amount=amount, **more)
    for who, amount, more in (("dan", 800, {}), ("eve", 400, {}), ("dan", 5000, free)):
        story.add("payout_made", noon, who, amount=amount, **more)


def _moderation(story: Story, noon: datetime) -> None:
    names = ["content_flagged"] * 10 + ["user_banned", "user_unbanned"] + ["appeal_opened"] * 4
    for name in [*names, "appeal_granted"] + ["appeal_rejected"] * 3:
        story.add(name, noon)
    for minutes in (10, 10, 10, 10, 30, 30, 30, 30):
        story.add("moderation_action", noon, action="remove", duration_ms=minutes * 60_000)


def _machines(story: Story, noon: datetime) -> None:
    requests = (("request_completed", 100, 200), ("request_completed", 300, 404), ("page_view", 400, 200))
    for name, took, status in (*requests, ("request_completed", 800, 503)):
        story.add(name, noon, duration_ms=took, properties={"path": "/api/", "status": status})
    for _ in range(10):
        story.add("webhook_queued", noon, content_type="order.completed")
    for took in (100, 100, 100, 100, 100, 100, 800):
        story.add("webhook_delivered", noon, content_type="order.completed", duration_ms=took)
    story.add("webhook_failed", noon, content_type="order.completed")
    for took in (2000, 4000, 6000):
        story.add("generation_completed", noon, duration_ms=took)
    story.add("generation_failed", noon)
    published = (
        ("cpu", 0.2),
        ("cpu", 0.4),
        ("memory", 0.5),
        ("memory", 0.7),
        ("queue_depth", 0.0),
        ("queue_depth", 4.0),
    )
    for name, value in published:
        _publish(story, noon, name, value)
    for up, observed in ((60_000, 60_000), (60_000, 60_000), (90_000, 600_000)):
        _publish(story, noon, "heartbeat", float(up), duration_ms=observed)


def _publish(story: Story, at: datetime, name: str, value: float, **columns: Any) -> None:
    story.add("data_point", at, value=value, object_type="metric", object_id=f"system.{name}", **columns)


EXPECTED_OF_AREAS: dict[str, Any] = {
    "creators.active": 2,  # Cyd, who streams and battles, and Ann, who hosts
    "creators.new": 1,  # Cyd
    "creators.returning": 1,  # Ann
    "creators.retention": 0.5,  # Ann and Gil on Sunday, Ann on Monday
    "creators.revenue": "3.50",
    "creators.gifts": 2,
    "creators.streams": 2,
    "creators.viewers": 40,
    "creators.revenue_per_creator": "1.75",
    "creation.count": 3,
    "creation.growth": 0.5,  # (3 - 2) / 2
    "purchases.starters": 4,
    "purchases.buyers": 2,
    "purchases.success_ratio": 0.5,
    "verification.started": 4,
    "verification.completed": 3,
    "verification.completion": 0.75,
    "features.used": 3,
    "features.users": 2,
    "features.adoption": 2 / 6,
    "automation.completed": 3,
    "automation.failed": 1,
    "automation.runs": 4,
    "automation.hours_saved": 2.0,
    "automation.efficiency": 0.75,
    "posts.count": 2,
    "posts.engagements": 6,
    "posts.engagement_per_post": 3.0,
    "marketing.impressions": 40,
    "marketing.clicks": 4,
    "marketing.leads": 2,
    "marketing.conversions": 1,
    "marketing.cost": "10.00",
    "marketing.revenue": "20.00",  # Ann's first order came from the campaign
    "marketing.click_rate": 0.1,
    "marketing.lead_rate": 0.5,
    "marketing.conversion": 0.5,
    "marketing.cost_per_lead": "5.00",
    "marketing.return_on_spend": 2.0,
    "commerce.product_views": 3,
    "commerce.carts": 2,
    "commerce.checkouts": 4,
    "commerce.checkout_rate": 1.25,  # 5 orders, one of them not through the checkout
    "commerce.products_per_order": 1.6,  # 8 / 5
    "directory.views": 5,
    "directory.viewers": 4,
    "directory.contacts": 1,
    "directory.enquiries": 2,
    "directory.listings": 1,
    "directory.enquiry_rate": 0.25,
    "trading.trades": 2,
    "trading.opened": 1,
    "trading.traders": 2,
    "trading.profit_loss": "7.00",
    "trading.wins": 1,
    "trading.win_rate": 0.5,
    "trading.mean_profit": "3.50",
    "gaming.games": 2,
    "gaming.players": 2,
    "gaming.stakes": "15.00",
    "gaming.payouts": "12.00",
    "gaming.gross_win": "3.00",
    "gaming.house_edge": 0.2,
    "gaming.mean_duration": 180_000.0,
    "gaming.play_time": 360_000.0,
    "gaming.mean_score": 20.0,
    "safety.flagged": 10,
    "safety.banned": 1,
    "safety.unbanned": 1,
    "safety.appeals": 4,
    "safety.appeals_granted": 1,
    "safety.appeals_decided": 4,
    "safety.appeals_granted_share": 0.25,
    "safety.actions": 8,
    "safety.response_time": 1_200_000.0,
    "safety.flagged_per_thousand": 10_000 / 6,
    "safety.banned_per_thousand": 1000 / 6,
    "safety.handled_share": 0.8,
    "safety.score": 23.5,  # 100 - 40 (the most) - 30 (the most) - 20 × 0.2 - 10 × 0.25
    "system.requests": 4,
    "system.errors": 1,
    "system.error_rate": 0.25,
    "system.throughput": 4 / 1440,
    "system.response_mean": 400.0,
    # Continuous over 100, 300, 400, 800: the median lies at rank 1.5, p95 at 2.85, p99 at 2.97.
    "system.response_median": pytest.approx(350, rel=0.01),
    "system.response_p95": pytest.approx(740, rel=0.01),
    "system.response_p99": pytest.approx(788, rel=0.01),
    "system.cpu": 0.3,
    "system.memory": 0.6,
    "system.queue_depth": 2.0,
    "system.queue_peak": 4.0,
    "system.up_time": 210_000.0,
    "system.observed_time": 720_000.0,
    "system.uptime": 210 / 720,
    "generation.jobs": 4,
    "generation.succeeded": 3,
    "generation.failed": 1,
    "generation.success_rate": 0.75,
    "generation.mean_duration": 4000.0,
    "webhooks.queued": 10,
    "webhooks.delivered": 7,
    "webhooks.failed": 1,
    "webhooks.finished": 8,
    "webhooks.total": 10,
    "webhooks.pending": 2,
    "webhooks.success_rate": 0.875,
    "webhooks.mean_time": 200.0,
    "webhooks.p95_time": pytest.approx(590, rel=0.01),  # rank 5.7 of six times 100 and once 800
    "data_points.count": 12,  # 3 of the model and of nobody, 9 of the platform
    "data_points.mean": 210_105.04 / 12,
    # Eve and Fay pay 9.00 a month from today on, and nobody did before: tests/golden/test_recurring.py moves more.
    "mrr.opening": "0.00",
    "mrr.new": "18.00",
    "mrr.expansion": "0.00",
    "mrr.reactivation": "0.00",
    "mrr.contraction": "0.00",
    "mrr.churn": "0.00",
    "mrr.fx": "0.00",
    "mrr.closing": "18.00",
    "mrr.customers": 2,
    "mrr.opening_customers": 0,
    "mrr.churned_customers": 0,
    "mrr.arr": "216.00",
    "mrr.arpa": "9.00",
    "mrr.quick_ratio": None,
    "mrr.logo_churn": None,
    "mrr.gross_churn": None,
    "mrr.nrr": None,
    "mrr.grr": None,
}
