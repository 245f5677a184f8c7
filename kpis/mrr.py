"""Monthly recurring revenue and its movements, customer by customer (S18). Pure arithmetic on `Prices`.

`subscription_started`, `_renewed` and `_changed` say what one interval costs from then on, `subscription_cancelled`
ends it. An interval is `properties.interval` (day, week, month, quarter or year) times `properties.interval_count`, a
month when nothing is said. Discounts that recur belong in the amount; trials cost 0. What is neither cancelled nor
renewed goes on. Amounts are in the base currency at the rate of the event's day: a renewal of the same price at
another rate is a movement of exchange rates, not of the customer.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from decimal import Decimal
from types import MappingProxyType
from typing import Final

from analytics.aggregates import INTERVALS, Price, Prices

MONTHS: Final[Mapping[str, Decimal]] = MappingProxyType(
    {
        "day": Decimal(12) / 365,
        "week": Decimal(12) / 52,
        "month": Decimal(1),
        "quarter": Decimal(3),
        "year": Decimal(12),
    }
)
"""How many months an interval lasts: a year counts a twelfth a month, a week 52 twelfths."""
NOTHING: Final = Decimal(0)
COUNTS: Final = frozenset({"customers", "opening_customers", "churned_customers"})


@dataclass(frozen=True, slots=True)
class Movement:
    """opening + new + expansion + reactivation − contraction − churn + fx = closing.

    `customers` pay something at the end, `opening_customers` at the start, `churned_customers` then and no more. A
    customer who comes and goes in between is in none of them.
    """

    opening: Decimal = NOTHING
    new: Decimal = NOTHING
    expansion: Decimal = NOTHING
    reactivation: Decimal = NOTHING
    contraction: Decimal = NOTHING
    churn: Decimal = NOTHING
    fx: Decimal = NOTHING
    closing: Decimal = NOTHING
    customers: int = 0
    opening_customers: int = 0
    churned_customers: int = 0

    def in_units(self, exponent: int) -> Movement:
        """Minor units as whole ones."""
        money = [item.name for item in fields(self) if item.name not in COUNTS]
        return replace(self, **{name: getattr(self, name).scaleb(-exponent) for name in money})


@dataclass(frozen=True, slots=True)
class CustomerMovement:
    """How one customer moved, in minor units. `kind` is new, expansion, reactivation, contraction or churn.

    `amount` is what the movement of that kind counts, never negative; `fx` apart from it.
    """

    person: int
    kind: str
    amount: Decimal
    opening: Decimal
    closing: Decimal
    fx: Decimal


def customers_moved(before: Prices, after: Prices) -> list[CustomerMovement]:
    """Everybody who pays at the start or at the end, by number, also those who did not move."""
    old, new = _by_person(before), _by_person(after)
    ever = {price.person for price in before.entries if price.was_paid}
    found = []
    for person in sorted(old.keys() | new.keys()):
        was, now = old.get(person, {}), new.get(person, {})
        paid, pays = sum(map(monthly, was.values()), NOTHING), sum(map(monthly, now.values()), NOTHING)
        rates = _exchange(was, now) if paid and pays else NOTHING
        kind = _kind(paid, pays - rates, is_gone=not pays, is_known=person in ever)
        found.append(CustomerMovement(person, kind, abs(pays - rates - paid), paid, pays, rates))
    return found


def movement_of(before: Prices, after: Prices) -> Movement:
    """From what was known at the start to what is known at the end, in minor units. `before` is part of `after`."""
    everybody = customers_moved(before, after)
    moved: dict[str, Decimal] = defaultdict(Decimal)
    for one in everybody:
        moved[one.kind] += one.amount
        moved["fx"] += one.fx
        moved["opening"] += one.opening
        moved["closing"] += one.closing
    return Movement(
        **moved,
        customers=sum(one.closing != NOTHING for one in everybody),
        opening_customers=sum(one.opening != NOTHING for one in everybody),
        churned_customers=sum(one.kind == "churn" for one in everybody),
    )


def monthly(price: Price) -> Decimal:
    """What a subscription brings a month, in minor units of the base currency."""
    return price.base / (MONTHS[INTERVALS[price.interval]] * price.intervals)


def _by_person(prices: Prices) -> dict[int, dict[int, Price]]:
    """The subscriptions that cost something, by the person who pays them."""
    found: dict[int, dict[int, Price]] = defaultdict(dict)
    for price in prices.entries:
        if price.base:
            found[price.person][price.key] = price
    return dict(found)


def _exchange(was: Mapping[int, Price], now: Mapping[int, Price]) -> Decimal:
    """What the old prices are worth more, in the base currency, at the rates of the new ones."""
    return sum((_rise(was[key], now[key]) for key in was.keys() & now.keys()), NOTHING)


def _rise(old: Price, new: Price) -> Decimal:
    if old.currency != new.currency or not old.amount or not new.amount:
        return NOTHING
    # As one fraction, so that equal rates give exactly nothing.
    change = Decimal(new.base * old.amount - old.base * new.amount) / new.amount
    return change / (MONTHS[INTERVALS[old.interval]] * old.intervals)


def _kind(paid: Decimal, pays: Decimal, *, is_gone: bool, is_known: bool) -> str:
    if not paid:
        return "reactivation" if is_known else "new"
    if is_gone:
        return "churn"
    return "expansion" if pays > paid else "contraction"
