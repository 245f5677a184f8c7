"""A chart as one small SVG: what is seen before the script has drawn its own, without script, and on paper."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal

from analytics.periods import Calendar
from kpis.contracts import OTHER, Number, Series
from reports.dashboard import shown

WIDTH, HEIGHT, PAD = 600, 200, 4
LINES = 5
"""As many values of a breakdown have a colour and a shape of their own; the others share one."""


@dataclass(frozen=True, slots=True)
class Drawing:
    """Polylines in a box of WIDTH × HEIGHT, the height of zero, and what stands in the corners.

    `parts` are the lines of a breakdown by their number, drawn in place of the whole.
    """

    lines: tuple[str, ...]
    before: tuple[str, ...]
    open: tuple[str, ...]
    base: str
    high: str
    first: str
    last: str
    parts: tuple[tuple[int, tuple[str, ...]], ...] = ()
    width: int = WIDTH
    height: int = HEIGHT


def drawing_of(series: Series, calendar: Calendar) -> Drawing:
    """The series with its comparison, or its parts, on one scale that begins at zero (ratios and money alike)."""
    values = [point.value for point in series.points]
    parts = [[point.value for point in part.points] for part in series.series]
    earlier = series.comparison.points[: len(values)] if series.comparison and not parts else ()
    before = [point.value if point.is_complete else None for point in earlier]
    lines = parts or [values, before]
    known = [value for line in lines for value in line if value is not None]
    low, high = min(known, default=Decimal(0)), max(known, default=Decimal(0))
    scale = (min(low, Decimal(0)), max(high, Decimal(0)))
    last_whole = _last_whole(series)
    whole = [value if place <= last_whole else None for place, value in enumerate(values)]
    unfinished = [value if place >= last_whole else None for place, value in enumerate(values)]
    ends = (series.points[0], series.points[-1]) if series.points else ()
    first, last = (shown.point_shown(point.start, series.granularity, calendar) for point in ends) if ends else ("", "")
    return Drawing(
        lines=() if parts else _lines(whole, scale),
        before=_lines(before, scale, len(values)),
        open=() if parts else _lines(unfinished, scale),
        base=f"{_y(Decimal(0), *scale):.0f}",
        high=shown.of_series(scale[1], series, is_short=True) if known else "",
        first=first,
        last=last,
        parts=tuple(
            (line_number(place, part.key), _lines(line, scale))
            for place, (part, line) in enumerate(zip(series.series, parts, strict=True))
        ),
    )


def line_number(place: int, key: str) -> int:
    """The colour and shape of a value of a breakdown by its place; what the limit left out is 0."""
    return 0 if key == OTHER else place % LINES + 1


def x_percent(place: int, count: int) -> str:
    """How far to the right a point lies, in percent of the drawing."""
    step = Decimal(WIDTH - 2 * PAD) / max(count - 1, 1)
    return f"{(PAD + step * place) / WIDTH * 100:.2f}"


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
