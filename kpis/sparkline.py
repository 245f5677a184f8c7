"""Small line drawings of a series, as points of an SVG polyline: no script, no style, printable."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal

WIDTH, HEIGHT, MARGIN = 120, 28, 2


def sparkline(values: Sequence[Decimal | None]) -> tuple[str, ...]:
    """Point lists of polylines in a box of 120 × 28: a gap (null) ends one line and begins the next.

    The scale runs from the least to the greatest value; a level series lies in the middle. A lone point is drawn
    twice so that a line cap shows it.
    """
    known = [value for value in values if value is not None]
    if not known:
        return ()
    low, high = min(known), max(known)
    step = Decimal(WIDTH - 2 * MARGIN) / max(len(values) - 1, 1)
    lines: list[list[str]] = [[]]
    for place, value in enumerate(values):
        if value is None:
            lines.append([])
        else:
            lines[-1].append(f"{MARGIN + step * place:.1f},{_y(value, low, high):.1f}")
    return tuple(" ".join(line * 2 if len(line) == 1 else line) for line in lines if line)


def _y(value: Decimal, low: Decimal, high: Decimal) -> Decimal:
    """SVG counts downward."""
    if high == low:
        return Decimal(HEIGHT) / 2
    return MARGIN + (HEIGHT - 2 * MARGIN) * (high - value) / (high - low)
