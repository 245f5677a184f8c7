"""Who there is: users in cohorts by the day they come, with a heavy tail of eagerness and of staying.

Eagerness (visits a day) is lognormal; a lifetime is Lomax-distributed, S(t) = (1 + t/b)^-a, the mixture of exponential
lifetimes whose rates are gamma-distributed (Fader & Hardie, "Customer-Base Valuation in a Contractual Setting", 2010).
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from analytics.demo.catalogue import CAMPAIGNS, CHANNELS, COUNTRIES, PLATFORMS, Weighted

WEEKDAY = np.array([0.94, 0.92, 0.95, 1.0, 1.12, 1.18, 1.06])
GROWTH_PER_DAY = 1.009
ALPHA, BETA = 0.75, 9.0
HISTORY_DAYS = 240

_country, _platform, _channel = Weighted(COUNTRIES), Weighted(PLATFORMS), Weighted(CHANNELS)


@dataclass
class People:
    """Users as parallel arrays; the index is the user's number."""

    born: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=np.int32))
    gone: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=np.float64))
    eagerness: np.ndarray = field(default_factory=lambda: np.empty(0))
    generosity: np.ndarray = field(default_factory=lambda: np.empty(0))
    country: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=np.int8))
    platform: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=np.int8))
    channel: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=np.int8))
    campaign: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=np.int8))

    def __len__(self) -> int:
        return len(self.born)

    def join(self, rng: np.random.Generator, born: np.ndarray) -> None:
        """Adds users that sign up on the given days; a day before the story leaves out those who left before it."""
        n = len(born)
        lifetime = BETA * (rng.random(n) ** (-1 / ALPHA) - 1) + 1
        campaign = _campaign(rng, born)
        joined: dict[str, np.ndarray] = {
            "born": born.astype(np.int32),
            "gone": born + lifetime,
            "eagerness": rng.lognormal(-0.6, 1.0, n),
            "generosity": rng.lognormal(0.0, 1.3, n),
            "country": _country.many(rng.random(n)),
            "platform": _platform.many(rng.random(n)),
            "channel": _channel.many(rng.random(n)),
            "campaign": campaign,
        }
        stays = joined["gone"] > 0
        for name, values in joined.items():
            setattr(self, name, np.concatenate([getattr(self, name), values[stays]]))


def expected_visits(people: People, day: int, weekday: int) -> np.ndarray:
    """Visits to expect of each user on a day, up to a common factor: eager at first, then by habit."""
    age = day - people.born
    is_there = (age >= 0) & (day < people.gone)
    return np.where(is_there, people.eagerness * WEEKDAY[weekday] * (0.35 + 0.65 * np.exp(-np.maximum(age, 0) / 12)), 0)


def arrivals(rng: np.random.Generator, day: int, weekday: int, base: float) -> int:
    """How many sign up on a day: growth, weekdays, campaigns, chance."""
    lift = sum(each.lift for each in CAMPAIGNS if each.first_day <= day <= each.last_day)
    return int(rng.poisson(base * GROWTH_PER_DAY**day * WEEKDAY[weekday] * (1 + lift)))


def _campaign(rng: np.random.Generator, born: np.ndarray) -> np.ndarray:
    """The campaign that brought each user: an index, or -1."""
    chance = rng.random(len(born))
    found = np.full(len(born), -1, dtype=np.int8)
    for number, each in enumerate(CAMPAIGNS):
        runs = (born >= each.first_day) & (born <= each.last_day)
        found[runs & (chance < each.lift / (1 + each.lift))] = number
    return found
