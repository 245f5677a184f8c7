"""Subscriptions of creators to the studio: begun, renewed, changed up and down, ended, and some begun again.

Each creator's story follows from the seed and the number, so that no day depends on how it was asked for.
"""

from __future__ import annotations

from collections import defaultdict
from typing import Any

from analytics.demo.catalogue import PLANS, Weighted
from analytics.demo.telling import Dice, money

SUBSCRIBERS = 230
BEFORE = 70
"""So many subscribe already when the story begins: their plans are told on its first day, and nothing is paid then."""
LAST_DAY = 400
MONTH = 30
PLAN = Weighted({name: weight for name, (_, weight) in PLANS.items()})
NAMES = tuple(PLANS)
REASONS = ("too_expensive", "not_used", "moved_elsewhere", "closed_shop")
Event = tuple[int, str, dict[str, Any]]


class Studios:
    """What subscribers do, by day of the story."""

    def __init__(self, dice: Dice, size: float) -> None:
        self._days: dict[int, list[Event]] = defaultdict(list)
        begins = 0.0
        for number in range(int(SUBSCRIBERS * size) or 1):
            is_old = number < BEFORE * size
            begins += 0 if is_old else dice.between(0.5, 2.4) / size
            self._tell(number, dice, -int(dice() * MONTH) - 1 if is_old else int(begins))

    def on(self, day: int) -> list[Event]:
        """(creator, name, facts) of a day."""
        return self._days.get(day, [])

    def _tell(self, number: int, dice: Dice, day: int) -> None:
        """Month by month until it ends for good."""
        plan, interval = PLAN(dice()), "year" if dice.chance(0.14) else "month"
        if day < 0:
            self._add(0, number, "subscription_changed", plan, interval)
        else:
            self._add(day, number, "subscription_started", plan, interval)
        length = 365 if interval == "year" else MONTH
        while (day := day + length) < LAST_DAY:
            if dice.chance(0.065 if interval == "month" else 0.2):
                self._add(day, number, "subscription_cancelled", plan, interval, reason=dice.pick(REASONS, 1.5))
                if not dice.chance(0.6):
                    return
                day += int(dice.between(6, 24))
                self._add(day, number, "subscription_started", plan, interval)
            else:
                self._add(day, number, "subscription_renewed", plan, interval)
            moved = NAMES[self._next(NAMES.index(plan), dice)]
            if moved != plan:
                plan = moved
                self._add(day + int(dice.between(2, 26)), number, "subscription_changed", plan, interval)

    def _next(self, place: int, dice: Dice) -> int:
        chance = dice()
        if chance < 0.085 and place + 1 < len(NAMES):
            return place + 1
        return place - 1 if chance > 0.95 and place else place

    def _add(self, day: int, number: int, name: str, plan: str, interval: str, **more: Any) -> None:
        price = PLANS[plan][0] * (10 if interval == "year" else 1)
        facts = {
            "tier": plan,
            "interval": interval,
            "country": "FR",
            "object_type": "plan",
            "object_id": "studio",
            **more,
        }
        paid = {} if name == "subscription_cancelled" else money(price)
        self._days[day].append((number, name, {**facts, **paid}))
