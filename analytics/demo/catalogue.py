"""The invented world: what is sold, by whom, where from, and how it is paid. All names are made up."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import numpy as np

FIRST_NAMES: Final = (
    "Ada", "Bruno", "Chiara", "Dilan", "Esme", "Farid", "Greta", "Hugo", "Ines", "Jonas", "Kavya", "Luca", "Mira",
    "Nuno", "Olga", "Pablo", "Quinn", "Rosa", "Samir", "Tilda", "Ugo", "Vera", "Wim", "Xenia", "Yara", "Zeno",
)  # fmt: skip
LAST_NAMES: Final = (
    "Almond", "Birkholt", "Candelar", "Dovewell", "Eskerud", "Fennimore", "Galloran", "Hollowick", "Iversund",
    "Jaskolka", "Kestrane", "Lindqvale", "Marrowby", "Nightwell", "Orsella", "Pellworth", "Quillmore", "Rosvane",
    "Silverund", "Tamberlin", "Underhay", "Valcourse", "Wrenfield", "Yarrowin", "Zellander",
)  # fmt: skip
MATERIALS: Final = ("Linen", "Walnut", "Copper", "Merino", "Ceramic", "Cork", "Indigo", "Amber", "Felt", "Bamboo")
THINGS: Final = ("Lamp", "Tote", "Mug", "Scarf", "Notebook", "Planter", "Clock", "Cushion", "Apron", "Tray")
TOPICS: Final = (
    "studio-tour",
    "new-arrivals",
    "meet-the-maker",
    "behind-the-scenes",
    "gift-ideas",
    "quiz-teaser",
    "sale",
)
SHOWS: Final = ("Open Studio", "Late Session", "Makers' Market", "Quiz Night", "Masterclass", "Unplugged", "Book Club")

COUNTRIES: Final = {"FR": 34, "BE": 9, "CH": 8, "DE": 14, "GB": 10, "ES": 8, "IT": 6, "US": 7, "CA": 4}
PLATFORMS: Final = {"web": 46, "ios": 30, "android": 24}
CHANNELS: Final = {"": 38, "google": 20, "instagram": 16, "newsletter": 10, "tiktok": 11, "partner": 5}
METHODS: Final = {"card": 56, "paypal": 22, "sepa": 12, "applepay": 10}
GIFTS: Final = {"rose": (50, 60), "star": (200, 25), "firework": (1_000, 11), "comet": (5_000, 4)}
TIERS: Final = {"silver": (499, 72), "gold": (1_499, 28)}
PLANS: Final = {"starter": (1_900, 55), "studio": (4_900, 33), "atelier": (12_900, 12)}
GAMES: Final = {"blackjack": 30, "slots": 34, "trivia": 22, "chess": 14}
LISTINGS: Final = {"flat": 34, "workshop": 26, "studio": 22, "storage": 18}
CITIES: Final = ("Paris", "Lyon", "Bruxelles", "Genève", "Berlin", "London", "Madrid", "Milano")
INSTRUMENTS: Final = {"EURUSD": 40, "GOLD": 24, "OIL": 18, "BTCEUR": 18}
STRATEGIES: Final = ("trend", "swing", "hedge", "scalp")
NETWORKS: Final = {"instagram": 45, "tiktok": 33, "newsletter": 22}
WAYS: Final = {
    "google": ("organic", "www.google.com"),
    "instagram": ("social", "l.instagram.com"),
    "tiktok": ("social", "www.tiktok.com"),
    "newsletter": ("email", "mail.example.com"),
    "partner": ("referral", "partner.example.net"),
}
"""By source: the medium, and the page that refers. Nobody and nothing is the way of those who type the address."""
FAILURES: Final = {"card_declined": 46, "insufficient_funds": 30, "expired_card": 14, "3ds_failed": 10}
AGENTS: Final = {
    "web": "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "ios": "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
    "Version/18.1 Mobile/15E148 Safari/604.1",
    "android": "Mozilla/5.0 (Linux; Android 15; Pixel 8) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0.0.0 "
    "Mobile Safari/537.36",
    "bot": "Mozilla/5.0 (compatible; ExampleBot/1.0; +https://example.com/bot)",
}


@dataclass(frozen=True)
class Campaign:
    """Advertising between two days since the start of the story. `lift` is how much it adds to sign-ups, `click_rate`
    the share of those who are shown it and click, `daily` what a day of it costs in cents.
    """

    name: str
    source: str
    medium: str
    kind: str
    channel: str
    first_day: int
    last_day: int
    lift: float
    click_rate: float
    daily: int

    def runs(self, day: int) -> bool:
        """Whether it is on, on that day of the story."""
        return self.first_day <= day <= self.last_day

    def cost(self, day: int, size: float = 1.0) -> int:
        """Cents of a day: much the same every day, more towards the end of the week."""
        return int(self.daily * size * (0.86 + 0.04 * (day * 5 % 7))) if self.runs(day) else 0


ALWAYS: Final = 100_000
CAMPAIGNS: Final = (
    Campaign("brand_search", "google", "cpc", "search", "paid_search", 0, ALWAYS, 0.12, 0.17, 4_400),
    Campaign("come_back", "instagram", "paid_social", "social", "paid_social", 12, ALWAYS, 0.02, 0.08, 2_400),
    Campaign("early_birds", "newsletter", "email", "email", "email", 8, 15, 0.4, 0.14, 11_000),
    Campaign("creator_week", "tiktok", "paid_social", "social", "paid_social", 30, 38, 0.8, 0.11, 21_000),
    Campaign("makers_festival", "instagram", "paid_social", "social", "paid_social", 58, 72, 0.5, 0.1, 17_000),
)
"""`channel` is what the built-in rules of attribution make of source and medium: costs are told by it."""


@dataclass(frozen=True)
class Outage:
    """The day the card provider was down: seconds of the local day, and what became of card payments then."""

    day: int = 61
    start: float = 9.5 * 3600
    end: float = 17.25 * 3600
    failure_share: float = 0.72
    slowdown: float = 6.0


OUTAGE: Final = Outage()


@dataclass(frozen=True)
class Product:
    """Something for sale; the price is in cents."""

    id: str
    name: str
    kind: str
    price: int


@dataclass(frozen=True)
class Show:
    """A live event that people join before and attend."""

    id: str
    host: int
    name: str
    day: int
    start: float
    length: timedelta
    is_cancelled: bool


class Weighted:
    """Draws keys of a table of weights by a number in [0, 1)."""

    def __init__(self, weights: dict[str, int]) -> None:
        self.keys = tuple(weights)
        shares = np.cumsum(np.array(list(weights.values()), dtype=float))
        self._bounds = shares / shares[-1]
        self._list: list[float] = self._bounds.tolist()

    def __call__(self, number: float) -> str:
        for key, bound in zip(self.keys, self._list, strict=True):
            if number < bound:
                return key
        return self.keys[-1]

    def many(self, numbers: np.ndarray) -> np.ndarray:
        """Indices of the drawn keys."""
        return np.minimum(np.searchsorted(self._bounds, numbers, side="right"), len(self.keys) - 1)


def products(rng: np.random.Generator) -> list[Product]:
    """A hundred things with prices from about 8 to 180 euros, ending in 90 cents."""
    prices = np.clip(rng.lognormal(3.4, 0.6, 100), 8, 180).astype(int) * 100 - 10
    return [
        Product(f"product-{i:03d}", f"{MATERIALS[i // 10]} {THINGS[i % 10]}", THINGS[i % 10].lower(), int(prices[i]))
        for i in range(100)
    ]


def person_name(number: int) -> str:
    """The invented name of a user."""
    return f"{FIRST_NAMES[number % len(FIRST_NAMES)]} {LAST_NAMES[number * 7 // 5 % len(LAST_NAMES)]}"
