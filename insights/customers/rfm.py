"""Recency, frequency and monetary value: scores from 1 to `bins`, and named segments by a table of score ranges. Pure.

Two rules of scoring. `QUANTILE_EDGES` cuts at the quantiles of the values themselves (type 7 of Hyndman and Fan 1996,
"Sample Quantiles in Statistical Packages", The American Statistician 50(4), p. 363: linear between order statistics),
each raised by one unit (a day, an order, a unit of money), as analysts who come from R expect. `EQUAL_FIFTHS` gives
each score to as many customers as possible without parting equal values. Under either, equal values have equal scores.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

Floats: TypeAlias = npt.NDArray[np.float64]
Scores: TypeAlias = npt.NDArray[np.int8]

BINS: Final = 5
FEWEST: Final = 50
"""With fewer customers quantiles say little, so fixed edges are used instead (S22)."""

FIXED_EDGES: Final = {
    "recency": (30.0, 90.0, 180.0, 365.0),  # days
    "frequency": (2.0, 3.0, 5.0, 10.0),  # orders
}
"""Edges for small groups. Money has no fixed edges that suit every currency: multiples of the mean order are taken."""

FIXED_MEAN_ORDERS: Final = (1.0, 2.0, 4.0, 8.0)


class Rule(StrEnum):
    """How values become scores."""

    QUANTILE_EDGES = "quantile_edges"
    EQUAL_FIFTHS = "equal_fifths"
    FIXED = "fixed"


@dataclass(frozen=True, slots=True)
class Segment:
    """A name for the customers whose three scores lie in these ranges, both ends included."""

    name: str
    recency: tuple[int, int]
    frequency: tuple[int, int]
    monetary: tuple[int, int]

    def __post_init__(self) -> None:
        for what in ("recency", "frequency", "monetary"):
            low, high = getattr(self, what)
            if not 1 <= low <= high:
                raise ValueError(f"{self.name}: {what} runs from a lower to a higher score, not {low} to {high}")


OTHERS: Final = "Others"

# First match wins, so the order is part of the table.
SEGMENTS: Final = (
    Segment("Champions", (4, 5), (4, 5), (4, 5)),
    Segment("Loyal customers", (2, 5), (3, 5), (3, 5)),
    Segment("Potential loyalists", (3, 5), (1, 3), (1, 3)),
    Segment("New customers", (4, 5), (1, 1), (1, 1)),
    Segment("Promising", (3, 4), (1, 1), (1, 1)),
    Segment("Need attention", (2, 3), (2, 3), (2, 3)),
    Segment("About to sleep", (2, 3), (1, 2), (1, 2)),
    Segment("At risk", (1, 2), (2, 5), (2, 5)),
    Segment("Cannot lose them", (1, 1), (4, 5), (4, 5)),
    Segment("Lost", (1, 2), (1, 2), (1, 2)),
)


@dataclass(frozen=True, slots=True)
class Scored:
    """Scores of each customer, in the order given, and the rule and edges they were made by."""

    recency: Scores
    frequency: Scores
    monetary: Scores
    rule: Rule
    edges: dict[str, tuple[float, ...]]

    @property
    def code(self) -> npt.NDArray[np.int16]:
        """The three scores as one number: 545 is recency 5, frequency 4, monetary 5."""
        return self.recency.astype(np.int16) * 100 + self.frequency.astype(np.int16) * 10 + self.monetary


def scored(
    *, recency_days: Floats, orders: Floats, money: Floats, rule: Rule = Rule.QUANTILE_EDGES, bins: int = BINS
) -> Scored:
    """Scores of customers by days since their last order, number of orders and money spent, net of refunds.

    Few days score high. Under FEWEST customers the rule becomes FIXED, and the answer says so.
    """
    if not len(recency_days) == len(orders) == len(money):
        raise ValueError("recency_days, orders and money are of the same customers")
    if not len(orders):
        empty = np.empty(0, dtype=np.int8)
        return Scored(empty, empty, empty, rule, {"recency": (), "frequency": (), "monetary": ()})
    applied = rule if len(orders) >= FEWEST else Rule.FIXED
    values = {"recency": recency_days, "frequency": orders, "monetary": money}
    edges = {name: _edges(name, values, applied, bins) for name in values}
    scores = {name: score(found, edges[name]) for name, found in values.items()}
    highest = len(edges["recency"]) + 1
    return Scored(
        (highest + 1 - scores["recency"]).astype(np.int8), scores["frequency"], scores["monetary"], applied, edges
    )


def _edges(name: str, values: dict[str, Floats], rule: Rule, bins: int) -> tuple[float, ...]:
    if rule is Rule.QUANTILE_EDGES:
        return quantile_edges(values[name], bins)
    if rule is Rule.EQUAL_FIFTHS:
        return equal_edges(values[name], bins)
    if name == "monetary":
        mean_order = float(values["monetary"].sum() / max(values["frequency"].sum(), 1))
        return tuple(mean_order * times for times in FIXED_MEAN_ORDERS)
    return FIXED_EDGES[name]


def quantile_edges(values: Floats, bins: int = BINS) -> tuple[float, ...]:
    """The inner quantiles (type 7) plus one: a value at or above the k-th edge scores more than k.

    The places are worked out in integers: 0.6 × 10 is not 6 in floats, and an edge that is a hair too high moves a
    whole group of equal values.
    """
    ordered = np.sort(values)
    edges = []
    for part in range(1, bins):
        place, rest = divmod((len(ordered) - 1) * part, bins)
        above = ordered[min(place + 1, len(ordered) - 1)]
        edges.append(float(ordered[place] + (above - ordered[place]) * rest / bins + 1))
    return tuple(edges)


def equal_edges(values: Floats, bins: int = BINS) -> tuple[float, ...]:
    """Edges that part the sorted values into groups as equal as ties allow: a tie goes up with the most of it."""
    ordered = np.sort(values)
    places = [len(ordered) * part / bins for part in range(1, bins)]
    return tuple(float(_nearest_step(ordered, place)) for place in places)


def _nearest_step(ordered: Floats, place: float) -> float:
    """The least value of the upper group, for a cut where the values change and nearest to `place`."""
    value = ordered[min(int(place), len(ordered) - 1)]
    below = int(np.searchsorted(ordered, value, "left"))
    above = int(np.searchsorted(ordered, value, "right"))
    if place - below <= above - place or above == len(ordered):
        return float(value)
    return float(ordered[above])


def score(values: Floats, edges: Sequence[float]) -> Scores:
    """1 below the first edge, one more from each edge on."""
    return (np.searchsorted(np.asarray(edges), values, side="right") + 1).astype(np.int8)


def segments_of(scores: Scored, table: Sequence[Segment] = SEGMENTS) -> npt.NDArray[np.int16]:
    """For each customer the place in the table of the first segment that takes their scores; −1 is `OTHERS`."""
    found = np.full(len(scores.recency), -1, dtype=np.int16)
    for place, segment in enumerate(table):
        takes = found == -1
        for values, (low, high) in (
            (scores.recency, segment.recency),
            (scores.frequency, segment.frequency),
            (scores.monetary, segment.monetary),
        ):
            takes &= (values >= low) & (values <= high)
        found[takes] = place
    return found


def migration(before: dict[int, str], after: dict[int, str]) -> dict[tuple[str, str], int]:
    """How many customers went from one segment to another between two snapshots; '' is not a customer yet (or not any
    more). Rows add up to the former snapshot, columns to the later one.
    """
    moves: dict[tuple[str, str], int] = {}
    for person in before.keys() | after.keys():
        move = (before.get(person, ""), after.get(person, ""))
        moves[move] = moves.get(move, 0) + 1
    return moves
