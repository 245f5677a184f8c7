"""From orders to customers: who bought when and for how much, as columns side by side. Pure NumPy.

A customer is a person with at least one sale. Sales of one person on one local day are one purchase: people put two
orders into an hour for reasons that say nothing about the next month. Refunds are no purchases; they come off the money
of the person on their own day (S17). Days are numbers counted from the first day asked for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

from insights.customers.lifetime import Floats, Histories

Ints: TypeAlias = npt.NDArray[np.int64]

DAYS_A_WEEK: Final = 7.0


@dataclass(frozen=True, slots=True)
class Sales:
    """One row for each sale and refund: person, local day, minor units (refunds negative), in any order."""

    person: Ints
    day: Ints
    amount: Ints
    is_refund: npt.NDArray[np.bool_]

    def __post_init__(self) -> None:
        if not len(self.person) == len(self.day) == len(self.amount) == len(self.is_refund):
            raise ValueError("person, day, amount and is_refund are of the same rows")

    def before(self, day: int) -> Sales:
        """What happened before the day."""
        kept = self.day < day
        return Sales(self.person[kept], self.day[kept], self.amount[kept], self.is_refund[kept])


@dataclass(frozen=True, slots=True)
class Customers:
    """Every customer by number of person: days of first and last purchase, how many purchases and orders, money.

    `gross`, `refunds` and `net` are minor units. `repeat_mean` is the mean of the purchases after the first, in minor
    units; 0 without one.
    """

    person: Ints
    first_day: Ints
    last_day: Ints
    purchases: Ints
    orders: Ints
    gross: Ints
    refunds: Ints
    repeat_mean: Floats

    @property
    def net(self) -> Ints:
        return self.gross - self.refunds

    def recency_days(self, end: int) -> Floats:
        """Days from the last purchase to the last day before `end`."""
        return (end - 1 - self.last_day).astype(np.float64)

    def histories(self, end: int) -> Histories:
        """As BG/NBD takes them, in weeks until the day `end`."""
        return Histories(
            (self.purchases - 1).astype(np.float64),
            (self.last_day - self.first_day) / DAYS_A_WEEK,
            (end - self.first_day) / DAYS_A_WEEK,
        )

    @property
    def repeats(self) -> Floats:
        return (self.purchases - 1).astype(np.float64)


def customers_of(sales: Sales) -> Customers:
    """The customers of these sales. Refunds of people without a sale belong to nobody here."""
    sold = ~sales.is_refund
    order = np.lexsort((sales.day[sold], sales.person[sold]))
    person, day, amount = sales.person[sold][order], sales.day[sold][order], sales.amount[sold][order]
    if not len(person):
        none = np.empty(0, dtype=np.int64)
        return Customers(none, none, none, none, none, none, none, np.empty(0))
    is_purchase = np.r_[True, (person[1:] != person[:-1]) | (day[1:] != day[:-1])]
    at = np.flatnonzero(is_purchase)
    worth, buyer = np.add.reduceat(amount, at), person[at]
    firsts = np.flatnonzero(np.r_[True, buyer[1:] != buyer[:-1]])
    purchases = np.diff(np.r_[firsts, len(buyer)])
    people, gross = buyer[firsts], np.add.reduceat(worth, firsts)
    repeats = purchases - 1
    later = (gross - worth[firsts]).astype(np.float64)
    return Customers(
        person=people,
        first_day=day[at][firsts],
        last_day=day[at][firsts + repeats],
        purchases=purchases,
        orders=np.add.reduceat(np.ones(len(person), dtype=np.int64), np.searchsorted(person, people)),
        gross=gross,
        refunds=_refunds(sales, people),
        repeat_mean=np.divide(later, repeats, out=np.zeros(len(people)), where=repeats > 0),
    )


def _refunds(sales: Sales, people: Ints) -> Ints:
    given = sales.is_refund & np.isin(sales.person, people)
    place = np.searchsorted(people, sales.person[given])
    sums = np.zeros(len(people), dtype=np.int64)
    np.add.at(sums, place, np.abs(sales.amount[given]))
    return sums


def spent_between(sales: Sales, people: Ints, start: int, end: int) -> Ints:
    """Gross minor units that each of the people spent on the days [start, end)."""
    inside = ~sales.is_refund & (sales.day >= start) & (sales.day < end) & np.isin(sales.person, people)
    sums = np.zeros(len(people), dtype=np.int64)
    np.add.at(sums, np.searchsorted(people, sales.person[inside]), sales.amount[inside])
    return sums


@dataclass(frozen=True, slots=True)
class Curve:
    """A cohort of customers by the unit of their first purchase: what they have brought by the end of each unit after.

    `net` are cumulative minor units, refunds taken off on their own day; None where the unit is not over yet.
    """

    cohort: int
    size: int
    net: tuple[int | None, ...]


def observed_curves(sales: Sales, edges: Ints, *, known_until: int) -> list[Curve]:
    """Observed lifetime value by cohort. `edges` are the days on which units begin, and the end of the last one.

    `known_until`: the first day of which nothing or not everything is known. A unit that it cuts is not over.
    """
    sold = ~sales.is_refund
    units = len(edges) - 1
    if units < 1 or not sold.any():
        return []
    people, inverse = np.unique(sales.person[sold], return_inverse=True)
    first = np.full(len(people), np.iinfo(np.int64).max)
    np.minimum.at(first, inverse, sales.day[sold])
    cohort_of = np.searchsorted(edges, first, side="right") - 1
    known = np.isin(sales.person, people)
    place = np.searchsorted(people, sales.person[known])
    unit = np.searchsorted(edges, sales.day[known], side="right") - 1
    signed = np.where(sales.is_refund[known], -np.abs(sales.amount[known]), sales.amount[known])
    cohort = cohort_of[place]
    inside = (cohort >= 0) & (cohort < units) & (unit >= cohort) & (unit < units)
    money = np.zeros((units, units), dtype=np.int64)
    np.add.at(money, (cohort[inside], (unit - cohort)[inside]), signed[inside])
    sizes = np.bincount(cohort_of[(cohort_of >= 0) & (cohort_of < units)], minlength=units)
    curves = []
    for index in range(units):
        total = np.cumsum(money[index])
        brought = [int(total[age]) if edges[index + age + 1] <= known_until else None for age in range(units - index)]
        if sizes[index]:
            curves.append(Curve(index, int(sizes[index]), tuple(brought)))
    return curves
