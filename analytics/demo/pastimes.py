"""What people do beside shopping and watching: play, use features, look at listings, trade. All of it within visits of
the day, so that nobody is active who was not there.
"""

from __future__ import annotations

from typing import Any

from analytics.demo.catalogue import CITIES, GAMES, INSTRUMENTS, LISTINGS, STRATEGIES, Weighted
from analytics.demo.telling import Dice, Visit, money
from analytics.demo.world import Today

GAME, LISTING, INSTRUMENT = Weighted(GAMES), Weighted(LISTINGS), Weighted(INSTRUMENTS)
FEATURES = (
    "search",
    "wishlist",
    "chat_replies",
    "price_alerts",
    "clips",
    "calendar_sync",
    "dark_mode",
    "live_captions",
)
HOUSE_EDGE = 0.06
BANDS = ((40, "low"), (75, "middle"), (101, "high"))


def pastimes(today: Today, dice: Dice, size: float) -> None:
    """A day of it; `size` is 1 for a story of 300,000 events in 90 days."""
    if not today.visits:
        return
    for _ in range(dice.times(45 * size)):
        _play(today, dice, dice.pick(today.visits))
    habitual = [each for each in today.visits if each.person % 4 == 1] or today.visits
    for _ in range(dice.times(34 * size)):
        _use(today, dice, dice.pick(habitual, 1.4))
    for _ in range(dice.times(48 * size)):
        _look_around(today, dice, dice.pick(today.visits))
    for _ in range(dice.times(12 * size)):
        _trade(today, dice, dice.pick(today.visits, 2.2))


def _later(visit: Visit, dice: Dice, **facts: Any) -> Visit:
    """The same visit, a little after where it begins."""
    return Visit(visit.who, visit.at + dice.between(20, 400), {**visit.facts, **facts}, visit.person)


def _play(today: Today, dice: Dice, visit: Visit) -> None:
    """A round, most of them for money: the house keeps some six in a hundred."""
    tell, game = today.teller.tell, GAME(dice())
    here = _later(visit, dice, content_type=game)
    tell("game_started", here)
    is_free = dice.chance(0.2)
    stake = 100 * (1 + int(dice() ** 2.5 * 40))
    more: dict[str, Any] = {"free_play": True} if is_free else {}
    tell("stake_placed", here, dice.between(1, 5), **more, **money(stake))
    seconds = dice.between(40, 420)
    score = int(100 * dice())
    band = next(name for limit, name in BANDS if score < limit)
    tell("game_ended", here, seconds, duration_ms=int(seconds * 1000), value=score, score_band=band)
    chance = 0.46
    if dice.chance(chance):
        won = int(stake * (1 - HOUSE_EDGE) / chance * dice.between(0.8, 1.2))
        tell("payout_made", here, 1, **more, **money(won))


def _use(today: Today, dice: Dice, visit: Visit) -> None:
    here = _later(visit, dice, object_type="feature")
    first = visit.person // 4 % 5  # what people have got used to differs, and the first features are used by most
    favourites = FEATURES[first:] + FEATURES[:first]
    for _ in range(1 + int(dice() * 3)):
        today.teller.tell("feature_used", here, dice.between(3, 90), object_id=dice.pick(favourites, 2.2))


def _look_around(today: Today, dice: Dice, visit: Visit) -> None:
    """Listings of one kind in one town; one in twelve is asked about."""
    tell = today.teller.tell
    here = _later(visit, dice, content_type=LISTING(dice()), city=dice.pick(CITIES, 1.6), object_type="listing")
    for _ in range(1 + int(dice() * 3.5)):
        listing = f"listing-{int(dice() ** 1.5 * 400):03d}"
        tell("listing_viewed", here, dice.between(4, 60), object_id=listing)
        if dice.chance(0.08):
            tell("listing_contacted", here, dice.between(10, 60), object_id=listing)


def _trade(today: Today, dice: Dice, visit: Visit) -> None:
    """A position, opened and closed: a little more is lost than won, fees being what they are."""
    tell = today.teller.tell
    here = _later(
        visit, dice, object_type="instrument", object_id=INSTRUMENT(dice()), strategy=dice.pick(STRATEGIES, 1.4)
    )
    tell("trade_opened", here)
    if dice.chance(0.92):
        seconds = dice.between(60, 1500)
        cents = int((dice() + dice() + dice() - 1.52) * 9_000)
        tell("trade_closed", here, seconds, duration_ms=int(seconds * 1000), **money(cents))
