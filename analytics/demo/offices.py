"""What goes on behind the scenes: moderation, automations, jobs, requests, webhooks, and the numbers that machines
publish.
"""

from __future__ import annotations

from typing import Any

from analytics.demo.catalogue import OUTAGE, Weighted
from analytics.demo.telling import Dice
from analytics.demo.world import CREATORS, Today

KIND = Weighted({"post": 30, "chat": 44, "stream": 16, "profile": 10})
REASON = Weighted({"spam": 46, "harassment": 22, "scam": 18, "nudity": 9, "violence": 5})
ACTION = Weighted({"dismiss": 34, "remove": 40, "warn": 18, "restrict": 8})
ROUTE = Weighted({"/api/feed/": 34, "/api/live/<id>/": 24, "/api/products/": 22, "/api/cart/": 12, "/api/search/": 8})
MILLISECONDS = {"/api/feed/": 90, "/api/live/<id>/": 45, "/api/products/": 60, "/api/cart/": 110, "/api/search/": 310}
WEBHOOK = Weighted({"order.completed": 42, "payment.settled": 38, "event.joined": 14, "refund.made": 6})
MADE = Weighted({"clip": 45, "thumbnail": 35, "summary": 20})
AUTOMATIONS = ("welcome_mail", "abandoned_cart", "invoice_matching", "tag_uploads")
HOURS_SAVED = {"welcome_mail": 0.05, "abandoned_cart": 0.1, "invoice_matching": 0.4, "tag_uploads": 0.25}
RAID_DAY = 74
"""The evening when somebody sent two hundred accounts to flag and to be flagged."""


def offices(today: Today, dice: Dice, size: float) -> None:
    """A day of it; `size` is 1 for a story of 300,000 events in 90 days."""
    _moderation(today, dice, size)
    _automations(today, dice, size)
    _generation(today, dice, size)
    _creation(today, dice, size)
    _requests(today, dice, size)
    _webhooks(today, dice, size)
    _gauges(today, dice, size)


def is_down(today: Today, second: float) -> bool:
    """Whether the provider's outage runs at that second of the day."""
    return today.number == OUTAGE.day and OUTAGE.start <= second < OUTAGE.end


def _tell(today: Today, name: str, second: float, who: str | None = None, **facts: Any) -> None:
    today.teller.tell_at(name, who, today.midnight + second, facts)


def _second(dice: Dice) -> float:
    """A second of the day, most likely in the evening."""
    return ((dice() + dice()) / 2 * 20 + 4) * 3600 % 86_400


def _moderation(today: Today, dice: Dice, size: float) -> None:
    raid = 6.0 if today.number == RAID_DAY else 1.0
    for number in range(dice.times(8 * size * raid)):
        second, reason = _second(dice), REASON(dice())
        flagged: dict[str, Any] = {
            "object_type": "content",
            "object_id": f"content-{today.number}-{number}",
            "content_type": KIND(dice()),
            "country": dice.pick(("FR", "DE", "GB", "BE", "US"), 1.5),
        }
        _tell(today, "content_flagged", second, reason=reason, **flagged)
        if not dice.chance(0.93 if raid == 1 else 0.7):
            continue
        wait = 60 * dice.between(3, 90) * (3 if raid > 1 else 1)
        action = ACTION(dice())
        _tell(today, "moderation_action", second + wait, action=action, duration_ms=int(wait * 1000), **flagged)
        if action in ("restrict", "remove") and dice.chance(0.14):
            _ban(today, dice, second + wait, reason, flagged["country"])


def _ban(today: Today, dice: Dice, second: float, reason: str, country: str) -> None:
    _tell(today, "user_banned", second + 5, reason=reason, country=country)
    if dice.chance(0.45):
        _tell(today, "appeal_opened", second + 3600, reason=reason)
        is_granted = dice.chance(0.22)
        _tell(today, "appeal_granted" if is_granted else "appeal_rejected", second + 9000, reason=reason)
        if is_granted:
            _tell(today, "user_unbanned", second + 9060, reason=reason, country=country)


def _automations(today: Today, dice: Dice, size: float) -> None:
    for _ in range(dice.times(20 * size)):
        what, second = dice.pick(AUTOMATIONS), dice() * 86_000
        facts: dict[str, Any] = {
            "object_type": "automation",
            "object_id": what,
            "duration_ms": int(dice.between(300, 9000)),
        }
        if dice.chance(0.06):
            _tell(today, "automation_failed", second, reason=dice.pick(("bad_data", "timeout")), **facts)
        else:
            _tell(
                today,
                "automation_completed",
                second,
                value=round(HOURS_SAVED[what] * dice.between(0.6, 1.6), 3),
                **facts,
            )


def _generation(today: Today, dice: Dice, size: float) -> None:
    """Content made by jobs."""
    for _ in range(dice.times(16 * size)):
        second, seconds = dice() * 86_000, dice.between(2, 45)
        facts: dict[str, Any] = {"content_type": MADE(dice()), "duration_ms": int(seconds * 1000)}
        if dice.chance(0.04):
            _tell(today, "generation_failed", second, reason=dice.pick(("out_of_memory", "bad_input")), **facts)
        else:
            _tell(today, "generation_completed", second, **facts)


def _creation(today: Today, dice: Dice, size: float) -> None:
    """Content and listings made by people, and events announced a week ahead."""
    for _ in range(dice.times(9 * size * (1 + today.number / 200))):
        who = f"creator-{int(CREATORS * dice() ** 1.5):02d}"
        name = dice.pick(("content_created", "content_created", "listing_created"))
        kind = dice.pick(("clip", "picture", "article")) if name == "content_created" else "flat"
        _tell(today, name, dice.between(8, 22) * 3600, who, object_type="content", content_type=kind, country="FR")
    for show in today.upcoming:
        if show.day == today.number + 7:
            facts: dict[str, Any] = {
                "object_type": "event",
                "object_id": show.id,
                "content_type": "event",
                "country": "FR",
            }
            _tell(today, "event_created", 36_000, f"creator-{show.host:02d}", **facts)


def _requests(today: Today, dice: Dice, size: float) -> None:
    for _ in range(dice.times(130 * size)):
        second, path = _second(dice), ROUTE(dice())
        slow = 2.5 if is_down(today, second) and path == "/api/cart/" else 1.0
        took = MILLISECONDS[path] * (0.4 + 2.4 * dice() ** 3) * slow
        status = 200
        if dice.chance(0.2 if slow > 1 else 0.004):
            status = 503
        elif dice.chance(0.02):
            status = 404
        facts: dict[str, Any] = {
            "path": path,
            "http_method": "POST" if path == "/api/cart/" else "GET",
            "status": status,
        }
        _tell(today, "request_completed", second, **facts, duration_ms=round(took, 1))


def _webhooks(today: Today, dice: Dice, size: float) -> None:
    for number in range(dice.times(45 * size)):
        second, kind = dice() * 86_000, WEBHOOK(dice())
        facts: dict[str, Any] = {
            "object_type": "webhook",
            "object_id": f"delivery-{today.number}-{number}",
            "content_type": kind,
        }
        _tell(today, "webhook_queued", second, **facts)
        if dice.chance(0.4 if is_down(today, second) and kind == "payment.settled" else 0.025):
            reason = dice.pick(("timeout", "refused", "http_500"), 1.3)
            _tell(today, "webhook_failed", second + 240, reason=reason, **facts)
        elif dice.chance(0.995):
            took = round(40 + 400 * dice() ** 3, 1)
            _tell(today, "webhook_delivered", second + took / 1000, duration_ms=took, **facts)


def _gauges(today: Today, dice: Dice, size: float) -> None:
    """The churn share once a day, and the machine's numbers every hour (of a small story every six)."""
    share = round(0.13 + 0.05 * dice() - 0.0003 * today.number, 4)
    _publish(today, 14_400, "users.churn_risk_share", share)
    step = 1 if size >= 0.4 else 6
    for hour in range(0, 24, step):
        second = hour * 3600 + 1800.0
        load = 0.18 + 0.3 * max(0.0, 1 - abs(hour - 20) / 9) + 0.08 * dice()
        hot = 0.3 if is_down(today, second) else 0.0
        _publish(today, second, "system.cpu", round(min(1.0, load + hot), 4))
        _publish(
            today, second, "system.memory", round(0.52 + 0.0012 * min(today.number, 150) + 0.04 * dice() + hot / 6, 4)
        )
        _publish(today, second, "system.queue_depth", int(dice() ** 4 * 14 + hot * 200))
        observed = step * 3_600_000
        lost = 1_500_000 if hot and hour == 12 else 0
        _publish(today, second, "system.heartbeat", observed - lost, duration_ms=observed)


def _publish(today: Today, second: float, name: str, value: float, **facts: Any) -> None:
    _tell(today, "data_point", second, object_type="metric", object_id=name, value=value, **facts)
