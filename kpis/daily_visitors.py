"""What a number says of the daily visitors among those whom it counts (S35), as a value and in words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from pyroaring import FrozenBitMap

from analytics.daily_visitors import NOBODY, SALT_PERIOD

SALT_CHANGES = "the salt of their ids changes at 00:00 UTC"


@dataclass(frozen=True, slots=True)
class DailyVisitors:
    """`count` of those counted are known for one UTC day only, so they are counted anew each day.

    `is_everybody`: the number counts nobody else. `are_left_out`: it would count them, but it asks who comes again,
    which no daily visitor can be seen to do; so it is of all others.
    """

    count: int
    is_everybody: bool = False
    are_left_out: bool = False

    def plain(self) -> dict[str, Any]:
        """As JSON has it."""
        return {
            "count": self.count,
            "salt_period": SALT_PERIOD,
            "is_everybody": self.is_everybody,
            "are_left_out": self.are_left_out,
        }

    @classmethod
    def read(cls, mark: Mapping[str, Any]) -> DailyVisitors:
        """Of an answer's JSON."""
        return cls(mark["count"], mark["is_everybody"], mark["are_left_out"])

    @property
    def label(self) -> str:
        """In two or three words."""
        if self.is_everybody:
            return "daily visitors"
        return f"{'without' if self.are_left_out else 'incl.'} {self._counted}"

    @property
    def told_of_before(self) -> str:
        """In a sentence about what a number is compared with."""
        if self.is_everybody:
            return "What it is compared with counts daily visitors only."
        return f"What it is compared with {'leaves out' if self.are_left_out else 'includes'} {self._counted}."

    @property
    def told(self) -> str:
        """In a sentence."""
        if self.are_left_out:
            return f"{self._counted.capitalize()} left out: no day knows those of another ({SALT_CHANGES})."
        if self.is_everybody:
            return f"All of them are daily visitors, counted anew each day ({SALT_CHANGES})."
        return f"Includes {self._counted}, counted anew each day ({SALT_CHANGES})."

    def told_of(self, whom: str) -> str:
        """In a sentence about one number of an answer that has several: "new customers"."""
        if self.is_everybody:
            return f"All {whom} are daily visitors, counted anew each day ({SALT_CHANGES})."
        return f"{whom.capitalize()} include {self._counted}, counted anew each day ({SALT_CHANGES})."

    @property
    def _counted(self) -> str:
        return f"{self.count:,} daily visitor{'' if self.count == 1 else 's'}"


def among(counted: FrozenBitMap, daily: FrozenBitMap) -> DailyVisitors | None:
    """Those of `daily` in a number that counts all of `counted`; None where there is none."""
    count = counted.intersection_cardinality(daily)
    return DailyVisitors(count, is_everybody=count == len(counted)) if count else None


def left_out(counted: FrozenBitMap, daily: FrozenBitMap) -> DailyVisitors | None:
    """Those of `daily` whom a number leaves out that would be of all of `counted`; None where there is none."""
    count = counted.intersection_cardinality(daily)
    return DailyVisitors(count, are_left_out=True) if count else None


def marked(found: DailyVisitors | None) -> dict[str, Any]:
    """The mark as a part of an answer, which has no such part where there are none."""
    return {} if found is None else {"daily_visitors": found.plain()}


def beside(reading: str, found: DailyVisitors | None, *, whom: str = "") -> dict[str, Any]:
    """The reading of an answer, with the mark and a sentence about it where there is one; `whom` it counts, where it
    has several numbers.
    """
    if found is None:
        return {"reading": reading}
    return {"reading": f"{reading} {found.told_of(whom) if whom else found.told}", **marked(found)}


def is_of_days(start: datetime, end: datetime) -> bool:
    """Whether [start, end) touches more than one UTC day; within one, nobody is counted twice."""
    last = end - timedelta(microseconds=1)
    return start.astimezone(UTC).date() < last.astimezone(UTC).date()


__all__ = ["NOBODY", "DailyVisitors", "among", "beside", "is_of_days", "left_out", "marked"]
