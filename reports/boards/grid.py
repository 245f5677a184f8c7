"""Where cards lie: twelve columns, rows without end, no two on one cell, nothing hanging in the air. Pure arithmetic.

`static/bellwether/js/board.js` lays out by the same rule while a card is dragged.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

COLUMNS: Final = 12
MAX_HEIGHT: Final = 12
MAX_ROW: Final = 1000


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle of cells; columns and rows count from 1."""

    x: int
    y: int
    w: int
    h: int

    def overlaps(self, other: Box) -> bool:
        """Whether they share a cell."""
        return (
            self.x < other.x + other.w
            and other.x < self.x + self.w
            and self.y < other.y + other.h
            and other.y < self.y + self.h
        )


def settle(boxes: Iterable[Box]) -> list[Box]:
    """The boxes in their order, each lifted as high as it goes without touching those that lay above or before it."""
    wanted = list(boxes)
    order = sorted(range(len(wanted)), key=lambda index: (wanted[index].y, wanted[index].x, index))
    placed: dict[int, Box] = {}
    for index in order:
        placed[index] = _lifted(wanted[index], list(placed.values()))
    return [placed[index] for index in range(len(wanted))]


def _lifted(box: Box, others: list[Box]) -> Box:
    row = 1
    while True:
        here = Box(box.x, row, box.w, box.h)
        below = [other.y + other.h for other in others if here.overlaps(other)]
        if not below:
            return here
        row = min(below)
