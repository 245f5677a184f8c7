"""What people do during a visit, and what happens without them."""

from __future__ import annotations

from functools import partial

from analytics.demo import paying
from analytics.demo.catalogue import (
    AGENTS,
    CAMPAIGNS,
    CHANNEL_KINDS,
    GIFTS,
    PLANS,
    TIERS,
    Product,
    Show,
    Weighted,
    person_name,
)
from analytics.demo.telling import Visit, money
from analytics.demo.world import CREATORS, PASSERS_BY, Stream, Today, World

GIFT = Weighted({name: weight for name, (_, weight) in GIFTS.items()})
TIER = Weighted({name: weight for name, (_, weight) in TIERS.items()})
KIND_OF = {campaign.name: CHANNEL_KINDS[campaign.channel] for campaign in CAMPAIGNS}
CHANNEL_AGAIN = Weighted({"": 66, "newsletter": 14, "google": 10, "instagram": 7, "tiktok": 3})


def visit(world: World, today: Today, visit: Visit, *, is_new: bool) -> None:
    """Arrival, one to three interests, and off again."""
    dice = today.dice
    if is_new:
        _sign_up(world, today, visit)
    else:
        _return(world, today, visit)
    interests = [_watch, _shop, _look_at_events, _browse]
    first = dice.pick(interests, 1.25)
    first(world, today, visit)
    while dice.chance(0.36):
        dice.pick(interests, 1.25)(world, today, visit)
    if visit.facts["platform"] == "web" and dice.chance(0.5):
        today.teller.tell("$pageleave", visit, dice.between(5, 120))


def backstage(world: World, today: Today) -> None:
    """Creators, hosts, machines, and people who look once and never sign up."""
    for stream in today.streams:
        _broadcast(today, stream)
    for show in today.shows:
        _take_place(world, today, show)
    for number in range(int(world.plan.events / world.plan.days * PASSERS_BY)):
        _passer_by(world, today, number)
    _studios(today)


def creator(number: int) -> str:
    """The distinct id of a creator."""
    return f"creator-{number:02d}"


def _sign_up(world: World, today: Today, visit: Visit) -> None:
    dice, tell = today.dice, today.teller.tell
    _, _, channel = world.person(visit.person)
    if channel:
        visit.facts["utm_source"] = channel
        visit.facts["utm_medium"] = "email" if channel == "newsletter" else "social"
    campaign = world.campaign(visit.person)
    if campaign:
        visit.facts |= {"utm_campaign": campaign, "campaign_type": KIND_OF[campaign]}
    known, visit.who = visit.who, f"visitor-{visit.who[5:]}"
    tell("page_view", visit, path="/")
    if dice.chance(0.6):
        tell("page_view", visit, dice.between(8, 60), path="/how-it-works")
    anonymous, visit.who = visit.who, known
    name = person_name(visit.person)
    tell(
        "$identify",
        visit,
        dice.between(20, 90),
        **{
            "$anon_distinct_id": anonymous,
            "$set": {"name": name, "email": f"{name.lower().replace(' ', '.')}{visit.person}@example.com"},
            "$set_once": {"signed_up_through": channel or "direct"},
        },
    )
    tell("signed_up", visit, 0.4)
    _one_time_code(today, visit)


def _one_time_code(today: Today, visit: Visit) -> None:
    dice, tell = today.dice, today.teller.tell
    method = "sms" if dice.chance(0.7) else "email"
    for _ in range(3):
        tell("otp_sent", visit, 1, method=method)
        if not dice.chance(0.07):
            tell("otp_verified", visit, dice.between(6, 45), method=method)
            return
        tell("otp_failed", visit, dice.between(10, 70), method=method, reason=dice.pick(("wrong_code", "too_late")))


def _return(world: World, today: Today, visit: Visit) -> None:
    dice = today.dice
    channel = CHANNEL_AGAIN(dice())
    if channel:
        visit.facts["utm_source"] = channel
    campaign = world.campaign(visit.person)
    if campaign and dice.chance(0.4):
        visit.facts |= {"utm_campaign": campaign, "campaign_type": KIND_OF[campaign]}
    if dice.chance(0.16):
        today.teller.tell("logged_in", visit)
        if dice.chance(0.4):
            _one_time_code(today, visit)
    today.teller.tell("page_view", visit, 1, path="/")


def _browse(_world: World, today: Today, visit: Visit) -> None:
    for _ in range(1 + int(today.dice() * 2.6)):
        path = today.dice.pick(("/discover", "/creators", "/events", "/shop", "/help"), 1.3)
        today.teller.tell("page_view", visit, today.dice.between(6, 80), path=path)


def _watch(_world: World, today: Today, visit: Visit) -> None:
    dice, tell = today.dice, today.teller.tell
    if not today.streams:
        return
    stream = min((dice.pick(today.streams) for _ in range(3)), key=lambda each: abs(each.start - visit.at))
    if stream.start < visit.at < stream.end - 60:
        stream.viewers.add(visit.who)
    facts = {"object_type": "creator", "object_id": creator(stream.creator), "content_type": "stream"}
    tell("page_view", visit, dice.between(3, 20), path="/live", **facts)
    for _ in range(int(dice() ** 2.2 * 5)):
        tell("message_sent", visit, dice.between(10, 150), **facts)
    gifts = int(dice() ** 3 * min(visit.generosity, 7) * 1.3)
    if gifts and dice.chance(0.45):
        paying.top_up(today, visit, max(500, gifts * 400))
    for _ in range(gifts):
        gift = GIFT(dice())
        tell("gift_sent", visit, dice.between(5, 90), gift=gift, method="wallet", **facts, **money(GIFTS[gift][0]))


def _shop(world: World, today: Today, visit: Visit) -> None:
    dice, tell = today.dice, today.teller.tell
    basket: list[Product] = []
    for _ in range(1 + int(dice() * 3)):
        product = dice.pick(world.products, 1.9)
        facts = {"object_type": "product", "object_id": product.id, "content_type": product.kind}
        tell("product_viewed", visit, dice.between(6, 70), product_name=product.name, **facts)
        if dice.chance(0.2 * min(visit.generosity, 2)):
            tell("cart_updated", visit, dice.between(2, 15), **facts)
            basket.append(product)
    if basket and dice.chance(0.62):
        tell("checkout_started", visit, dice.between(5, 40))
        paying.order(world, today, visit, basket)


def _look_at_events(world: World, today: Today, visit: Visit) -> None:
    dice, tell = today.dice, today.teller.tell
    if not today.upcoming:
        return
    for _ in range(1 + int(dice() * 1.6)):
        show = dice.pick(today.upcoming, 1.4)
        facts = {"object_type": "event", "object_id": show.id, "content_type": "event"}
        tell("event_viewed", visit, dice.between(5, 60), event_title=show.name, **facts)
        if dice.chance(0.3) and visit.person >= 0:
            tell("event_joined", visit, dice.between(5, 40), **facts)
            world.joiners[show.id].append(visit.person)
    if visit.person >= 0 and visit.person not in world.members and dice.chance(0.012 * min(visit.generosity, 3)):
        _become_member(world, today, visit)


def _become_member(world: World, today: Today, visit: Visit) -> None:
    world.members.add(visit.person)
    tier = TIER(today.dice())
    if paying.pay(world, today, visit, TIERS[tier][0], "membership"):
        today.teller.tell("membership_purchased", visit, 1, tier=tier, **money(TIERS[tier][0]))
        world.later(today, 30, partial(_renew_membership, who=visit, tier=tier))


def _renew_membership(world: World, today: Today, *, who: Visit, tier: str) -> None:
    if today.dice.chance(0.22) or world.people.gone[who.person] < today.number:
        world.members.discard(who.person)
        return
    renewal = Visit(who.who, today.midnight + today.dice.between(6, 11) * 3600, _quiet(who), who.person)
    if paying.pay(world, today, renewal, TIERS[tier][0], "membership"):
        today.teller.tell("membership_purchased", renewal, 1, tier=tier, **money(TIERS[tier][0]))
    world.later(today, 30, partial(_renew_membership, who=who, tier=tier))


def _broadcast(today: Today, stream: Stream) -> None:
    dice, tell_at = today.dice, today.teller.tell_at
    who = creator(stream.creator)
    facts = {
        "object_type": "creator",
        "object_id": who,
        "content_type": "stream",
        "stream": stream.id,
        "platform": "web",
        "country": "FR",
    }
    tell_at("stream_started", who, stream.start, facts)
    if dice.chance(0.22):
        tell_at("battle_started", who, stream.start + dice.between(300, 1500), facts)
    viewers = len(stream.viewers) + 3 + int(40 * dice() ** 2)
    ended = {**facts, "duration_ms": int((stream.end - stream.start) * 1000), "viewers": viewers}
    tell_at("stream_ended", who, stream.end, ended)


def _take_place(world: World, today: Today, show: Show) -> None:
    dice, tell_at = today.dice, today.teller.tell_at
    host = creator(show.host)
    facts = {"object_type": "event", "object_id": show.id, "content_type": "event", "country": "FR"}
    at = today.midnight + show.start
    joiners = world.joiners.pop(show.id, [])
    if show.is_cancelled:
        reason = dice.pick(("host_ill", "too_few_guests", "venue"))
        tell_at("event_cancelled", host, at - dice.between(1, 9) * 3600, {**facts, "reason": reason})
        return
    tell_at("event_hosted", host, at, {**facts, "duration_ms": int(show.length.total_seconds() * 1000)})
    for person in dict.fromkeys(joiners):
        if dice.chance(0.66):
            country, platform, _ = world.person(person)
            arrived = at + dice.between(-300, 600)
            place = {"platform": platform, "country": country}
            tell_at("event_attended", f"user-{person:06d}", arrived, {**facts, **place})


def _passer_by(world: World, today: Today, number: int) -> None:
    """Looks at a page or two; one in eight is a crawler, and is flagged."""
    dice = today.dice
    is_bot = dice.chance(0.12)
    at = today.midnight + ((dice() + dice()) / 2 * 18 + 6) * 3600 % 86_400
    facts = {
        "platform": "web",
        "country": dice.pick(("FR", "DE", "GB", "BE", "US"), 1.5),
        "$raw_user_agent": AGENTS["bot" if is_bot else "web"],
        "$process_person_profile": False,
    }
    source = CHANNEL_AGAIN(dice())
    if source:
        facts["utm_source"] = source
    who = Visit(f"passer-{world.plan.seed}-{today.number}-{number}", at, facts)
    _browse(world, today, who)


def _studios(today: Today) -> None:
    """Studio subscriptions of creators."""
    for number in range(CREATORS):
        _studio(today, number)


def _studio(today: Today, number: int) -> None:
    """A creator's own plan: begun on a day that follows from the number, renewed monthly, dropped by some."""
    age = today.number - number * 2 % 75
    if age < 0 or age % 30:
        return
    dice, tell_at = today.dice, today.teller.tell_at
    plan = "studio" if number % 3 == 0 else "starter"
    at = today.midnight + dice.between(8, 10) * 3600
    facts = {"tier": plan, "interval": "month", "country": "FR", "object_type": "plan", "object_id": plan}
    if age and number % 11 == 5:
        if age == 30:
            tell_at("subscription_cancelled", creator(number), at, {**facts, "reason": "too_expensive"})
        return
    name = "subscription_renewed" if age else "subscription_started"
    tell_at(name, creator(number), at, {**facts, **money(PLANS[plan])})


def _quiet(visit: Visit) -> dict[str, str]:
    """What stays true of a person outside of a session."""
    return {name: visit.facts[name] for name in ("platform", "country")}
