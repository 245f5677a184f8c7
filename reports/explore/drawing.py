"""Lines and stacked bars as SVG by the server: the same without script, and on paper."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

WIDTH, HEIGHT, PAD = 640.0, 200.0, 4.0
COLOURS = 9


@dataclass(frozen=True, slots=True)
class Line:
    """One line; it may have gaps. `colour` is the number of a class."""

    label: str
    colour: int
    parts: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Lines:
    """Lines in a box, with what stands at its corners."""

    lines: tuple[Line, ...]
    top: str
    first: str
    last: str
    width: int = int(WIDTH)
    height: int = int(HEIGHT)


def lines_of(series: Sequence[tuple[str, Sequence[float | None]]], labels: Sequence[str], top: str) -> Lines:
    """All on one scale that begins at zero (or below it)."""
    known = [value for _, values in series for value in values if value is not None]
    high, low = max([*known, 0.0]), min([*known, 0.0])
    span, step = (high - low) or 1.0, (WIDTH - 2 * PAD) / max(len(labels) - 1, 1)

    def place(at: int, value: float) -> str:
        return f"{PAD + at * step:.1f},{PAD + (high - value) / span * (HEIGHT - 2 * PAD):.1f}"

    lines = tuple(
        Line(label, number % COLOURS + 1, _parts([None if v is None else place(at, v) for at, v in enumerate(values)]))
        for number, (label, values) in enumerate(series)
    )
    return Lines(lines, top, labels[0] if labels else "", labels[-1] if labels else "")


def _parts(points: Sequence[str | None]) -> tuple[str, ...]:
    runs: list[list[str]] = [[]]
    for point in points:
        if point is None:
            runs.append([])
        else:
            runs[-1].append(point)
    return tuple(" ".join(run * 2 if len(run) == 1 else run) for run in runs if run)


@dataclass(frozen=True, slots=True)
class Block:
    """A rectangle of a stack."""

    x: str
    y: str
    width: str
    height: str
    colour: int
    label: str


def stacks_of(columns: Sequence[Sequence[tuple[int, float, str]]]) -> tuple[Block, ...]:
    """Columns of (colour, value, label) over and, for negative values, under one line; in a box of 100 × 100."""
    above = max((sum(max(value, 0) for _, value, _ in column) for column in columns), default=0.0)
    below = max((sum(max(-value, 0) for _, value, _ in column) for column in columns), default=0.0)
    scale, step = 100 / ((above + below) or 1), 100 / max(len(columns), 1)
    found = []
    for place, column in enumerate(columns):
        up = down = above * scale
        for colour, value, label in column:
            height = abs(value) * scale
            top = up - height if value >= 0 else down
            found.append(
                Block(
                    f"{place * step + step * 0.1:.2f}",
                    f"{top:.2f}",
                    f"{step * 0.8:.2f}",
                    f"{height:.2f}",
                    colour,
                    label,
                )
            )
            up, down = (top, down) if value >= 0 else (up, down + height)
    return tuple(found)
