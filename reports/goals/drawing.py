"""The pace of a goal as an SVG: what came in, what was expected, and where it may end. No script."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from kpis.contracts import Number
from kpis.goals.contracts import GoalView

WIDTH, HEIGHT = 600, 200


@dataclass(frozen=True, slots=True)
class PaceDrawing:
    """Point lists; `band` is a closed shape, `target` a height."""

    actual: str
    plan: str
    band: str
    target: str
    top: Number
    bottom: Number


def pace_drawing(goal: GoalView) -> PaceDrawing | None:
    """The drawing, None where there is nothing to draw. The scale holds the target, and zero for what only adds up."""
    points = goal.points
    values = [value for point in points for value in (point.actual, point.expected, point.low, point.high)]
    known = [float(value) for value in (*values, goal.target, goal.baseline) if value is not None]
    if len(points) < 2 or not known:
        return None
    low, high = min([*known, 0.0] if min(known) > 0 and min(known) < max(known) / 2 else known), max(known)
    scale = _Scale(len(points), low, high)
    ends = [(index, point.low, point.high) for index, point in enumerate(points) if point.low is not None]
    band = [scale.at(index, top) for index, _, top in ends] + [
        scale.at(index, under) for index, under, _ in reversed(ends)
    ]
    return PaceDrawing(
        actual=scale.line([point.actual for point in points]),
        plan=scale.line([point.expected for point in points]),
        band=" ".join(band) if len(ends) > 1 else "",
        target=f"{scale.y(float(goal.target or 0)):.1f}",
        top=goal.target,
        bottom=goal.baseline,
    )


@dataclass(frozen=True, slots=True)
class _Scale:
    count: int
    low: float
    high: float

    def y(self, value: float) -> float:
        """SVG counts downward."""
        return HEIGHT * (self.high - value) / ((self.high - self.low) or 1)

    def at(self, index: int, value: Number) -> str:
        return f"{WIDTH * index / (self.count - 1):.1f},{self.y(float(value or 0)):.1f}"

    def line(self, values: Sequence[Number]) -> str:
        return " ".join(self.at(index, value) for index, value in enumerate(values) if value is not None)
