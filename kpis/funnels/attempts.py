"""The one attempt that stands for each person: what every engine makes of the events, and all numbers come from."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, TypeAlias

import numpy as np
import numpy.typing as npt

Ints: TypeAlias = npt.NDArray[np.int64]
Flags: TypeAlias = npt.NDArray[np.bool_]

NEVER: Final = -1
"""In place of a time: the step was not reached. No event is older than 1970."""


@dataclass(frozen=True)
class Attempts:
    """Columns of one row a person, by person. `at[k]` is when step k was reached (microseconds, or NEVER), and
    `deadline` until when the next step may still be (of those who are through: until when the last one might).

    `key` numbers the value of the breakdown in `keys` (-1: none). `excluded` people count nowhere.
    """

    person: Ints
    at: tuple[Ints, ...]
    deadline: Ints
    settles: Ints
    excluded: Flags
    key: Ints | None = None
    keys: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.person)

    def taken(self, chosen: npt.NDArray[np.bool_] | Ints) -> Attempts:
        """Some of the people."""
        return Attempts(
            self.person[chosen],
            tuple(column[chosen] for column in self.at),
            self.deadline[chosen],
            self.settles[chosen],
            self.excluded[chosen],
            None if self.key is None else self.key[chosen],
            self.keys,
        )


@dataclass
class Chains:
    """Attempts by entry: `position[k]` is the row of step k, or -1; `level` how many required steps were reached, and
    `deadline` until when the next one may be."""

    position: list[Ints]
    at: list[Ints]
    level: Ints
    deadline: Ints
