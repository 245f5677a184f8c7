"""What people do during a visit, and what happens without them."""

from __future__ import annotations

from analytics.demo import advertising, shopping
from analytics.demo.advertising import SOURCE_AGAIN
from analytics.demo.catalogue import AGENTS, Show, person_name
from analytics.demo.telling import Visit
from analytics.demo.world import PASSERS_BY, Stream, Today, World, creator

BOUNCES = 0.24
"""The share of visits that end with the page they began with."""
LANDINGS = ("/", "/live", "/shop", "/events", "/creators", "/discover")
PAGES = ("/discover", "/creators", "/events", "/shop", "/live", "/help")


def visit(world: World, today: Today, visit: Visit, *, is_new: bool) -> None:
    """Arrival, one to three interests, and off again. Whoever came to buy buys."""
    dice = today.dice
    if is_new:
        _sign_up(world, today, visit)
    elif not _return(world, today, visit):
        return
    interests = [_browse, _look_at_events, shopping.look, _watch]
    dice.pick(interests, 0.85)(world, today, visit)
    if (cents := today.buying.pop(visit.person, 0)) > 0:
        shopping.buy(world, today, visit, cents)
    while dice.chance(0.36):
        dice.pick(interests)(world, today, visit)
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
    for number, name, facts in world.studios.on(today.number):
        at = today.midnight + today.dice.between(7, 21) * 3600
        today.teller.tell_at(name, creator(number), at, facts)


def _sign_up(world: World, today: Today, visit: Visit) -> None:
    dice, tell = today.dice, today.teller.tell
    _, _, channel = world.person(visit.person)
    known, visit.who = visit.who, f"visitor-{visit.who[5:]}"
    campaign = advertising.arrive_first(world, today, visit)
    tell("page_view", visit, path="/" if not campaign or dice.chance(0.3) else "/welcome")
    if dice.chance(0.6):
        tell("page_view", visit, dice.between(8, 60), path="/how-it-works")
    if campaign and dice.chance(advertising.LEAVES_ADDRESS):
        advertising.lead(world, today, visit, campaign)
    anonymous, visit.who = visit.who, known
    name = person_name(visit.person)
    tell(
        "$identify",
        visit,
        dice.between(20, 90),
        **{
            "$anon_distinct_id": anonymous,
            "$set": {"name": name, "email": f"{name.lower().replace(' ', '.')}{visit.person}@example.com"},
            "$set_once": {"signed_up_through": (campaign.source if campaign else channel) or "direct"},
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


def _return(world: World, today: Today, visit: Visit) -> bool:
    """Comes back; False when the first page was the last."""
    dice = today.dice
    about = advertising.arrive_again(world, today, visit)
    is_gone = visit.person not in today.buying and dice.chance(BOUNCES)
    today.teller.tell("page_view", visit, 1, path=dice.pick(LANDINGS, 2.0), **about)
    if is_gone:
        return False
    if dice.chance(0.16):
        today.teller.tell("logged_in", visit, dice.between(3, 25))
        if dice.chance(0.4):
            _one_time_code(today, visit)
    return True


def _browse(_world: World, today: Today, visit: Visit) -> None:
    for _ in range(1 + int(today.dice() * 2.6)):
        path = today.dice.pick(PAGES, 1.3)
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
    is_bot = (today.number + number) % 8 == 0
    at = today.midnight + ((dice() + dice()) / 2 * 18 + 6) * 3600 % 86_400
    facts = {
        "platform": "web",
        "country": dice.pick(("FR", "DE", "GB", "BE", "US"), 1.5),
        "$raw_user_agent": AGENTS["bot" if is_bot else "web"],
        "$process_person_profile": False,
    }
    source = SOURCE_AGAIN(dice())
    if source:
        facts["utm_source"] = source
    who = Visit(f"passer-{world.plan.seed}-{today.number}-{number}", at, facts)
    _browse(world, today, who)
