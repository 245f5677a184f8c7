"""Paths of two ranges beside each other: which names come more often at a place than chance would make them. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from kpis.daily_visitors import DailyVisitors
from kpis.explore.intervals import Interval
from kpis.explore.people_apart import Estimate, Ints, Side, groups_of, shares, shares_apart


@dataclass(frozen=True)
class Walked:
    """Every path of a range: its person, and at each place the number of its name in `names`; −1 beyond its end."""

    person: Ints
    grid: Ints
    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PathChange:
    """The share of all paths that come through a name at a place. Null where a range has no paths."""

    place: int
    name: str
    paths: int
    paths_before: int
    share: float | None
    share_before: float | None
    difference: float | None
    interval: Interval | None
    is_clear: bool


@dataclass(frozen=True, slots=True)
class PathsComparison:
    """The other range, and the names of the one asked for that are different; `changes` in their order."""

    start: datetime
    end: datetime
    paths: int
    people: int
    changes: tuple[PathChange, ...]
    reading: str
    daily_visitors: DailyVisitors | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """The names shown at a place, in their order: real ones, then what all others are called, then the end."""

    number: int
    kept: tuple[str, ...]
    other: str
    end: str

    @property
    def shown(self) -> tuple[str, ...]:
        return (*self.kept, self.other, self.end)

    def columns(self, walked: Walked) -> Ints:
        """For each path the column of `shown` that it comes through."""
        known = {name: column for column, name in enumerate(self.kept)}
        column = np.array([known.get(name, len(known)) for name in walked.names] + [len(known) + 1], dtype=np.int64)
        return column[walked.grid[:, self.number - 1]]  # −1 is the last of them


def compared(
    places: Sequence[Place], now: Walked, before: Walked, between: tuple[datetime, datetime]
) -> PathsComparison:
    """`between`: the other range. Names beyond those shown now are all others in both."""
    changes = tuple(change for place in places for change in _changes(place, now, before))
    return PathsComparison(
        *between, len(before.person), len(np.unique(before.person)), changes, _reading(changes, len(before.person))
    )


def _changes(place: Place, now: Walked, before: Walked) -> list[PathChange]:
    (counts, mine, people), (counts_before, theirs, people_before) = (_told(place, each) for each in (now, before))
    found = []
    for column, name in enumerate(place.shown):
        if not counts[column] and not counts_before[column]:
            continue
        side = Side(float(mine.value[column]), float(mine.variance[column]), people)
        other = Side(float(theirs.value[column]), float(theirs.variance[column]), people_before)
        interval = shares_apart(side, other)
        found.append(
            PathChange(
                place=place.number,
                name=name,
                paths=int(counts[column]),
                paths_before=int(counts_before[column]),
                share=side.value if people else None,
                share_before=other.value if people_before else None,
                difference=side.value - other.value if people and people_before else None,
                interval=interval,
                is_clear=interval is not None and interval.is_clear,
            )
        )
    return found


def _told(place: Place, walked: Walked) -> tuple[Ints, Estimate, int]:
    """How many paths come through each, their shares, and how many people walked."""
    width, people = len(place.shown), np.unique(walked.person)
    group, groups = groups_of(walked.person, people)
    parts = np.bincount(group * width + place.columns(walked), minlength=groups * width).reshape(groups, width)
    estimate = shares(parts.astype(np.float64), parts.sum(axis=1).astype(np.float64))
    return parts.sum(axis=0), estimate, len(people)


def _reading(changes: Sequence[PathChange], paths: int) -> str:
    """Of the first place, where all paths still are; the largest clear change."""
    if not paths:
        return "There is no path in the other period to compare with."
    clear = [change for change in changes if change.place == 1 and change.is_clear]
    if not clear:
        return "Against the other period no share of the first step differs by more than chance would make it."
    most = max(clear, key=lambda change: abs(change.difference or 0.0))
    interval = most.interval or Interval(0.0, 0.0)
    name = {"__end__": "nothing more", "__other__": "all others"}.get(most.name, f"“{most.name}”")
    return (
        f"Against the other period {name} is next in {(most.difference or 0.0) * 100:+.1f} percentage points of the"
        f" paths ({interval.low * 100:+.1f} to {interval.high * 100:+.1f}), a clear difference."
    )
