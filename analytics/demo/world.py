"""The state of a story: its people, its programme, what comes due.

Each day draws from generators of its own, (seed, day, purpose), so that a story told further says the same again of the
days before.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from zoneinfo import ZoneInfo

import numpy as np

from analytics.demo.catalogue import (
    AGENTS,
    CAMPAIGNS,
    CHANNELS,
    COUNTRIES,
    PLATFORMS,
    SHOWS,
    Campaign,
    Product,
    Show,
    products,
)
from analytics.demo.population import HISTORY_DAYS, VALUE, People, arrivals, expected_visits, purchase_value
from analytics.demo.studios import Studios
from analytics.demo.telling import Dice, Ids, Teller, Visit

# How many events come of what, measured over stories of several sizes and seeds.
EVENTS_PER_VISIT = 5.6
EVENTS_PER_SIGN_UP = 4.4
EVENTS_PER_PURCHASE = 11.0
EVENTS_BESIDE_PER_DAY = 52
AREAS = 0.26
"""The share of a story that `pastimes` and `offices` tell."""
USUAL_PER_DAY = 300_000 / 90
PASSERS_BY = 0.016
EVENTS_PER_PASSER_BY = 1.8
EVENTS_PER_ARRIVAL_A_DAY = 10_500
CREATORS = 60
_COUNTRIES, _PLATFORMS, _CHANNELS = tuple(COUNTRIES), tuple(PLATFORMS), tuple(CHANNELS)


def creator(number: int) -> str:
    """The distinct id of a creator."""
    return f"creator-{number:02d}"


@dataclass(frozen=True)
class Plan:
    """What tells one story from another. `events` is about how many there are in the first `days` days."""

    seed: int
    start: date
    zone: str
    days: int = 90
    events: int = 300_000

    @staticmethod
    def first_day(zone: str, *, days: int, until: datetime) -> date:
        """The local day with which a story of that many days begins, if it is to end at `until`."""
        return until.astimezone(ZoneInfo(zone)).date() - timedelta(days=days)

    @property
    def size(self) -> float:
        """How large a day of it is: 1 for 300,000 events in 90 days."""
        return self.events / self.days / USUAL_PER_DAY

    @property
    def key(self) -> str:
        """The name that event ids are made of."""
        return f"{self.seed}/{self.start}/{self.zone}/{self.days}/{self.events}"


@dataclass
class Stream:
    """A creator being live, in seconds of Unix time."""

    creator: int
    id: str
    start: float
    end: float
    viewers: set[str] = field(default_factory=set)


@dataclass(frozen=True)
class Post:
    """Something the marketplace published on a network, at a Unix time."""

    id: str
    network: str
    kind: str
    campaign: str
    at: float


@dataclass
class Today:
    """What the scripts of one day share."""

    number: int
    midnight: float
    dice: Dice
    teller: Teller
    streams: list[Stream]
    shows: list[Show]
    upcoming: list[Show]
    posts: list[Post]
    buying: dict[int, int] = field(default_factory=dict)
    """Whoever buys today, with what for in cents; whoever has bought is gone from it."""
    visits: list[Visit] = field(default_factory=list)
    clicks: Counter[str] = field(default_factory=Counter)
    """Clicks on the advertisements of each campaign."""


Due = Callable[["World", Today], None]


class World:
    """The state of the story between days."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.zone = ZoneInfo(plan.zone)
        self.ids = Ids(plan.key)
        self.people = People()
        self.products: list[Product] = sorted(products(self.rng(0, 9)), key=lambda each: each.price)
        self.posts: list[Post] = []
        self.shows: dict[int, list[Show]] = {}
        self.joiners: dict[str, list[int]] = defaultdict(list)
        self.members: set[int] = set()
        self.leads: set[int] = set()
        self.due: dict[int, list[Due]] = defaultdict(list)
        self.payments = 0
        self.studios = Studios(Dice(self.rng(0, 10)), plan.size)
        self.factor = self._calibrated()

    def later(self, today: Today, days: int, what: Due) -> None:
        """Has something happen on a later day."""
        self.due[today.number + days].append(what)

    def person(self, number: int) -> tuple[str, str, str]:
        """Country, platform and channel of a user; no channel is an empty one."""
        people = self.people
        return (
            _COUNTRIES[people.country[number]],
            _PLATFORMS[people.platform[number]],
            _CHANNELS[people.channel[number]],
        )

    def campaign(self, number: int) -> Campaign | None:
        """The campaign that brought a user."""
        found = int(self.people.campaign[number])
        return CAMPAIGNS[found] if found >= 0 else None

    def buying(self, people: People, day: int) -> dict[int, int]:
        """Who buys on a day, and what for in cents."""
        rng = self.rng(day, 7)
        found = people.purchases(rng, day, self.date_of(day).weekday())
        draws = rng.gamma(VALUE[0], size=len(found))
        values = zip(people.worth[found].tolist(), draws.tolist(), strict=True)
        return dict(zip(found.tolist(), [purchase_value(*each) for each in values], strict=True))

    def shows_of(self, day: int) -> list[Show]:
        """The live events that take place on a day; known a week before."""
        if day not in self.shows:
            self.shows[day] = self._planned(day)
        return self.shows[day]

    def rng(self, day: int, purpose: int) -> np.random.Generator:
        """The generator of one purpose on one day."""
        return np.random.default_rng([self.plan.seed, day + HISTORY_DAYS, purpose])

    def date_of(self, day: int) -> date:
        """The local date of a day of the story."""
        return self.plan.start + timedelta(days=day)

    def arrivals(self, people: People, day: int) -> int:
        """Has the users of a day join; on day 0 those of the months before as well. Gives the first newcomer."""
        rng = self.rng(day, 1)
        base = self.plan.events / EVENTS_PER_ARRIVAL_A_DAY * 90 / self.plan.days
        if day == 0:
            counts = [arrivals(rng, past, self.date_of(past).weekday(), base) for past in range(-HISTORY_DAYS, 0)]
            people.join(rng, np.repeat(np.arange(-HISTORY_DAYS, 0), counts))
        before = len(people)
        people.join(rng, np.full(arrivals(rng, day, self.date_of(day).weekday(), base), day))
        return before

    def _calibrated(self) -> float:
        """What to multiply expected visits with, so that the planned number of events comes out."""
        people, habit, purchases = People(), 0.0, 0
        firsts: list[np.ndarray] = []
        for day in range(self.plan.days):
            newcomers = self.arrivals(people, day)
            purchases += len(self.buying(people, day))
            expected = expected_visits(people, day, self.date_of(day).weekday())
            habit += float(expected[:newcomers].sum())
            firsts.append(expected[newcomers:])
        first = np.concatenate(firsts)
        shares = PASSERS_BY * EVENTS_PER_PASSER_BY + AREAS
        beside = EVENTS_BESIDE_PER_DAY * self.plan.days + shares * self.plan.events
        told = beside + EVENTS_PER_SIGN_UP * len(first) + EVENTS_PER_PURCHASE * purchases
        wanted = (self.plan.events - told) / EVENTS_PER_VISIT
        low, high = 0.0, 50.0
        for _ in range(40):
            middle = (low + high) / 2
            visits = middle * habit + float((middle * first + np.exp(-middle * first)).sum())
            low, high = (middle, high) if visits < wanted else (low, middle)
        return low

    def visit(self, person: int, at: float, number: int, *, elsewhere: bool = False) -> Visit:
        """A user's coming at an instant of a day; `elsewhere` is on another device than usual."""
        country, platform, _ = self.person(person)
        if elsewhere:
            platform = "web" if platform != "web" else "ios"
        session = f"s-{self.plan.seed}-{number}-{person}-{int(at)}"
        facts = {
            "platform": platform,
            "country": country,
            "$session_id": session,
            "$raw_user_agent": AGENTS[platform],
        }
        return Visit(f"user-{person:06d}", at, facts, person)

    def streams(self, day: int, begin: float) -> list[Stream]:
        """The creators who are live on a day that begins at `begin`."""
        rng = self.rng(day, 4)
        n = int(rng.poisson(6 + day / 12))
        creators = (CREATORS * rng.random(n) ** 1.8).astype(int)
        starts = begin + np.clip(rng.normal(19.2, 2.6, n), 8, 23.2) * 3600
        lengths = np.clip(rng.lognormal(3.9, 0.5, n), 8, 240) * 60
        return [
            Stream(int(creators[i]), f"stream-{day}-{i}", float(starts[i]), float(starts[i] + lengths[i]))
            for i in range(n)
        ]

    def _planned(self, day: int) -> list[Show]:
        rng = self.rng(day, 5)
        n = int(rng.poisson(3.2 if self.date_of(day).weekday() < 4 else 5.5))
        return [
            Show(
                id=f"event-{day}-{i}",
                host=int(CREATORS * rng.random() ** 1.5),
                name=SHOWS[int(rng.integers(len(SHOWS)))],
                day=day,
                start=float(rng.choice([18.0, 19.0, 19.5, 20.0])) * 3600,
                length=timedelta(minutes=int(rng.choice([45, 60, 90]))),
                is_cancelled=bool(rng.random() < 0.06),
            )
            for i in range(n)
        ]
