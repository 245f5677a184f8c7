"""Payments: methods, failures, second tries, the outage, waiting for the bank, refunds."""

from __future__ import annotations

import math
from functools import partial
from typing import Any

from analytics.demo.catalogue import FAILURES, METHODS, OUTAGE, Product, Weighted
from analytics.demo.telling import Visit, money
from analytics.demo.world import Today, World

METHOD, FAILURE = Weighted(METHODS), Weighted(FAILURES)
SECONDS = {"card": 2.2, "paypal": 6.0, "sepa": 45.0, "applepay": 1.4}
FAILURE_SHARE = {"card": 0.055, "paypal": 0.03, "sepa": 0.02, "applepay": 0.02}


def order(world: World, today: Today, visit: Visit, basket: list[Product]) -> None:
    """Pays for a basket; when it works the order is told, with its lines as its children."""
    postage = 0 if sum(each.price for each in basket) > 5_000 else 490
    cents = sum(each.price for each in basket) + postage
    number = f"order-{today.number}-{world.payments}"
    method = pay(world, today, visit, cents, number)
    if not method:
        return
    tell = today.teller.tell
    facts = {"object_type": "order", "object_id": number, "method": method, "content_type": "shop"}
    parent = tell("order_completed", visit, 0.5, items=len(basket), **facts, **money(cents))
    for each in basket:
        line = {"object_type": "product", "object_id": each.id, "content_type": each.kind, "parent_id": parent}
        tell("item_purchased", visit, 0.0, quantity=1, **line, **money(each.price))
    if postage:
        tell("fee_charged", visit, 0.0, object_type="fee", object_id="postage", parent_id=parent, **money(postage))
    if today.dice.chance(0.045):
        back = partial(_refund, who=visit.who, facts={**_place(visit), **facts}, cents=cents)
        world.later(today, 1 + int(today.dice() * 9), back)


def top_up(today: Today, visit: Visit, cents: int) -> None:
    """Fills the wallet that gifts are paid from."""
    cents = math.ceil(cents / 500) * 500
    method = METHOD(today.dice())
    today.teller.tell("top_up_completed", visit, today.dice.between(4, 30), method=method, **money(cents))


def pay(world: World, today: Today, visit: Visit, cents: int, what: str) -> str:
    """One payment with up to three tries. Gives the method that worked, or nothing."""
    dice = today.dice
    method = METHOD(dice())
    for attempt in range(1, 4):
        if attempt > 1 and dice.chance(0.3):
            method = METHOD(dice())
        world.payments += 1
        facts: dict[str, Any] = {
            "object_type": "payment",
            "object_id": f"payment-{world.payments}",
            "method": method,
            "attempt": attempt,
            "resource": what.partition("-")[0],
            **money(cents),
        }
        if _attempt(world, today, visit, method, facts):
            return method
        if not dice.chance(0.62):
            break
    return ""


def _attempt(world: World, today: Today, visit: Visit, method: str, facts: dict[str, Any]) -> bool:
    dice, tell = today.dice, today.teller.tell
    tell("payment_created", visit, dice.between(3, 20), **facts)
    is_down = method == "card" and _is_down(today, visit.at)
    seconds = SECONDS[method] * math.exp(0.7 * (dice() + dice() + dice() - 1.5) * 2)
    if is_down:
        seconds *= OUTAGE.slowdown
    if dice.chance(0.012):
        tell("payment_expired", visit, 900, **facts)
        return False
    if dice.chance(OUTAGE.failure_share if is_down else FAILURE_SHARE[method]):
        reason = "provider_unavailable" if is_down else FAILURE(dice())
        tell("payment_failed", visit, seconds, reason=reason, **facts)
        return False
    if method == "sepa":
        tell("payment_pending", visit, 1, **facts)
        if dice.chance(0.3):
            settle = partial(_settled_by_bank, who=visit.who, facts={**_place(visit), **facts}, created=visit.at)
            world.later(today, 1, settle)
            return True
    else:
        tell("payment_verifying", visit, 0.3, **facts)
        tell("payment_verified", visit, seconds / 2, **facts)
    tell("payment_settled", visit, seconds / 2, duration_ms=round(seconds * 1000, 1), **facts)
    return True


def _is_down(today: Today, at: float) -> bool:
    return today.number == OUTAGE.day and OUTAGE.start <= at - today.midnight < OUTAGE.end


def _settled_by_bank(_world: World, today: Today, *, who: str, facts: dict[str, Any], created: float) -> None:
    at = today.midnight + today.dice.between(5, 9) * 3600
    duration = {"duration_ms": round((at - created) * 1000, 1)}
    today.teller.tell_at("payment_settled", who, at, {**facts, **duration})


def _refund(_world: World, today: Today, *, who: str, facts: dict[str, Any], cents: int) -> None:
    dice, tell_at = today.dice, today.teller.tell_at
    at = today.midnight + dice.between(8, 19) * 3600
    reason = dice.pick(("damaged", "does_not_fit", "changed_mind"), 1.3)
    tell_at("order_refunded", who, at, {**facts, "reason": reason, **money(cents)})
    tell_at("payment_refunded", who, at + 3, {**facts, "object_type": "payment", **money(cents)})


def _place(visit: Visit) -> dict[str, Any]:
    return {name: visit.facts[name] for name in ("platform", "country")}
