"""A chart as one small SVG: what is seen before the script has drawn its own, without script, and on paper."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from analytics.periods import Calendar
from kpis.contracts import Number, Series
from reports.dashboard import shown

WIDTH, HEIGHT, PAD = 600, 200, 4


@dataclass(frozen=True, slots=True)
class Drawing:
    """Polylines in a box of WIDTH × HEIGHT, the height of zero, and what stands in the corners."""

    lines: tuple[str, ...]
    before: tuple[str, ...]
    open: tuple[str, ...]
    base: str
    high: str
    first: str
    last: str
    width: int = WIDTH
    height: int = HEIGHT


def drawing_of(series: Series, calendar: Calendar) -> Drawing:
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
    ends = (series.points[0], series.points[-1]) if series.points else ()
    first, last = (shown.point_shown(point.start, series.granularity, calendar) for point in ends) if ends else ("", "")
    return Drawing(
        lines=_lines(whole, scale),
        before=_lines(before, scale, len(values)),
        open=_lines(unfinished, scale),
        base=f"{_y(Decimal(0), *scale):.0f}",
        high=shown.of_series(scale[1], series, is_short=True) if known else "",
        first=first,
        last=last,
    )


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
