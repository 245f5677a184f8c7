"""How people are reached: posts on networks and advertisements. Whoever comes through one leaves a trace of it."""

from __future__ import annotations

from typing import Any

from analytics.demo.catalogue import CAMPAIGNS, NETWORKS, TOPICS, WAYS, Campaign, Weighted
from analytics.demo.telling import Dice, Visit, money
from analytics.demo.world import Post, Today, World

NETWORK, REACTION = Weighted(NETWORKS), Weighted({"like": 66, "comment": 19, "share": 15})
SOURCE_AGAIN = Weighted({"": 61, "newsletter": 15, "google": 13, "instagram": 7, "tiktok": 4})
POSTS_A_DAY = 4
POST_LIVES = 40 * 3600
"""Seconds for which people come through a post."""
REACTS = 0.45
COMES_BACK = 0.035
"""Visits that follow an advertisement of a campaign that runs."""
LEAVES_ADDRESS = 0.5


def posts(world: World, number: int, begin: float) -> list[Post]:
    """The posts of a day and of the day before, earliest first."""
    dice = Dice(world.rng(number, 8))
    runs = [each for each in CAMPAIGNS if each.lift >= 0.3 and each.runs(number)]
    kept = [each for each in world.posts if each.at > begin - 86_400]
    new = []
    for place in range(dice.times(POSTS_A_DAY * world.plan.size)):
        network = NETWORK(dice())
        campaign = next((each.name for each in runs if each.source == network or dice.chance(0.4)), "")
        kind = "newsletter" if network == "newsletter" else dice.pick(("video", "image", "text"), 1.5)
        new.append(
            Post(f"{dice.pick(TOPICS)}-{number}-{place}", network, kind, campaign, begin + dice.between(8, 20) * 3600)
        )
    world.posts = kept + sorted(new, key=lambda each: each.at)
    return world.posts


def arrive_first(world: World, today: Today, visit: Visit) -> Campaign | None:
    """Says through what a visit came in which somebody signs up, and lets them click if it was an advertisement."""
    campaign = world.campaign(visit.person)
    _, _, source = world.person(visit.person)
    if campaign:
        _through(today, visit, campaign)
    elif source:
        visit.facts |= _origin(source)
    return campaign


def arrive_again(world: World, today: Today, visit: Visit) -> dict[str, Any]:
    """The same for somebody who was there before. Gives what the first page is about: the post they came through."""
    dice = today.dice
    running = [each for each in CAMPAIGNS if each.runs(today.number)]
    if dice.chance(COMES_BACK * len(running) ** 0.5):
        _through(today, visit, dice.pick(running[::-1], 1.4))
        return {}
    source = SOURCE_AGAIN(dice())
    if not source:
        return {}
    visit.facts |= _origin(source)
    living = [each for each in today.posts if each.network == source and 0 < visit.at - each.at < POST_LIVES]
    if not living:
        return {}
    post = living[-1 - int(dice() ** 2 * len(living))]
    if post.campaign:
        visit.facts["utm_campaign"] = post.campaign
    if dice.chance(REACTS):
        ago = min(dice.between(2_300, 6_000), visit.at - post.at - 1)
        _react(today, post, visit.at - max(ago, 0), dice, visit)
    return {"object_type": "post", "object_id": post.id}


def _origin(source: str) -> dict[str, str]:
    medium, referrer = WAYS[source]
    return {"utm_source": source, "utm_medium": medium, "$referring_domain": referrer}


def advertise(today: Today, dice: Dice, size: float) -> None:
    """The rest of a day: posts, reactions of people nobody knows, what was shown to how many, and the bill."""
    for post in today.posts:
        if post.at >= today.midnight:
            _publish(today, dice, post)
    for campaign in CAMPAIGNS:
        if campaign.runs(today.number):
            _run(today, dice, campaign, size)


def _through(today: Today, visit: Visit, campaign: Campaign) -> None:
    visit.facts |= {
        "utm_source": campaign.source,
        "utm_medium": campaign.medium,
        "utm_campaign": campaign.name,
        "campaign_type": campaign.kind,
        "$referring_domain": WAYS[campaign.source][1],
    }
    today.clicks[campaign.name] += 1
    tell_at = today.teller.tell_at
    tell_at("ad_shown", visit.who, visit.at - today.dice.between(4, 30), dict(visit.facts))
    tell_at("ad_clicked", visit.who, visit.at - 2, dict(visit.facts))


def lead(world: World, today: Today, visit: Visit, campaign: Campaign) -> None:
    """Somebody leaves an address on the page of a campaign."""
    world.leads.add(visit.person)
    today.teller.tell("lead_created", visit, today.dice.between(5, 40), channel=campaign.source)


def lead_bought(world: World, today: Today, visit: Visit) -> None:
    """Whoever left an address buys for the first time: the lead has become a customer."""
    campaign = world.campaign(visit.person)
    if campaign and visit.person in world.leads:
        world.leads.discard(visit.person)
        came = {"channel": campaign.source, "campaign": campaign.name, "campaign_type": campaign.kind}
        today.teller.tell("lead_converted", visit, 0.5, **came)


def _publish(today: Today, dice: Dice, post: Post) -> None:
    today.teller.tell_at("post_published", None, post.at, _facts(post))
    for _ in range(int(dice() ** 2.2 * 30)):
        _react(today, post, post.at + dice.between(60, 30_000) * dice(), dice, None)


def _react(today: Today, post: Post, at: float, dice: Dice, visit: Visit | None) -> None:
    facts = {**_facts(post), "action": REACTION(dice())}
    if visit:
        facts["country"] = visit.facts["country"]
    today.teller.tell_at("post_engaged", visit.who if visit else None, at, facts)


def _facts(post: Post) -> dict[str, Any]:
    facts = {"platform": post.network, "object_type": "post", "object_id": post.id, "content_type": post.kind}
    return facts | ({"campaign": post.campaign} if post.campaign else {})


def _run(today: Today, dice: Dice, campaign: Campaign, size: float) -> None:
    """How often it was shown without a click, and what the day cost."""
    facts: dict[str, Any] = {
        "campaign": campaign.name,
        "channel": campaign.source,
        "campaign_type": campaign.kind,
    }
    clicks = today.clicks[campaign.name]
    for _ in range(dice.times((clicks + 2 * size) * (1 / campaign.click_rate - 1))):
        second = ((dice() + dice()) / 2 * 20 + 4) * 3600 % 86_400
        country = dice.pick(("FR", "DE", "BE", "CH", "GB"), 1.6)
        today.teller.tell_at("ad_shown", None, today.midnight + second, {**facts, "country": country})
    cost = campaign.cost(today.number, size)
    today.teller.tell_at("campaign_charged", None, today.midnight + 82_800, {**facts, **money(cost)})
