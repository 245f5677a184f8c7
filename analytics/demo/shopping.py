"""How people look and buy: baskets, gifts to creators, memberships."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from analytics.demo import advertising, paying
from analytics.demo.catalogue import GIFTS, TIERS, Product, Weighted
from analytics.demo.telling import Dice, Visit, money
from analytics.demo.world import Stream, Today, World, creator

TIER = Weighted({name: weight for name, (_, weight) in TIERS.items()})
VALUES = tuple(sorted(((cents, name) for name, (cents, _) in GIFTS.items()), reverse=True))
SMALLEST_BASKET = 1_300
LARGEST_GIFTS = 12_000
POSTAGE_FREE = 5_000
MOST_GIFTS = 7
JOINS = 0.045
"""The share of purchases after which the buyer becomes a member."""
ENDS_MEMBERSHIP = 0.14


def look(world: World, today: Today, visit: Visit) -> None:
    """Products looked at; some put into the basket and left there."""
    dice, tell = today.dice, today.teller.tell
    is_tempted = False
    for _ in range(1 + int(dice() * 3)):
        facts = _view(today, visit, world.products[int(dice() ** 1.9 * 97 + dice() * 3) * 37 % 100])
        if dice.chance(0.2):
            tell("cart_updated", visit, dice.between(2, 15), **facts)
            is_tempted = True
    if is_tempted and dice.chance(0.62):
        tell("checkout_started", visit, dice.between(5, 40))


def buy(world: World, today: Today, visit: Visit, cents: int) -> None:
    """Spends about so much, on things or on gifts; now and then a membership follows."""
    is_fan = bool(world.people.is_fan[visit.person])
    if today.streams and (cents < SMALLEST_BASKET or (is_fan and cents < LARGEST_GIFTS)):
        _give(today, visit, cents)
    else:
        _order(world, today, visit, max(cents, SMALLEST_BASKET))
    advertising.lead_bought(world, today, visit)
    if visit.person not in world.members and today.dice.chance(JOINS * (2.2 if is_fan else 1)):
        _become_member(world, today, visit)


def _view(today: Today, visit: Visit, product: Product) -> dict[str, Any]:
    facts = {"object_type": "product", "object_id": product.id, "content_type": product.kind}
    today.teller.tell("product_viewed", visit, today.dice.between(6, 70), product_name=product.name, **facts)
    return facts


def _order(world: World, today: Today, visit: Visit, cents: int) -> None:
    dice, tell = today.dice, today.teller.tell
    basket = _basket(world, dice, cents)
    for product in basket:
        tell("cart_updated", visit, dice.between(2, 15), **_view(today, visit, product))
    tell("checkout_started", visit, dice.between(5, 40))
    paying.order(world, today, visit, basket)


def _basket(world: World, dice: Dice, cents: int) -> list[Product]:
    """One to four things that cost about so much together."""
    pieces = 1 + (cents > 4_000 and dice.chance(0.5)) + (cents > 9_000) + (cents > 18_000)
    wanted = cents / pieces - (490 / pieces if cents < POSTAGE_FREE else 0)
    prices = [each.price for each in world.products]
    place = int(np.searchsorted(prices, wanted))
    places = [min(max(place + int(dice.between(-4, 4)), 0), len(prices) - 1) for _ in range(pieces)]
    return [world.products[each] for each in places]


def _give(today: Today, visit: Visit, cents: int) -> None:
    """Fills the wallet and gives it away to one creator."""
    dice, tell = today.dice, today.teller.tell
    stream = _live(today, visit)
    facts = {"object_type": "creator", "object_id": creator(stream.creator), "content_type": "stream"}
    tell("page_view", visit, dice.between(3, 20), path="/live", **facts)
    if dice.chance(0.7):
        paying.top_up(today, visit, max(cents, 500))
    left, given = cents, 0
    while left >= VALUES[-1][0] and given < MOST_GIFTS:
        fitting = [pair for pair in VALUES if pair[0] <= left]
        value, gift = fitting[0] if given > 3 else dice.pick(fitting, 2.2)
        tell("gift_sent", visit, dice.between(5, 90), gift=gift, method="wallet", **facts, **money(value))
        left, given = left - value, given + 1


def _live(today: Today, visit: Visit) -> Stream:
    """A stream near the time of the visit; popular creators have more of them."""
    return min((today.dice.pick(today.streams) for _ in range(4)), key=lambda each: abs(each.start - visit.at))


def _become_member(world: World, today: Today, visit: Visit) -> None:
    """Joins a creator's club, for a month at a time."""
    tier = TIER(today.dice())
    of = creator(_live(today, visit).creator if today.streams else 0)
    world.members.add(visit.person)
    if _pay_membership(world, today, visit, tier, of):
        world.later(today, 30, partial(_renew_membership, who=visit, tier=tier, of=of))


def _pay_membership(world: World, today: Today, visit: Visit, tier: str, of: str) -> bool:
    cents = TIERS[tier][0]
    if not paying.pay(world, today, visit, cents, "membership"):
        return False
    facts = {"object_type": "creator", "object_id": of}
    today.teller.tell("membership_purchased", visit, 1, tier=tier, **facts, **money(cents))
    return True


def _renew_membership(world: World, today: Today, *, who: Visit, tier: str, of: str) -> None:
    if today.dice.chance(ENDS_MEMBERSHIP) or world.people.gone[who.person] < today.number:
        world.members.discard(who.person)
        return
    place = {name: who.facts[name] for name in ("platform", "country")}
    renewal = Visit(who.who, today.midnight + today.dice.between(6, 11) * 3600, place, who.person)
    _pay_membership(world, today, renewal, tier, of)
    world.later(today, 30, partial(_renew_membership, who=who, tier=tier, of=of))
