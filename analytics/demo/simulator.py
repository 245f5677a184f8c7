"""Tells a story day by day."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from datetime import datetime

import numpy as np

from analytics.demo import advertising, scripts
from analytics.demo.catalogue import COUNTRIES
from analytics.demo.offices import offices
from analytics.demo.pastimes import pastimes
from analytics.demo.population import expected_visits
from analytics.demo.rhythm import day_seconds, midnight, visit_seconds
from analytics.demo.telling import Dice, Message, Teller, Visit
from analytics.demo.world import Plan, Today, World

Told = list[tuple[float, Message]]
ELSEWHERE = 0.12
"""The share of visits on another device than the person's own."""


def story(plan: Plan, until: datetime) -> Iterator[Told]:
    """The messages, with their Unix times and in order, of each local day that has begun by `until`; none after it."""
    world = World(plan)
    number, end = 0, until.timestamp()
    while (begin := midnight(world.zone, world.date_of(number))) < until:
        yield [pair for pair in _day(world, number, begin.timestamp()) if pair[0] < end]
        number += 1


def _day(world: World, number: int, begin: float) -> Told:
    newcomers = world.arrivals(world.people, number)
    today = Today(
        number=number,
        midnight=begin,
        dice=Dice(world.rng(number, 3)),
        teller=Teller(world.ids),
        streams=world.streams(number, begin),
        shows=world.shows_of(number),
        upcoming=[show for ahead in range(1, 8) for show in world.shows_of(number + ahead)],
        posts=advertising.posts(world, number, begin),
        buying=world.buying(world.people, number),
    )
    for what in world.due.pop(number, []):
        what(world, today)
    for visit, is_new in _visits(world, number, begin, newcomers, today.buying):
        today.visits.append(replace(visit, facts=dict(visit.facts)))
        scripts.visit(world, today, visit, is_new=is_new)
    scripts.backstage(world, today)
    dice = Dice(world.rng(number, 6))
    pastimes(today, dice, world.plan.size)
    advertising.advertise(today, dice, world.plan.size)
    offices(today, dice, world.plan.size)
    return today.teller.take()


def _visits(
    world: World, number: int, begin: float, newcomers: int, buying: Iterable[int]
) -> Iterator[tuple[Visit, bool]]:
    """Who comes on a day, and when. Those who sign up or buy come for sure."""
    rng, people, day = world.rng(number, 2), world.people, world.date_of(number)
    expected = expected_visits(people, number, day.weekday()) * world.factor
    counts = np.minimum(rng.poisson(expected), 4)
    counts[newcomers:] = np.maximum(counts[newcomers:], 1)
    buyers = np.fromiter(buying, dtype=np.int64)
    counts[buyers] = np.maximum(counts[buyers], 1)
    who = np.repeat(np.arange(len(people)), counts)
    seconds = visit_seconds(rng, people.country[who], tuple(COUNTRIES)) * (day_seconds(world.zone, day) / 86_400)
    elsewhere = rng.random(len(who)) < ELSEWHERE
    seen: set[int] = set()
    for person, second, other in zip(who.tolist(), seconds.tolist(), elsewhere.tolist(), strict=True):
        is_new = person >= newcomers and person not in seen
        seen.add(person)
        yield world.visit(person, begin + second, number, elsewhere=other and not is_new), is_new
