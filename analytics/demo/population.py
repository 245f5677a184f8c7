"""Who there is: users in cohorts by the day they come, with a heavy tail of eagerness, of staying and of buying.

Eagerness (visits a day) is lognormal. Who never buys stays for a Lomax-distributed time, S(t) = (1 + t/b)^-a, the
mixture of exponential lifetimes whose rates are gamma-distributed (Fader & Hardie, "Customer-Base Valuation in a
Contractual Setting", 2010). Who buys does so as Fader, Hardie & Lee 2005 suppose: at a rate of their own, drawn from a
gamma distribution, until they drop out after a purchase with a chance of their own, drawn from a beta distribution; and
spends around a mean of their own (Fader & Hardie, "The Gamma-Gamma Model of Monetary Value", 2013).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

import numpy as np

from analytics.demo.catalogue import CAMPAIGNS, CHANNELS, COUNTRIES, PLATFORMS, Weighted

WEEKDAY = np.array([0.94, 0.92, 0.95, 1.0, 1.12, 1.18, 1.06])
GROWTH_PER_DAY = 1.006
ALPHA, BETA = 0.75, 9.0
HISTORY_DAYS = 240

BUYERS: Final = 0.5
RATE: Final = (0.95, 26.0)
"""Purchases a day: gamma, shape and days."""
LEAVING: Final = (0.85, 3.0)
"""The chance to drop out after a purchase: beta."""
VALUE: Final = (3.0, 3.4, 2_900.0)
"""A purchase in cents: gamma of shape p, its rate gamma of shape q and scale 1/γ; on average p γ / (q − 1)."""
AT_ONCE: Final = 0.45
"""The share of buyers whose first purchase is on the day they sign up; the others wait, five days on average."""
OPENING: Final = 14.0
"""The shop opens when the story begins: days after which those who were there before buy first, on average."""
LINGERING: Final = 9.0
"""Days for which a buyer who has bought for the last time still comes, on average."""

_country, _platform, _channel = Weighted(COUNTRIES), Weighted(PLATFORMS), Weighted(CHANNELS)


@dataclass
class People:
    """Users as parallel arrays; the index is the user's number. `due` is the instant (in days) of the next purchase,
    never for those who do not buy or have dropped out."""

    born: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=np.int32))
    gone: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=np.float64))
    eagerness: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=np.float64))
    country: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=np.int8))
    platform: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=np.int8))
    channel: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=np.int8))
    campaign: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=np.int8))
    is_fan: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=np.bool_))
    has_bought: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=np.bool_))
    due: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=np.float64))
    rate: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=np.float64))
    leaving: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=np.float64))
    worth: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=np.float64))

    def __len__(self) -> int:
        return len(self.born)

    def join(self, rng: np.random.Generator, born: np.ndarray) -> None:
        """Adds users that sign up on the given days; a day before the story leaves out those who left before it."""
        n = len(born)
        is_buyer = rng.random(n) < BUYERS
        lifetime = BETA * (rng.random(n) ** (-1 / ALPHA) - 1) + 1
        wait = np.where(rng.random(n) < AT_ONCE, 0.0, 1 + rng.exponential(5.0, n))
        joined: dict[str, np.ndarray] = {
            "born": born.astype(np.int32),
            "gone": np.where(is_buyer, np.inf, born + lifetime),
            "eagerness": rng.lognormal(-0.6, 1.0, n),
            "country": _country.many(rng.random(n)),
            "platform": _platform.many(rng.random(n)),
            "channel": _channel.many(rng.random(n)),
            "campaign": _campaign(rng, born),
            "is_fan": rng.random(n) < 0.3,
            "has_bought": np.zeros(n, dtype=np.bool_),
            "due": np.where(is_buyer, np.where(born < 0, rng.exponential(OPENING, n), born + wait), np.inf),
            "rate": np.maximum(rng.gamma(RATE[0], size=n) / RATE[1], 1e-6),
            "leaving": rng.beta(*LEAVING, n),
            "worth": rng.gamma(VALUE[1], size=n) / VALUE[2],
        }
        stays = born + lifetime > 0
        for name, values in joined.items():
            setattr(self, name, np.concatenate([getattr(self, name), values[stays]]))

    def purchases(self, rng: np.random.Generator, day: int, weekday: int) -> np.ndarray:
        """Who buys on a day, by number. On a slow weekday some put it off. After any purchase of the story but the
        first some drop out, as in the model."""
        postponed = rng.random(len(self)) > WEEKDAY[weekday] / WEEKDAY.max()
        is_due = (self.due < day + 1) & ~(postponed & (self.born < day))
        found = np.flatnonzero(is_due)
        leaves = (rng.random(len(found)) < self.leaving[found]) & self.has_bought[found]
        self.has_bought[found] = True
        again = np.maximum(day + 1, day + rng.random(len(found)) + rng.exponential(1 / self.rate[found]))
        self.due[found] = np.where(leaves, np.inf, again)
        self.gone[found] = np.where(leaves, day + 1 + rng.exponential(LINGERING, len(found)), self.gone[found])
        return found


def purchase_value(worth: float, draw: float) -> int:
    """Cents of a purchase of somebody of that worth; `draw` is of a gamma distribution of shape VALUE[0]."""
    return int(min(max(draw / worth, 150.0), 90_000.0))


def expected_visits(people: People, day: int, weekday: int) -> np.ndarray:
    """Visits to expect of each user on a day, up to a common factor: eager at first, then by habit."""
    age = day - people.born
    is_there = (age >= 0) & (day < people.gone)
    return np.where(is_there, people.eagerness * WEEKDAY[weekday] * (0.35 + 0.65 * np.exp(-np.maximum(age, 0) / 12)), 0)


def arrivals(rng: np.random.Generator, day: int, weekday: int, base: float) -> int:
    """How many sign up on a day: growth, weekdays, campaigns, chance."""
    lift = sum(each.lift for each in CAMPAIGNS if each.runs(day))
    return int(rng.poisson(base * GROWTH_PER_DAY**day * WEEKDAY[weekday] * (1 + lift)))


def _campaign(rng: np.random.Generator, born: np.ndarray) -> np.ndarray:
    """The campaign that brought each user: an index, or -1."""
    chance = rng.random(len(born))
    found = np.full(len(born), -1, dtype=np.int8)
    low = np.zeros(len(born))
    for number, each in enumerate(CAMPAIGNS):
        runs = (born >= each.first_day) & (born <= each.last_day)
        share = np.where(runs, each.lift, 0.0) / (1 + _lifts(born))
        found[(chance >= low) & (chance < low + share)] = number
        low = low + share
    return found


def _lifts(born: np.ndarray) -> np.ndarray:
    total = np.zeros(len(born))
    for each in CAMPAIGNS:
        total += np.where((born >= each.first_day) & (born <= each.last_day), each.lift, 0.0)
    return total
