"""A chart as one small SVG: what is seen before the script has drawn its own, without script, and on paper."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from kpis.contracts import Number, Series

WIDTH, HEIGHT, PAD = 600, 200, 4


@dataclass(frozen=True, slots=True)
class Drawing:
    """Polylines in a box of WIDTH × HEIGHT; `area` is the filled polygon below the first unbroken line."""

    lines: tuple[str, ...]
    before: tuple[str, ...]
    open: tuple[str, ...]
    width: int = WIDTH
    height: int = HEIGHT


def drawing_of(series: Series) -> Drawing:
    """The series with its comparison on one scale that begins at zero (ratios and money alike)."""
    values = [point.value for point in series.points]
    earlier = series.comparison.points[: len(values)] if series.comparison else ()
    before = [point.value if point.is_complete else None for point in earlier]
    known = [value for value in (*values, *before) if value is not None]
    low, high = min(known, default=Decimal(0)), max(known, default=Decimal(0))
    scale = (min(low, Decimal(0)), max(high, Decimal(0)))
    last_whole = _last_whole(series)
    whole = [value if place <= last_whole else None for place, value in enumerate(values)]
    unfinished = [value if place >= last_whole else None for place, value in enumerate(values)]
    return Drawing(_lines(whole, scale), _lines(before, scale, len(values)), _lines(unfinished, scale))


def _last_whole(series: Series) -> int:
    """Where the finished part ends; from there the line is dashed."""
    whole = [place for place, point in enumerate(series.points) if point.is_complete]
    return whole[-1] if whole else 0


def _lines(values: Sequence[Number], scale: tuple[Decimal, Decimal], count: int = 0) -> tuple[str, ...]:
    step = Decimal(WIDTH - 2 * PAD) / max((count or len(values)) - 1, 1)
    lines: list[list[str]] = [[]]
    for place, value in enumerate(values):
        if value is None:
            lines.append([])
        else:
            lines[-1].append(f"{PAD + step * place:.0f},{_y(value, *scale):.0f}")
    return tuple(" ".join(line * 2 if len(line) == 1 else line) for line in lines if line)


def _y(value: Decimal, low: Decimal, high: Decimal) -> Decimal:
    if high == low:
        return Decimal(HEIGHT - PAD)
    return PAD + (HEIGHT - 2 * PAD) * (high - value) / (high - low)
